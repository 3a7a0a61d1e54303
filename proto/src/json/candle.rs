//! The platform's running candle in JSON, for charts: `{"o":…,"h":…,"l":…,"c":…,"v":…,"tf":"1m",
//! "t":1536935400}`, `t` being the start of the window in seconds. A view: what a chart does not
//! draw is not in it.

use serde::{Deserialize, Serialize};

use crate::candle::{Candle, Ohlc};
use crate::decimal::{Price, Quantity};
use crate::event_time::EventTime;
use crate::json::{malformed, read_object};
use crate::record::{RecordError, ensure, ensure_size};
use crate::timeframe::Timeframe;

/// What `v` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeMode {
    /// The sum of sizes; left out where no tick carried one.
    #[default]
    Sum,
    /// How many ticks, as MetaTrader draws it.
    TickCount,
}

/// A candle as a chart draws it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChartCandle {
    /// Open.
    #[serde(rename = "o", with = "crate::exact")]
    pub open: Price,
    /// High.
    #[serde(rename = "h", with = "crate::exact")]
    pub high: Price,
    /// Low.
    #[serde(rename = "l", with = "crate::exact")]
    pub low: Price,
    /// Close.
    #[serde(rename = "c", with = "crate::exact")]
    pub close: Price,
    /// Volume, or ticks; see [`VolumeMode`].
    #[serde(
        rename = "v",
        default,
        with = "crate::exact::maybe",
        skip_serializing_if = "Option::is_none"
    )]
    pub volume: Option<Quantity>,
    /// How long the window is.
    #[serde(rename = "tf")]
    pub timeframe: Timeframe,
    /// Start of the window, in whole seconds since 1970: no window starts between two.
    #[serde(rename = "t")]
    pub start_s: i64,
}

impl ChartCandle {
    /// Takes what a chart draws of `candle`. `None` for more ticks than a quantity can count
    /// (ten billion).
    pub fn new(candle: &Candle, mode: VolumeMode) -> Option<Self> {
        let volume = match mode {
            VolumeMode::Sum => candle.has(Candle::HAS_VOLUME).then_some(candle.volume),
            VolumeMode::TickCount => {
                let units = i64::try_from(candle.ticks).ok()?.checked_mul(Quantity::SCALE)?;
                (units <= Quantity::MAX.units()).then_some(Some(Quantity::from_units(units)))?
            }
        };
        let Ohlc { open, high, low, close } = candle.price;
        let start_s = candle.start.ns().div_euclid(1_000_000_000);
        Some(Self { open, high, low, close, volume, timeframe: candle.timeframe, start_s })
    }

    /// Start of the window, or nothing where nanoseconds do not hold it.
    pub fn start(&self) -> Option<EventTime> {
        self.start_s.checked_mul(1_000_000_000).map(EventTime::from_ns)
    }

    /// Appends the object to `out`, without spaces.
    ///
    /// # Errors
    /// When serde cannot write it; then `out` is as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let text = serde_json::to_vec(self).map_err(malformed)?;
        out.extend_from_slice(&text);
        Ok(())
    }

    /// Reads the object.
    ///
    /// # Errors
    /// When it is too long, not JSON, or open and close are not between low and high.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let candle: Self = read_object(bytes)?;
        let within = |price| candle.low <= price && price <= candle.high;
        let sound = within(candle.open) && within(candle.close);
        ensure(sound, "o", "and `c` must be between `l` and `h`")?;
        ensure_size(candle.volume.unwrap_or_default().units(), "v")?;
        ensure(candle.start().is_some(), "t", "must be seconds between 1677 and 2262")?;
        Ok(candle)
    }
}

#[cfg(test)]
mod tests {
    use super::{ChartCandle, VolumeMode};
    use crate::candle::{Basis, Candle, Ohlc, Reason};
    use crate::decimal::{Price, Quantity};
    use crate::event_time::EventTime;
    use crate::series::SeriesId;
    use crate::timeframe::Timeframe;

    #[test]
    fn the_platforms_candle_comes_back_as_it_was() {
        for text in [
            r#"{"o":1.1734,"h":1.174,"l":1.17,"c":1.1736,"v":42100,"tf":"1m","t":1536935400}"#,
            r#"{"o":1.1734,"h":1.174,"l":1.17,"c":1.1736,"tf":"1d","t":-86400}"#,
        ] {
            let mut out = Vec::new();
            ChartCandle::decode(text.as_bytes()).unwrap().encode(&mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn volume_is_the_sum_of_sizes_or_the_number_of_ticks() {
        let price = Price::from_units(1);
        let candle = Candle {
            series: SeriesId::default(),
            timeframe: Timeframe::DAY,
            start: EventTime::from_ns(0),
            end: EventTime::from_ns(1),
            trading_date: 0,
            price: Ohlc { open: price, high: price, low: price, close: price },
            ask: Ohlc::default(),
            volume: Quantity::ZERO,
            ticks: 42_100,
            first_time: EventTime::from_ns(0),
            last_time: EventTime::from_ns(0),
            first_sequence: 0,
            last_sequence: 0,
            revision: 0,
            flags: 0,
            basis: Basis::Bid,
            reason: Reason::Open,
        };
        let volume = |candle, mode| ChartCandle::new(candle, mode).map(|chart| chart.volume);
        assert_eq!(volume(&candle, VolumeMode::Sum), Some(None));
        let ticks = Some(Some("42100".parse().unwrap()));
        assert_eq!(volume(&candle, VolumeMode::TickCount), ticks);
        let endless = Candle { ticks: u64::MAX, ..candle };
        assert_eq!(volume(&endless, VolumeMode::TickCount), None);
    }

    #[test]
    fn an_impossible_candle_is_refused() {
        for text in [
            r#"{"o":3,"h":2,"l":1,"c":1,"tf":"1m","t":0}"#,
            r#"{"o":1,"h":2,"l":1,"c":1,"v":-1,"tf":"1m","t":0}"#,
            r#"{"o":1,"h":2,"l":1,"c":1,"tf":"1y","t":0}"#,
            r#"{"o":1,"h":2,"l":1,"c":1,"tf":"1m","t":9223372037}"#,
            r#"["1","2","1","1",null,"1m",0]"#,
        ] {
            assert!(ChartCandle::decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}

//! From the texts of a record to a tick.

use std::borrow::Cow;

use dataflows::component::source::SourceContext;
use proto::decimal::{DecimalError, Price, Quantity, parse_units};
use proto::event_time::EventTime;
use proto::series::{SeriesId, SeriesTable};
use proto::tick::Tick;

use super::time::TimeReader;
use super::{FileConfig, TooFine};
use crate::archive::Selection;
use crate::columns::{Role, Wanted};
use crate::time_zone::{Localizer, Zone};

/// A short word to count by, and what was found.
pub(super) type Refusal = (&'static str, String);

/// What a record came to.
pub(super) type Made = Result<Option<Tick>, Refusal>;

/// Makes ticks of records.
#[derive(Debug)]
pub(super) struct Assembler {
    pub(super) wanted: Wanted,
    time: TimeReader,
    too_fine: TooFine,
    selection: Selection,
    series: SeriesTable,
    /// The names of the last record, and their series.
    known: (String, String, SeriesId),
    /// Day and time of day, joined.
    joined: String,
}

impl Assembler {
    pub(super) fn new(
        config: &FileConfig,
        wanted: Wanted,
        (zone, selection): (Zone, Selection),
        context: &SourceContext,
    ) -> Self {
        Self {
            wanted,
            time: TimeReader {
                format: config.time_format.clone(),
                unit: config.time_unit,
                localizer: Localizer::new(zone),
            },
            too_fine: config.too_fine,
            selection,
            series: context.series.clone(),
            known: (String::new(), String::new(), SeriesId::default()),
            joined: String::new(),
        }
    }

    /// Makes a tick of the texts that `get` gives; none if it is not wanted. `counted` orders
    /// equal times where the record has no sequence.
    ///
    /// # Errors
    /// Says what is wrong with the record.
    pub(super) fn tick<'a>(
        &mut self,
        get: impl Fn(Role) -> Option<Cow<'a, str>>,
        counted: u64,
    ) -> Made {
        let text = |role: Role| {
            let text = match get(role)? {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
                Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
            };
            (!text.is_empty()).then_some(text)
        };
        let time = self.time(&text)?;
        let bid = self.price("bid", text(Role::Bid))?;
        let ask = self.price("ask", text(Role::Ask))?;
        let last = self.price("last", text(Role::Last))?;
        if bid.is_none() && ask.is_none() && last.is_none() {
            return Err(("no_price", "none of its prices is there".to_owned()));
        }
        let mut flags = 0;
        let volume = match text(Role::Volume) {
            None => 0,
            Some(text) => {
                flags |= Tick::HAS_VOLUME;
                self.units("volume", &text, Quantity::DIGITS).map_err(|why| ("bad_volume", why))?
            }
        };
        let sequence = match text(Role::Sequence) {
            None => counted,
            Some(text) => {
                flags |= Tick::HAS_SEQUENCE;
                text.parse::<u64>().map_err(|_| {
                    let why = format!("the sequence `{text}` is not a whole number");
                    ("bad_sequence", why)
                })?
            }
        };
        let Some(series) = self.series(text(Role::Source), text(Role::Instrument))? else {
            return Ok(None);
        };
        if time < self.selection.from || time >= self.selection.to {
            return Ok(None);
        }
        let price = |units: Option<i64>| Price::from_units(units.unwrap_or(0));
        Ok(Some(Tick {
            time: EventTime::from_ns(time),
            sequence,
            bid: price(bid),
            ask: price(ask),
            last: price(last),
            volume: Quantity::from_units(volume),
            watermark: EventTime::MIN,
            series,
            flags,
        }))
    }

    fn time<'a>(&mut self, text: &impl Fn(Role) -> Option<Cow<'a, str>>) -> Result<i64, Refusal> {
        let time =
            text(Role::Time).ok_or_else(|| ("bad_time", "its time is missing".to_owned()))?;
        self.joined.clear();
        if let Some(date) = text(Role::Date) {
            self.joined.push_str(&date);
            self.joined.push(' ');
        }
        self.joined.push_str(&time);
        self.time.read(&self.joined).ok_or_else(|| {
            let expected = match &self.time.format {
                Some(format) => format!("expected the pattern `{format}`"),
                None => "expected a date and time or a number since 1970; a pattern can be given \
                         with `time_format`"
                    .to_owned(),
            };
            ("bad_time", format!("`{}` is not a time; {expected}", self.joined))
        })
    }

    fn price(&self, name: &str, text: Option<Cow<'_, str>>) -> Result<Option<i64>, Refusal> {
        text.map(|text| self.units(name, &text, Price::DIGITS))
            .transpose()
            .map_err(|why| ("bad_price", why))
    }

    fn units(&self, name: &str, text: &str, digits: u32) -> Result<i64, String> {
        match parse_units(text, digits) {
            Ok(units) => Ok(units),
            Err(DecimalError::TooFine(_)) if self.too_fine == TooFine::Round => {
                rounded(text, digits).ok_or_else(|| format!("the {name} `{text}` is out of range"))
            }
            Err(error @ DecimalError::TooFine(_)) => {
                Err(format!("the {name} `{text}` has {error}; `too_fine: round` would round it"))
            }
            Err(error) => Err(format!("the {name} `{text}` is {error}")),
        }
    }

    fn series(
        &mut self,
        source: Option<Cow<'_, str>>,
        instrument: Option<Cow<'_, str>>,
    ) -> Result<Option<SeriesId>, Refusal> {
        let missing = |what: &str| ("bad_name", format!("its {what} is missing"));
        let constant = self.wanted.source.as_deref();
        let source = constant.or(source.as_deref()).ok_or_else(|| missing("source"))?;
        let constant = self.wanted.instrument.as_deref();
        let instrument = constant.or(instrument.as_deref()).ok_or_else(|| missing("instrument"))?;
        if self.known.0 == source && self.known.1 == instrument {
            return Ok(Some(self.known.2));
        }
        if !self.selection.has(instrument) {
            return Ok(None);
        }
        let series = self.series.intern(source, instrument).map_err(|error| {
            ("bad_name", format!("its names {source:?}, {instrument:?}: {error}"))
        })?;
        self.known = (source.to_owned(), instrument.to_owned(), series);
        Ok(Some(series))
    }
}

/// Rounds to `digits` digits behind the point, halves away from zero; none if it does not fit or
/// has an exponent.
fn rounded(text: &str, digits: u32) -> Option<i64> {
    let (whole, fraction) = text.split_once('.')?;
    let kept = fraction.get(..digits as usize)?;
    let next = fraction.as_bytes().get(digits as usize)?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let units = parse_units(&format!("{whole}.{kept}"), digits).ok()?;
    let away = if text.starts_with('-') { -1 } else { 1 };
    Some(if *next >= b'5' { units + away } else { units })
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn what_is_too_fine_is_rounded_without_a_float() {
        assert_eq!(rounded("1.0879650115966797", 9), Some(1_087_965_012));
        assert_eq!(rounded("-0.0000000005", 9), Some(-1));
        assert_eq!(rounded("0.00000000049", 9), Some(0));
        assert_eq!(rounded("1.00000000x5", 8), None);
        assert_eq!(rounded("1.5e-12", 9), None);
    }
}

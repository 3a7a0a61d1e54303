//! Timeframes: `1s` to `1w`, the length of a candle.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The length of a candle, in whole seconds, from one second to one week.
///
/// Up to four hours it divides the trading day from its start on; `1d` *is* the trading day,
/// however long, and `1w` the trading week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timeframe(u32);

/// The text is no timeframe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a timeframe; expected a number and a unit, such as 1s, 5m, 4h, 1d or 1w")]
pub struct TimeframeError(String);

const DAY: u32 = 86_400;

impl Timeframe {
    /// One trading day.
    pub const DAY: Self = Self(DAY);
    /// One trading week.
    pub const WEEK: Self = Self(7 * DAY);

    /// Takes a length in seconds: anything below a day, one day, or one week.
    pub fn from_seconds(seconds: u32) -> Option<Self> {
        (seconds >= 1 && (seconds <= DAY || seconds == 7 * DAY)).then_some(Self(seconds))
    }

    /// Gives the nominal length in seconds.
    pub const fn seconds(self) -> u32 {
        self.0
    }

    /// Gives the nominal length in nanoseconds.
    pub const fn ns(self) -> i64 {
        self.0 as i64 * 1_000_000_000
    }
}

impl fmt::Display for Timeframe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, seconds) in [("w", 7 * DAY), ("d", DAY), ("h", 3_600), ("m", 60)] {
            if self.0.is_multiple_of(seconds) {
                return write!(formatter, "{}{unit}", self.0 / seconds);
            }
        }
        write!(formatter, "{}s", self.0)
    }
}

impl FromStr for Timeframe {
    type Err = TimeframeError;

    fn from_str(text: &str) -> Result<Self, TimeframeError> {
        let refused = || TimeframeError(text.to_owned());
        let unit = text.chars().last().ok_or_else(refused)?;
        let count: u32 =
            text.strip_suffix(unit).and_then(|count| count.parse().ok()).ok_or_else(refused)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => DAY,
            'w' => 7 * DAY,
            _ => return Err(refused()),
        };
        count.checked_mul(seconds).and_then(Self::from_seconds).ok_or_else(refused)
    }
}

impl TryFrom<String> for Timeframe {
    type Error = TimeframeError;
    fn try_from(text: String) -> Result<Self, TimeframeError> {
        text.parse()
    }
}

impl From<Timeframe> for String {
    fn from(timeframe: Timeframe) -> Self {
        timeframe.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::Timeframe;

    #[test]
    fn a_timeframe_is_written_in_its_greatest_whole_unit() {
        for text in ["1s", "90s", "1m", "5m", "4h", "1d", "1w"] {
            assert_eq!(text.parse::<Timeframe>().unwrap().to_string(), text);
        }
        assert_eq!("60m".parse::<Timeframe>().unwrap().to_string(), "1h");
        for text in ["", "0m", "m", "2d", "3w", "1y", "-1m", "99999999999m", "1µ"] {
            assert!(text.parse::<Timeframe>().is_err(), "{text}");
        }
    }
}

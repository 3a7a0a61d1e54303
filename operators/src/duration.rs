//! Durations as people write them: `500ms`, `2s`, `1h`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A length of time, at least zero, in whole nanoseconds; at most about 292 years.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Duration(i64);

/// The text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration; expected a number and a unit: 250us, 500ms, 2s, 5m, 1h or 7d")]
pub struct DurationError(String);

/// Units with their nanoseconds, greatest first.
const UNITS: [(&str, i64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Takes whole seconds.
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds as i64 * 1_000_000_000)
    }

    /// Takes nanoseconds, unless they are negative.
    pub const fn from_ns(ns: i64) -> Option<Self> {
        if ns < 0 { None } else { Some(Self(ns)) }
    }

    /// Gives nanoseconds.
    pub const fn ns(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return formatter.write_str("0s");
        }
        for (unit, ns) in UNITS {
            if self.0 % ns == 0 {
                return write!(formatter, "{}{unit}", self.0 / ns);
            }
        }
        Ok(())
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let refused = || DurationError(text.to_owned());
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = text.split_at(digits);
        let count: i64 = count.parse().map_err(|_| refused())?;
        let (_, ns) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refused)?;
        count.checked_mul(*ns).map(Self).ok_or_else(refused)
    }
}

impl TryFrom<String> for Duration {
    type Error = DurationError;
    fn try_from(text: String) -> Result<Self, DurationError> {
        text.parse()
    }
}

impl From<Duration> for String {
    fn from(duration: Duration) -> Self {
        duration.to_string()
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+(ns|us|ms|s|m|h|d)$",
            "description": "A duration: a whole number and a unit (ns, us, ms, s, m, h, d)."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Duration;

    #[test]
    fn a_duration_is_written_in_its_greatest_whole_unit() {
        for text in ["0s", "1ns", "250us", "500ms", "2s", "90s", "5m", "1h", "7d"] {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), text);
        }
        assert_eq!("60s".parse::<Duration>().unwrap().to_string(), "1m");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "s", "-1s", "1.5s", "1 s", "1y", "9999999999999999999s", "99999999d", "5"]
        {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}

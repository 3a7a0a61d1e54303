//! Lengths of time as people write them in a job file: `500ms`, `2s`, `15m`, `1h`, `1d`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A length of time: a whole number and a unit (`ns`, `us`, `ms`, `s`, `m`, `h`, `d`), such as
/// `500ms` or `2s`.
///
/// Kept in nanoseconds, from none up to `i64::MAX` (292 years), so that it can be added to an
/// event time. A day is 24 hours.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Duration(i64);

/// The text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a duration; expected a whole number and a unit (ns, us, ms, s, m, h, d), such as \
     500ms, 2s or 1h"
)]
pub struct DurationError(String);

/// Units with their nanoseconds, the longest first.
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

    /// Takes nanoseconds; none if negative.
    pub const fn from_ns(ns: i64) -> Option<Self> {
        if ns < 0 { None } else { Some(Self(ns)) }
    }

    /// Takes milliseconds.
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis as i64 * 1_000_000)
    }

    /// Takes seconds.
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds as i64 * 1_000_000_000)
    }

    /// Gives the nanoseconds, never negative.
    pub const fn ns(self) -> i64 {
        self.0
    }

    /// Tells whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        Self::from_nanos(duration.0.unsigned_abs())
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return formatter.write_str("0s");
        }
        // Everything divides by the last unit.
        let unit = UNITS.iter().find(|(_, ns)| self.0 % ns == 0);
        let (unit, ns) = unit.unwrap_or(&("ns", 1));
        write!(formatter, "{}{unit}", self.0 / ns)
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let refused = || DurationError(text.to_owned());
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).ok_or_else(refused)?;
        let number: i64 = number.parse().map_err(|_| refused())?;
        let (_, ns) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refused)?;
        number.checked_mul(*ns).map(Self).ok_or_else(refused)
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
            "title": "duration",
            "description": "A whole number and a unit: ns, us, ms, s, m, h or d.",
            "pattern": "^[0-9]+(ns|us|ms|s|m|h|d)$",
            "examples": ["500ms", "2s", "1h"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Duration;

    #[test]
    fn what_people_write_is_understood_and_said_back_in_the_longest_unit() {
        for (text, ns, said) in [
            ("0s", 0, "0s"),
            ("7ns", 7, "7ns"),
            ("500ms", 500_000_000, "500ms"),
            ("2s", 2_000_000_000, "2s"),
            ("90s", 90_000_000_000, "90s"),
            ("60m", 3_600_000_000_000, "1h"),
            ("1d", 86_400_000_000_000, "1d"),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!((duration.ns(), duration.to_string().as_str()), (ns, said), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for text in ["", "5", "s", "-1s", "+1s", "1.5s", "1 s", "1S", "1w", "99999999999d", "٣s"] {
            let error = text.parse::<Duration>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}` is not a duration")), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_duration_survives_being_written_and_read(ns in 0_i64..) {
            let duration = Duration::from_ns(ns).unwrap();
            let json = serde_json::to_string(&duration).unwrap();
            proptest::prop_assert_eq!(serde_json::from_str::<Duration>(&json).unwrap(), duration);
        }
    }
}

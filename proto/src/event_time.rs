//! Event time: when something happened at the venue, in UTC nanoseconds since 1970.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat};
use serde::{Deserialize, Serialize};

/// UTC nanoseconds since 1970-01-01; good from 1677 to 2262.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
#[repr(transparent)]
pub struct EventTime(i64);

/// The text is neither a date, nor a date and time, nor RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a time; expected 2024-03-10, 2024-03-10T17:00:00 or 2024-03-10T17:00:00Z (UTC unless it says otherwise)"
)]
pub struct EventTimeError(String);

impl EventTime {
    /// Before everything.
    pub const MIN: Self = Self(i64::MIN);
    /// After everything.
    pub const MAX: Self = Self(i64::MAX);

    /// Takes nanoseconds since 1970.
    pub const fn from_ns(ns: i64) -> Self {
        Self(ns)
    }

    /// Takes milliseconds since 1970, or tells that nanoseconds do not hold it.
    pub fn from_ms(ms: i64) -> Option<Self> {
        ms.checked_mul(1_000_000).map(Self)
    }

    /// Gives nanoseconds since 1970.
    pub const fn ns(self) -> i64 {
        self.0
    }
}

impl fmt::Display for EventTime {
    /// RFC 3339 in UTC, with as many digits as the value needs.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text =
            DateTime::from_timestamp_nanos(self.0).to_rfc3339_opts(SecondsFormat::AutoSi, true);
        formatter.write_str(&text)
    }
}

impl FromStr for EventTime {
    type Err = EventTimeError;

    fn from_str(text: &str) -> Result<Self, EventTimeError> {
        let refused = || EventTimeError(text.to_owned());
        let utc = if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            time.to_utc()
        } else if let Ok(time) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f") {
            time.and_utc()
        } else if let Ok(time) = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f") {
            time.and_utc()
        } else {
            let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| refused())?;
            date.and_hms_opt(0, 0, 0).ok_or_else(refused)?.and_utc()
        };
        utc.timestamp_nanos_opt().map(Self).ok_or_else(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::EventTime;

    #[test]
    fn times_are_read_and_written_in_utc() {
        for (text, canonical) in [
            ("2024-03-10", "2024-03-10T00:00:00Z"),
            ("2024-03-10T17:00:00.25", "2024-03-10T17:00:00.250Z"),
            ("2024-03-10T17:00:00-05:00", "2024-03-10T22:00:00Z"),
        ] {
            assert_eq!(text.parse::<EventTime>().unwrap().to_string(), canonical);
        }
        assert!("yesterday".parse::<EventTime>().is_err());
    }
}

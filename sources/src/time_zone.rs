//! Times as files write them: naive local times of a zone, and whole numbers since 1970.

use std::str::FromStr;

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::Deserialize;

/// Nanoseconds in a second.
pub(crate) const SECOND: i64 = 1_000_000_000;

/// Where naive times come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    /// A fixed number of nanoseconds ahead of UTC.
    Fixed(i64),
    /// A zone of the IANA database, with its daylight saving.
    Named(Tz),
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if matches!(text, "UTC" | "utc" | "Z") {
            return Ok(Self::Fixed(0));
        }
        if let Some(offset) = parse_offset(text.strip_prefix("UTC").unwrap_or(text)) {
            return Ok(Self::Fixed(offset));
        }
        text.parse::<Tz>().map(Self::Named).map_err(|_| {
            format!(
                "`{text}` is not a time zone; expected `UTC`, an offset such as `+02:00`, or an \
                 IANA name such as `Europe/Athens`"
            )
        })
    }
}

/// Reads `+02:00`, `-05`, `+0530` as nanoseconds.
fn parse_offset(text: &str) -> Option<i64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, text.get(1..)?),
        b'-' => (-1, text.get(1..)?),
        _ => return None,
    };
    let digits: String = rest.chars().filter(|c| *c != ':').collect();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i64, i64) = match digits.len() {
        1 | 2 => (digits.parse().ok()?, 0),
        4 => (digits.get(..2)?.parse().ok()?, digits.get(2..)?.parse().ok()?),
        _ => return None,
    };
    (hours <= 18 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60) * SECOND)
}

/// Turns naive local nanoseconds into UTC, remembering the last offset found.
///
/// A local time that occurs twice (autumn) means the first; one that does not exist (spring) is
/// read with the offset before the switch.
#[derive(Debug, Clone)]
pub(crate) struct Localizer {
    zone: Zone,
    /// (quarter hour since 1970, offset): zones switch on quarter hours only.
    cached: Option<(i64, i64)>,
}

impl Localizer {
    /// Starts with nothing remembered.
    pub(crate) const fn new(zone: Zone) -> Self {
        Self { zone, cached: None }
    }

    /// Gives UTC nanoseconds; none when they do not fit.
    pub(crate) fn utc(&mut self, local: i64) -> Option<i64> {
        let offset = match self.zone {
            Zone::Fixed(offset) => offset,
            Zone::Named(zone) => {
                let quarter = local.div_euclid(900 * SECOND);
                match self.cached {
                    Some((known, offset)) if known == quarter => offset,
                    _ => {
                        let offset = offset_of(zone, quarter * 900)?;
                        self.cached = Some((quarter, offset));
                        offset
                    }
                }
            }
        };
        local.checked_sub(offset)
    }
}

fn offset_of(zone: Tz, local_seconds: i64) -> Option<i64> {
    let naive = DateTime::from_timestamp(local_seconds, 0)?.naive_utc();
    let seconds = |naive: NaiveDateTime| match zone.offset_from_local_datetime(&naive) {
        MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(offset, _) => {
            Some(offset.fix().local_minus_utc())
        }
        MappedLocalTime::None => None,
    };
    let found = seconds(naive).or_else(|| {
        let before = naive.checked_sub_signed(TimeDelta::hours(3))?;
        seconds(before)
    })?;
    Some(i64::from(found) * SECOND)
}

/// What a whole number counts since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

impl TimeUnit {
    /// Nanoseconds in one.
    pub(crate) const fn nanoseconds(self) -> i64 {
        match self {
            Self::S => SECOND,
            Self::Ms => 1_000_000,
            Self::Us => 1_000,
            Self::Ns => 1,
        }
    }

    /// Guesses by magnitude: below 10^11 seconds (to the year 5138), below 10^14 milliseconds,
    /// below 10^17 microseconds (both from 1973 on), else nanoseconds.
    pub(crate) const fn guess(value: i64) -> Self {
        match value.unsigned_abs() {
            0..=99_999_999_999 => Self::S,
            100_000_000_000..=99_999_999_999_999 => Self::Ms,
            100_000_000_000_000..=99_999_999_999_999_999 => Self::Us,
            _ => Self::Ns,
        }
    }
}

/// Turns a whole number since 1970 into nanoseconds; none when they do not fit.
pub(crate) fn epoch_ns(value: i64, unit: Option<TimeUnit>) -> Option<i64> {
    let unit = match unit {
        Some(unit) => unit,
        None => TimeUnit::guess(value),
    };
    value.checked_mul(unit.nanoseconds())
}

#[cfg(test)]
mod tests {
    use super::{Localizer, SECOND, Zone, epoch_ns};
    use proto::event_time::EventTime;

    fn utc(zone: &str, local: &str) -> String {
        let local: EventTime = local.parse().unwrap();
        let zone: Zone = zone.parse().unwrap();
        EventTime::from_ns(Localizer::new(zone).utc(local.ns()).unwrap()).to_string()
    }

    #[test]
    fn naive_times_are_read_in_their_zone_through_daylight_saving() {
        assert_eq!(utc("UTC", "2024-03-10T12:00:00"), "2024-03-10T12:00:00Z");
        assert_eq!(utc("-05:00", "2024-03-10T12:00:00"), "2024-03-10T17:00:00Z");
        assert_eq!(utc("UTC+2", "2024-03-10T12:00:00"), "2024-03-10T10:00:00Z");
        assert_eq!(utc("Europe/Athens", "2024-07-01T12:00:00"), "2024-07-01T09:00:00Z");
        assert_eq!(utc("Europe/Athens", "2024-01-01T12:00:00"), "2024-01-01T10:00:00Z");
        // twice: the first; never: with the offset before
        assert_eq!(utc("America/New_York", "2024-11-03T01:30:00"), "2024-11-03T05:30:00Z");
        assert_eq!(utc("America/New_York", "2024-03-10T02:30:00"), "2024-03-10T07:30:00Z");
    }

    #[test]
    fn a_zone_that_does_not_exist_is_named() {
        for text in ["Mars/Olympus", "+25:00", "+2:xx", ""] {
            assert!(text.parse::<Zone>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_unit_of_a_number_is_guessed_by_its_magnitude() {
        let noon = 1_709_985_600;
        for scale in [1, 1_000, 1_000_000, 1_000_000_000] {
            assert_eq!(epoch_ns(noon * scale, None), Some(noon * SECOND));
        }
    }
}

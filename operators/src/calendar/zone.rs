//! Zones: civil time to UTC and back, from a fixed offset or from tzdata.

use std::str::FromStr;

use chrono::{DateTime, FixedOffset, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;
use proto::event_time::EventTime;

/// Where the calendar's clock hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// Always the same distance from UTC.
    Fixed(FixedOffset),
    /// An IANA zone with its daylight saving.
    Named(Tz),
}

/// The text names no zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a timezone; expected an IANA name (America/New_York) or an offset (-05:00)")]
pub struct ZoneError(String);

impl Zone {
    /// Gives the civil time at `time`.
    pub fn local(&self, time: EventTime) -> NaiveDateTime {
        let utc = DateTime::from_timestamp_nanos(time.ns()).naive_utc();
        let offset = self.offset_at_utc(&utc);
        utc.checked_add_offset(offset).unwrap_or(utc)
    }

    /// Gives the instant of a civil time: the earlier one where it comes twice; where the clocks
    /// jump over it, as long after the jump as it would have been. Clamped to what nanoseconds
    /// hold.
    pub fn utc(&self, local: NaiveDateTime) -> EventTime {
        let offset = match self {
            Self::Fixed(offset) => *offset,
            Self::Named(zone) => match zone.offset_from_local_datetime(&local) {
                LocalResult::Single(offset) | LocalResult::Ambiguous(offset, _) => offset.fix(),
                // The offset of the day before is the one from before the jump.
                LocalResult::None => {
                    let before = local.checked_sub_signed(TimeDelta::days(1)).unwrap_or(local);
                    self.offset_at_utc(&before)
                }
            },
        };
        let utc = local.checked_sub_offset(offset).unwrap_or(local).and_utc();
        let limit = if utc.timestamp() < 0 { EventTime::MIN } else { EventTime::MAX };
        utc.timestamp_nanos_opt().map_or(limit, EventTime::from_ns)
    }

    fn offset_at_utc(&self, utc: &NaiveDateTime) -> FixedOffset {
        match self {
            Self::Fixed(offset) => *offset,
            Self::Named(zone) => zone.offset_from_utc_datetime(utc).fix(),
        }
    }
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        if let Ok(zone) = text.parse::<Tz>() {
            return Ok(Self::Named(zone));
        }
        // `-05:00`, `+0530`, `UTC-05`, `UTC+05:30`
        let refused = || ZoneError(text.to_owned());
        let offset = text.strip_prefix("UTC").unwrap_or(text);
        let (sign, digits) = match offset.as_bytes().first() {
            Some(b'+') => (1, offset.get(1..)),
            Some(b'-') => (-1, offset.get(1..)),
            _ => return Err(refused()),
        };
        let digits = digits.ok_or_else(refused)?.replace(':', "");
        let is_well_formed =
            matches!(digits.len(), 2 | 4) && digits.bytes().all(|b| b.is_ascii_digit());
        let number: i32 = digits.parse().map_err(|_| refused())?;
        let (hours, minutes) =
            if digits.len() == 2 { (number, 0) } else { (number / 100, number % 100) };
        if !is_well_formed || minutes > 59 {
            return Err(refused());
        }
        FixedOffset::east_opt(sign * (hours * 3_600 + minutes * 60))
            .map(Self::Fixed)
            .ok_or_else(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::Zone;

    #[test]
    fn names_and_offsets_are_zones() {
        for text in ["America/New_York", "UTC", "-05:00", "+0530", "UTC-05", "Etc/GMT+5"] {
            assert!(text.parse::<Zone>().is_ok(), "{text}");
        }
        for text in ["", "NewYork", "5", "-5", "-05:60", "+25:00", "-0a:00", "+-1"] {
            assert!(text.parse::<Zone>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_civil_time_that_is_jumped_over_falls_after_the_jump() {
        let zone: Zone = "America/New_York".parse().unwrap();
        let local = "2024-03-10T02:30:00".parse().unwrap();
        assert_eq!(zone.utc(local).to_string(), "2024-03-10T07:30:00Z");
        // Midnight itself is jumped over: the day starts with the jump.
        let zone: Zone = "America/Sao_Paulo".parse().unwrap();
        let local = "2018-11-04T00:00:00".parse().unwrap();
        assert_eq!(zone.utc(local).to_string(), "2018-11-04T03:00:00Z");
    }

    #[test]
    fn of_a_civil_time_that_comes_twice_the_first_is_meant() {
        let zone: Zone = "America/New_York".parse().unwrap();
        let local = "2024-11-03T01:30:00".parse().unwrap();
        assert_eq!(zone.utc(local).to_string(), "2024-11-03T05:30:00Z");
    }
}

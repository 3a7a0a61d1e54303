//! When the simulated market is open, and how busy it is, half hour by half hour.

use chrono::{DateTime, Datelike, Timelike, Weekday};
use chrono_tz::America::New_York;

/// Nanoseconds in half an hour: the grid of sessions and outages.
pub(super) const HALF_HOUR: i64 = 1_800_000_000_000;

/// When an instrument is traded, in New York time with its daylight saving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hours {
    /// Sunday 17:00 to Friday 17:00.
    Forex,
    /// Sunday 18:00 to Friday 17:00, with a break from 17:00 to 18:00.
    Futures,
    /// Monday to Friday, 9:30 to 16:00.
    Equities,
    /// Without an end.
    Always,
}

/// How busy each hour of the UTC day is, in percent of the mean.
const RHYTHM: [u32; 24] = [
    60, 65, 60, 55, 50, 55, 75, 120, 155, 150, 135, 125, 140, 185, 205, 200, 165, 120, 95, 80, 65,
    45, 40, 55,
];

impl Hours {
    /// Tells whether it is traded in the half hour that begins `slot` half hours after 1970.
    pub(super) fn is_open(self, slot: i64) -> bool {
        let Some(utc) = DateTime::from_timestamp(slot.saturating_mul(1_800), 0) else {
            return false;
        };
        let local = utc.with_timezone(&New_York);
        let (day, hour) = (local.weekday(), local.hour());
        let is_forex = match day {
            Weekday::Sat => false,
            Weekday::Sun => hour >= 17,
            Weekday::Fri => hour < 17,
            _ => true,
        };
        match self {
            Self::Forex => is_forex,
            Self::Futures => is_forex && hour != 17,
            Self::Equities => {
                let minute = hour * 60 + local.minute();
                day.num_days_from_monday() < 5 && (570..960).contains(&minute)
            }
            Self::Always => true,
        }
    }
}

/// How busy the half hour is, in percent of the mean.
pub(super) fn rhythm(slot: i64) -> u32 {
    let hour = slot.rem_euclid(48) / 2;
    usize::try_from(hour).ok().and_then(|hour| RHYTHM.get(hour)).copied().unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::{HALF_HOUR, Hours, RHYTHM};
    use proto::event_time::EventTime;

    fn is_open(hours: Hours, time: &str) -> bool {
        let time: EventTime = time.parse().unwrap();
        hours.is_open(time.ns().div_euclid(HALF_HOUR))
    }

    #[test]
    fn weekends_and_breaks_follow_new_york_through_daylight_saving() {
        assert!(!is_open(Hours::Forex, "2025-01-05T21:30:00Z"));
        assert!(is_open(Hours::Forex, "2025-01-05T22:00:00Z"));
        assert!(is_open(Hours::Forex, "2025-07-06T21:00:00Z"));
        assert!(!is_open(Hours::Forex, "2025-01-10T22:00:00Z"));
        assert!(!is_open(Hours::Futures, "2025-01-07T22:00:00Z"));
        assert!(is_open(Hours::Futures, "2025-01-07T23:00:00Z"));
        assert!(is_open(Hours::Equities, "2025-01-07T14:30:00Z"));
        assert!(!is_open(Hours::Equities, "2025-01-07T21:00:00Z"));
        assert!(is_open(Hours::Always, "2025-01-11T12:00:00Z"));
    }

    #[test]
    fn the_rhythm_has_a_mean_of_about_one_hundred() {
        let mean = RHYTHM.iter().sum::<u32>() / 24;
        assert!((95..=105).contains(&mean), "{mean}");
    }
}

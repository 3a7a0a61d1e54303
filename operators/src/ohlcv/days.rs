//! The trading days under way: asked for with every window, worked out once a day.

use proto::event_time::EventTime;

use crate::calendar::{Calendar, TradingDay};

/// How many days are kept: enough for a week that is revised while the next one runs.
const DAYS_MAX: usize = 16;

/// A calendar with the days that were asked for lately.
#[derive(Debug)]
pub(super) struct Days {
    calendar: Calendar,
    /// Never empty; the one asked for last comes first.
    days: Vec<TradingDay>,
}

impl Days {
    /// Starts with the day of 1970-01-01.
    pub(super) fn new(calendar: Calendar) -> Self {
        let first = calendar.day_of(EventTime::from_ns(0));
        Self { calendar, days: vec![first] }
    }

    /// Gives the trading day of `time`.
    #[inline]
    pub(super) fn of(&mut self, time: i64) -> &TradingDay {
        let time = EventTime::from_ns(time);
        #[expect(clippy::indexing_slicing, reason = "never empty: `new` puts one in")]
        let latest = &self.days[0];
        if !(latest.start <= time && time < latest.end) {
            self.bring(time);
        }
        #[expect(clippy::indexing_slicing, reason = "never empty: nothing takes the last one out")]
        &self.days[0]
    }

    /// Makes the day of `time` the first.
    #[cold]
    #[inline(never)]
    fn bring(&mut self, time: EventTime) {
        let place = self.days.iter().position(|day| day.start <= time && time < day.end);
        match place {
            Some(0) => {}
            Some(place) => self.days.swap(0, place),
            None => {
                let day = self.calendar.day_of(time);
                self.days.truncate(DAYS_MAX - 1);
                self.days.insert(0, day);
            }
        }
    }
}

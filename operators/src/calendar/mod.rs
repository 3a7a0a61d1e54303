//! Trading calendars: which trading day an instant belongs to, and whether the market is open.
//!
//! Pure functions of a calendar and a time; callers keep the day they are in. Civil time comes
//! from tzdata, so a trading day has 23 or 25 hours where the clocks change within it.

pub mod config;
pub mod file;
pub mod hours;
pub mod nyse;
pub mod zone;

use chrono::{Datelike, NaiveDate, NaiveTime, TimeDelta};
use proto::event_time::EventTime;

use crate::calendar::hours::{DAY, Hours, Span};
use crate::calendar::zone::Zone;

/// When a market trades, and how its time is cut into trading days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// The zone of everything below.
    pub zone: Zone,
    /// The civil time at which a trading day starts.
    pub day_start: NaiveTime,
    /// A trading day carries the date on which it ends (it starts in the afternoon), not the one
    /// on which it starts.
    pub is_dated_by_end: bool,
    /// Windows end with the last session of their day (an exchange), not with the day (OTC).
    pub ends_at_close: bool,
    /// When the market is open.
    pub hours: Hours,
}

/// One trading day: `[start, end)`, next to the days before and after without a hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TradingDay {
    /// Where it starts.
    pub start: EventTime,
    /// Where the next one starts.
    pub end: EventTime,
    /// Where the last window of the day ends: `end`, or the close of an exchange's last session.
    pub close: EventTime,
    /// Its date, in days since 1970-01-01.
    pub trading_date: i32,
    /// When the market is open: `[from, to)`, ascending, apart and within the day.
    pub sessions: Vec<(EventTime, EventTime)>,
    /// The week that it belongs to.
    pub week: TradingWeek,
}

/// The trading days Monday to Sunday of an ISO week, in so far as the market trades on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradingWeek {
    /// Where Monday's trading day starts.
    pub start: EventTime,
    /// Where the last trading day of the week ends (an exchange: closes).
    pub end: EventTime,
    /// Monday's date, in days since 1970-01-01.
    pub trading_date: i32,
}

impl TradingDay {
    /// Gives the session that `time` falls into.
    pub fn session_at(&self, time: EventTime) -> Option<(EventTime, EventTime)> {
        self.sessions.iter().copied().find(|(from, to)| *from <= time && time < *to)
    }

    /// Tells whether the market is open at some time of `[from, to)`.
    pub fn is_open_within(&self, from: EventTime, to: EventTime) -> bool {
        self.sessions.iter().any(|(open, close)| *open < to && from < *close)
    }
}

impl Calendar {
    /// Foreign exchange: Sunday 17:00 to Friday 17:00 in New York, days from 17:00.
    pub fn forex() -> Self {
        Self {
            zone: Zone::Named(chrono_tz::America::New_York),
            day_start: hour(17),
            is_dated_by_end: true,
            ends_at_close: false,
            hours: Hours::forex(),
        }
    }

    /// Always open, days from 00:00 UTC: crypto.
    pub fn utc() -> Self {
        Self {
            zone: Zone::Named(chrono_tz::UTC),
            day_start: NaiveTime::MIN,
            is_dated_by_end: false,
            ends_at_close: false,
            hours: Hours::always(),
        }
    }

    /// US equities: the days and hours of the New York Stock Exchange.
    pub fn equities(is_extended: bool) -> Self {
        let open = if is_extended { (4, 0) } else { (9, 30) };
        Self {
            zone: Zone::Named(chrono_tz::America::New_York),
            day_start: NaiveTime::from_hms_opt(open.0, open.1, 0).unwrap_or_default(),
            is_dated_by_end: false,
            ends_at_close: true,
            hours: Hours::equities(is_extended),
        }
    }

    /// Always open, days from `day_start` in `zone`: the calendar is off.
    pub fn always(zone: Zone, day_start: NaiveTime) -> Self {
        Self {
            zone,
            day_start,
            is_dated_by_end: day_start >= hour(12),
            ends_at_close: false,
            hours: Hours::always(),
        }
    }

    /// Gives the trading day that `time` belongs to; there is one for every time.
    pub fn day_of(&self, time: EventTime) -> TradingDay {
        let local = self.zone.local(time);
        let mut date = local.date();
        let is_started = local.time() >= self.day_start;
        if self.is_dated_by_end && is_started {
            date = after(date, 1);
        } else if !self.is_dated_by_end && !is_started {
            date = after(date, -1);
        }
        // Where the start itself is jumped over or comes twice, the civil reading can be one off.
        let (start, end) = self.bounds(date);
        if time < start && start > EventTime::MIN {
            date = after(date, -1);
        } else if time >= end && end < EventTime::MAX {
            date = after(date, 1);
        }
        self.day(date)
    }

    /// Gives the trading day of a date.
    pub fn day(&self, date: NaiveDate) -> TradingDay {
        let (start, end) = self.bounds(date);
        let sessions = self.sessions(date);
        let close = match sessions.last() {
            Some((_, to)) if self.ends_at_close => *to,
            _ => end,
        };
        let trading_date = days_since_1970(date);
        TradingDay { start, end, close, trading_date, sessions, week: self.week(date) }
    }

    /// Tells whether the market is open at `time`.
    pub fn in_session(&self, time: EventTime) -> bool {
        self.day_of(time).session_at(time).is_some()
    }

    fn bounds(&self, date: NaiveDate) -> (EventTime, EventTime) {
        let first = if self.is_dated_by_end { after(date, -1) } else { date };
        let at = |date: NaiveDate| self.zone.utc(date.and_time(self.day_start));
        (at(first), at(after(first, 1)))
    }

    /// Civil dates' sessions within the trading day, those that meet joined.
    fn sessions(&self, date: NaiveDate) -> Vec<(EventTime, EventTime)> {
        let (start, end) = self.bounds(date);
        let mut sessions: Vec<(EventTime, EventTime)> = Vec::new();
        for shift in -1..=1 {
            let civil = after(date, shift);
            for span in self.hours.on(civil) {
                let from = self.at(civil, span.0).max(start);
                let to = self.at(civil, span.1).min(end);
                match sessions.last_mut() {
                    Some(last) if last.1 == from && from < to => last.1 = to,
                    _ if from < to => sessions.push((from, to)),
                    _ => {}
                }
            }
        }
        sessions
    }

    fn at(&self, date: NaiveDate, second: u32) -> EventTime {
        let (date, second) =
            if second >= DAY { (after(date, 1), second - DAY) } else { (date, second) };
        let time = NaiveTime::from_num_seconds_from_midnight_opt(second, 0).unwrap_or_default();
        self.zone.utc(date.and_time(time))
    }

    fn week(&self, date: NaiveDate) -> TradingWeek {
        let monday = after(date, -i64::from(date.weekday().num_days_from_monday()));
        let (start, _) = self.bounds(monday);
        let days = (0..7).rev().map(|shift| after(monday, shift));
        let end = if self.ends_at_close {
            days.filter_map(|day| self.sessions(day).last().map(|(_, to)| *to)).next()
        } else {
            days.filter(|day| self.is_nominal_trading_day(*day))
                .map(|day| self.bounds(day).1)
                .next()
        };
        let end = end.unwrap_or_else(|| self.bounds(after(monday, 6)).1);
        TradingWeek { start, end, trading_date: days_since_1970(monday) }
    }

    /// Whether the week's pattern has the market open on the trading day of `date`.
    fn is_nominal_trading_day(&self, date: NaiveDate) -> bool {
        let (start, end) = self.bounds(date);
        let is_within = |civil: NaiveDate, span: &Span| {
            self.at(civil, span.0) < end && start < self.at(civil, span.1)
        };
        (-1..=1)
            .map(|shift| after(date, shift))
            .any(|civil| self.hours.nominal(civil).iter().any(|span| is_within(civil, span)))
    }
}

fn hour(hour: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, 0, 0).unwrap_or_default()
}

/// The date `days` later; the same where there is none (some 260,000 years away).
fn after(date: NaiveDate, days: i64) -> NaiveDate {
    date.checked_add_signed(TimeDelta::days(days)).unwrap_or(date)
}

fn days_since_1970(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - 719_163
}

//! Holidays and early closes of the New York Stock Exchange, by its rules (Rule 7.2 and the
//! holiday notices) and, for days that no rule foresaw, by a list.

use chrono::{Datelike, Days, NaiveDate, Weekday};

use crate::calendar::hours::SecondOfDay;

/// How a date differs from an ordinary weekday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exception {
    /// No trading.
    Closed,
    /// Trading ends early, at this second of the civil day.
    ClosesAt(SecondOfDay),
}

const EARLY: Exception = Exception::ClosesAt(13 * 3_600);

/// Closings that no rule foresaw since 1998: attacks, funerals, a storm.
const UNFORESEEN: [(i32, u32, u32); 10] = [
    (2001, 9, 11),
    (2001, 9, 12),
    (2001, 9, 13),
    (2001, 9, 14),
    (2004, 6, 11),
    (2007, 1, 2),
    (2012, 10, 29),
    (2012, 10, 30),
    (2018, 12, 5),
    (2025, 1, 9),
];

/// Tells how `date` differs from an ordinary weekday; sure from 1998 on.
pub fn exception(date: NaiveDate) -> Option<Exception> {
    let (year, month, day) = (date.year(), date.month(), date.day());
    if is_holiday(date) || UNFORESEEN.contains(&(year, month, day)) {
        return Some(Exception::Closed);
    }
    let is_early = match (month, day) {
        // The Friday after Thanksgiving.
        (11, _) => {
            date.checked_sub_days(Days::new(1)).is_some_and(|d| is_nth(d, 4, Weekday::Thu, 11))
        }
        // Before Christmas and before the Fourth, where both days are weekdays; in 2002 and 2003
        // the Friday after the holiday was short as well, or instead.
        (12, 24) => date.weekday() != Weekday::Fri,
        (7, 3) => match date.weekday() {
            Weekday::Mon | Weekday::Tue | Weekday::Thu => true,
            Weekday::Wed => year >= 2013,
            _ => false,
        },
        (7, 5) => year == 2002,
        (12, 26) => year == 2003,
        _ => false,
    };
    (is_early && !matches!(date.weekday(), Weekday::Sat | Weekday::Sun)).then_some(EARLY)
}

fn is_holiday(date: NaiveDate) -> bool {
    let (year, month) = (date.year(), date.month());
    is_observed(date, 1, 1)
        || is_nth(date, 3, Weekday::Mon, 1)
        || is_nth(date, 3, Weekday::Mon, 2)
        || easter(year).and_then(|day| day.checked_sub_days(Days::new(2))) == Some(date)
        || (month == 5 && date.weekday() == Weekday::Mon && date.day() > 24)
        || (year >= 2022 && is_observed(date, 6, 19))
        || is_observed(date, 7, 4)
        || is_nth(date, 1, Weekday::Mon, 9)
        || is_nth(date, 4, Weekday::Thu, 11)
        || is_observed(date, 12, 25)
}

/// A fixed holiday: on Monday if it falls on a Sunday, on Friday if on a Saturday, except where
/// that Friday ends a year (New Year's Day).
fn is_observed(date: NaiveDate, month: u32, day: u32) -> bool {
    let falls_on = |date: Option<NaiveDate>| {
        date.is_some_and(|date| date.month() == month && date.day() == day)
    };
    match date.weekday() {
        Weekday::Sat | Weekday::Sun => false,
        Weekday::Mon if falls_on(date.pred_opt()) => true,
        Weekday::Fri if month != 1 && falls_on(date.succ_opt()) => true,
        _ => falls_on(Some(date)),
    }
}

/// The `n`th `weekday` of `month`.
fn is_nth(date: NaiveDate, n: u32, weekday: Weekday, month: u32) -> bool {
    date.month() == month && date.weekday() == weekday && (date.day() - 1) / 7 + 1 == n
}

/// Easter Sunday by the anonymous Gregorian algorithm (Meeus, Astronomical Algorithms, ch. 8).
fn easter(year: i32) -> Option<NaiveDate> {
    let (a, b, c) = (year % 19, year / 100, year % 100);
    let (d, e) = (b / 4, b % 4);
    let f = (b + 8) / 25;
    let g = (b - f + 1) / 3;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let sum = h + l - 7 * m + 114;
    let (month, day) = (u32::try_from(sum / 31).ok()?, u32::try_from(sum % 31 + 1).ok()?);
    NaiveDate::from_ymd_opt(year, month, day)
}

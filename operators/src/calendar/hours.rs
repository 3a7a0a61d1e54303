//! Trading hours in civil time: a week's pattern, and the dates that differ from it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate};

use crate::calendar::nyse;

/// Seconds since civil midnight; a day ends at [`DAY`].
pub type SecondOfDay = u32;

/// Seconds of a civil day without a clock change.
pub const DAY: SecondOfDay = 86_400;

/// Open from, until: `[from, to)` in seconds since civil midnight.
pub type Span = (SecondOfDay, SecondOfDay);

/// When a market is open, by civil date.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hours {
    /// Sessions of Monday to Sunday, ascending and apart.
    pub week: [Vec<Span>; 7],
    /// Closed on these dates.
    pub holidays: BTreeSet<NaiveDate>,
    /// What would be open later than this, is not.
    pub early_closes: BTreeMap<NaiveDate, SecondOfDay>,
    /// What would be open earlier than this, is not.
    pub late_opens: BTreeMap<NaiveDate, SecondOfDay>,
    /// Holidays and early closes by the rules of the New York Stock Exchange, too.
    pub has_nyse_rules: bool,
}

impl Hours {
    /// Always open.
    pub fn always() -> Self {
        Self { week: std::array::from_fn(|_| vec![(0, DAY)]), ..Self::default() }
    }

    /// Sunday 17:00 to Friday 17:00.
    pub fn forex() -> Self {
        const OPEN: SecondOfDay = 17 * 3_600;
        let mut week: [Vec<Span>; 7] = std::array::from_fn(|_| vec![(0, DAY)]);
        let [.., friday, saturday, sunday] = &mut week;
        *friday = vec![(0, OPEN)];
        saturday.clear();
        *sunday = vec![(OPEN, DAY)];
        Self { week, ..Self::default() }
    }

    /// 09:30 to 16:00 (04:00 to 20:00 with pre- and post-market) on the days of the New York
    /// Stock Exchange.
    pub fn equities(is_extended: bool) -> Self {
        let span = if is_extended { (4 * 3_600, 20 * 3_600) } else { (34_200, 16 * 3_600) };
        let mut week: [Vec<Span>; 7] = std::array::from_fn(|_| vec![span]);
        let [.., saturday, sunday] = &mut week;
        saturday.clear();
        sunday.clear();
        Self { week, has_nyse_rules: true, ..Self::default() }
    }

    /// Gives the sessions of a civil date, ascending and apart.
    pub fn on(&self, date: NaiveDate) -> Vec<Span> {
        let nyse = if self.has_nyse_rules { nyse::exception(date) } else { None };
        if self.holidays.contains(&date) || nyse == Some(nyse::Exception::Closed) {
            return Vec::new();
        }
        let by_rule = match nyse {
            Some(nyse::Exception::ClosesAt(second)) => Some(second),
            _ => None,
        };
        let opens = self.late_opens.get(&date).copied().unwrap_or(0);
        let closes = self.early_closes.get(&date).copied().or(by_rule).unwrap_or(DAY);
        self.nominal(date)
            .iter()
            .map(|(from, to)| ((*from).max(opens), (*to).min(closes)))
            .filter(|(from, to)| from < to)
            .collect()
    }

    /// Gives the sessions that the week's pattern has for a civil date.
    pub fn nominal(&self, date: NaiveDate) -> &[Span] {
        let weekday = date.weekday().num_days_from_monday() as usize;
        self.week.get(weekday).map_or(&[], Vec::as_slice)
    }

    /// Tells whether a session runs on over midnight, as in markets that never sleep.
    pub fn is_overnight(&self) -> bool {
        self.week.iter().flatten().any(|(_, to)| *to >= DAY)
    }
}

//! Hop 3, Stamp: what the engine writes on a record before any operator sees it.
//!
//! A tick gets the watermark of its feed as it stood *before* the tick, so that "late" is decided
//! once, by the order of the source, and not by batches or workers; and the worker that owns its
//! key group.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::event_time::EventTime;
use proto::series::{FeedId, Series, SeriesId, SeriesTable, worker_of};
use proto::tick::Tick;

use crate::component::source::Range;

/// Times outside of these cannot be right and do not move a watermark: one tick from the year 9999
/// must not close every window. 1990-01-01 and 2100-01-01.
const SANE: std::ops::Range<i64> = 631_152_000_000_000_000..4_102_444_800_000_000_000;

/// Stamps ticks in the order of their sources.
#[derive(Debug)]
pub struct Stamp {
    table: SeriesTable,
    known: Vec<Arc<Series>>,
    /// By series: (feed, worker, wanted).
    places: Vec<(u32, u32, bool)>,
    watermarks: Vec<EventTime>,
    /// By name of a feed that has not been met since the restart: how far it had come.
    restored: BTreeMap<String, EventTime>,
    newest: Option<EventTime>,
    workers: usize,
    range: Option<Range>,
}

impl Stamp {
    /// Makes the stamp of a run with so many workers; with a range, what is outside is left out.
    pub fn new(table: SeriesTable, workers: usize, range: Option<Range>) -> Self {
        Self::behind(table, workers, range, BTreeMap::new())
    }

    /// Makes the stamp of a run that goes on where its feeds, by their names, had come so far.
    pub fn behind(
        table: SeriesTable,
        workers: usize,
        range: Option<Range>,
        restored: BTreeMap<String, EventTime>,
    ) -> Self {
        let mut stamp = Self {
            table,
            known: Vec::new(),
            places: Vec::new(),
            watermarks: Vec::new(),
            restored,
            newest: None,
            workers,
            range,
        };
        stamp.learn(); // operators may know series from their restored state
        stamp
    }

    /// How far every feed has come, by its name, sorted.
    pub fn feeds(&self) -> Vec<(String, EventTime)> {
        let met = self.watermarks.iter().enumerate().filter_map(|(index, watermark)| {
            let feed = FeedId(u32::try_from(index).ok()?);
            Some((self.table.feed_name(feed)?.as_ref().to_owned(), *watermark))
        });
        let mut feeds = self.restored.clone();
        feeds.extend(met);
        feeds.into_iter().collect()
    }

    /// The greatest event time among the ticks that were stamped last.
    pub fn newest(&self) -> Option<EventTime> {
        self.newest
    }

    /// How far every feed has come.
    pub fn watermarks(&self) -> &[EventTime] {
        &self.watermarks
    }

    /// Stamps `ticks` in place and drops those outside of the range.
    pub fn stamp(&mut self, ticks: &mut Vec<Tick>) {
        if let Some(range) = &self.range {
            let (from, to) = (range.from, range.to);
            ticks.retain(|tick| from <= tick.time && tick.time < to);
        }
        let mut unwanted = false;
        let mut newest = EventTime::MIN;
        for tick in ticks.iter_mut() {
            let index = tick.series.index();
            if index >= self.places.len() {
                self.learn();
            }
            let Some((feed, _, wanted)) = self.places.get(index).copied() else { continue };
            unwanted |= !wanted;
            if let Some(watermark) = self.watermarks.get_mut(feed as usize) {
                tick.watermark = *watermark;
                if SANE.contains(&tick.time.ns()) {
                    *watermark = tick.time.max(*watermark);
                    newest = newest.max(tick.time);
                }
            }
        }
        self.newest = (newest > EventTime::MIN).then_some(newest);
        if unwanted {
            let places = &self.places;
            ticks.retain(|tick| places.get(tick.series.index()).is_some_and(|place| place.2));
        }
    }

    /// Splits stamped ticks by the worker that owns them; with one worker they pass untouched.
    pub fn split(&self, ticks: Vec<Tick>) -> Vec<Vec<Tick>> {
        if self.workers == 1 {
            return vec![ticks];
        }
        let share = ticks.len() / self.workers + ticks.len() / 8;
        let mut shares: Vec<Vec<Tick>> =
            (0..self.workers).map(|_| Vec::with_capacity(share)).collect();
        for tick in ticks {
            let worker = self.places.get(tick.series.index()).map_or(0, |place| place.1);
            if let Some(share) = shares.get_mut(worker as usize) {
                share.push(tick);
            }
        }
        shares
    }

    /// Splits other records by the worker that owns their series: (worker, share).
    pub fn split_by<T>(
        &mut self,
        rows: Vec<T>,
        series: impl Fn(&T) -> SeriesId,
    ) -> Vec<(usize, Vec<T>)> {
        self.learn();
        let mut shares: Vec<(usize, Vec<T>)> = (0..self.workers).map(|w| (w, Vec::new())).collect();
        for row in rows {
            let worker = self.places.get(series(&row).index()).map_or(0, |place| place.1);
            if let Some((_, share)) = shares.get_mut(worker as usize) {
                share.push(row);
            }
        }
        shares
    }

    fn learn(&mut self) {
        let before = self.known.len();
        self.table.refresh(&mut self.known);
        for series in self.known.iter().skip(before) {
            let worker = worker_of(series.group, self.workers);
            let wanted = self.range.as_ref().is_none_or(|range| {
                range.instruments.is_empty()
                    || range.instruments.iter().any(|name| **name == *series.instrument)
            });
            self.places.push((series.feed.0, u32::try_from(worker).unwrap_or(0), wanted));
            if self.watermarks.len() <= series.feed.index() {
                self.watermarks.resize(series.feed.index() + 1, EventTime::MIN);
                let restored = self.restored.get(&*series.source).copied();
                if let (Some(watermark), Some(restored)) = (self.watermarks.last_mut(), restored) {
                    *watermark = restored;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::event_time::EventTime;
    use proto::series::SeriesTable;
    use proto::tick::Tick;

    use super::Stamp;

    const BASE: i64 = 1_700_000_000_000_000_000;

    fn tick(table: &SeriesTable, source: &str, time: i64) -> Tick {
        let series = table.intern(source, "EURUSD").unwrap();
        Tick { series, time: EventTime::from_ns(BASE + time), ..Tick::default() }
    }

    #[test]
    fn a_tick_carries_its_own_feeds_watermark_from_before_it() {
        let table = SeriesTable::new();
        let mut stamp = Stamp::new(table.clone(), 1, None);
        let mut ticks = vec![
            tick(&table, "mt4", 10),
            tick(&table, "mt5", 7),
            tick(&table, "mt4", 5),
            tick(&table, "mt4", 11),
        ];
        stamp.stamp(&mut ticks);
        let seen: Vec<i64> = ticks.iter().map(|t| t.watermark.ns().saturating_sub(BASE)).collect();
        let none = EventTime::MIN.ns().saturating_sub(BASE);
        assert_eq!(seen, [none, none, 10, 10]);
        assert_eq!(stamp.watermarks(), [BASE + 11, BASE + 7].map(EventTime::from_ns));
    }

    #[test]
    fn a_time_from_the_far_future_moves_no_watermark() {
        let table = SeriesTable::new();
        let mut stamp = Stamp::new(table.clone(), 1, None);
        let mut ticks = vec![tick(&table, "mt4", 1), tick(&table, "mt4", i64::MAX - BASE)];
        stamp.stamp(&mut ticks);
        assert_eq!(stamp.watermarks(), [EventTime::from_ns(BASE + 1)]);
    }
}

//! The log of closed windows that late ticks may still revise: written one after the other, for all
//! series of a feed together.
//!
//! Windows close by the million and are revised rarely. A store per series would be written to all
//! over memory; this one is written where the last window was. The windows of one frame of one
//! series are chained, the newest first.

use std::collections::VecDeque;

use proto::series::FeedId;

use crate::ohlcv::aggregate::{Aggregate, Part, Track};
use crate::ohlcv::state::{Head, Kept, NOWHERE};

/// Windows that are forgotten together; [`Row::ask`] can count them.
const ROWS: usize = 512;

/// Forgotten chunks whose memory is kept for new ones: what a large epoch forgets at once.
const SPARE_MAX: usize = 256;

/// Closed windows of one feed, by position.
#[derive(Debug)]
pub(super) struct Log {
    chunks: VecDeque<Chunk>,
    /// The number of the first chunk that is still there.
    first: u64,
    /// Windows that end at or before this can no longer be revised.
    pub(super) oldest: i64,
    spare: Vec<Chunk>,
}

#[derive(Debug)]
struct Chunk {
    rows: Vec<Row>,
    /// The asks of those rows that have one.
    asks: Vec<Track>,
    last_end: i64,
}

/// A [`Kept`] without its ask: two cache lines.
#[derive(Debug)]
struct Row {
    start: i64,
    end: i64,
    before: u64,
    part: Part,
    trading_date: i32,
    revision: u32,
    fill_revision: u32,
    fill_before: u32,
    flags: u16,
    /// Where its ask stands among the chunk's, counted from 1; 0: none.
    ask: u16,
    is_first: bool,
    is_dirty: bool,
    has_volume: bool,
}

impl Chunk {
    fn new() -> Self {
        Self { rows: Vec::with_capacity(ROWS), asks: Vec::new(), last_end: i64::MIN }
    }

    /// Puts an ask at its place, or at a new one; gives the place.
    #[inline]
    fn put_ask(&mut self, place: u16, ask: Option<&Track>) -> u16 {
        let Some(ask) = ask else { return 0 };
        match usize::from(place).checked_sub(1).and_then(|place| self.asks.get_mut(place)) {
            Some(old) => {
                *old = *ask;
                place
            }
            None => {
                self.asks.push(*ask);
                u16::try_from(self.asks.len()).unwrap_or(0)
            }
        }
    }

    fn get(&self, place: usize) -> Option<Kept> {
        let row = self.rows.get(place)?;
        let ask = usize::from(row.ask).checked_sub(1).and_then(|place| self.asks.get(place));
        Some(Kept {
            start: row.start,
            end: row.end,
            trading_date: row.trading_date,
            revision: row.revision,
            fill_revision: row.fill_revision,
            flags: row.flags,
            fill_before: row.fill_before,
            before: row.before,
            is_first: row.is_first,
            is_dirty: row.is_dirty,
            aggregate: Aggregate::from_parts(&row.part, row.has_volume, ask),
        })
    }
}

impl Log {
    const fn new() -> Self {
        Self { chunks: VecDeque::new(), first: 0, oldest: i64::MIN, spare: Vec::new() }
    }

    /// Appends a window that has just closed and gives its position.
    #[inline]
    pub(super) fn push_closed(
        &mut self,
        head: Head,
        fill_before: u32,
        before: u64,
        aggregate: &Aggregate,
    ) -> u64 {
        if self.chunks.back().is_none_or(|chunk| chunk.rows.len() == ROWS) {
            let chunk = self.spare.pop().unwrap_or_else(Chunk::new);
            self.chunks.push_back(chunk);
        }
        let number = self.first + (self.chunks.len() as u64).saturating_sub(1);
        let Some(chunk) = self.chunks.back_mut() else { return NOWHERE };
        chunk.last_end = chunk.last_end.max(head.end);
        let ask = chunk.put_ask(0, aggregate.ask_track());
        chunk.rows.push(Row {
            start: head.start,
            end: head.end,
            before,
            part: aggregate.part(),
            trading_date: head.trading_date,
            revision: head.revision,
            fill_revision: 0,
            fill_before,
            flags: head.flags,
            ask,
            is_first: head.is_first,
            is_dirty: false,
            has_volume: aggregate.has_volume(),
        });
        number * ROWS as u64 + chunk.rows.len() as u64 - 1
    }

    /// Appends a window and gives its position.
    pub(super) fn push(&mut self, kept: &Kept) -> u64 {
        let at = self.push_closed(kept.head(), kept.fill_before, kept.before, &kept.aggregate);
        self.put(at, kept);
        at
    }

    /// Gives the window at a position, if it was not forgotten.
    pub(super) fn get(&self, position: u64) -> Option<Kept> {
        let chunk = (position / ROWS as u64).checked_sub(self.first)?;
        let chunk = self.chunks.get(usize::try_from(chunk).ok()?)?;
        chunk.get((position % ROWS as u64) as usize)
    }

    /// Gives where the window at a position starts, if it was not forgotten.
    pub(super) fn start_of(&self, position: u64) -> Option<i64> {
        self.row(position).map(|row| row.start)
    }

    fn row(&self, position: u64) -> Option<&Row> {
        let chunk = (position / ROWS as u64).checked_sub(self.first)?;
        let chunk = self.chunks.get(usize::try_from(chunk).ok()?)?;
        chunk.rows.get((position % ROWS as u64) as usize)
    }

    /// Writes anew the window at a position, if it was not forgotten.
    pub(super) fn put(&mut self, position: u64, kept: &Kept) {
        let Some(chunk) = (position / ROWS as u64).checked_sub(self.first) else { return };
        let chunk = usize::try_from(chunk).ok().and_then(|chunk| self.chunks.get_mut(chunk));
        let Some(chunk) = chunk else { return };
        let place = (position % ROWS as u64) as usize;
        let Some(ask) = chunk.rows.get(place).map(|row| row.ask) else { return };
        let ask = chunk.put_ask(ask, kept.aggregate.ask_track());
        let Some(row) = chunk.rows.get_mut(place) else { return };
        *row = Row {
            start: kept.start,
            end: kept.end,
            before: kept.before,
            part: kept.aggregate.part(),
            trading_date: kept.trading_date,
            revision: kept.revision,
            fill_revision: kept.fill_revision,
            fill_before: kept.fill_before,
            flags: kept.flags,
            ask,
            is_first: kept.is_first,
            is_dirty: kept.is_dirty,
            has_volume: kept.aggregate.has_volume(),
        };
    }

    /// Follows a chain to `start`: gives the position of the last window that starts there or
    /// earlier, and that of the first later one.
    pub(super) fn find(&self, newest: u64, start: i64) -> (u64, u64) {
        let (mut at, mut next) = (newest, NOWHERE);
        while let Some(kept) = self.row(at)
            && kept.start > start
        {
            (at, next) = (kept.before, at);
        }
        (at, next)
    }

    /// Forgets windows that end at or before `oldest`, in so far as whole chunks are so old.
    pub(super) fn forget(&mut self, oldest: i64) {
        self.oldest = self.oldest.max(oldest);
        while self.chunks.len() > 1
            && let Some(mut chunk) = self.chunks.pop_front_if(|chunk| chunk.last_end <= self.oldest)
        {
            self.first += 1;
            if self.spare.len() < SPARE_MAX {
                chunk.rows.clear();
                chunk.asks.clear();
                chunk.last_end = i64::MIN;
                self.spare.push(chunk);
            }
        }
    }
}

/// The logs of all feeds.
#[derive(Debug, Default)]
pub(super) struct Logs(Vec<Log>);

impl Logs {
    /// Gives the log of a feed.
    #[expect(clippy::indexing_slicing, reason = "made long enough first")]
    pub(super) fn of(&mut self, feed: FeedId) -> &mut Log {
        if self.0.len() <= feed.index() {
            self.0.resize_with(feed.index() + 1, Log::new);
        }
        &mut self.0[feed.index()]
    }

    /// Gives the log of a feed, if it has one.
    pub(super) fn get(&self, feed: FeedId) -> Option<&Log> {
        self.0.get(feed.index())
    }

    /// All logs with their feeds.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (FeedId, &mut Log)> {
        (0..).map(FeedId).zip(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Row;

    #[test]
    fn a_row_is_two_cache_lines() {
        assert_eq!(size_of::<Row>(), 128);
    }
}

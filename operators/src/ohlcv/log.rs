//! The log of closed windows that late ticks may still revise: written one after the other, for all
//! series of a feed together.
//!
//! Windows close by the million and are revised rarely. A store per series would be written to all
//! over memory; this one is written where the last window was. The windows of one frame of one
//! series are chained, the newest first.

use std::collections::VecDeque;

use proto::series::FeedId;

use crate::ohlcv::state::{Kept, NOWHERE};

/// Windows that are forgotten together.
const ROWS: usize = 512;

/// Closed windows of one feed, by position.
#[derive(Debug)]
pub(super) struct Log {
    chunks: VecDeque<Chunk>,
    /// The number of the first chunk that is still there.
    first: u64,
    /// Windows that end at or before this can no longer be revised.
    pub(super) oldest: i64,
    spare: Option<Vec<Kept>>,
}

#[derive(Debug)]
struct Chunk {
    rows: Vec<Kept>,
    last_end: i64,
}

impl Log {
    const fn new() -> Self {
        Self { chunks: VecDeque::new(), first: 0, oldest: i64::MIN, spare: None }
    }

    /// Appends a window and gives its position.
    pub(super) fn push(&mut self, kept: Kept) -> u64 {
        if self.chunks.back().is_none_or(|chunk| chunk.rows.len() == ROWS) {
            let rows = self.spare.take().unwrap_or_else(|| Vec::with_capacity(ROWS));
            self.chunks.push_back(Chunk { rows, last_end: i64::MIN });
        }
        let before = self.first + (self.chunks.len() as u64).saturating_sub(1);
        let Some(chunk) = self.chunks.back_mut() else { return NOWHERE };
        chunk.last_end = chunk.last_end.max(kept.end);
        chunk.rows.push(kept);
        before * ROWS as u64 + chunk.rows.len() as u64 - 1
    }

    /// Gives the window at a position, if it was not forgotten.
    pub(super) fn get(&self, position: u64) -> Option<&Kept> {
        let chunk = (position / ROWS as u64).checked_sub(self.first)?;
        let chunk = self.chunks.get(usize::try_from(chunk).ok()?)?;
        chunk.rows.get((position % ROWS as u64) as usize)
    }

    /// Gives the window at a position, if it was not forgotten.
    pub(super) fn get_mut(&mut self, position: u64) -> Option<&mut Kept> {
        let chunk = (position / ROWS as u64).checked_sub(self.first)?;
        let chunk = self.chunks.get_mut(usize::try_from(chunk).ok()?)?;
        chunk.rows.get_mut((position % ROWS as u64) as usize)
    }

    /// Follows a chain to `start`: gives the position of the last window that starts there or
    /// earlier, and that of the first later one.
    pub(super) fn find(&self, newest: u64, start: i64) -> (u64, u64) {
        let (mut at, mut next) = (newest, NOWHERE);
        while let Some(kept) = self.get(at)
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
            && let Some(chunk) = self.chunks.pop_front_if(|chunk| chunk.last_end <= self.oldest)
        {
            self.first += 1;
            let mut rows = chunk.rows;
            rows.clear();
            self.spare = Some(rows);
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

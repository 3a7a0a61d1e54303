//! What `ohlcv` remembers of a series: open windows, and closed ones that may still be revised.

use proto::series::FeedId;
use serde::{Deserialize, Serialize};

use crate::ohlcv::aggregate::Aggregate;
use crate::ohlcv::window::Window;

/// A window that is yet to close; empty where `close_at` is [`i64::MAX`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[repr(C)]
pub(super) struct Open {
    /// Where it starts.
    pub(super) start: i64,
    /// Where it ends.
    pub(super) end: i64,
    /// Its end plus the lateness.
    pub(super) close_at: i64,
    /// Days since 1970-01-01.
    pub(super) trading_date: i32,
    /// Its ticks so far; of a frame that is folded from another: those of closed windows.
    pub(super) aggregate: Aggregate,
}

impl Open {
    /// No window.
    pub(super) const NONE: Self =
        Self { start: 0, end: 0, close_at: i64::MAX, trading_date: 0, aggregate: Aggregate::EMPTY };

    /// A window without ticks.
    pub(super) fn new(window: Window, close_at: i64) -> Self {
        Self {
            start: window.start,
            end: window.end,
            close_at,
            trading_date: window.trading_date,
            aggregate: Aggregate::EMPTY,
        }
    }

    /// Becomes a window without ticks.
    #[inline]
    fn restart(&mut self, window: Window, close_at: i64) {
        (self.start, self.end) = (window.start, window.end);
        (self.close_at, self.trading_date) = (close_at, window.trading_date);
        self.aggregate.clear();
    }

    /// Tells whether there is none.
    pub(super) const fn is_none(&self) -> bool {
        self.close_at == i64::MAX
    }
}

/// What a candle says of its window beside the aggregate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// Where it starts.
    pub(super) start: i64,
    /// Where it ends.
    pub(super) end: i64,
    /// Days since 1970-01-01.
    pub(super) trading_date: i32,
    /// How often it was revised.
    pub(super) revision: u32,
    /// `PARTIAL_END` and `GAP`.
    pub(super) flags: u16,
    /// The series' first window of this frame.
    pub(super) is_first: bool,
}

/// A closed window that late ticks may still revise.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Where it starts.
    pub(super) start: i64,
    /// Where it ends.
    pub(super) end: i64,
    /// Days since 1970-01-01.
    pub(super) trading_date: i32,
    /// The revision last given out, or to be given out at the end of the epoch.
    pub(super) revision: u32,
    /// The revision of the synthetic candles between this window and the next with ticks.
    pub(super) fill_revision: u32,
    /// `PARTIAL_END` and `GAP`, as they were when it closed.
    pub(super) flags: u16,
    /// The revision of the synthetic candles between the window before and this one.
    pub(super) fill_before: u32,
    /// Where the window before stands in the log.
    #[serde(skip, default = "nowhere_in_log")]
    pub(super) before: u64,
    /// The series' first window of this frame.
    pub(super) is_first: bool,
    /// Revised in the epoch under way.
    #[serde(skip)]
    pub(super) is_dirty: bool,
    /// Its ticks.
    pub(super) aggregate: Aggregate,
}

impl Kept {
    /// What a candle says of it.
    pub(super) const fn head(&self) -> Head {
        Head {
            start: self.start,
            end: self.end,
            trading_date: self.trading_date,
            revision: self.revision,
            flags: self.flags,
            is_first: self.is_first,
        }
    }

    /// What comes behind it is measured against this.
    pub(super) fn tail(&self) -> Tail {
        Tail {
            end: self.end,
            close: (self.aggregate.close(), self.aggregate.ask_close()),
            fill_revision: self.fill_revision,
        }
    }
}

/// What comes after the last closed window of a frame is measured against this.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Tail {
    /// Where the last closed window ends.
    pub(super) end: i64,
    /// Its close, and the close of the ask (0: none).
    pub(super) close: (i64, i64),
    /// See [`Kept::fill_revision`].
    pub(super) fill_revision: u32,
}

/// One frame of one series. What a close touches stands together; the ask, at the end of `slot`,
/// is left alone where there is none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[repr(C)]
pub(super) struct Level {
    /// The other open ones: only where ticks are folded, and only while they come out of order.
    pub(super) others: Vec<Open>,
    /// Starts of windows in which the feed was silent for too long.
    pub(super) gapped: Vec<i64>,
    /// The last closed window.
    pub(super) tail: Option<Tail>,
    /// Where the closed window that starts last stands in the log.
    #[serde(skip, default = "nowhere_in_log")]
    pub(super) newest: u64,
    /// The open window that was touched last.
    pub(super) slot: Open,
}

impl Level {
    fn new() -> Self {
        Self {
            slot: Open::NONE,
            others: Vec::new(),
            newest: NOWHERE,
            tail: None,
            gapped: Vec::new(),
        }
    }

    /// When the first of the open windows may close.
    #[inline]
    pub(super) fn due(&self) -> i64 {
        let others = self.others.iter().map(|open| open.close_at);
        others.fold(self.slot.close_at, i64::min)
    }

    /// Brings the open window that may close at `due` into the slot. Gives where among the others
    /// it was, and what was in the slot is now.
    #[cold]
    pub(super) fn expose(&mut self, due: i64) -> Option<usize> {
        let place = self.others.iter().position(|open| open.close_at == due)?;
        std::mem::swap(self.others.get_mut(place)?, &mut self.slot);
        Some(place)
    }

    /// Puts back into the slot what [`Level::expose`] took out of it.
    #[cold]
    pub(super) fn cover(&mut self, place: usize) {
        if place < self.others.len() {
            self.slot = self.others.swap_remove(place);
        }
    }

    /// Brings the open window of `window` into the slot, an empty one if there is none.
    #[inline]
    pub(super) fn open(&mut self, window: Window, close_at: i64) -> &mut Open {
        if self.slot.is_none() && self.others.is_empty() {
            self.slot.restart(window, close_at);
        } else if self.slot.start != window.start || self.slot.is_none() {
            let mut next = match self.others.iter().position(|open| open.start == window.start) {
                Some(place) => self.others.swap_remove(place),
                None => Open::new(window, close_at),
            };
            std::mem::swap(&mut self.slot, &mut next);
            if !next.is_none() {
                self.others.push(next);
            }
        }
        &mut self.slot
    }

    /// All open windows.
    pub(super) fn all_open(&self) -> impl Iterator<Item = &Open> {
        self.others.iter().chain(std::iter::once(&self.slot)).filter(|open| !open.is_none())
    }
}

/// Everything about one series.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SeriesState {
    /// The earliest of `due`.
    pub(super) next_close: i64,
    /// A time in `[hot_from, hot_to)` belongs to the slot of the first level, and is in session.
    pub(super) hot_from: i64,
    /// See `hot_from`.
    pub(super) hot_to: i64,
    /// Per frame, when the first of its open windows may close.
    pub(super) due: Vec<i64>,
    /// Per frame.
    pub(super) levels: Vec<Level>,
    /// Time of the latest tick by event time: which windows `open` shows.
    pub(super) latest: i64,
    /// The feed; known anew in every process, until then [`UNKNOWN`].
    #[serde(skip, default = "unknown")]
    pub(super) feed: FeedId,
    /// Where in the close queue the series stands; [`i64::MAX`]: nowhere.
    #[serde(skip, default = "nowhere")]
    pub(super) queued_at: i64,
    /// Has had a tick in the epoch under way.
    #[serde(skip)]
    pub(super) is_touched: bool,
}

/// No position of the log.
pub(super) const NOWHERE: u64 = u64::MAX;

const fn nowhere_in_log() -> u64 {
    NOWHERE
}

/// A feed that is yet to be looked up.
pub(super) const UNKNOWN: FeedId = FeedId(u32::MAX);

const fn unknown() -> FeedId {
    UNKNOWN
}

const fn nowhere() -> i64 {
    i64::MAX
}

impl SeriesState {
    /// A series that was not met before.
    pub(super) fn new(feed: FeedId, frames: usize) -> Self {
        Self {
            next_close: i64::MAX,
            hot_from: 0,
            hot_to: 0,
            due: vec![i64::MAX; frames],
            levels: (0..frames).map(|_| Level::new()).collect(),
            latest: i64::MIN,
            feed,
            queued_at: i64::MAX,
            is_touched: false,
        }
    }

    /// Reads anew when the windows of frame `number` may close.
    pub(super) fn refresh_due(&mut self, number: usize) {
        if let (Some(due), Some(level)) = (self.due.get_mut(number), self.levels.get(number)) {
            *due = level.due();
        }
    }

    /// Reads anew when the first of all windows may close.
    pub(super) fn refresh_next(&mut self) {
        // By reference, which no compiler vectorises: wide loads would wait for the store just made.
        self.next_close = self.due.iter().min().copied().unwrap_or(i64::MAX);
    }
}

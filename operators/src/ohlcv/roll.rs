//! Rolling up: closing windows in the order of time, and folding them into longer ones.

use dataflows::machine::Emit;
use proto::candle::{Basis, Candle, Reason};
use proto::event_time::EventTime;
use proto::reject::Reject;
use proto::series::SeriesId;
use proto::tick::Tick;

use crate::ohlcv::aggregate::Aggregate;
use crate::ohlcv::days::Days;
use crate::ohlcv::log::Logs;
use crate::ohlcv::state::{Head, Level, SeriesState, Tail};
use crate::ohlcv::window::Frame;
use crate::ohlcv::{CLOSED, DEAD, REVISED};

/// Everything but the state of the series: what was configured, and the time.
#[derive(Debug)]
pub(super) struct Core {
    /// The id of the component in the job.
    pub(super) component: String,
    /// The timeframes, ascending.
    pub(super) frames: Vec<Frame>,
    /// Those of them that take ticks: always the first, mostly no other.
    pub(super) roots: Vec<usize>,
    /// The calendar.
    pub(super) days: Days,
    /// What candles are made of.
    pub(super) basis: Basis,
    /// The ask is kept beside it.
    pub(super) has_ask_beside: bool,
    /// A window closes so long after its end,
    pub(super) lateness: i64,
    /// or when the job clock is so far past that,
    pub(super) idle: i64,
    /// and can be revised for so long.
    pub(super) revise_within: i64,
    /// Synthetic candles are wanted.
    pub(super) is_flat: bool,
    /// A silence that is flagged; [`i64::MAX`]: none is.
    pub(super) gap_after: i64,
    /// Only windows that start in `[from, to)` are given out.
    pub(super) range: (i64, i64),
    /// Somebody reads `open`.
    pub(super) has_open: bool,
    /// Somebody reads `revised`.
    pub(super) has_revised: bool,
    /// The clock at the end of the last epoch.
    pub(super) clock: EventTime,
    /// That clock less `idle`: what ends before it has closed for every feed.
    pub(super) floor: i64,
    /// Closed windows that can be revised.
    pub(super) logs: Logs,
    /// Any window can be.
    pub(super) has_log: bool,
    /// Closed windows that the epoch under way revised: series, frame, start.
    pub(super) dirty: Vec<(SeriesId, usize, i64)>,
}

/// How the end of a window came to be known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closing {
    /// What has passed; every window that may close at or before it does.
    pub(super) horizon: i64,
    /// How far the feed had come, in so far as that matters; else [`i64::MAX`].
    pub(super) watermark: i64,
    /// The input has ended.
    pub(super) is_last: bool,
}

impl Closing {
    /// A tick has shown that the feed has come as far as `horizon`.
    pub(super) const fn by_tick(horizon: i64) -> Self {
        Self { horizon, watermark: i64::MAX, is_last: false }
    }
}

impl Core {
    /// Closes all windows of a series that are due, the earliest first, the shorter of two that
    /// close together first.
    pub(super) fn close_due(
        &mut self,
        id: SeriesId,
        state: &mut SeriesState,
        closing: Closing,
        emit: &mut Emit,
    ) {
        while state.next_close <= closing.horizon && state.next_close != i64::MAX {
            let due = state.next_close;
            let Some(number) = state.due.iter().position(|at| *at == due) else { break };
            let Some(level) = state.levels.get_mut(number) else { break };
            let covered = if level.slot.close_at == due { None } else { level.expose(due) };
            if number == 0 && covered.is_none() {
                (state.hot_from, state.hot_to) = (0, 0);
            }
            self.close(id, state, number, closing, emit);
            if let Some(level) = state.levels.get_mut(number) {
                level.slot.close_at = i64::MAX;
                if let Some(place) = covered {
                    level.cover(place);
                }
            }
            state.refresh_due(number);
            state.refresh_next();
        }
    }

    /// Gives out revision 0 of the window in the slot and folds it into the frames above.
    fn close(
        &mut self,
        id: SeriesId,
        state: &mut SeriesState,
        number: usize,
        closing: Closing,
        emit: &mut Emit,
    ) {
        let Some(level) = state.levels.get_mut(number) else { return };
        let (start, end) = (level.slot.start, level.slot.end);
        let mut flags = 0;
        if closing.is_last && closing.watermark < end {
            flags |= Candle::PARTIAL_END;
        }
        let silent_from = closing.watermark.max(start);
        let is_silent = !closing.is_last && end.saturating_sub(silent_from) > self.gap_after;
        if is_silent || level.gapped.contains(&start) {
            flags |= Candle::GAP;
        }
        if !level.gapped.is_empty() {
            level.gapped.retain(|gapped| *gapped > start);
        }
        let fill_before = level.tail.map_or(0, |tail| tail.fill_revision);
        let is_first = level.tail.is_none();
        if self.is_flat
            && let Some(tail) = level.tail
        {
            self.fill(id, number, &tail, start, emit);
        }
        let open = &level.slot;
        let trading_date = open.trading_date;
        let head = Head { start, end, trading_date, revision: 0, flags, is_first };
        self.give((id, number), head, &open.aggregate, Reason::Closed, emit);
        let close = (open.aggregate.close(), open.aggregate.ask_close());
        level.tail = Some(Tail { end, close, fill_revision: 0 });
        if self.has_log {
            let log = self.logs.of(state.feed);
            level.newest = log.push_closed(head, fill_before, level.newest, &open.aggregate);
        }
        self.fold(id, state, number, emit);
    }

    /// Folds the window in the slot, which has closed, into those that are made of it.
    #[inline]
    fn fold(&mut self, id: SeriesId, state: &mut SeriesState, number: usize, emit: &mut Emit) {
        let Some(frame) = self.frames.get(number) else { return };
        // What is folded into a frame comes from a shorter one.
        let Some((below, above)) = state.levels.split_at_mut_checked(number + 1) else { return };
        let Some(Level { slot: open, .. }) = below.last() else { return };
        let mut is_exact = true;
        for target in &frame.targets {
            let (Some(frame), Some(level)) =
                (self.frames.get(*target), above.get_mut(*target - number - 1))
            else {
                continue;
            };
            let slot = &level.slot;
            if slot.is_none() || open.start < slot.start || open.start >= slot.end {
                let window = frame.window(self.days.of(open.start), open.start);
                let close_at = window.end.saturating_add(self.lateness);
                level.open(window, close_at);
                if let Some(due) = state.due.get_mut(*target) {
                    *due = level.due();
                }
            }
            let aggregate = &mut level.slot.aggregate;
            if aggregate.is_empty() {
                aggregate.copy_from(&open.aggregate);
            } else {
                is_exact &= aggregate.merge(&open.aggregate);
            }
        }
        if !is_exact {
            self.report_overflow(id, open.start, emit);
        }
    }

    /// Gives out a window, if it is in the range that is wanted.
    #[inline]
    pub(super) fn give(
        &self,
        of: (SeriesId, usize),
        head: Head,
        aggregate: &Aggregate,
        reason: Reason,
        emit: &mut Emit,
    ) {
        if head.start < self.range.0 || head.start >= self.range.1 {
            return;
        }
        let Some(candle) = self.candle(of, head, aggregate, reason) else { return };
        emit.candles(CLOSED).push(candle);
        if reason == Reason::Late && self.has_revised {
            emit.candles(REVISED).push(candle);
        }
    }

    /// Makes the candle of a window of (series, frame).
    #[inline]
    pub(super) fn candle(
        &self,
        (id, number): (SeriesId, usize),
        head: Head,
        aggregate: &Aggregate,
        reason: Reason,
    ) -> Option<Candle> {
        let (first_time, first_sequence) = aggregate.first();
        let (last_time, last_sequence) = aggregate.last();
        let mut flags = head.flags;
        let ask = aggregate.ask();
        flags |= if ask.is_some() { Candle::HAS_ASK } else { 0 };
        let volume = aggregate.volume();
        flags |= if volume.is_some() { Candle::HAS_VOLUME } else { 0 };
        let is_partial = head.is_first && first_time.ns() > head.start;
        flags |= if is_partial { Candle::PARTIAL_START } else { 0 };
        Some(Candle {
            series: id,
            timeframe: self.frames.get(number)?.timeframe,
            start: EventTime::from_ns(head.start),
            end: EventTime::from_ns(head.end),
            trading_date: head.trading_date,
            price: aggregate.price(),
            ask: ask.unwrap_or_default(),
            volume: volume.unwrap_or_default(),
            ticks: aggregate.ticks(),
            first_time,
            last_time,
            first_sequence,
            last_sequence,
            revision: head.revision,
            flags,
            basis: self.basis,
            reason,
        })
    }

    /// Gives a tick to `dead`.
    #[cold]
    pub(super) fn reject(&self, tick: &Tick, reason: &str, detail: String, emit: &mut Emit) {
        emit.rejects(DEAD).push(Reject {
            component: self.component.clone(),
            reason: reason.to_owned(),
            detail,
            place: None,
            clock: self.clock,
            tick: Some(*tick),
            payload: Vec::new(),
        });
    }

    /// Tells that a longer window's volume is more than is held, though each shorter one's is not.
    #[cold]
    pub(super) fn report_overflow(&self, id: SeriesId, start: i64, emit: &mut Emit) {
        let time = EventTime::from_ns(start);
        let tick = Tick { series: id, time, ..Tick::default() };
        let detail = format!(
            "the volume of a window with {time} is more than eighteen digits hold; it stays at the \
             greatest that they do"
        );
        self.reject(&tick, "volume_overflow", detail, emit);
    }
}

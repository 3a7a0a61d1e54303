//! Late ticks: a window that has closed is revised, one that has not just takes them.

use dataflows::machine::Emit;
use dataflows::state::Keyed;
use proto::candle::Reason;
use proto::series::SeriesId;

use crate::ohlcv::aggregate::{Aggregate, Sample};
use crate::ohlcv::log::Log;
use crate::ohlcv::roll::Core;
use crate::ohlcv::state::{Kept, Level, SeriesState};
use crate::ohlcv::window::Window;

impl Core {
    /// Adds a tick to its window of frame `number` and, where that has closed, to those above.
    /// `horizon` is how far time had come for the tick's feed. Gives false if a volume overflowed.
    pub(super) fn absorb(
        &mut self,
        id: SeriesId,
        state: &mut SeriesState,
        number: usize,
        (sample, horizon): (&Sample, i64),
        emit: &mut Emit,
    ) -> bool {
        let mut is_exact = true;
        let mut above = Vec::new();
        let mut next = Some(number);
        while let Some(number) = next {
            next = above.pop();
            let (Some(frame), Some(level)) =
                (self.frames.get(number), state.levels.get_mut(number))
            else {
                continue;
            };
            let window = frame.window(self.days.of(sample.key.0), sample.key.0);
            let close_at = window.end.saturating_add(self.lateness);
            if horizon < close_at {
                is_exact &= level.open(window, close_at).aggregate.absorb(sample);
                state.refresh_due(number);
                continue;
            }
            above.extend(&frame.targets);
            next = next.or_else(|| above.pop());
            if self.is_flat
                && let Some(tail) = level.tail.filter(|tail| tail.end < window.start)
            {
                // The first behind all: what is empty before it was not filled yet.
                self.fill(id, number, &tail, window.start, emit);
            }
            let log = self.logs.of(state.feed);
            let (exact, is_new) = revise(log, level, window, sample, self.is_flat);
            is_exact &= exact;
            if is_new {
                self.dirty.push((id, number, window.start));
            }
        }
        is_exact
    }

    /// Gives out the windows that the epoch revised, once each, as they are now.
    pub(super) fn give_revisions(&mut self, series: &mut Keyed<SeriesState>, emit: &mut Emit) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for (id, number, start) in dirty.drain(..) {
            let Some(state) = series.get(id) else { continue };
            let Some(level) = state.levels.get(number) else { continue };
            let log = self.logs.of(state.feed);
            let (at, next) = log.find(level.newest, start);
            let next = log.start_of(next);
            let Some(mut kept) = log.get(at) else { continue };
            kept.is_dirty = false;
            log.put(at, &kept);
            self.give((id, number), kept.head(), &kept.aggregate, Reason::Late, emit);
            if self.is_flat
                && let Some(next) = next
            {
                self.fill(id, number, &kept.tail(), next, emit);
            }
        }
        self.dirty = dirty;
    }
}

/// Adds a tick to a closed window, which is made where there was none. Gives whether the volume
/// is exact, and whether this is the window's first revision in the epoch.
fn revise(
    log: &mut Log,
    level: &mut Level,
    window: Window,
    sample: &Sample,
    is_flat: bool,
) -> (bool, bool) {
    let (mut at, next) = log.find(level.newest, window.start);
    if log.start_of(at) != Some(window.start) {
        // A synthetic candle may stand there: the real one must win over it.
        let fill = match (log.get(at), log.get(next)) {
            (Some(before), _) => before.fill_revision,
            (None, Some(next)) => next.fill_before,
            (None, None) => level.tail.map_or(0, |tail| tail.fill_revision),
        };
        at = log.push(&Kept {
            start: window.start,
            end: window.end,
            trading_date: window.trading_date,
            revision: if is_flat { fill } else { 0 },
            fill_revision: fill,
            fill_before: fill,
            before: at,
            flags: 0,
            is_first: level.tail.is_none(),
            is_dirty: false,
            aggregate: Aggregate::EMPTY,
        });
        match log.get(next) {
            Some(kept) => log.put(next, &Kept { before: at, ..kept }),
            None => level.newest = at,
        }
    }
    let Some(mut kept) = log.get(at) else { return (true, false) };
    let is_exact = kept.aggregate.absorb(sample);
    kept.revision = kept.revision.saturating_add(1);
    kept.fill_revision = kept.fill_revision.saturating_add(1);
    let is_new = !std::mem::replace(&mut kept.is_dirty, true);
    log.put(at, &kept);
    let tail = kept.tail();
    match log.get(next) {
        Some(kept) => log.put(next, &Kept { fill_before: tail.fill_revision, ..kept }),
        None => level.tail = Some(tail),
    }
    (is_exact, is_new)
}

//! Late ticks: a window that has closed is revised, one that has not just takes them.

use dataflows::machine::Emit;
use dataflows::state::Keyed;
use proto::candle::Reason;
use proto::series::SeriesId;

use crate::ohlcv::aggregate::{Aggregate, Sample};
use crate::ohlcv::roll::Core;
use crate::ohlcv::state::{Kept, Level, SeriesState, Tail};
use crate::ohlcv::window::Window;

impl Core {
    /// Adds a tick to its window of frame `number` and, where that has closed, to those above.
    /// `horizon` is how far time had come for the tick's feed. Gives false if a volume overflowed.
    pub(super) fn absorb(
        &mut self,
        id: SeriesId,
        state: &mut SeriesState,
        number: usize,
        sample: &Sample,
        horizon: i64,
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
            let (exact, is_new) = revise(level, window, sample, self.is_flat);
            is_exact &= exact;
            if is_new {
                self.dirty.push((id, number, window.start));
            }
            above.extend(&frame.targets);
            next = next.or_else(|| above.pop());
        }
        is_exact
    }

    /// Gives out the windows that the epoch revised, once each, as they are now.
    pub(super) fn give_revisions(&mut self, series: &mut Keyed<SeriesState>, emit: &mut Emit) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for (id, number, start) in dirty.drain(..) {
            let Some(level) = series.get_mut(id).and_then(|state| state.levels.get_mut(number))
            else {
                continue;
            };
            let Ok(place) = level.find_kept(start) else { continue };
            let next = level.kept.get(place + 1).map(|next| next.start);
            let before = place.checked_sub(1).and_then(|place| level.kept.get(place)).map(tail_of);
            let Some(kept) = level.kept.get_mut(place) else { continue };
            kept.is_dirty = false;
            if self.is_flat
                && let Some(before) = before
            {
                self.fill(id, number, &before, start, emit);
            }
            self.give(id, number, kept, Reason::Late, emit);
            if self.is_flat
                && let Some(next) = next
            {
                self.fill(id, number, &tail_of(kept), next, emit);
            }
        }
        self.dirty = dirty;
    }
}

fn tail_of(kept: &Kept) -> Tail {
    Tail {
        start: kept.start,
        end: kept.end,
        close: (kept.aggregate.close(), kept.aggregate.ask_close()),
        fill_revision: kept.fill_revision,
    }
}

/// Adds a tick to a closed window, which is made where there was none. Gives whether the volume
/// is exact, and whether this is the window's first revision in the epoch.
fn revise(level: &mut Level, window: Window, sample: &Sample, is_flat: bool) -> (bool, bool) {
    let place = match level.find_kept(window.start) {
        Ok(place) => place,
        Err(place) => {
            let before = place.checked_sub(1).and_then(|place| level.kept.get(place));
            // A synthetic candle may stand there: the real one must win over it.
            let revision = before.filter(|_| is_flat).map_or(0, |kept| kept.fill_revision);
            level.kept.insert(
                place,
                Kept {
                    start: window.start,
                    end: window.end,
                    trading_date: window.trading_date,
                    revision,
                    fill_revision: revision,
                    flags: 0,
                    is_first: level.tail.is_none(),
                    is_dirty: false,
                    aggregate: Aggregate::EMPTY,
                },
            );
            place
        }
    };
    let Some(kept) = level.kept.get_mut(place) else { return (true, false) };
    let is_exact = kept.aggregate.absorb(sample);
    kept.revision = kept.revision.saturating_add(1);
    kept.fill_revision = kept.fill_revision.saturating_add(1);
    let is_new = !std::mem::replace(&mut kept.is_dirty, true);
    let tail = tail_of(kept);
    if level.tail.is_none_or(|last| last.start <= tail.start) {
        level.tail = Some(tail);
    }
    (is_exact, is_new)
}

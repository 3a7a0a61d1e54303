//! The `open` output: what the windows that a series is in look like now.

use dataflows::machine::Emit;
use proto::candle::Reason;
use proto::series::SeriesId;

use crate::ohlcv::OPEN;
use crate::ohlcv::aggregate::Aggregate;
use crate::ohlcv::roll::Core;
use crate::ohlcv::state::{Head, SeriesState};
use crate::ohlcv::window::Window;

impl Core {
    /// Gives out the running candle of every frame of a series, in so far as its latest tick's
    /// window is still open.
    pub(super) fn give_open(&mut self, id: SeriesId, state: &SeriesState, emit: &mut Emit) {
        for number in 0..self.frames.len() {
            let Some(frame) = self.frames.get(number) else { continue };
            let window = frame.window(self.days.of(state.latest), state.latest);
            let aggregate = self.running(state, number, window);
            let is_wanted = self.range.0 <= window.start && window.start < self.range.1;
            if aggregate.is_empty() || !is_wanted {
                continue;
            }
            let head = Head {
                start: window.start,
                end: window.end,
                trading_date: window.trading_date,
                revision: 0,
                flags: 0,
                is_first: state.levels.get(number).is_some_and(|level| level.tail.is_none()),
            };
            if let Some(candle) = self.candle((id, number), head, &aggregate, Reason::Open) {
                emit.candles(OPEN).push(candle);
            }
        }
    }

    /// Folds what has closed within the window with what is still open in it, frame by frame down
    /// to the one that takes ticks.
    fn running(&self, state: &SeriesState, number: usize, window: Window) -> Aggregate {
        let mut aggregate = Aggregate::EMPTY;
        let mut next = Some(number);
        while let Some(number) = next {
            let Some(level) = state.levels.get(number) else { break };
            for open in level.all_open() {
                if window.start <= open.start && open.end <= window.end {
                    let _is_exact = aggregate.merge(&open.aggregate);
                }
            }
            next = self.frames.get(number).and_then(|frame| frame.source);
        }
        aggregate
    }
}

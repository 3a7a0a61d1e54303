//! `gaps: flat`: synthetic candles for in-session windows in which no tick came.

use dataflows::machine::Emit;
use proto::candle::{Candle, Ohlc, Reason};
use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::series::SeriesId;

use crate::ohlcv::roll::Core;
use crate::ohlcv::state::Tail;
use crate::ohlcv::window::Window;
use crate::ohlcv::{CLOSED, REVISED};

/// A silence of more windows than this is left empty: the instrument was not traded, and one
/// tick with a wrong time must not make millions of candles.
pub(super) const FLAT_WINDOWS_MAX: usize = 10_000;

impl Core {
    /// Gives out the synthetic candles between a window that has closed and the next that has
    /// ticks, which starts at `until`.
    pub(super) fn fill(
        &mut self,
        id: SeriesId,
        number: usize,
        before: &Tail,
        until: i64,
        emit: &mut Emit,
    ) {
        if before.end >= until {
            return;
        }
        let mut windows = Vec::new();
        let mut at = before.end;
        while let Some(window) = self.next_window(number, at, until) {
            if windows.len() == FLAT_WINDOWS_MAX {
                return;
            }
            at = window.end;
            windows.push(window);
        }
        for window in windows {
            if window.start < self.range.0 || window.start >= self.range.1 {
                continue;
            }
            let Some(candle) = self.synthetic(id, number, before, window) else { continue };
            emit.candles(CLOSED).push(candle);
            if candle.reason == Reason::Late && self.has_revised {
                emit.candles(REVISED).push(candle);
            }
        }
    }

    /// Gives the next window, from `at` on and starting before `until`, in which the market is
    /// open.
    fn next_window(&mut self, number: usize, mut at: i64, until: i64) -> Option<Window> {
        while at < until {
            let day = self.days.of(at);
            let open = day.sessions.iter().find(|(_, close)| close.ns() > at);
            if let Some((open, _)) = open {
                let at = open.ns().max(at);
                if at >= until {
                    return None;
                }
                let window = self.frames.get(number)?.window(day, at);
                return (window.start < until).then_some(window);
            }
            if day.end.ns() <= at {
                return None; // the end of time
            }
            at = day.end.ns();
        }
        None
    }

    fn synthetic(
        &self,
        id: SeriesId,
        number: usize,
        before: &Tail,
        window: Window,
    ) -> Option<Candle> {
        let (price, ask) = before.close;
        let flat = |units: i64| {
            let price = Price::from_units(units);
            Ohlc { open: price, high: price, low: price, close: price }
        };
        let revision = before.fill_revision;
        let start = EventTime::from_ns(window.start);
        Some(Candle {
            series: id,
            timeframe: self.frames.get(number)?.timeframe,
            start,
            end: EventTime::from_ns(window.end),
            trading_date: window.trading_date,
            price: flat(price),
            ask: flat(ask),
            volume: Quantity::ZERO,
            ticks: 0,
            first_time: start,
            last_time: start,
            first_sequence: 0,
            last_sequence: 0,
            revision,
            flags: Candle::SYNTHETIC | if ask == 0 { 0 } else { Candle::HAS_ASK },
            basis: self.basis,
            reason: if revision == 0 { Reason::Closed } else { Reason::Late },
        })
    }
}

//! Windows: how a trading day is cut, and which timeframe is folded from which.

use proto::timeframe::Timeframe;

use crate::calendar::TradingDay;

/// `[start, end)` in nanoseconds, with the trading date that it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Where it starts.
    pub start: i64,
    /// Where it ends; no longer part of it.
    pub end: i64,
    /// Days since 1970-01-01.
    pub trading_date: i32,
}

/// One timeframe of the operator.
#[derive(Debug, Clone)]
pub struct Frame {
    /// How long.
    pub timeframe: Timeframe,
    /// The frame that it is folded from; none: from ticks.
    pub source: Option<usize>,
    /// The frames that are folded from it.
    pub targets: Vec<usize>,
}

impl Frame {
    /// Gives the window that `time` falls into. `day` is the trading day of `time`, and `time` is
    /// in session.
    ///
    /// Windows count from the start of the trading day. Where that start lies on the frame's UTC
    /// grid (17:00 in New York, for everything up to an hour) this *is* the UTC grid.
    #[inline]
    pub fn window(&self, day: &TradingDay, time: i64) -> Window {
        if self.timeframe < Timeframe::DAY {
            let length = self.timeframe.ns();
            let anchor = day.start.ns();
            let start = anchor + (time - anchor) / length * length;
            let end = start.saturating_add(length).min(day.close.ns());
            Window { start, end, trading_date: day.trading_date }
        } else if self.timeframe == Timeframe::DAY {
            let (start, end) = (day.start.ns(), day.close.ns());
            Window { start, end, trading_date: day.trading_date }
        } else {
            let week = &day.week;
            let (start, end) = (week.start.ns(), week.end.ns());
            Window { start, end, trading_date: week.trading_date }
        }
    }
}

/// Tells whether every window of `coarse` is made of whole windows of `fine`, on any day.
fn nests(fine: Timeframe, coarse: Timeframe) -> bool {
    fine < coarse && (coarse >= Timeframe::DAY || coarse.seconds().is_multiple_of(fine.seconds()))
}

/// Arranges timeframes, ascending: each is folded from the coarsest one that it is made of, so
/// that a tick touches one window; those that are made of no other are folded from ticks.
pub fn arrange(mut timeframes: Vec<Timeframe>) -> Vec<Frame> {
    timeframes.sort_unstable();
    timeframes.dedup();
    let source = |coarse: &Timeframe| timeframes.iter().rposition(|fine| nests(*fine, *coarse));
    let sources: Vec<Option<usize>> = timeframes.iter().map(source).collect();
    let targets = |number: usize| {
        let of = sources.iter().enumerate().filter(move |(_, source)| **source == Some(number));
        of.map(|(target, _)| target).collect()
    };
    timeframes
        .iter()
        .zip(&sources)
        .enumerate()
        .map(|(number, (timeframe, source))| Frame {
            timeframe: *timeframe,
            source: *source,
            targets: targets(number),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::arrange;

    #[test]
    fn each_frame_is_folded_from_the_coarsest_that_it_is_made_of() {
        let frames = |words: &[&str]| {
            let frames = arrange(words.iter().map(|word| word.parse().unwrap()).collect());
            let name = |number: usize| frames[number].timeframe.to_string();
            let line = |source: Option<usize>| source.map_or("ticks".to_owned(), name);
            frames.iter().map(|f| format!("{}<{}", f.timeframe, line(f.source))).collect::<Vec<_>>()
        };
        assert_eq!(
            frames(&["1d", "1m", "5m", "15m", "1h", "4h", "1w", "1m"]),
            ["1m<ticks", "5m<1m", "15m<5m", "1h<15m", "4h<1h", "1d<4h", "1w<1d"]
        );
        assert_eq!(
            frames(&["2m", "3m", "6m", "7m", "1d"]),
            ["2m<ticks", "3m<ticks", "6m<3m", "7m<ticks", "1d<7m"]
        );
    }
}

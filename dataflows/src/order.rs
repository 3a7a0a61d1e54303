//! The order in which rows are shown: by name and time, never by number or arrival. Sinks write in
//! it, and tests of jobs compare in it.

use std::cmp::Ordering;

use proto::candle::Candle;
use proto::columns::Names;
use proto::feed_status::FeedStatus;
use proto::payload::Payload;
use proto::reject::Reject;
use proto::series::SeriesId;
use proto::tick::Tick;

use crate::batch::Rows;

/// Compares two series by source, then instrument; none comes first.
pub fn series(left: Option<SeriesId>, right: Option<SeriesId>, names: &Names) -> Ordering {
    if left == right {
        return Ordering::Equal;
    }
    let name = |id: Option<SeriesId>| {
        id.and_then(|id| names.get(id)).map(|series| (&*series.source, &*series.instrument))
    };
    name(left).cmp(&name(right))
}

/// Compares candles of one series: by timeframe, start, revision, then by all that they say.
pub fn candles(left: &Candle, right: &Candle) -> Ordering {
    let prices = |candle: &Candle| {
        [candle.price, candle.ask].map(|ohlc| [ohlc.open, ohlc.high, ohlc.low, ohlc.close])
    };
    let rest = |candle: &Candle| {
        (
            (candle.ticks, candle.end, candle.trading_date, candle.volume),
            (candle.first_time, candle.last_time, candle.first_sequence, candle.last_sequence),
            (candle.flags, candle.basis, candle.reason),
        )
    };
    (left.timeframe, left.start, left.revision)
        .cmp(&(right.timeframe, right.start, right.revision))
        .then_with(|| prices(left).cmp(&prices(right)))
        .then_with(|| rest(left).cmp(&rest(right)))
}

/// Compares ticks of one series: by time, sequence, then by all that they say.
pub fn ticks(left: &Tick, right: &Tick) -> Ordering {
    (left.time, left.sequence)
        .cmp(&(right.time, right.sequence))
        .then_with(|| tick_content(left).cmp(&tick_content(right)))
        .then_with(|| left.has(Tick::HAS_SEQUENCE).cmp(&right.has(Tick::HAS_SEQUENCE)))
}

/// What a tick says, apart from who it is.
pub fn tick_content(tick: &Tick) -> [i64; 5] {
    let has_volume = i64::from(tick.has(Tick::HAS_VOLUME));
    [tick.bid.units(), tick.ask.units(), tick.last.units(), has_volume, tick.volume.units()]
}

/// Compares rejects of one series: by clock, component, reason, then by all that they say.
pub fn rejects(left: &Reject, right: &Reject) -> Ordering {
    (left.clock, &left.component, &left.reason, &left.place, &left.detail, &left.payload)
        .cmp(&(
            right.clock,
            &right.component,
            &right.reason,
            &right.place,
            &right.detail,
            &right.payload,
        ))
        .then_with(|| match (&left.tick, &right.tick) {
            (Some(left), Some(right)) => ticks(left, right),
            (left, right) => left.is_some().cmp(&right.is_some()),
        })
}

/// Compares payloads of one series: by time, then by all that they say.
pub fn payloads(left: &Payload, right: &Payload) -> Ordering {
    let all = |payload: &Payload| (payload.content_type.clone(), payload.traceparent);
    (left.time, &left.bytes)
        .cmp(&(right.time, &right.bytes))
        .then_with(|| all(left).cmp(&all(right)))
}

/// Compares statuses of one series: by clock, then by all that they say.
pub fn statuses(left: &FeedStatus, right: &FeedStatus) -> Ordering {
    let all = |status: &FeedStatus| (status.clock, status.status, status.last, status.feed_last);
    all(left).cmp(&all(right))
}

/// Puts the runs of an epoch into one run in canonical order.
pub fn canonical(runs: Vec<Rows>, names: &Names) -> Option<Rows> {
    let mut runs = runs.into_iter();
    let mut all = runs.next()?;
    for run in runs {
        // A sink is handed one kind only.
        if let Err(other) = all.append(run) {
            debug_assert!(false, "{} among {}", other.kind(), all.kind());
        }
    }
    all.sort(names);
    Some(all)
}

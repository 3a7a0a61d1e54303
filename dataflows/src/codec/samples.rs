//! Rows for tests: likely ones and unlikely ones.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proto::candle::{Basis, Candle, Ohlc, Reason};
use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::feed_status::{Activity, FeedStatus};
use proto::reject::Reject;
use proto::series::{SeriesId, SeriesTable};
use proto::tick::Tick;
use proto::timeframe::Timeframe;

/// How many series the rows are of.
pub(super) const SERIES: u32 = 5;

/// The table that the rows' series are in.
pub(super) fn table() -> SeriesTable {
    let table = SeriesTable::new();
    for number in 0..SERIES {
        table.intern(["mt4", "mt5"][number as usize % 2], &format!("EUR{number}")).unwrap();
    }
    table
}

/// A reject with nothing in it.
pub(super) fn reject() -> Reject {
    Reject {
        component: String::new(),
        reason: String::new(),
        detail: String::new(),
        place: None,
        clock: EventTime::from_ns(0),
        tick: None,
        payload: Vec::new(),
    }
}

fn number() -> impl Strategy<Value = i64> + Clone {
    prop_oneof![4 => 100_000..101_000_i64, 1 => any::<i64>(), 1 => Just(0)]
}

fn time() -> impl Strategy<Value = EventTime> {
    number().prop_map(EventTime::from_ns)
}

fn price() -> impl Strategy<Value = Price> {
    number().prop_map(Price::from_units)
}

fn tick() -> impl Strategy<Value = Tick> {
    let prices = (price(), price(), price(), number());
    let sequence = prop_oneof![0..100_u64, any::<u64>()];
    let flags = prop_oneof![4 => 0..8_u32, 1 => any::<u32>()];
    (time(), sequence, prices, 0..SERIES, flags).prop_map(
        |(time, sequence, (bid, ask, last, volume), series, flags)| Tick {
            time,
            sequence,
            bid,
            ask,
            last,
            volume: Quantity::from_units(volume),
            watermark: EventTime::MIN,
            series: SeriesId(series),
            flags,
        },
    )
}

fn ohlc() -> impl Strategy<Value = Ohlc> {
    (price(), price(), price(), price()).prop_map(|(open, high, low, close)| Ohlc {
        open,
        high,
        low,
        close,
    })
}

fn candle() -> impl Strategy<Value = Candle> {
    let seconds = prop_oneof![1..=86_400_u32, Just(604_800)];
    let basis = prop::sample::select(vec![Basis::Bid, Basis::Ask, Basis::Mid, Basis::Last]);
    let reason =
        prop::sample::select(vec![Reason::Closed, Reason::Late, Reason::Backfill, Reason::Open]);
    let times = (time(), time(), time(), time());
    let numbers = (any::<i32>(), number(), any::<[u64; 3]>(), any::<u32>(), any::<u16>());
    (0..SERIES, seconds, times, (ohlc(), ohlc()), numbers, basis, reason).prop_map(
        |(series, seconds, times, (price, ask), numbers, basis, reason)| Candle {
            series: SeriesId(series),
            timeframe: Timeframe::from_seconds(seconds).unwrap(),
            start: times.0,
            end: times.1,
            trading_date: numbers.0,
            price,
            ask,
            volume: Quantity::from_units(numbers.1),
            ticks: numbers.2[0],
            first_time: times.2,
            last_time: times.3,
            first_sequence: numbers.2[1],
            last_sequence: numbers.2[2],
            revision: numbers.3,
            flags: numbers.4,
            basis,
            reason,
        },
    )
}

fn rejects() -> impl Strategy<Value = Vec<Reject>> {
    let texts = (".{0,9}", "[a-z_]{0,9}", ".{0,30}", option::of(".{0,12}"));
    let one = (texts, time(), option::of(tick()), vec(any::<u8>(), 0..40)).prop_map(
        |((component, reason, detail, place), clock, tick, payload)| Reject {
            component,
            reason,
            detail,
            place,
            clock,
            tick,
            payload,
        },
    );
    vec(one, 0..6)
}

/// Ticks, and rejects beside them.
pub(super) fn ticks() -> impl Strategy<Value = (Vec<Tick>, Vec<Reject>)> {
    (vec(tick(), 0..150), rejects())
}

/// Candles, and rejects beside them.
pub(super) fn candles() -> impl Strategy<Value = (Vec<Candle>, Vec<Reject>)> {
    (vec(candle(), 0..60), rejects())
}

/// Rejects as rows, and rejects beside them.
pub(super) fn both_rejects() -> impl Strategy<Value = (Vec<Reject>, Vec<Reject>)> {
    (rejects(), rejects())
}

/// Statuses.
pub(super) fn statuses() -> impl Strategy<Value = Vec<FeedStatus>> {
    let times = [number().boxed(), number().boxed(), number().boxed()];
    let status = (0..SERIES, times, 0..Activity::ALL.len());
    let status = status.prop_map(|(series, [clock, last, feed_last], status)| FeedStatus {
        series: SeriesId(series),
        clock: EventTime::from_ns(clock),
        status: Activity::ALL[status],
        last: EventTime::from_ns(last),
        feed_last: EventTime::from_ns(feed_last),
    });
    vec(status, 0..20)
}

//! What goes into columns comes back.

use proptest::prelude::*;

use super::{
    Detail, Names, candles_of_batch, candles_to_batch, rejects_of_batch, rejects_to_batch,
    ticks_of_batch, ticks_to_batch,
};
use crate::candle::{Basis, Candle, Ohlc, Reason};
use crate::decimal::{Price, Quantity, UNITS_MAX};
use crate::event_time::EventTime;
use crate::reject::Reject;
use crate::series::{SeriesId, SeriesTable};
use crate::tick::Tick;
use crate::timeframe::Timeframe;

fn table() -> SeriesTable {
    let table = SeriesTable::new();
    for (source, instrument) in [("mt4", "EURUSD"), ("mt5", "EURUSD"), ("mt4", "S&P 500")] {
        table.intern(source, instrument).unwrap();
    }
    table
}

fn price() -> impl Strategy<Value = Price> {
    prop_oneof![Just(0), -UNITS_MAX..=UNITS_MAX].prop_map(Price::from_units)
}

fn tick() -> impl Strategy<Value = Tick> {
    let names = (0_u32..3, any::<i64>(), any::<u64>(), 0_u32..4);
    (names, price(), price(), price(), 1..UNITS_MAX).prop_map(
        |((series, ns, sequence, flags), bid, ask, last, volume)| Tick {
            series: SeriesId(series),
            time: EventTime::from_ns(ns),
            sequence,
            bid,
            ask,
            last,
            flags,
            volume: Quantity::from_units(if flags & Tick::HAS_VOLUME == 0 { 0 } else { volume }),
            watermark: EventTime::MIN,
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

fn micros() -> impl Strategy<Value = EventTime> {
    (-9_000_000_000_000_000_i64..9_000_000_000_000_000)
        .prop_map(|us| EventTime::from_ns(us * 1_000))
}

fn candle() -> impl Strategy<Value = Candle> {
    let names = (0_u32..3, 1_u32..86_400, micros(), micros(), -90_000_i32..90_000);
    let counts = (any::<u64>(), any::<u64>(), any::<u64>(), 0..=i32::MAX as u32, 0_u16..64);
    let words = (
        prop::sample::select(vec![Basis::Bid, Basis::Ask, Basis::Mid, Basis::Last]),
        prop::sample::select(vec![Reason::Closed, Reason::Late, Reason::Backfill, Reason::Open]),
        0..UNITS_MAX,
        micros(),
        micros(),
    );
    (names, ohlc(), ohlc(), counts, words).prop_map(|(names, price, ask, counts, words)| {
        let (series, seconds, start, end, trading_date) = names;
        let (ticks, first_sequence, last_sequence, revision, flags) = counts;
        let (basis, reason, volume, first_time, last_time) = words;
        let volume = if flags & Candle::HAS_VOLUME == 0 { 0 } else { volume };
        Candle {
            series: SeriesId(series),
            timeframe: Timeframe::from_seconds(seconds).unwrap(),
            start,
            end,
            trading_date,
            price,
            ask: if flags & Candle::HAS_ASK == 0 { Ohlc::default() } else { ask },
            volume: Quantity::from_units(volume),
            ticks,
            first_time,
            last_time,
            first_sequence,
            last_sequence,
            revision,
            flags,
            basis,
            reason,
        }
    })
}

proptest! {
    #[test]
    fn ticks_come_back_as_they_were(
        ticks in prop::collection::vec(tick(), 0..50),
        cut in 0_usize..50,
    ) {
        let table = table();
        let (left, right) = ticks.split_at(cut.min(ticks.len()));
        let batch = ticks_to_batch(&[left, right], &Names::new(table.clone())).unwrap();
        prop_assert_eq!(ticks_of_batch(&batch, &table).unwrap(), ticks);
    }

    #[test]
    fn candles_come_back_as_they_were(
        candles in prop::collection::vec(candle(), 0..50),
        cut in 0_usize..50,
    ) {
        let table = table();
        let (left, right) = candles.split_at(cut.min(candles.len()));
        let batch = candles_to_batch(&[left, right], &Names::new(table.clone()), Detail::Full).unwrap();
        prop_assert_eq!(candles_of_batch(&batch, &table).unwrap(), candles);
    }

    #[test]
    fn rejects_come_back_as_they_were(
        rows in prop::collection::vec(
            ("[a-z]{1,5}", prop::option::of("[a-z:0-9]{1,9}"), micros(), prop::option::of(tick()),
             prop::collection::vec(any::<u8>(), 0..9)), 0..20)
    ) {
        let table = table();
        let rejects: Vec<Reject> = rows.into_iter().map(|(word, place, clock, tick, payload)| {
            Reject { component: word.clone(), reason: word.clone(), detail: word, place, clock, tick,
                payload }
        }).collect();
        let batch = rejects_to_batch(&[&rejects], &Names::new(table.clone())).unwrap();
        prop_assert_eq!(rejects_of_batch(&batch, &table).unwrap(), rejects);
    }
}

#[test]
fn a_missing_column_is_named() {
    let table = table();
    let batch = ticks_to_batch(&[&[Tick::default()]], &Names::new(table.clone())).unwrap();
    let error = ticks_of_batch(&batch.project(&[0, 1, 4]).unwrap(), &table).unwrap_err();
    assert_eq!(error.to_string(), "there is no column `time`");
}

#[test]
fn a_series_that_nobody_named_is_refused() {
    let tick = Tick { series: SeriesId(99), ..Tick::default() };
    let error = ticks_to_batch(&[&[tick]], &Names::new(table())).unwrap_err();
    assert_eq!(error.to_string(), "series number 99 is unknown");
}

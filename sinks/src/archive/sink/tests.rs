//! A replacement that is killed anywhere has happened or has not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dataflows::batch::Rows;
use dataflows::component::sink::{Ending, Sealed, Sink, SinkContext};
use dataflows::component::source::Range;
use dataflows::kind::Kind;
use dataflows::moment::Moment;
use proto::candle::Candle;
use proto::event_time::EventTime;
use proto::series::SeriesTable;

use super::{ArchiveSink, swap};
use crate::archive::Config;

const DAY: i64 = 86_400;

fn candle(series: &SeriesTable, day: i64, close: i64) -> Candle {
    let start = EventTime::from_ns((day * DAY + 3_600) * 1_000_000_000);
    let price = proto::decimal::Price::from_units(close);
    let ohlc = proto::candle::Ohlc { open: price, high: price, low: price, close: price };
    Candle {
        series: series.intern("mt4", "EURUSD").unwrap(),
        timeframe: "1m".parse().unwrap(),
        start,
        end: start,
        trading_date: 0,
        price: ohlc,
        ask: ohlc,
        volume: proto::decimal::Quantity::ZERO,
        ticks: 1,
        first_time: start,
        last_time: start,
        first_sequence: 0,
        last_sequence: 0,
        revision: 0,
        flags: Candle::HAS_ASK,
        basis: proto::candle::Basis::Bid,
        reason: proto::candle::Reason::Closed,
    }
}

fn sink(root: &Path, series: &SeriesTable, replace: Option<Range>) -> ArchiveSink<Candle> {
    let config: Config = serde_json::from_str("{\"path\": \"candles\"}").unwrap();
    let context = SinkContext {
        stop: dataflows::component::sink::Stop::default(),
        job: "job".to_owned(),
        id: "archive".to_owned(),
        root: root.to_owned(),
        series: series.clone(),
        kind: Kind::Candles,
        replace,
        durable: None,
        health: Arc::default(),
    };
    ArchiveSink::open(&config, context).unwrap()
}

fn sealed(rows: Vec<Candle>) -> Sealed {
    let clock = EventTime::default();
    let moment = Moment { epoch: 1, clock, watermarks: Vec::new(), is_last: true };
    Sealed { moment: Arc::new(moment), runs: vec![Rows::Candles(rows)] }
}

fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                found.insert(path.strip_prefix(root).unwrap().to_owned(), bytes);
            }
        }
    }
    found
}

/// A dataset of the days 1 to 4, of which 2 to 4 are to be replaced by other 2, 3 and new 5.
fn staged(root: &Path, series: &SeriesTable) -> (ArchiveSink<Candle>, Range) {
    let mut first = sink(root, series, None);
    first.apply(sealed((1..5).map(|day| candle(series, day, day)).collect())).unwrap();
    first.finish(Ending::Complete).unwrap();
    drop(first);
    let time = |day: i64| EventTime::from_ns(day * DAY * 1_000_000_000);
    let range = Range { from: time(2), to: time(6), instruments: Vec::new() };
    let mut second = sink(root, series, Some(range.clone()));
    let rows = vec![candle(series, 2, 2), candle(series, 3, 33), candle(series, 5, 5)];
    second.apply(sealed(rows)).unwrap();
    (second, range)
}

#[test]
fn a_replacement_that_is_killed_anywhere_has_happened_or_has_not() {
    let series = SeriesTable::new();
    let (before, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut killed, _) = staged(before.path(), &series);
    killed.finish(Ending::Interrupted).unwrap();
    drop(killed);
    let (mut whole, _) = staged(after.path(), &series);
    whole.finish(Ending::Complete).unwrap();
    drop(whole);
    let (before, after) = (files(before.path()), files(after.path()));
    assert_eq!(before.len(), 4);
    assert_eq!(after.len(), 4, "days 1, 2, 3 and 5");
    assert_ne!(before, after);

    for steps in 0..8 {
        let root = tempfile::tempdir().unwrap();
        let (mut sink_, range) = staged(root.path(), &series);
        let (journal, _) = sink_.stage(&range).unwrap();
        let dataset = root.path().join("candles");
        if steps > 0 {
            swap::decide(&journal, &dataset).unwrap();
            swap::roll_forward(&dataset, steps - 1).unwrap();
        }
        drop(sink_); // killed: nothing tidies up
        drop(sink(root.path(), &series, None)); // the next run
        let expected = if steps == 0 { &before } else { &after };
        assert_eq!(files(root.path()), *expected, "killed at step {steps}");
    }
}

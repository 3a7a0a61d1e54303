//! Eleven years of hourly bars as 4h and 1d candles from 17:00 in New York, against two programs
//! that were written apart from this one: Polars on naive New York time, DuckDB's `time_bucket`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use proto::decimal::Price;
use proto::event_time::EventTime;
use proto::series::SeriesTable;
use proto::tick::Tick;
use serde_json::json;

use crate::real::columns;
use crate::support::{Output, data, run, skip};

const MINUTE: i64 = 60_000_000_000;

/// Each hourly bar as four ticks within its hour.
fn ticks(path: &Path, table: &SeriesTable) -> Vec<Tick> {
    const POINT: i64 = Price::SCALE / 100_000;
    let series = table.intern("fxcm", "EURUSD").unwrap();
    let [times, open, high, low, close] = columns(path, ["ts", "o", "h", "l", "c"]);
    let mut ticks = Vec::with_capacity(times.len() * 4);
    for (row, time) in times.iter().enumerate() {
        for (number, prices) in (0..).zip([&open, &high, &low, &close]) {
            let time = EventTime::from_ns(time * 1_000 + number * MINUTE);
            let bid = Price::from_units(prices[row] * POINT);
            ticks.push(Tick { series, time, bid, ..Tick::default() });
        }
    }
    ticks
}

/// (frame, start in seconds) to OHLC in points.
type Bars = BTreeMap<(String, i64), [i64; 4]>;

fn found(output: &Output) -> Bars {
    let points = |price: Price| price.units() / (Price::SCALE / 100_000);
    let bar = |c: &proto::candle::Candle| {
        let p = &c.price;
        let prices = [p.open, p.high, p.low, p.close].map(points);
        ((c.timeframe.to_string(), c.start.ns() / 1_000_000_000), prices)
    };
    output.table().values().map(bar).collect()
}

/// What a script prints: `frame,start,open,high,low,close`.
fn ask(python: &str, script: &str, input: &Path) -> Bars {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles").join(script);
    let output = Command::new(python).arg(path).arg(input).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {errors}");
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |place: usize| fields[place].parse::<i64>().unwrap();
        ((fields[0].to_owned(), number(1)), [number(2), number(3), number(4), number(5)])
    };
    String::from_utf8(output.stdout).unwrap().lines().map(line).collect()
}

#[test]
fn eleven_years_of_4h_and_1d_from_five_in_new_york_are_what_polars_and_duckdb_make() {
    let Some(path) = data("bars/fxcm-EURUSD/hour-2007-2018.parquet") else { return };
    let python = std::env::var("TAPEFLOW_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let probe = Command::new(&python).args(["-c", "import polars, duckdb"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        return skip(&format!("{python} has no polars or no duckdb; set TAPEFLOW_PYTHON"));
    }
    let config = json!({ "timeframes": ["4h", "1d"], "calendar": "forex" });
    let output = run(config, |table| ticks(&path, table), 5_000);
    let found = found(&output);
    for script in ["polars_naive_local.py", "duckdb_time_bucket.py"] {
        let expected = ask(&python, script, &path);
        for (key, bar) in &expected {
            assert_eq!(found.get(key), Some(bar), "{script}: {key:?}");
        }
        assert_eq!(found.len(), expected.len(), "{script}: candles that it does not have");
        let days = expected.keys().filter(|key| key.0 == "1d").count();
        assert!(days > 2_800, "{script}: {days} days");
        eprintln!("{script}: {} candles, {days} of them days, are equal", expected.len());
    }
}

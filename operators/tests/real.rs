//! Candles of real ticks against the bars that their publishers made of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proto::candle::{Candle, Ohlc};
use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::series::SeriesTable;
use proto::tick::Tick;
use serde_json::{Value, json};

use crate::support::{data, run};

const MS: i64 = 1_000_000;
const HOUR: i64 = 3_600_000 * MS;

/// Reads a column of whole numbers (times as microseconds) of all batches.
fn column(batches: &[RecordBatch], name: &str) -> Vec<i64> {
    let mut values = Vec::new();
    for batch in batches {
        let column = batch.column_by_name(name).unwrap();
        if let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() {
            values.extend_from_slice(times.values());
        } else {
            values.extend_from_slice(column.as_primitive::<Int64Type>().values());
        }
    }
    values
}

pub(crate) fn parquet(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    reader.with_batch_size(65_536).build().unwrap().map(Result::unwrap).collect()
}

pub(crate) fn columns<const N: usize>(path: &Path, names: [&str; N]) -> [Vec<i64>; N] {
    let batches = parquet(path);
    names.map(|name| column(&batches, name))
}

/// Ticks of a file with `ts`, `bid_pt`, `ask_pt` and `seq`; a point is 0.00001.
fn ticks(path: &Path, table: &SeriesTable) -> Vec<Tick> {
    const POINT: i64 = Price::SCALE / 100_000;
    let series = table.intern("x", "EURUSD").unwrap();
    let [times, bids, asks, sequences] = columns(path, ["ts", "bid_pt", "ask_pt", "seq"]);
    let rows = times.iter().zip(bids).zip(asks).zip(sequences);
    rows.map(|(((time, bid), ask), sequence)| Tick {
        series,
        time: EventTime::from_ns(time * 1_000),
        bid: Price::from_units(bid * POINT),
        ask: Price::from_units(ask * POINT),
        sequence: sequence as u64,
        ..Tick::default()
    })
    .collect()
}

/// The text of the only file of a zip archive.
fn unzip(path: &Path) -> String {
    let mut bytes = Vec::new();
    File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]) as usize;
    assert_eq!(&bytes[..4], b"PK\x03\x04", "{}", path.display());
    assert_eq!(short(8), 8, "deflated");
    let from = 30 + short(26) + short(28);
    let mut text = String::new();
    flate2::read::DeflateDecoder::new(&bytes[from..]).read_to_string(&mut text).unwrap();
    text
}

/// The eight prices of a bar: bid OHLC, ask OHLC.
type Bar = [Price; 8];

fn of(candle: &Candle) -> Bar {
    let (p, a): (&Ohlc, &Ohlc) = (&candle.price, &candle.ask);
    [p.open, p.high, p.low, p.close, a.open, a.high, a.low, a.close]
}

/// `label, bid OHLC, size, ask OHLC, size`; `time` reads the label.
fn bars(text: &str, time: impl Fn(&str) -> i64) -> BTreeMap<i64, Bar> {
    let bar = |line: &str| {
        let fields: Vec<&str> = line.trim().split(',').collect();
        let prices = [1, 2, 3, 4, 6, 7, 8, 9].map(|number: usize| fields[number].parse().unwrap());
        (time(fields[0]), prices)
    };
    text.lines().map(bar).collect()
}

/// Bars of all minute files of a folder; their days begin `offset` after UTC midnight.
fn minutes(folder: &Path, offset: i64) -> BTreeMap<i64, Bar> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let midnight = midnight(&name[..8]) + offset;
        all.extend(bars(&unzip(&path), |label| midnight + label.parse::<i64>().unwrap() * MS));
    }
    all
}

fn midnight(digits: &str) -> i64 {
    let text = format!("{}-{}-{}", &digits[..4], &digits[4..6], &digits[6..8]);
    text.parse::<EventTime>().unwrap().ns()
}

/// Compares every candle of a frame with every bar between the first and the last candle.
fn compare(output: &crate::support::Output, timeframe: &str, bars: &BTreeMap<i64, Bar>) -> usize {
    let table = output.table();
    let candles: BTreeMap<i64, Bar> = table
        .values()
        .filter(|candle| candle.timeframe.to_string() == timeframe)
        .map(|candle| (candle.start.ns(), of(candle)))
        .collect();
    let (first, last) = (candles.keys().min().unwrap(), candles.keys().max().unwrap());
    let bars: BTreeMap<i64, Bar> = bars.range(*first..=*last).map(|(k, v)| (*k, *v)).collect();
    for (start, bar) in &bars {
        let start_text = EventTime::from_ns(*start);
        assert_eq!(candles.get(start), Some(bar), "{timeframe} at {start_text}");
    }
    assert_eq!(candles.len(), bars.len(), "{timeframe}: candles that have no bar");
    bars.len()
}

fn always(timezone: &str, timeframes: &[&str]) -> Value {
    json!({ "timeframes": timeframes, "calendar": { "timezone": timezone } })
}

#[test]
fn fxcm_bars_of_a_minute_an_hour_and_a_day_come_out_in_all_eight_prices() {
    let Some(path) = data("ticks/fxcm-EURUSD-2014-05.parquet") else { return };
    let Some(folder) = data("bars/fxcm-EURUSD") else { return };
    let config = always("-05:00", &["1m", "1h", "1d"]);
    let output = run(config, |table| ticks(&path, table), 10_000);
    assert_eq!(output.dead, []);
    let minute = minutes(&folder.join("minute"), 5 * HOUR);
    // `20070330 01:00`, an hour in UTC-05.
    let time = |label: &str| {
        let hour = label.get(9..11).map_or(0, |hour| hour.parse().unwrap());
        midnight(&label[..8]) + (5 + hour) * HOUR
    };
    let counts = [
        compare(&output, "1m", &minute),
        compare(&output, "1h", &bars(&unzip(&folder.join("hour.zip")), time)),
        compare(&output, "1d", &bars(&unzip(&folder.join("daily.zip")), time)),
    ];
    assert_eq!(counts[0], minute.len());
    assert!(counts[1] > 200 && counts[2] > 10, "{counts:?}");
    eprintln!("FXCM: {counts:?} bars of 1m, 1h and 1d are equal");
}

#[test]
fn oanda_bars_of_a_minute_come_out_in_all_eight_prices_with_shuffled_epochs() {
    let Some(path) = data("ticks/oanda-EURUSD-2014-05.parquet") else { return };
    let Some(folder) = data("bars/oanda-EURUSD/minute") else { return };
    let minute = minutes(&folder, 0);
    let mut outputs = Vec::new();
    for size in [777, 100_000] {
        let output = run(always("UTC", &["1m"]), |table| ticks(&path, table), size);
        assert_eq!(compare(&output, "1m", &minute), minute.len());
        outputs.push(output);
    }
    assert_eq!(outputs[0].closed, outputs[1].closed);
    eprintln!("OANDA: {} bars of 1m are equal", minute.len());
}

#[test]
fn longer_frames_of_real_ticks_are_the_fold_of_their_minutes() {
    let Some(path) = data("ticks/oanda-EURUSD-2014-05.parquet") else { return };
    let frames = ["1m", "5m", "15m", "1h", "4h", "1d", "1w"];
    let together = run(json!({ "timeframes": frames }), |table| ticks(&path, table), 4_096);
    for frame in frames {
        let alone = run(json!({ "timeframes": [frame] }), |table| ticks(&path, table), 50_000);
        assert_eq!(together.frame(frame), alone.frame(frame), "{frame}");
    }
    assert!(together.frame("1w").len() == 3);
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn decimal(value: &Value) -> Price {
    value.to_string().parse().unwrap()
}

/// `{"timestamp", "open", "high", "low", "close"}`.
fn dukascopy_bars(path: &Path) -> Vec<(i64, [Price; 4])> {
    let rows = json(path);
    let names = ["open", "high", "low", "close"];
    let bar = |row: &Value| {
        (row["timestamp"].as_i64().unwrap() * MS, names.map(|name| decimal(&row[name])))
    };
    rows.as_array().unwrap().iter().map(bar).collect()
}

/// A bar as four ticks in its first four milliseconds.
fn unfold(bars: &[(i64, [Price; 4])], table: &SeriesTable) -> Vec<Tick> {
    let series = table.intern("dukascopy", "BTCUSD").unwrap();
    let ticks = |(start, prices): &(i64, [Price; 4])| {
        let start = *start;
        (0..)
            .zip(*prices)
            .map(move |(number, bid)| {
                let time = EventTime::from_ns(start + number * MS);
                Tick { series, time, bid, ..Tick::default() }
            })
            .collect::<Vec<_>>()
    };
    bars.iter().flat_map(ticks).collect()
}

fn compare_prices(output: &crate::support::Output, bars: &[(i64, [Price; 4])], name: &str) {
    let table = output.table();
    let found: Vec<_> = table
        .values()
        .map(|c| (c.start.ns(), [c.price.open, c.price.high, c.price.low, c.price.close]))
        .collect();
    let from = found[0].0;
    let to = found[found.len() - 1].0;
    let bars: Vec<_> = bars.iter().filter(|bar| from <= bar.0 && bar.0 <= to).copied().collect();
    for (found, bar) in found.iter().zip(&bars) {
        assert_eq!(found, bar, "{name}");
    }
    assert_eq!(found.len(), bars.len(), "{name}");
    eprintln!("Dukascopy {name}: {} bars are equal", bars.len());
}

#[test]
fn dukascopy_bars_roll_up_to_the_publishers_longer_bars() {
    let Some(folder) = data("dukascopy") else { return };
    let day = "2023-02-19-2023-02-20";
    let file = |name: &str| folder.join(format!("btcusd-{name}.json"));
    let hours = file("h1-bid-2023-01-01-2023-02-20");
    let cases = [
        (file(&format!("m1-bid-{day}")), file(&format!("m5-bid-{day}")), "5m"),
        (file(&format!("m1-bid-{day}")), file(&format!("m15-bid-{day}")), "15m"),
        (file(&format!("m1-bid-{day}")), file(&format!("m30-bid-{day}")), "30m"),
        (hours.clone(), file("h4-bid-2023-01-01-2023-02-20"), "4h"),
        (hours, file("d1-bid-2022-01-01-2023-02-20"), "1d"),
    ];
    for (fine, coarse, timeframe) in cases {
        let config = json!({ "timeframes": [timeframe], "calendar": "utc" });
        let output = run(config, |table| unfold(&dukascopy_bars(&fine), table), 100);
        compare_prices(&output, &dukascopy_bars(&coarse), timeframe);
    }
}

#[test]
fn dukascopy_ticks_make_the_publishers_seconds() {
    let Some(folder) = data("dukascopy") else { return };
    let rows = json(&folder.join("btcusd-tick-2023-02-20T12-2023-02-20T13.json"));
    let ticks = |table: &SeriesTable| {
        let series = table.intern("dukascopy", "BTCUSD").unwrap();
        let tick = |row: &Value| Tick {
            series,
            time: EventTime::from_ms(row["timestamp"].as_i64().unwrap()).unwrap(),
            bid: decimal(&row["bidPrice"]),
            ask: decimal(&row["askPrice"]),
            ..Tick::default()
        };
        rows.as_array().unwrap().iter().map(tick).collect()
    };
    let config = json!({ "timeframes": ["1s"], "calendar": "24x7" });
    let output = run(config, ticks, 500);
    let bars = dukascopy_bars(&folder.join("btcusd-s1-bid-2023-02-20T12-2023-02-20T13.json"));
    compare_prices(&output, &bars, "1s");
    assert_eq!(output.table().len(), bars.len());
}

#[test]
fn dukascopy_volume_is_the_sum_of_the_bid_sizes() {
    let Some(folder) = data("dukascopy") else { return };
    // [time, ask, bid, ask size, bid size] and [time, open, high, low, close, volume].
    let rows = json(&folder.join("sample_tick_data.json"));
    let bars = json(&folder.join("sample_m1_data.json"));
    let ticks = |table: &SeriesTable| {
        let series = table.intern("dukascopy", "EURUSD").unwrap();
        let tick = |row: &Value| Tick {
            series,
            time: EventTime::from_ms(row[0].as_i64().unwrap()).unwrap(),
            bid: decimal(&row[2]),
            volume: row[4].to_string().parse().unwrap(),
            flags: Tick::HAS_VOLUME,
            ..Tick::default()
        };
        rows.as_array().unwrap().iter().map(tick).collect()
    };
    let output = run(json!({ "timeframes": ["1m"], "calendar": "utc" }), ticks, 97);
    let table = output.table();
    let mut compared = 0;
    for (candle, bar) in table.values().zip(bars.as_array().unwrap()) {
        assert_eq!(candle.start.ns(), bar[0].as_i64().unwrap() * MS);
        assert!(candle.has(Candle::HAS_VOLUME));
        let volume: Quantity = bar[5].to_string().parse().unwrap();
        assert_eq!(candle.volume, volume, "volume at {}", candle.start);
        let prices = [candle.price.open, candle.price.high, candle.price.low, candle.price.close];
        assert_eq!(prices, [1, 2, 3, 4].map(|number: usize| decimal(&bar[number])));
        compared += 1;
    }
    assert_eq!(compared, 60);
}

//! What the archive source promises, from its configuration to its ticks.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int16Array, Int64Array, RecordBatch, StringArray,
};
use arrow::array::{Decimal128Array, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use dataflows::component::source::Range;
use dataflows::fault::Fault;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use proto::decimal::Price;
use proto::tick::Tick;
use serde_json::json;

use super::plan::{Plan, Request};
use super::{Archive, Selection};
use crate::columns::Wanted;
use crate::testing::{context, data, drain, resumes_everywhere};
use crate::time_zone::Zone;

/// Monday, 2025-01-06, in microseconds.
const MONDAY: i64 = 1_736_121_600_000_000;
const DAY: i64 = 86_400_000_000;

/// (microseconds, source, instrument, bid)
type Row = (i64, &'static str, &'static str, Option<f64>);

fn write(path: &Path, rows: &[Row], group: usize) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let times: Vec<Option<i64>> = rows.iter().map(|row| (row.0 >= 0).then_some(row.0)).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("source", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1)))),
        ("instrument", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2)))),
        ("ts", Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))),
        ("bid", Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.3)))),
        ("ask", Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.3)))),
        ("volume", Arc::new(Int64Array::from_iter_values(0..rows.len() as i64))),
    ];
    write_columns(path, columns, group);
}

fn write_columns(path: &Path, columns: Vec<(&str, ArrayRef)>, group: usize) {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// A day of rows for some instruments, one every second.
fn day(day: i64, instruments: &[&'static str], rows: i64) -> Vec<Row> {
    (0..rows)
        .map(|row| {
            let instrument = instruments[row as usize % instruments.len()];
            (MONDAY + day * DAY + row * 1_000_000, "mt4", instrument, Some(1.0 + row as f64 / 1e5))
        })
        .collect()
}

fn plan(root: &Path, path: &str, from: &str, to: &str, instruments: &[&str]) -> Plan {
    let files =
        crate::paths::find(&crate::paths::Paths::One(path.to_owned()), root, &["parquet"]).unwrap();
    let instruments: Vec<String> = instruments.iter().map(|name| (*name).to_owned()).collect();
    let selection = Selection::new((Some(from), Some(to), &instruments), &context(root)).unwrap();
    let request = Request {
        component: "ticks".to_owned(),
        wanted: Wanted::default(),
        zone: Zone::Fixed(0),
        unit: None,
        selection,
    };
    Plan::new(files, request, root).unwrap()
}

#[test]
fn ticks_come_in_the_order_of_time_whatever_the_names_of_the_files() {
    let rows = day(0, &["EURUSD", "GBPUSD", "USDJPY"], 3_000);
    let read = |parts: &[(&str, &[Row])]| {
        let folder = tempfile::tempdir().unwrap();
        for (name, rows) in parts {
            write(&folder.path().join(name), rows, 256);
        }
        let context = context(folder.path());
        let drained = drain(&Archive, &json!({"path": "."}), None, &context).unwrap();
        assert!(drained.rejects.is_empty());
        let named = |tick: &Tick| {
            let series = context.series.get(tick.series).unwrap();
            (tick.time, series.instrument.to_string(), tick.bid, tick.volume)
        };
        drained.ticks.iter().map(named).collect::<Vec<_>>()
    };
    let whole = read(&[("a.parquet", &rows)]);
    assert_eq!(whole.len(), 3_000);
    assert!(whole.is_sorted_by_key(|row| row.0));
    let (first, second) = rows.split_at(1_000);
    let strip = |rows: Vec<(_, String, Price, _)>| {
        rows.into_iter().map(|(time, name, bid, _)| (time, name, bid)).collect::<Vec<_>>()
    };
    let whole = strip(whole);
    assert_eq!(strip(read(&[("a.parquet", first), ("b.parquet", second)])), whole);
    assert_eq!(strip(read(&[("b.parquet", first), ("a.parquet", second)])), whole);
    let odd: Vec<Row> = rows.iter().skip(1).step_by(2).copied().collect();
    let even: Vec<Row> = rows.iter().step_by(2).copied().collect();
    assert_eq!(strip(read(&[("x/a.parquet", &odd), ("b.parquet", &even)])), whole);
}

#[test]
fn folders_and_statistics_save_reading() {
    let folder = tempfile::tempdir().unwrap();
    for date in 0..4 {
        for instrument in ["EURUSD", "XAUUSD"] {
            let name = format!("h/date=2025-01-0{}/instrument={instrument}/0.parquet", 6 + date);
            write(&folder.path().join(name), &day(date, &[instrument], 1_000), 100);
        }
        let name = format!("flat/{date}.parquet");
        write(&folder.path().join(name), &day(date, &["EURUSD"], 1_000), 100);
    }
    let hive = plan(folder.path(), "h", "2025-01-09T00:00:00", "2025-01-09T00:00:50", &["XAUUSD"]);
    assert_eq!(hive.files.len(), 8);
    assert_eq!(hive.pruned.files, 6, "four of EURUSD, two of XAUUSD too long before");
    assert_eq!(hive.entries.len(), 1, "{hive:?}");
    let flat = plan(folder.path(), "flat", "2025-01-07", "2025-01-08", &["EURUSD"]);
    assert_eq!((flat.entries.len(), flat.pruned.groups, flat.pruned.rows), (10, 30, 3_000));
    let other = plan(folder.path(), "flat/*.parquet", "2025-01-06", "2025-01-12", &["XAUUSD"]);
    assert_eq!((other.entries.len(), other.pruned.groups), (0, 40));
}

#[test]
fn a_range_gives_exactly_its_ticks() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a.parquet"), &day(0, &["EURUSD", "XAUUSD"], 1_000), 64);
    let mut context = context(folder.path());
    context.range = Some(Range {
        from: "2025-01-06T00:01:40".parse().unwrap(),
        to: "2025-01-06T00:05:00".parse().unwrap(),
        instruments: vec!["XAUUSD".to_owned()],
    });
    let config = json!({"path": "a.parquet"});
    let drained = drain(&Archive, &config, None, &context).unwrap();
    assert_eq!(drained.ticks.len(), 100);
    assert_eq!(context.series.find("mt4", "EURUSD"), None, "unwanted series are not numbered");
    resumes_everywhere(&Archive, &config, &context);
}

#[test]
fn bad_rows_are_rejected_with_their_place_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = day(0, &["EURUSD"], 50_000);
    rows[7].3 = Some(f64::NAN);
    rows[8].3 = None;
    rows[20_000].2 = "EUR/USD";
    rows[40_000].0 = -1;
    write(&folder.path().join("a.parquet"), &rows, 15_000);
    let context = context(folder.path());
    let config = json!({"path": "a.parquet"});
    let drained = drain(&Archive, &config, None, &context).unwrap();
    assert_eq!(drained.ticks.len(), 49_996);
    let found: Vec<_> = drained
        .rejects
        .iter()
        .map(|reject| (reject.reason.as_str(), reject.place.as_deref().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            ("bad_price", "a.parquet:0:7"),
            ("no_price", "a.parquet:0:8"),
            ("bad_name", "a.parquet:1:5000"),
            ("bad_time", "a.parquet:2:10000"),
        ]
    );
    resumes_everywhere(&Archive, &config, &context);
}

#[test]
fn a_merge_of_many_files_goes_on_from_every_position() {
    let folder = tempfile::tempdir().unwrap();
    for (number, instrument) in ["EURUSD", "GBPUSD", "USDJPY", "XAUUSD"].iter().enumerate() {
        let mut rows = day(0, &[instrument], 20_000);
        rows.iter_mut().for_each(|row| row.0 += number as i64 * 300_000);
        rows[300].3 = None;
        let path = format!("source=mt4/instrument={instrument}/{number}.parquet");
        write(&folder.path().join(path), &rows, 4_000);
    }
    let context = context(folder.path());
    let config = json!({"path": "."});
    let drained = drain(&Archive, &config, None, &context).unwrap();
    assert_eq!((drained.ticks.len(), drained.rejects.len()), (79_996, 4));
    assert!(drained.ticks.is_sorted_by_key(|tick| tick.time));
    resumes_everywhere(&Archive, &config, &context);
}

#[test]
fn our_own_archive_comes_back_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let decimal = |units: Vec<Option<i128>>, scale| -> ArrayRef {
        Arc::new(Decimal128Array::from(units).with_precision_and_scale(18, scale).unwrap())
    };
    let times = TimestampMicrosecondArray::from(vec![MONDAY, MONDAY + 1]).with_timezone("UTC");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("source", Arc::new(StringArray::from(vec!["mt4", "ib"]))),
        ("instrument", Arc::new(StringArray::from(vec!["EURUSD", "EURUSD"]))),
        ("time", Arc::new(times)),
        ("nanos", Arc::new(Int16Array::from(vec![999, 1]))),
        ("sequence", Arc::new(Int64Array::from(vec![Some(7), None]))),
        ("bid", decimal(vec![Some(1_173_400_001), None], 9)),
        ("last", decimal(vec![None, Some(999_999_999_999_999_999)], 9)),
        ("volume", decimal(vec![None, Some(150_000_000)], 8)),
    ];
    write_columns(&folder.path().join("a.parquet"), columns, 10);
    let context = context(folder.path());
    let drained = drain(&Archive, &json!({"path": "a.parquet"}), None, &context).unwrap();
    let [first, second] = drained.ticks[..] else { panic!("{drained:?}") };
    assert_eq!(first.time.ns(), MONDAY * 1_000 + 999);
    assert_eq!((first.sequence, first.flags), (7, Tick::HAS_SEQUENCE));
    assert_eq!((first.bid.units(), first.last.units()), (1_173_400_001, 0));
    assert_eq!(second.time.ns(), MONDAY * 1_000 + 1_001);
    assert_eq!((second.sequence, second.flags), (1, Tick::HAS_VOLUME));
    assert_eq!((second.last, second.volume.to_string()), (Price::MAX, "1.5".to_owned()));
}

#[test]
fn a_sequence_that_only_counts_rows_is_no_identity_when_it_comes_back() {
    for identified in [[true, true], [false, false], [true, false]] {
        let folder = tempfile::tempdir().unwrap();
        let times = TimestampMicrosecondArray::from(vec![MONDAY, MONDAY + 1]).with_timezone("UTC");
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("time", Arc::new(times)),
            ("sequence", Arc::new(Int64Array::from(vec![7, 8]))),
            ("identified", Arc::new(BooleanArray::from(identified.to_vec()))),
            ("bid", Arc::new(Float64Array::from(vec![1.5, 1.6]))),
        ];
        write_columns(&folder.path().join("a.parquet"), columns, 10);
        let config = json!({"path": "a.parquet", "source": "ib", "instrument": "EURUSD"});
        let drained = drain(&Archive, &config, None, &context(folder.path())).unwrap();
        let found: Vec<_> =
            drained.ticks.iter().map(|t| (t.sequence, t.has(Tick::HAS_SEQUENCE))).collect();
        assert_eq!(found, [(7, identified[0]), (8, identified[1])]);
    }
}

#[test]
fn only_the_fields_that_are_asked_for_are_read() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a.parquet"), &day(0, &["EURUSD"], 10), 10);
    let config = json!({"path": "a.parquet", "fields": ["bid"]});
    let drained = drain(&Archive, &config, None, &context(folder.path())).unwrap();
    let tick = drained.ticks[0];
    assert_eq!((tick.bid.to_string(), tick.ask, tick.flags), ("1".to_owned(), Price::ZERO, 0));
    let config = json!({"path": "a.parquet", "fields": ["last"]});
    assert!(drain(&Archive, &config, None, &context(folder.path())).is_err());
}

#[test]
fn naive_times_are_read_in_the_zone_that_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let schema = Schema::new(vec![
        Field::new("date", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        Field::new("price", DataType::Float64, true),
    ]);
    let batch = RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(TimestampMicrosecondArray::from(vec![MONDAY])),
            Arc::new(Float64Array::from(vec![2.5])),
        ],
    )
    .unwrap();
    let file = File::create(folder.path().join("a.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let config = json!({
        "path": "a.parquet", "source": "ib", "instrument": "AAPL", "time_zone": "America/New_York",
    });
    let drained = drain(&Archive, &config, None, &context(folder.path())).unwrap();
    assert_eq!(drained.ticks[0].time.to_string(), "2025-01-06T05:00:00Z");
    assert_eq!(drained.ticks[0].last.to_string(), "2.5");
}

#[test]
fn a_file_that_was_cut_off_is_named_wherever_it_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &day(0, &["EURUSD", "XAUUSD"], 5_000), 1_000);
    let bytes = std::fs::read(&path).unwrap();
    for length in [0, 1, 4, 11, bytes.len() / 2, bytes.len() - 9, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let read = drain(&Archive, &json!({"path": "."}), None, &context(folder.path()));
        let Err(Fault::Stop { place, message }) = read else { panic!("{length}: {read:?}") };
        assert!(place.ends_with("a.parquet"), "{place}");
        assert!(message.contains(&format!("{length} bytes")), "{message}");
    }
}

#[test]
fn damage_within_a_file_never_panics_and_never_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &day(0, &["EURUSD", "XAUUSD"], 5_000), 1_000);
    let bytes = std::fs::read(&path).unwrap();
    let mut failed = 0;
    for at in (4..bytes.len()).step_by(bytes.len() / 150) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xff;
        std::fs::write(&path, &damaged).unwrap();
        match drain(&Archive, &json!({"path": "."}), None, &context(folder.path())) {
            Err(fault) => {
                failed += 1;
                assert!(fault.to_string().contains("a.parquet"), "{fault}");
            }
            Ok(drained) => assert_eq!(drained.ticks.len() + drained.rejects.len(), 5_000),
        }
    }
    assert!(failed > 0);
}

#[test]
fn what_is_missing_is_said_plainly() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a.parquet"), &day(0, &["EURUSD"], 10), 10);
    let fails = |config: serde_json::Value| {
        drain(&Archive, &config, None, &context(folder.path())).unwrap_err().to_string()
    };
    assert!(fails(json!({"path": "nowhere"})).contains("no such file"));
    assert!(fails(json!({"path": "*.pq"})).contains("no file matches"));
    let unknown = fails(json!({"path": ".", "columns": {"bid": "bidd"}}));
    assert!(unknown.contains("did you mean `bid`"), "{unknown}");
}

#[test]
fn real_ticks_come_back_point_by_point() {
    for (name, source, rows) in [("fxcm", "fxcm", 1_144_807), ("oanda", "oanda", 532_903)] {
        let Some(path) = data(&format!("ticks/{name}-EURUSD-2014-05.parquet")) else { return };
        let config = |columns: serde_json::Value| {
            json!({
                "path": path.to_str(), "source": source, "instrument": "EURUSD",
                "columns": columns,
            })
        };
        let context = context(Path::new("."));
        let floats = drain(&Archive, &config(json!({})), None, &context).unwrap();
        assert_eq!((floats.ticks.len(), floats.rejects.len()), (rows, 0));
        let points = config(json!({"bid": "bid_pt", "ask": "ask_pt"}));
        let points = drain(&Archive, &points, None, &context).unwrap();
        let scale = points.ticks[0].bid.units() / floats.ticks[0].bid.units();
        for (float, point) in floats.ticks.iter().zip(&points.ticks) {
            assert_eq!(float.time, point.time);
            assert_eq!(float.bid.units() * scale, point.bid.units());
            assert_eq!(float.ask.units() * scale, point.ask.units());
            assert!(float.has(Tick::HAS_SEQUENCE));
        }
        assert!(floats.ticks.is_sorted_by_key(|tick| tick.time));
        assert!(floats.ticks[0].time.to_string().starts_with("2014-05-01"));
    }
}

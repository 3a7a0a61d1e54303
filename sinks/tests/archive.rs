//! The sink `archive`: what is in its files, and when.

use dataflows::batch::Rows;
use dataflows::component::sink::Ending;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use proto::candle::{Candle, Reason};
use proto::columns::{candles_of_batch, ticks_of_batch};
use proto::event_time::EventTime;
use proto::tick::Tick;
use serde_json::json;

use super::support::{Run, World, files};

fn batches(world: &World, path: &str) -> Vec<arrow::array::RecordBatch> {
    let file = std::fs::File::open(world.path().join(path)).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    reader.map(Result::unwrap).collect()
}

fn candles(world: &World, path: &str) -> Vec<Candle> {
    let batches = batches(world, path);
    batches.iter().flat_map(|batch| candles_of_batch(batch, &world.series).unwrap()).collect()
}

fn ticks(world: &World, path: &str) -> Vec<Tick> {
    let batches = batches(world, path);
    batches.iter().flat_map(|batch| ticks_of_batch(batch, &world.series).unwrap()).collect()
}

fn names(world: &World) -> Vec<String> {
    files(world.path()).keys().map(|path| path.display().to_string()).collect()
}

#[test]
fn a_tick_comes_back_as_it_was() {
    let world = World::new();
    let written = vec![
        world.tick("EURUSD", "2014-05-01T10:00:00.123456789Z", None),
        Tick {
            volume: "0.5".parse().unwrap(),
            flags: Tick::HAS_VOLUME | Tick::HAS_SEQUENCE,
            ..world.tick("EURUSD", "2014-05-01T10:00:01Z", Some(5))
        },
    ];
    let run = Run::of("archive", json!({ "path": "ticks" }), Rows::Ticks(written.clone()));
    assert_eq!(world.run(run).unwrap().rows, 2);
    let path = "ticks/day=2014-05-01/source=mt4/instrument=EURUSD/ticks.parquet";
    assert_eq!(names(&world), [path]);
    assert_eq!(ticks(&world, path), written);
}

#[test]
fn equal_ticks_without_a_sequence_both_stay_and_a_second_run_adds_none() {
    let world = World::new();
    let tick = world.tick("EURUSD", "2014-05-01T10:00:00Z", None);
    let known = world.tick("EURUSD", "2014-05-01T10:00:00Z", Some(9));
    let rows = vec![tick, Tick { sequence: 1, ..tick }, known, known];
    let run = |rows: Vec<Tick>| {
        world.run(Run::of("archive", json!({ "path": "t" }), Rows::Ticks(rows))).unwrap();
        files(world.path())
    };
    let first = run(rows.clone());
    assert_eq!(run(rows), first);
    let path = "t/day=2014-05-01/source=mt4/instrument=EURUSD/ticks.parquet";
    assert_eq!(ticks(&world, path).len(), 3);
    run(vec![world.tick("EURUSD", "2014-05-01T10:00:00Z", Some(10))]);
    assert_eq!(ticks(&world, path).len(), 4);
}

/// The days of 1m and 1h candles of three series.
fn days(world: &World) -> Vec<Candle> {
    let mut rows = Vec::new();
    for instrument in ["EURUSD", "S&P 500", "GBPUSD"] {
        for day in 1..4 {
            for hour in 0..5 {
                for frame in ["1m", "1h"] {
                    let start = format!("2014-05-0{day}T0{hour}:00:00");
                    rows.push(world.candle(instrument, frame, &start, "1.5"));
                }
            }
        }
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn bytes_do_not_depend_on_order_batches_workers_memory_or_repetition(
        seed in prop::collection::vec(any::<u32>(), 90),
        batch in 1_usize..40,
        workers in 1_usize..4,
        is_tight in any::<bool>(),
        clock_of_epoch in prop::collection::vec(1_i64..6, 90),
    ) {
        let plain = World::new();
        let config = json!({ "path": "candles" });
        plain.run(Run::of("archive", config, Rows::Candles(days(&plain)))).unwrap();

        let other = World::new();
        other.series.intern("zz", "other numbers").unwrap();
        other.series.intern("mt4", "S&P 500").unwrap();
        let mut rows: Vec<(u32, Candle)> = seed.into_iter().zip(days(&other)).collect();
        rows.sort_by_key(|(seed, _)| *seed);
        let rows: Vec<Candle> = rows.into_iter().map(|(_, candle)| candle).collect();
        let mut clock = EventTime::MIN;
        let epochs = rows.chunks(batch).zip(clock_of_epoch).map(|(rows, day)| {
            let now: EventTime = format!("2014-05-0{day}T12:00:00").parse().unwrap();
            clock = clock.max(now);
            let runs = rows.chunks(rows.len().div_ceil(workers));
            (clock, runs.map(|run| Rows::Candles(run.to_vec())).collect())
        }).collect();
        let memory = usize::from(!is_tight);
        let mut run = Run::of(
            "archive", json!({ "path": "candles", "memory_mb": memory }), Rows::Candles(Vec::new()),
        );
        run.epochs = epochs;
        other.run(run).unwrap();
        prop_assert_eq!(files(plain.path()), files(other.path()));

        let again = Run::of("archive", json!({ "path": "candles" }), Rows::Candles(rows));
        other.run(again).unwrap();
        prop_assert_eq!(files(plain.path()), files(other.path()));
    }
}

#[test]
fn a_file_is_sorted_by_name_and_time() {
    let world = World::new();
    let config = json!({ "path": "candles" });
    world.run(Run::of("archive", config, Rows::Candles(days(&world)))).unwrap();
    let rows = candles(&world, "candles/timeframe=1m/day=2014-05-02/candles.parquet");
    let found: Vec<(String, EventTime)> = rows
        .iter()
        .map(|row| (world.series.get(row.series).unwrap().instrument.to_string(), row.start))
        .collect();
    let mut sorted = found.clone();
    sorted.sort();
    assert_eq!(found, sorted);
    assert_eq!(found.len(), 15);
}

#[test]
fn a_partition_is_there_as_soon_as_it_is_whole_and_a_late_row_is_merged() {
    let world = World::new();
    let candle = |start: &str, close| world.candle("EURUSD", "1m", start, close);
    let first = vec![candle("2014-05-01T10:00:00", "1"), candle("2014-05-01T10:01:00", "1")];
    let late = Candle { revision: 1, reason: Reason::Late, ..candle("2014-05-01T10:00:00", "2") };
    let clock = |time: &str| time.parse().unwrap();
    let mut run = Run::of("archive", json!({ "path": "c" }), Rows::Candles(Vec::new()))
        .ending(Ending::Interrupted);
    run.epochs = vec![
        (clock("2014-05-01T10:02:00"), vec![Rows::Candles(first)]),
        (clock("2014-05-02T01:01:00"), vec![]),
        (clock("2014-05-02T05:00:00"), vec![Rows::Candles(vec![late])]),
        (clock("2014-05-02T06:00:00"), vec![]),
        (clock("2014-05-02T06:00:00"), vec![Rows::Candles(vec![candle("2014-05-02", "3")])]),
    ];
    world.run(run).unwrap();
    let path = "c/timeframe=1m/day=2014-05-01/candles.parquet";
    assert_eq!(names(&world), [path], "the second of May is not whole");
    let rows = candles(&world, path);
    let found: Vec<(String, u32)> =
        rows.iter().map(|row| (row.price.close.to_string(), row.revision)).collect();
    assert_eq!(found, [("2".to_owned(), 1), ("1".to_owned(), 0)]);
}

#[test]
fn what_is_not_whole_can_be_asked_for() {
    let world = World::new();
    let rows = Rows::Ticks(vec![world.tick("EURUSD", "2014-05-01", Some(1))]);
    for (wanted, count) in [(false, 0), (true, 1)] {
        let config = json!({ "path": "t", "publish_partial": wanted });
        let run = Run::of("archive", config, rows.clone()).ending(Ending::Interrupted);
        world.run(run).unwrap();
        assert_eq!(names(&world).len(), count);
    }
}

#[test]
fn a_replacement_takes_the_place_of_its_range_and_nothing_else() {
    let world = World::new();
    let candle = |instrument, minute: &str, close| {
        world.candle(instrument, "1m", &format!("2014-05-01T10:{minute}:00"), close)
    };
    let before = vec![
        candle("EURUSD", "00", "1"),
        candle("EURUSD", "01", "1"),
        candle("EURUSD", "02", "1"),
        candle("EURUSD", "03", "1"),
        candle("GBPUSD", "01", "1"),
    ];
    let config = || json!({ "path": "c" });
    world.run(Run::of("archive", config(), Rows::Candles(before))).unwrap();
    let there = files(world.path());
    let replace = || {
        let rows = vec![
            candle("EURUSD", "00", "9"),
            candle("EURUSD", "01", "1"),
            candle("EURUSD", "02", "2"),
            candle("EURUSD", "04", "2"),
            candle("GBPUSD", "01", "9"),
        ];
        let (from, to) = ("2014-05-01T10:01:00", "2014-05-01T11:00:00");
        Run::of("archive", config(), Rows::Candles(rows)).replacing(from, to, &["EURUSD"])
    };
    for ending in [Ending::Interrupted, Ending::Failed] {
        world.run(replace().ending(ending)).unwrap();
        assert_eq!(files(world.path()), there);
    }
    for _ in 0..2 {
        world.run(replace()).unwrap();
        let rows = candles(&world, "c/timeframe=1m/day=2014-05-01/candles.parquet");
        let found: Vec<String> = rows
            .iter()
            .map(|row| {
                let series = world.series.get(row.series).unwrap();
                let (close, reason) = (row.price.close, row.reason.name());
                let minute = row.start.ns() / 60_000_000_000 % 60;
                format!("{} {minute} {close} {} {reason}", series.instrument, row.revision)
            })
            .collect();
        let expected = [
            "EURUSD 0 1 0 closed",
            "EURUSD 1 1 0 closed",
            "EURUSD 2 2 1 backfill",
            "EURUSD 4 2 0 closed",
            "GBPUSD 1 1 0 closed",
        ];
        assert_eq!(found, expected);
    }
    let empty = Run::of("archive", config(), Rows::Candles(Vec::new()));
    world.run(empty.replacing("2014-05-01", "2014-05-02", &[])).unwrap();
    assert!(names(&world).is_empty(), "a partition without rows has no file");
}

#[test]
fn a_second_writer_and_a_foreign_folder_are_refused() {
    let world = World::new();
    let rows = || Rows::Ticks(vec![world.tick("EURUSD", "2014-05-01", Some(1))]);
    let definition = sinks::SINKS.iter().find(|sink| sink.name() == "archive").unwrap();
    let context = dataflows::component::sink::SinkContext {
        stop: dataflows::component::sink::Stop::default(),
        job: "job".to_owned(),
        id: "rows".to_owned(),
        root: world.path().to_owned(),
        series: world.series.clone(),
        kind: dataflows::kind::Kind::Ticks,
        replace: None,
        durable: None,
        health: std::sync::Arc::default(),
    };
    let sink = definition.open(&json!({ "path": "t" }), context).unwrap();
    let error = world.run(Run::of("archive", json!({ "path": "t" }), rows())).unwrap_err();
    assert!(error.to_string().contains("another run writes this dataset"), "{error}");
    drop(sink);
    world.run(Run::of("archive", json!({ "path": "t" }), rows())).unwrap();
    let config = json!({ "path": "t", "partition": ["source", "day"] });
    let error = world.run(Run::of("archive", config, rows())).unwrap_err();
    assert!(error.to_string().contains("name another folder"), "{error}");
    std::fs::write(world.path().join("file"), "").unwrap();
    let error = world.run(Run::of("archive", json!({ "path": "file/t" }), rows())).unwrap_err();
    assert!(error.to_string().contains("the folder cannot be made"), "{error}");
}

#[test]
fn a_damaged_file_is_named_and_left_alone() {
    let world = World::new();
    let rows = || Rows::Ticks(vec![world.tick("EURUSD", "2014-05-01", Some(1))]);
    let run = || world.run(Run::of("archive", json!({ "path": "t" }), rows()));
    run().unwrap();
    let path = world.path().join(names(&world).pop().unwrap());
    std::fs::write(&path, "PAR1 not really").unwrap();
    let error = run().unwrap_err().to_string();
    assert!(error.contains("ticks.parquet"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "PAR1 not really");
    assert_eq!(names(&world).len(), 1, "no leftovers");
}

//! The sink `table` of a run that is killed anywhere: every row once.

use dataflows::batch::Rows;
use dataflows::component::sink::{Durable, Ending};
use dataflows::kind::Kind;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use proto::candle::{Candle, Reason};
use proto::event_time::EventTime;
use proto::feed_status::{Activity, FeedStatus};
use proto::reject::Reject;
use serde_json::json;
use sqlx::{Connection, Executor};

use super::durable::{Epochs, Event, Job, history};
use super::support::World;
use super::table::Database;

/// Numbers that rows of an epoch are made of.
pub(crate) type Seeds = Vec<Vec<(u8, u8)>>;

pub(crate) fn seeds() -> impl Strategy<Value = Seeds> {
    prop::collection::vec(prop::collection::vec((0_u8..4, 0_u8..4), 0..5), 1..14)
}

/// Candles that are revised, ticks with and without a sequence, rejects that say the same.
pub(crate) fn epochs(world: &World, kind: Kind, seeds: &Seeds) -> Epochs {
    let mut revisions = [[0_u32; 4]; 4];
    let mut epochs = Vec::new();
    for (number, seeds) in seeds.iter().enumerate() {
        // Two epochs share a reading of the clock, so that equal rejects are in both.
        let clock = EventTime::from_ns(number as i64 / 2 * 1_000_000_000);
        let mut rows = Rows::empty(kind);
        for (index, (one, two)) in seeds.iter().copied().enumerate() {
            let instrument = ["EURUSD", "GBPUSD", "USDJPY", "S&P 500"][usize::from(one)];
            match &mut rows {
                Rows::Candles(rows) => {
                    let revision = &mut revisions[usize::from(one)][usize::from(two)];
                    let start = format!("2014-05-01T10:0{two}:00");
                    rows.push(Candle {
                        revision: *revision,
                        reason: Reason::Late,
                        ..world.candle(instrument, "1m", &start, &format!("1.{number}{index}"))
                    });
                    *revision += 1;
                }
                Rows::Ticks(rows) => {
                    let sequence = (two > 1).then_some(number as u64 * 10 + index as u64);
                    rows.push(world.tick(instrument, "2014-05-01T10:00:00.5", sequence));
                }
                Rows::Rejects(rows) => rows.push(Reject {
                    component: "clean".to_owned(),
                    reason: "crossed".to_owned(),
                    detail: format!("{}", one % 2),
                    place: None,
                    clock,
                    tick: None,
                    payload: Vec::new(),
                }),
                Rows::Statuses(rows) => {
                    let clock = EventTime::from_ns((number * 100 + index) as i64 * 1_000_000_000);
                    let series = world.tick(instrument, "2014-05-01T10:00:00.5", None).series;
                    let status = Activity::ALL[usize::from(two)];
                    rows.push(FeedStatus { series, clock, status, last: clock, feed_last: clock });
                }
                Rows::Payloads(_) => panic!("a table takes no payloads"),
            }
        }
        epochs.push((clock, vec![rows]));
    }
    epochs
}

/// All that a table says, sorted.
fn dump(database: &Database, table: &str, kind: Kind) -> Vec<String> {
    let columns = match kind {
        Kind::Candles => {
            "instrument || ' ' || CAST(start AS VARCHAR(40)) || ' ' || \
                          CAST(close AS VARCHAR(40)) || ' ' || CAST(revision AS VARCHAR(9))"
        }
        Kind::Ticks => "instrument || ' ' || coalesce(CAST(sequence AS VARCHAR(20)), '-')",
        Kind::Rejects => "id || ' ' || detail",
        Kind::Statuses => "instrument || ' ' || CAST(clock AS VARCHAR(40)) || ' ' || status",
        Kind::Payloads => panic!("a table takes no payloads"),
    };
    let mut rows = database.ask(&format!("SELECT {columns} FROM {table}"));
    rows.sort();
    rows
}

fn config(database: &Database, table: &str, batch: usize) -> serde_json::Value {
    let (_, name) = database.table.rsplit_once('.').unwrap_or(("", &database.table));
    let table = database.table.replace(name, table);
    json!({ "url": database.url, "table": table, "batch": batch, "flush_every": "1h" })
}

fn name(config: &serde_json::Value) -> &str {
    config["table"].as_str().unwrap()
}

fn progress(database: &Database) -> Vec<String> {
    let table = database.table.replace("candles", "_tapeflow_progress");
    let text = |column| format!("CAST(\"{column}\" AS VARCHAR(20))");
    let columns = ["epoch", "generation", "partition"].map(text).join(" || ' ' || ");
    database.ask(&format!("SELECT {columns} FROM {table}"))
}

#[test]
fn whatever_is_killed_the_table_is_that_of_a_run_that_was_not() {
    for database in Database::all("durable") {
        let cases = if database.is_postgres { 12 } else { 20 };
        let config_ = Config { cases, failure_persistence: None, ..Config::default() };
        let kinds = prop::sample::select(Kind::KEYED);
        let generation = std::cell::Cell::new(1);
        let mut runner = TestRunner::new(config_);
        let outcome = runner.run(
            &(kinds, seeds(), history(), prop_oneof![Just(1_usize), Just(4), Just(1000)]),
            |(kind, seeds, history, batch)| {
                let world = &database.world;
                let run = |table: &str, history: &[Event], generation: u64| {
                    let config = config(&database, table, batch);
                    let table = name(&config).to_owned();
                    database.execute(&format!("DROP TABLE IF EXISTS {table}"));
                    let tables = database.table.replace("candles", "_tapeflow_tables");
                    if generation > 1 {
                        database.execute(&format!("DELETE FROM {tables}"));
                    }
                    let epochs = epochs(world, kind, &seeds);
                    let job = Job { world, sink: "table", config, kind, epochs };
                    job.run(history, generation).unwrap();
                    dump(&database, &table, kind)
                };
                let expected = run("whole", &[], generation.get());
                let found = run("killed", &history, generation.get() + 50);
                generation.set(generation.get() + 100);
                prop_assert_eq!(found, expected);
                Ok(())
            },
        );
        if let Err(error) = outcome {
            panic!("postgres: {}: {error}", database.is_postgres);
        }
    }
}

fn ticks(world: &World, epochs: usize) -> Epochs {
    let tick = || Rows::Ticks(vec![world.tick("EURUSD", "2014-05-01", None)]);
    (0..epochs).map(|_| (EventTime::default(), vec![tick()])).collect()
}

fn count(database: &Database, table: &str) -> String {
    database.ask(&format!("SELECT CAST(count(*) AS VARCHAR(9)) FROM {table}")).remove(0)
}

#[test]
fn a_start_that_was_replaced_writes_nothing_and_is_told_why() {
    for database in Database::all("fenced") {
        let (world, config) = (&database.world, config(&database, "ticks", 1));
        let table = name(&config).to_owned();
        let epochs = ticks(world, 4);
        let job = Job { world, sink: "table", config, kind: Kind::Ticks, epochs };
        let mut old = job.open(Durable { generation: 1, restored: None }).unwrap();
        old.apply(job.sealed(1)).unwrap();
        let restored = Some((1, old.checkpoint().unwrap()));
        let new = Durable { generation: 2, restored: restored.clone() };
        let mut new = job.open(new).unwrap();
        assert_eq!(new.applied().unwrap(), Some(1));

        let error = old.apply(job.sealed(2)).unwrap_err().to_string();
        assert!(error.contains("a newer start of this job (generation 2) writes"), "{error}");
        assert!(error.contains("this one (generation 1) ends"), "{error}");
        assert!(error.contains(&table), "{error}");
        assert_eq!(count(&database, &table), "1");
        assert_eq!(progress(&database), ["1 2 0"]);

        new.apply(job.sealed(2)).unwrap();
        assert_eq!(count(&database, &table), "2");
        for restored in [restored, None] {
            let error = job.open(Durable { generation: 1, restored }).err().unwrap().to_string();
            assert!(error.contains("(generation 2)"), "{error}");
        }
        assert_eq!(progress(&database), ["2 2 0"]);
        new.apply(job.sealed(3)).unwrap();
        new.finish(Ending::Failed).unwrap();
        old.finish(Ending::Failed).unwrap();
        assert_eq!(count(&database, &table), "3");
    }
}

#[test]
fn a_connection_that_the_server_ends_is_made_anew_and_every_row_is_there_once() {
    for database in Database::all("again").into_iter().filter(|database| database.is_postgres) {
        let config = config(&database, "ended", 1);
        let (kind, epochs) = (Kind::Ticks, ticks(&database.world, 3));
        let table = name(&config).to_owned();
        let job = Job { world: &database.world, sink: "table", config, kind, epochs };
        let mut sink = job.open(Durable { generation: 1, restored: None }).unwrap();
        sink.apply(job.sealed(1)).unwrap();
        let holds = "BEGIN; SELECT 1 FROM tapeflow_again._tapeflow_progress FOR UPDATE";
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut holder = runtime.block_on(sqlx::PgConnection::connect(&database.url)).unwrap();
        runtime.block_on(holder.execute(holds)).unwrap();
        std::thread::scope(|scope| {
            let applying = scope.spawn(|| sink.apply(job.sealed(2)));
            // In the middle of its transaction: it waits for the row that is held.
            let ends = "SELECT CAST(pg_terminate_backend(pid) AS text) FROM pg_stat_activity WHERE \
                        wait_event_type = 'Lock' AND query LIKE '%again%_tapeflow_progress%'";
            while database.ask(ends).is_empty() {
                assert!(!applying.is_finished());
            }
            runtime.block_on(holder.execute("ROLLBACK")).unwrap();
            applying.join().unwrap().unwrap();
        });
        sink.apply(job.sealed(3)).unwrap();
        sink.finish(Ending::Complete).unwrap();
        assert_eq!(count(&database, &table), "3");
        assert_eq!(progress(&database), ["3 1 0"]);
    }
}

#[test]
fn a_start_from_nothing_counts_epochs_anew() {
    for database in Database::all("fresh") {
        let (world, config) = (&database.world, config(&database, "ticks", 1));
        let table = name(&config).to_owned();
        let job = Job { world, sink: "table", config, kind: Kind::Ticks, epochs: ticks(world, 3) };
        job.run(&[], 1).unwrap();
        assert_eq!(progress(&database), ["3 1 0"]);
        let mut sink = job.open(Durable { generation: 2, restored: None }).unwrap();
        assert_eq!(progress(&database), ["0 2 0"]);
        sink.apply(job.sealed(1)).unwrap();
        assert_eq!(count(&database, &table), "4");
        assert_eq!(progress(&database), ["1 2 0"]);
    }
}

#[test]
fn a_run_that_remembers_nothing_leaves_the_progress_of_one_that_does() {
    for database in Database::all("beside") {
        let (world, config) = (&database.world, config(&database, "ticks", 1));
        let epochs = ticks(world, 3);
        let job = Job { world, sink: "table", config: config.clone(), kind: Kind::Ticks, epochs };
        job.run(&[], 1).unwrap();
        let other = super::support::Run::of("table", config, ticks(world, 1).remove(0).1.remove(0));
        world.run(other).unwrap();
        assert_eq!(progress(&database), ["3 1 0"]);
    }
}

#[test]
fn a_resumed_run_that_the_table_knows_nothing_of_is_told_so() {
    for database in Database::all("unknown") {
        let (world, config) = (&database.world, config(&database, "ticks", 1));
        let job = Job { world, sink: "table", config, kind: Kind::Ticks, epochs: ticks(world, 3) };
        let mut sink = job.open(Durable { generation: 1, restored: None }).unwrap();
        sink.apply(job.sealed(1)).unwrap();
        let restored = Some((1, sink.checkpoint().unwrap()));
        drop(sink);
        let table = database.table.replace("candles", "_tapeflow_progress");
        database.execute(&format!("DROP TABLE {table}"));
        let mut sink = job.open(Durable { generation: 2, restored }).unwrap();
        assert_eq!(sink.applied().unwrap(), Some(0), "below the checkpoint: the engine refuses");
        drop(sink);
        let restored = Some((1, vec![9, 9]));
        let error = job.open(Durable { generation: 3, restored }).err().unwrap().to_string();
        assert!(error.contains("--fresh"), "{error}");
    }
}

#[test]
fn a_table_of_progress_without_partitions_is_made_anew() {
    for database in Database::all("old_progress") {
        let (world, config) = (&database.world, config(&database, "ticks", 1));
        let table = database.table.replace("candles", "_tapeflow_progress");
        database.execute(&format!(
            "CREATE TABLE {table} (job text, sink text, epoch bigint, generation bigint)"
        ));
        let job = Job { world, sink: "table", config, kind: Kind::Ticks, epochs: ticks(world, 2) };
        job.run(&[], 1).unwrap();
        assert_eq!(progress(&database), ["2 1 0"]);
    }
}

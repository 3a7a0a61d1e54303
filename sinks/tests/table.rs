//! The sink `table`, on SQLite and on PostgreSQL.

use dataflows::batch::Rows;
use dataflows::component::sink::{Ending, SinkContext};
use dataflows::kind::Kind;
use proto::candle::{Candle, Reason};
use proto::reject::Reject;
use proto::tick::Tick;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use super::support::{Run, World, skipped};

/// A database of a test's own.
pub(crate) struct Database {
    pub(crate) world: World,
    pub(crate) url: String,
    pub(crate) table: String,
    pub(crate) is_postgres: bool,
}

fn postgres_url() -> String {
    std::env::var("TAPEFLOW_TEST_PG")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/test".to_owned())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

impl Database {
    /// SQLite, and PostgreSQL where it runs, with a schema of this name.
    pub(crate) fn all(name: &str) -> Vec<Self> {
        let world = World::new();
        let url = format!("sqlite:{}/data/rows.db", world.path().display());
        let mut all = vec![Self { world, url, table: "candles".to_owned(), is_postgres: false }];
        let schema = format!("tapeflow_{name}");
        let url = postgres_url();
        let made: Result<(), sqlx::Error> = block_on(async {
            let mut connection = sqlx::PgConnection::connect(&url).await?;
            let sql = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
            connection.execute(AssertSqlSafe(sql)).await.map(|_| ())
        });
        match made {
            Ok(()) => {
                let table = format!("{schema}.candles");
                all.push(Self { world: World::new(), url, table, is_postgres: true });
            }
            Err(error) => skipped(&format!("no PostgreSQL at {url}: {error}")),
        }
        all
    }

    pub(crate) fn config(&self) -> serde_json::Value {
        json!({ "url": self.url, "table": self.table })
    }

    fn write(&self, rows: Rows) -> Run<'static> {
        Run::of("table", self.config(), rows)
    }

    pub(crate) fn execute(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        block_on(async {
            if self.is_postgres {
                let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
                connection.execute(sql).await.unwrap();
            } else {
                let options = self.url.parse::<sqlx::sqlite::SqliteConnectOptions>().unwrap();
                let file = options.get_filename().to_owned();
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                let options = options.create_if_missing(true);
                let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
                connection.execute(sql).await.unwrap();
            }
        });
    }

    /// Rows of one text each.
    pub(crate) fn ask(&self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(sql.replace("TABLE", &self.table));
        block_on(async {
            if self.is_postgres {
                let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
                connection.execute("SET TIME ZONE 'UTC'").await.unwrap();
                let rows = connection.fetch_all(sql).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            } else {
                let mut connection = sqlx::SqliteConnection::connect(&self.url).await.unwrap();
                let rows = connection.fetch_all(sql).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
        })
    }

    /// Instrument, minute, close, revision and reason of all candles.
    fn candles(&self) -> Vec<String> {
        let time =
            if self.is_postgres { "to_char(start, 'DD HH24:MI')" } else { "substr(start, 9, 8)" };
        let close =
            if self.is_postgres { "trim_scale(close)::text" } else { "CAST(close AS TEXT)" };
        let rows = self.ask(&format!(
            "SELECT instrument || ' ' || {time} || ' ' || {close} || ' ' || \
             CAST(revision AS TEXT) || ' ' || reason FROM TABLE ORDER BY instrument, timeframe, start"
        ));
        rows.into_iter().map(|row| row.replace('T', " ")).collect()
    }
}

#[test]
fn the_greatest_revision_of_a_candle_wins_in_any_order() {
    for database in Database::all("revision") {
        let world = &database.world;
        let revision = |revision, close| Candle {
            revision,
            reason: if revision > 0 { Reason::Late } else { Reason::Closed },
            ..world.candle("EURUSD", "1m", "2014-05-01T10:00:00", close)
        };
        let rows = vec![revision(2, "1.3"), revision(0, "1.1"), revision(1, "1.2")];
        world.run(database.write(Rows::Candles(rows))).unwrap();
        world.run(database.write(Rows::Candles(vec![revision(1, "1.2")]))).unwrap();
        assert_eq!(database.candles(), ["EURUSD 01 10:00 1.3 2 late"]);
        world.run(database.write(Rows::Candles(vec![revision(2, "1.4")]))).unwrap();
        assert_eq!(database.candles(), ["EURUSD 01 10:00 1.4 2 late"]);
    }
}

#[test]
fn values_are_exact_and_absent_ones_are_null() {
    for database in Database::all("exact") {
        let world = &database.world;
        let plain = world.candle("EURUSD", "4h", "2014-05-01T20:00:00", "123456.789012345");
        let full = Candle {
            flags: Candle::HAS_ASK | Candle::HAS_VOLUME | Candle::GAP | Candle::PARTIAL_END,
            volume: "0.00000001".parse().unwrap(),
            ask: plain.price,
            first_sequence: u64::MAX >> 1,
            ..world.candle("GBPUSD", "4h", "2014-05-01T20:00:00", "1.5")
        };
        world.run(database.write(Rows::Candles(vec![plain, full]))).unwrap();
        let (text, real) =
            if database.is_postgres { ("text", "numeric(18,8)") } else { ("TEXT", "REAL") };
        let rows = database.ask(&format!(
            "SELECT CAST(start AS {text}) || '|' || CAST(\"end\" AS {text}) || '|' || \
             CAST(trading_date AS {text}) || '|' || CAST(close AS {text}) || '|' || \
             CAST(first_time AS {text}) || '|' || CAST(first_sequence AS {text}) || '|' || \
             coalesce(CAST(ask_low AS {text}), '-') || '|' || \
             CAST(CAST(coalesce(volume, -1) AS {real}) AS {text}) || '|' || \
             coalesce(flags, '-') FROM TABLE ORDER BY instrument"
        ));
        if database.is_postgres {
            assert_eq!(
                rows,
                [
                    "2014-05-01 20:00:00+00|2014-05-02 00:00:00+00|2014-05-01|123456.789012345|\
                     2014-05-01 20:00:01.234567+00|7|-|-1.00000000|-",
                    "2014-05-01 20:00:00+00|2014-05-02 00:00:00+00|2014-05-01|1.500000000|\
                     2014-05-01 20:00:01.234567+00|9223372036854775807|123456.789012345|0.00000001|\
                     partial_end,gap",
                ]
            );
        } else {
            assert_eq!(
                rows,
                [
                    "2014-05-01T20:00:00Z|2014-05-02T00:00:00Z|2014-05-01|123456.789012345|\
                     2014-05-01T20:00:01.234567Z|7|-|-1.0|-",
                    "2014-05-01T20:00:00Z|2014-05-02T00:00:00Z|2014-05-01|1.5|\
                     2014-05-01T20:00:01.234567Z|9223372036854775807|123456.789012345|1.0e-08|partial_end,gap",
                ]
            );
        }
    }
}

#[test]
fn many_rows_at_once_are_the_same_as_few() {
    for database in Database::all("many") {
        let world = &database.world;
        let start = world.candle("EURUSD", "1s", "2014-05-01", "1.5");
        let candles: Vec<Candle> = (0..7_000_i64)
            .map(|second| {
                let ns = start.start.ns() + second * 1_000_000_000;
                let price = proto::decimal::Price::from_units(1_500_000_000 + second);
                Candle {
                    start: proto::event_time::EventTime::from_ns(ns),
                    flags: if second % 3 == 0 { Candle::GAP } else { 0 },
                    price: proto::candle::Ohlc { close: price, ..start.price },
                    ..start
                }
            })
            .collect();
        world.run(database.write(Rows::Candles(candles.clone()))).unwrap();
        let mut few = database.write(Rows::Candles(Vec::new()));
        let other = database.table.replace("candles", "few");
        few.config = json!({ "url": database.url, "table": other, "batch": 500 });
        few.epochs = candles
            .chunks(500)
            .map(|rows| (start.start, vec![Rows::Candles(rows.to_vec())]))
            .collect();
        world.run(few).unwrap();
        let count = database.ask("SELECT CAST(count(*) AS VARCHAR(9)) FROM TABLE");
        assert_eq!(count, ["7000"]);
        let differ = database.ask(&format!(
            "SELECT CAST(count(*) AS VARCHAR(9)) FROM (SELECT * FROM TABLE EXCEPT \
             SELECT * FROM {other}) AS d"
        ));
        assert_eq!(differ, ["0"]);
    }
}

#[test]
fn a_table_gets_the_columns_that_it_lacks() {
    for database in Database::all("migrate") {
        let world = &database.world;
        let rows = || Rows::Candles(vec![world.candle("EURUSD", "1m", "2014-05-01", "1.5")]);
        world.run(database.write(rows())).unwrap();
        database.execute(&format!("ALTER TABLE {} DROP COLUMN flags", database.table));
        world.run(database.write(rows())).unwrap();
        assert_eq!(database.ask("SELECT coalesce(flags, 'none') FROM TABLE"), ["none"]);
    }
}

#[test]
fn a_table_that_cannot_hold_the_values_is_refused() {
    for database in Database::all("refuse") {
        let world = &database.world;
        let number = if database.is_postgres { "double precision" } else { "TEXT" };
        let columns = "source text, instrument text, timeframe text, start";
        let time = if database.is_postgres { "timestamptz" } else { "TEXT" };
        database
            .execute(&format!("CREATE TABLE {} ({columns} {time}, open {number})", database.table));
        let rows = Rows::Candles(vec![world.candle("EURUSD", "1m", "2014-05-01", "1.5")]);
        let error = world.run(database.write(rows)).unwrap_err().to_string();
        assert!(error.contains("column \"open\" is "), "{error}");
        assert!(error.contains("name another table"), "{error}");
    }
}

#[test]
fn a_table_of_another_kind_is_refused() {
    for database in Database::all("kind") {
        let world = &database.world;
        let candle = world.candle("EURUSD", "1m", "2014-05-01", "1.5");
        world.run(database.write(Rows::Candles(vec![candle]))).unwrap();
        let ticks = Rows::Ticks(vec![world.tick("EURUSD", "2014-05-01", Some(1))]);
        let error = world.run(database.write(ticks)).unwrap_err().to_string();
        assert!(error.contains("name another table"), "{error}");
    }
}

#[test]
fn a_replacement_takes_the_place_of_its_range_and_nothing_else() {
    for database in Database::all("replace") {
        let world = &database.world;
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
        world.run(database.write(Rows::Candles(before))).unwrap();
        let there = database.candles();
        // 01 is confirmed, 02 differs, 04 is new, 03 is gone; 00 lies before, GBPUSD aside.
        let rows = || {
            let gbp = candle("GBPUSD", "01", "9");
            let other = [candle("EURUSD", "02", "2"), candle("EURUSD", "04", "2"), gbp];
            let early = [candle("EURUSD", "00", "9"), candle("EURUSD", "01", "1")];
            Rows::Candles(early.into_iter().chain(other).collect())
        };
        let replace = || {
            let (from, to) = ("2014-05-01T10:01:00", "2014-05-01T11:00:00");
            database.write(rows()).replacing(from, to, &["EURUSD"])
        };
        for ending in [Ending::Interrupted, Ending::Failed] {
            world.run(replace().ending(ending)).unwrap();
            assert_eq!(database.candles(), there);
        }
        for _ in 0..2 {
            world.run(replace()).unwrap();
            assert_eq!(
                database.candles(),
                [
                    "EURUSD 01 10:00 1.0 0 closed",
                    "EURUSD 01 10:01 1.0 0 closed",
                    "EURUSD 01 10:02 2.0 1 backfill",
                    "EURUSD 01 10:04 2.0 0 closed",
                    "GBPUSD 01 10:01 1.0 0 closed",
                ]
                .map(|row| if database.is_postgres {
                    row.replace(".0 ", " ")
                } else {
                    row.to_owned()
                })
            );
        }
    }
}

#[test]
fn a_tick_with_a_sequence_is_there_once_and_one_without_is_never_merged() {
    for database in Database::all("ticks") {
        let world = &database.world;
        let time = "2014-05-01T10:00:00.123456789Z";
        let ticks = vec![
            world.tick("EURUSD", time, Some(1)),
            world.tick("EURUSD", time, Some(1)),
            Tick { sequence: u64::MAX, ..world.tick("EURUSD", time, Some(2)) },
            world.tick("EURUSD", time, None),
            world.tick("EURUSD", time, None),
        ];
        world.run(database.write(Rows::Ticks(ticks.clone()))).unwrap();
        let text =
            "coalesce(CAST(sequence AS VARCHAR(20)), '-') || ' ' || CAST(nanos AS VARCHAR(9))";
        let rows = || database.ask(&format!("SELECT {text} FROM TABLE ORDER BY 1"));
        let mut expected = vec!["- 789", "- 789", "-1 789", "1 789"];
        let mut found = rows();
        found.sort();
        assert_eq!(found, expected);
        // A range that is written anew holds them as often as the new run has them.
        let again = database.write(Rows::Ticks(ticks)).replacing("2014-05-01", "2014-05-02", &[]);
        world.run(again).unwrap();
        let mut found = rows();
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_reject_is_written_once_however_often_the_job_runs() {
    for database in Database::all("rejects") {
        let world = &database.world;
        let reject = |place: Option<&str>| Reject {
            component: "ticks".to_owned(),
            reason: "malformed".to_owned(),
            detail: "a\ttab, a \\ and a\nline".to_owned(),
            place: place.map(str::to_owned),
            clock: proto::event_time::EventTime::default(),
            tick: place.map(|_| world.tick("EURUSD", "2014-05-01", Some(1))),
            payload: vec![0, 255],
        };
        let rejects = vec![reject(None), reject(None), reject(Some("a.csv:1"))];
        for _ in 0..2 {
            world.run(database.write(Rows::Rejects(rejects.clone()))).unwrap();
            let rows = database.ask("SELECT detail FROM TABLE ORDER BY id");
            assert_eq!(rows, vec!["a\ttab, a \\ and a\nline"; 3]);
        }
    }
}

#[test]
fn progress_is_written_with_the_rows() {
    for database in Database::all("progress") {
        let world = &database.world;
        let candle = world.candle("EURUSD", "1m", "2014-05-01", "1.5");
        let mut run = database.write(Rows::Candles(vec![candle]));
        run.epochs.push((candle.start, Vec::new()));
        world.run(run).unwrap();
        let definition = sinks::SINKS.iter().find(|sink| sink.name() == "table").unwrap();
        let context = SinkContext {
            stop: dataflows::component::sink::Stop::default(),
            job: "job".to_owned(),
            id: "rows".to_owned(),
            root: world.path().to_owned(),
            series: world.series.clone(),
            kind: Kind::Candles,
            replace: None,
            durable: None,
            health: std::sync::Arc::default(),
        };
        let mut sink = definition.open(&database.config(), context).unwrap();
        assert_eq!(sink.applied().unwrap(), Some(2));
    }
}

#[test]
fn a_password_is_never_shown() {
    let world = World::new();
    for url in ["postgres://me:hunter2@127.0.0.1:1/db", "postgres://me:hunter2@[/db"] {
        let rows = Rows::Candles(vec![world.candle("EURUSD", "1m", "2014-05-01", "1.5")]);
        let definition = sinks::SINKS.iter().find(|sink| sink.name() == "table").unwrap();
        let config = json!({ "url": url, "table": "candles" });
        let found = definition.check(&config);
        assert!(!format!("{found:?}").contains("hunter2"));
        if found.is_empty() {
            let error = world.run(Run::of("table", config, rows)).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            assert!(error.contains("postgres://me@127.0.0.1:1/db"), "{error}");
            assert!(error.contains("check that the server runs"), "{error}");
        }
    }
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let world = World::new();
    std::fs::write(world.path().join("file"), "no database, but text of some length").unwrap();
    for url in ["sqlite:file", "sqlite:file/below.db"] {
        let rows = Rows::Candles(vec![world.candle("EURUSD", "1m", "2014-05-01", "1.5")]);
        let config = json!({ "url": url, "table": "candles" });
        let error = world.run(Run::of("table", config, rows)).unwrap_err().to_string();
        assert!(error.contains("another"), "{error}");
    }
}

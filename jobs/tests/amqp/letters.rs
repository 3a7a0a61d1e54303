//! `tapeflow dlq`: what a job could not accept, sent once more after the fix, on both databases.

use std::process::Output;
use std::time::Instant;

use brokers::amqp::lapin::BasicProperties;
use dataflows::clock::wall;
use proto::event_time::EventTime;
use proto::json::TimeUnit;
use proto::protobuf::encode_tick;
use proto::tick_message::TickRef;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use crate::desk::Desk;
use crate::rabbit::{PATIENCE, Rabbit, rabbit, reference};

type Message = (String, BasicProperties, Vec<u8>);

/// A database with tables of a test's own.
struct Database {
    url: String,
    /// Stands before the names of tables.
    schema: String,
}

impl Database {
    /// SQLite, and PostgreSQL where there is one (`TAPEFLOW_TEST_PG`).
    fn all(rabbit: &Rabbit) -> Vec<Self> {
        let sqlite = Self { url: "sqlite:letters.db".to_owned(), schema: String::new() };
        let url = std::env::var("TAPEFLOW_TEST_PG")
            .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/test".to_owned());
        let schema = format!("letters_{}", rabbit.name.replace('.', "_"));
        let server = Self { url, schema: format!("{schema}.") };
        match server.server(&format!("CREATE SCHEMA {schema}")) {
            Ok(_) => vec![sqlite, server],
            Err(error) => {
                let is_required = std::env::var_os("TAPEFLOW_REQUIRE_ALL").is_some();
                assert!(!is_required, "no PostgreSQL at TAPEFLOW_TEST_PG: {error}");
                eprintln!("SKIPPED: no PostgreSQL at TAPEFLOW_TEST_PG: {error}");
                vec![sqlite]
            }
        }
    }

    fn server(&self, sql: &str) -> Result<Vec<String>, sqlx::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = PgConnection::connect(&self.url).await?;
            let rows = connection.fetch_all(AssertSqlSafe(sql.to_owned())).await?;
            Ok(rows.iter().map(|row| row.get::<String, _>(0)).collect())
        })
    }

    /// The first column; nothing, where there is no such table yet.
    fn ask(&self, desk: &Desk, sql: &str) -> Vec<String> {
        if !self.schema.is_empty() {
            return self.server(sql).unwrap_or_default();
        }
        let database = rusqlite::Connection::open(desk.path().join("letters.db")).unwrap();
        database.busy_timeout(PATIENCE).unwrap();
        let Ok(mut statement) = database.prepare(sql) else { return Vec::new() };
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    /// Waits until it gives this.
    fn until(&self, desk: &Desk, sql: &str, wanted: &str) {
        let begun = Instant::now();
        loop {
            let found = self.ask(desk, sql);
            if found.first().is_some_and(|found| found == wanted) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{sql}: {found:?}, not {wanted}");
            std::thread::yield_now();
        }
    }

    /// What the candles say, without how often they were revised on the way there.
    fn candles(&self, desk: &Desk) -> Vec<String> {
        let columns = "instrument, timeframe, start, open, high, low, close, ask_open, ask_high, \
                       ask_low, ask_close, volume, ticks, first_time, last_time, first_sequence, \
                       last_sequence";
        let columns: Vec<String> = columns
            .split(", ")
            .map(|column| format!("coalesce(CAST({column} AS text), '-')"))
            .collect();
        let (columns, schema) = (columns.join(" || ' ' || "), &self.schema);
        self.ask(desk, &format!("SELECT {columns} FROM {schema}candles ORDER BY 1"))
    }

    fn ticks(&self) -> String {
        let schema = &self.schema;
        format!(
            "SELECT coalesce(CAST(CAST(sum(ticks) AS bigint) AS text), '-') FROM {schema}candles"
        )
    }

    fn rejects(&self) -> String {
        format!("SELECT CAST(count(*) AS text) FROM {}rejects", self.schema)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if !self.schema.is_empty() {
            let schema = self.schema.trim_end_matches('.');
            if let Err(error) = self.server(&format!("DROP SCHEMA {schema} CASCADE")) {
                eprintln!("could not clean up: {error}");
            }
        }
    }
}

/// The job, with what is wrong in it or right.
fn job(rabbit: &Rabbit, queue: &str, database: &Database, key: &str, spread: &str) -> String {
    let (url, Database { url: database, schema }) = (&rabbit.url, database);
    format!(
        "job: letters
run: {{ clock: wall }}
state: {{ on_change: reset, journal: {{ sync: 10ms }} }}
sources:
  ticks: {{ type: amqp, url: \"{url}\", queue: {queue}, format: json, key: \"{key}\" }}
operators:
  clean: {{ type: clean, input: ticks, spread_max: {spread} }}
  unique: {{ type: dedupe, input: clean }}
  candles:
    type: ohlcv
    input: unique
    timeframes: [1s, 5s]
    calendar: utc
    lateness: 100ms
    idle: 200ms
sinks:
  table: {{ type: table, input: candles.closed, url: \"{database}\", table: {schema}candles, \
         flush_every: 10ms }}
  rejects: {{ type: table, input: [ticks.dead, clean.dead, candles.dead], url: \"{database}\", \
         table: {schema}rejects, flush_every: 10ms }}
"
    )
}

const WRONG: [&str; 2] = ["ticks.{source}.{instrument}", "0.00003"];
const RIGHT: [&str; 2] = ["market.{source}.{instrument}.tick", "0.001"];
const GOOD: u64 = 400;
const POISON: u64 = 200;

/// Ticks of the last seconds: every third one is what the wrong job refuses, for its key or for its
/// spread; the first and the last are good.
fn market() -> Vec<Message> {
    let base = wall().ns() - 20_000_000_000;
    let message = |number: u64| {
        let instrument = ["EURUSD", "GBPUSD"][number as usize % 2];
        let mut tick = TickRef {
            time: EventTime::from_ns(base + number as i64 * 10_000_000),
            ..reference("mt5", instrument, number)
        };
        let (is_poison, is_json) = (number % 3 == 1, number % 6 == 1);
        if is_poison && !is_json {
            tick.ask = proto::decimal::Price::from_units(tick.bid.units() + 50_000);
        }
        let mut body = Vec::new();
        let kind = if is_json {
            proto::json::encode_tick(&tick, TimeUnit::Seconds, &mut body).unwrap();
            "application/json"
        } else {
            encode_tick(&tick, &mut body).unwrap();
            "application/x-protobuf"
        };
        let properties = BasicProperties::default()
            .with_content_type(kind.into())
            .with_message_id(number.to_string().as_str().into());
        (format!("market.mt5.{instrument}.tick"), properties, body)
    };
    (0..GOOD + POISON).map(message).collect()
}

fn list(desk: &Desk) -> Vec<Value> {
    let output =
        desk.call(&["dlq", "list", "job.yaml", "--output", "json", "--limit", "1000"], &[]);
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice::<Value>(&output.stdout).unwrap().as_array().unwrap().clone()
}

fn said(output: &Output) -> String {
    let [out, error] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{error}")
}

#[test]
fn after_the_fix_a_replay_gives_the_candles_of_a_run_without_the_mistake() {
    let Some(rabbit) = rabbit() else { return };
    let messages = market();
    for database in Database::all(&rabbit) {
        let (exchange, queue) = (rabbit.own("in"), rabbit.own("queue"));
        rabbit.exchange(&exchange);
        rabbit.queue(&queue, Some(&exchange), &[]);
        let all = (2 * (GOOD + POISON)).to_string();

        let [key, spread] = RIGHT;
        let faultless = {
            let desk = Desk::new(&job(&rabbit, &queue, &database, key, spread));
            let run = desk.start();
            rabbit.publish(&exchange, &messages);
            database.until(&desk, &database.ticks(), &all);
            run.stop();
            let faultless = database.candles(&desk);
            if !database.schema.is_empty() {
                let schema = &database.schema;
                database.server(&format!("DROP TABLE {schema}candles")).unwrap();
            }
            faultless
        };
        assert!(faultless.len() > 10, "{faultless:?}");

        let [key, spread] = WRONG;
        let desk = Desk::new(&job(&rabbit, &queue, &database, key, spread));
        let run = desk.start();
        rabbit.publish(&exchange, &messages);
        database.until(&desk, &database.rejects(), &POISON.to_string());
        database.until(&desk, &database.ticks(), &(2 * GOOD).to_string());
        run.stop();
        let found = list(&desk);
        assert_eq!(found.len() as u64, POISON);
        for (component, reason) in [("ticks", "bad_key"), ("clean", "wide")] {
            let is_one = |letter: &&Value| {
                letter["component"] == component
                    && letter["reason"] == reason
                    && letter["attempts"] == 1
                    && letter["job"] == "letters"
                    && letter["replayable"] == true
            };
            assert_eq!(found.iter().filter(is_one).count() as u64, POISON / 2);
        }

        let [key, spread] = RIGHT;
        desk.rewrite(&job(&rabbit, &queue, &database, key, spread));
        let dry = desk.call(&["dlq", "replay", "job.yaml", "--all", "--dry-run"], &[]);
        assert!(said(&dry).contains("would send 200 to source ticks"), "{}", said(&dry));
        let unasked = desk.call(&["dlq", "replay", "job.yaml", "--all"], &[]);
        assert_eq!(unasked.status.code(), Some(2), "{}", said(&unasked));
        assert_eq!((list(&desk), rabbit.waiting(&queue)), (found, 0), "nothing has changed");

        let run = desk.start();
        let replay = desk.call(&["dlq", "replay", "job.yaml", "--all", "--yes"], &[]);
        assert!(replay.status.success(), "{}", said(&replay));
        database.until(&desk, &database.ticks(), &all);
        run.stop();
        assert_eq!(database.candles(&desk), faultless);
        assert_eq!(list(&desk), Vec::<Value>::new(), "no letter is left");
    }
}

#[test]
fn a_letter_that_fails_again_tells_how_often_and_since_when_also_if_the_replay_is_killed() {
    let Some(rabbit) = rabbit() else { return };
    for database in Database::all(&rabbit) {
        let (exchange, queue) = (rabbit.own("in"), rabbit.own("queue"));
        rabbit.exchange(&exchange);
        rabbit.queue(&queue, Some(&exchange), &[]);
        let [key, spread] = RIGHT;
        let desk = Desk::new(&job(&rabbit, &queue, &database, key, spread));
        let large = vec![0xff; 100_000];
        rabbit.publish_one(&exchange, "odd, key \"k\"", "application/x-protobuf", b"\xff\xff");
        rabbit.publish_one(&exchange, "large", "application/x-protobuf", &large);
        rabbit.publish_one(&exchange, "cut", "application/x-protobuf", &vec![0; 300_000]);
        let run = desk.start();
        database.until(&desk, &database.rejects(), "3");
        let first = list(&desk);
        let whys: Vec<&str> =
            first.iter().filter_map(|letter| letter["why_not"].as_str()).collect();
        assert_eq!(whys, ["its payload was cut: 262144 of 300000 bytes are here"]);
        let seen = |letters: &[Value]| {
            let mut seen: Vec<String> = letters
                .iter()
                .filter(|letter| letter["replayable"] == true)
                .map(|letter| letter["first_seen"].to_string())
                .collect();
            seen.sort();
            seen
        };
        let counted = format!(
            "SELECT CAST(count(*) AS text) FROM {0}rejects WHERE reason = 'malformed' AND place \
             LIKE '%message id dlq/%",
            database.schema
        );

        let replay = ["dlq", "replay", "job.yaml", "--reason", "malformed", "--yes"];
        let output = desk.call(&replay, &[]);
        assert!(output.status.success(), "{}", said(&output));
        database.until(&desk, &format!("{counted}/2%'"), "2");
        let second = list(&desk);
        assert_eq!(seen(&second), seen(&first), "the first time stays");
        let attempts = |letters: &[Value]| {
            let mut all: Vec<u64> =
                letters.iter().filter_map(|letter| letter["attempts"].as_u64()).collect();
            all.sort_unstable();
            all
        };
        assert_eq!(attempts(&second), [1, 2, 2]);

        // Published, not removed: the next replay publishes it again, and the job knows it.
        let output = desk.call(&replay, &[("TAPEFLOW_CRASH", "dlq.before_removal:1")]);
        assert_eq!(output.status.code(), None, "it was not killed: {}", said(&output));
        database.until(&desk, &format!("{counted}/3%'"), "2");
        let ids: Vec<&str> = second
            .iter()
            .filter(|letter| letter["attempts"] == 2)
            .flat_map(|letter| ["--id", letter["id"].as_str().unwrap()])
            .collect();
        let again = [&["dlq", "replay", "job.yaml", "--yes"], ids.as_slice()].concat();
        let output = desk.call(&again, &[]);
        assert!(output.status.success(), "{}", said(&output));
        // Behind it in the queue: when this is there, the others were.
        rabbit.publish_one(&exchange, "last", "application/x-protobuf", b"\xff");
        database.until(&desk, &database.rejects(), "4");
        assert_eq!(attempts(&list(&desk)), [1, 1, 3, 3]);
        let (report, _) = run.stop();
        assert_eq!(report["sources"][0]["redelivered"], 2, "{report}");

        let letters = list(&desk);
        let letter = letters.iter().find(|letter| letter["payload_bytes"] == 2).unwrap();
        assert!(letter["place"].as_str().unwrap().contains(r#"key "odd, key \"k\"", "#));
        let id = letter["id"].as_str().unwrap();
        let shown = desk.call(&["dlq", "show", "job.yaml", &id[..8]], &[]);
        assert!(said(&shown).contains("ffff\n"), "{}", said(&shown));

        let dry = desk.call(&["dlq", "drop", "job.yaml", "--all", "--dry-run"], &[]);
        assert!(said(&dry).contains("would remove 4"), "{}", said(&dry));
        assert_eq!(list(&desk).len(), 4);
        let dropped = ["dlq", "drop", "job.yaml", "--reason", "malformed", "--yes"];
        let output = desk.call(&dropped, &[]);
        assert!(output.status.success(), "{}", said(&output));
        let left = list(&desk);
        assert_eq!((left.len(), &left[0]["reason"]), (1, &Value::from("too_large")));
        let everything = desk.call(&["dlq", "drop", "job.yaml", "--yes"], &[]);
        assert_eq!(everything.status.code(), Some(2), "nothing is not all");
    }
}

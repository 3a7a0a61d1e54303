//! Tables of SQLite files: read-only, while they are written, with errors that help.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dataflows::fault::Fault;
use rusqlite::Connection;
use serde_json::json;

use super::tables::plan;
use super::{ask, refusal, write_ticks};
use crate::query::{Format, Table, run, tables_of};

fn candles(folder: &Path) -> (Connection, Vec<Table>) {
    let connection = Connection::open(folder.join("out db.sqlite")).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; CREATE TABLE candles (instrument TEXT, start TEXT, close \
             REAL, ticks INTEGER, PRIMARY KEY (instrument, start)) WITHOUT ROWID;
             INSERT INTO candles VALUES ('EURUSD', '2014-05-01T00:00:00Z', 1.3841, 12), \
             ('GBPUSD', '2014-05-01T00:00:00Z', 1.688, 9)",
        )
        .unwrap();
    let sinks = [("store", "table", json!({"url": "sqlite:out db.sqlite", "table": "candles"}))];
    let tables = tables_of(&plan(&[], &sinks), folder).unwrap();
    (connection, tables)
}

#[test]
fn a_table_goes_by_its_name_and_by_the_id_of_its_sink() {
    let folder = tempfile::tempdir().unwrap();
    let (_writer, tables) = candles(folder.path());
    let sql = "SELECT close FROM candles WHERE instrument = 'EURUSD'";
    assert_eq!(ask(&tables, sql).unwrap(), "1.3841\n");
    assert_eq!(ask(&tables, "SELECT count(*) FROM store").unwrap(), "2\n");
    assert_eq!(ask(&tables, "WITH x AS (SELECT 1 AS y) SELECT y FROM x").unwrap(), "1\n");
}

#[test]
fn a_table_and_a_dataset_can_be_joined() {
    let folder = tempfile::tempdir().unwrap();
    let (_writer, mut tables) = candles(folder.path());
    let rows = [("EURUSD", super::MAY, Some(1), Some(5)), ("USDJPY", super::MAY, Some(1), Some(7))];
    write_ticks(&folder.path().join("ticks/0.parquet"), &rows, 10);
    tables.push(Table::parquet("ticks", "ticks", folder.path()));
    let sql = "SELECT c.close, t.volume FROM candles c JOIN ticks t USING (instrument)";
    assert_eq!(ask(&tables, sql).unwrap(), "1.3841,5\n");
    let sql = "SELECT (SELECT max(time) FROM ticks) > max(start) FROM candles";
    assert_eq!(ask(&tables, sql).unwrap(), "0\n");
}

#[test]
fn a_database_is_read_while_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, tables) = candles(folder.path());
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM candles").unwrap();
    assert_eq!(ask(&tables, "SELECT count(*) FROM candles").unwrap(), "2\n");
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(ask(&tables, "SELECT count(*) FROM candles").unwrap(), "0\n");

    // Transactions of ten rows each: no query ever sees a part of one.
    let path = folder.path().join("out db.sqlite");
    let stop = Arc::new(AtomicBool::new(false));
    let done = stop.clone();
    let thread = std::thread::spawn(move || {
        let mut writer = Connection::open(path).unwrap();
        let mut number = 0;
        while !done.load(Ordering::Relaxed) {
            let transaction = writer.transaction().unwrap();
            for _ in 0..10 {
                let sql = "INSERT INTO candles VALUES ('X', ?1, 1.0, 1)";
                transaction.execute(sql, [number.to_string()]).unwrap();
                number += 1;
            }
            transaction.commit().unwrap();
        }
    });
    for _ in 0..30 {
        assert_eq!(ask(&tables, "SELECT count(*) % 10 FROM candles").unwrap(), "0\n");
    }
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
}

#[test]
fn a_database_that_was_closed_is_read_and_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, tables) = candles(folder.path());
    writer.close().unwrap();
    let path = folder.path().join("out db.sqlite");
    let before = std::fs::read(&path).unwrap();
    assert_eq!(ask(&tables, "SELECT count(*) FROM candles").unwrap(), "2\n");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn nothing_but_one_reading_statement_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (_writer, tables) = candles(folder.path());
    for sql in [
        "DELETE FROM candles",
        "WITH x AS (SELECT 1) DELETE FROM candles",
        "SELECT 1; DELETE FROM candles",
        "PRAGMA journal_mode = DELETE",
        "ATTACH 'x.db' AS x",
        "WITH x AS (SELECT 1) INSERT INTO candles SELECT 'a', 'b', 1, 1",
    ] {
        let fault = ask(&tables, sql).expect_err(sql);
        assert!(matches!(fault, Fault::Job { .. }), "{sql}: {fault:?}");
    }
    assert_eq!(ask(&tables, "SELECT count(*) FROM candles").unwrap(), "2\n");
    assert!(!folder.path().join("x.db").exists());
}

#[test]
fn mistakes_are_answered_with_what_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let (_writer, mut tables) = candles(folder.path());
    tables.push(Table::parquet("raw-ticks", "raw", folder.path()));
    let cases = [
        (
            "SELECT * FROM candle",
            "query: there is no table candle; did you mean candles? (there are candles, \
             \"raw-ticks\")",
        ),
        ("SELECT * FROM xyz", "query: there is no table xyz (there are candles, \"raw-ticks\")"),
        (
            "SELECT clos FROM candles",
            "query: no such column: clos; did you mean close? (there are close, instrument, start, \
             ticks; text goes in single quotes)",
        ),
        // In SQLite's own tongue "EURUSD" would pass as text.
        (
            "SELECT * FROM candles WHERE instrument = \"EURUSD\"",
            "query: no such column: \"EURUSD\" (there are close, instrument, start, ticks; text \
             goes in single quotes)",
        ),
        ("SELECT * FROM", "query: incomplete input"),
        ("SELECT 1 +", "query: incomplete input"),
    ];
    for (sql, expected) in cases {
        let message = refusal(&tables, sql);
        let message = message.replace(" - should this be a string literal in single-quotes?", "");
        assert_eq!(message, expected, "{sql}");
    }
    let fault = ask(&tables, "SELECT abs(-9223372036854775807 - 1)").unwrap_err();
    assert!(fault.to_string().contains("overflow"), "{fault}");
}

#[test]
fn what_is_not_there_yet_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, tables) = candles(folder.path());
    writer.execute_batch("DROP TABLE candles").unwrap();
    let message = refusal(&tables, "SELECT * FROM candles");
    assert!(message.ends_with("there is no table candles in it (yet): run the job first"));
    writer.close().unwrap();
    std::fs::remove_file(folder.path().join("out db.sqlite")).unwrap();
    let message = refusal(&tables, "SELECT * FROM candles");
    assert!(message.contains("out db.sqlite: there is no such database (yet)"), "{message}");
    assert!(!folder.path().join("out db.sqlite").exists());
    std::fs::write(folder.path().join("out db.sqlite"), "no database at all, but text").unwrap();
    let message = refusal(&tables, "SELECT * FROM candles");
    assert!(message.contains("out db.sqlite: cannot be read as an SQLite database"), "{message}");
}

#[test]
fn a_query_can_be_stopped() {
    let stop = Arc::new(AtomicBool::new(true));
    let sql =
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n";
    let done = run(&[], sql, Format::Csv, &mut Vec::new(), None, &stop);
    assert!(matches!(done, Err(Fault::Interrupted)), "{done:?}");
}

//! Tables on a PostgreSQL server. `TAPEFLOW_TEST_PG` says where one is.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use dataflows::fault::Fault;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use super::tables::plan;
use super::{ask, never, refusal};
use crate::query::{Format, Table, run, tables_of};

fn url() -> String {
    std::env::var("TAPEFLOW_TEST_PG")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/test".to_owned())
}

/// Makes a table of its own; gives none where there is no server.
fn server(table: &str) -> Option<Vec<Table>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let made = runtime.block_on(async {
        let connecting = PgConnection::connect(&url()).await;
        let mut connection = connecting.map_err(|error| error.to_string())?;
        let sql = format!(
            "DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (instrument text, start \
             timestamptz, close numeric(18,9), volume numeric(18,8), ticks bigint, trading_date \
             date, payload bytea, odd interval);
             INSERT INTO {table} VALUES ('EURUSD', '2014-05-01 00:00:00+00', 1.3841, NULL, 12, \
             '2014-05-01', '\\x00ff', '1 day'), ('GBPUSD', '2014-05-01 00:01:00+00', 1.688, 2.5, \
             9, '2014-05-01', NULL, NULL)"
        );
        connection.execute(AssertSqlSafe(sql)).await.map_err(|error| error.to_string())
    });
    if let Err(error) = made {
        let is_required = std::env::var("TAPEFLOW_REQUIRE_ALL").is_ok_and(|value| value == "1");
        assert!(!is_required, "no PostgreSQL: {error}");
        eprintln!("SKIPPED: no PostgreSQL at TAPEFLOW_TEST_PG: {error}");
        return None;
    }
    let sinks = [("live-candles", "table", json!({"url": url(), "table": table}))];
    Some(tables_of(&plan(&[], &sinks), Path::new(".")).unwrap())
}

#[test]
fn a_query_runs_on_the_server_that_has_the_tables() {
    let Some(tables) = server("query_rows") else { return };
    let sql = "SELECT instrument, start, close, volume, ticks, trading_date, payload \
               FROM query_rows ORDER BY start";
    assert_eq!(
        ask(&tables, sql).unwrap(),
        "EURUSD,2014-05-01T00:00:00Z,1.3841,,12,2014-05-01,00ff\n\
         GBPUSD,2014-05-01T00:01:00Z,1.688,2.5,9,2014-05-01,\n"
    );
    // The server's own SQL, and the id of the sink.
    let sql = "SELECT date_trunc('hour', min(start)) AS hour, sum(ticks), 1::int4 = 1 \
               FROM \"live-candles\"";
    assert_eq!(ask(&tables, sql).unwrap(), "2014-05-01T00:00:00.000000Z,21,1\n");
    assert_eq!(ask(&tables, "SELECT count(*) FROM live_candles").unwrap(), "2\n");
    assert_eq!(ask(&tables, "SELECT 1 WHERE false").unwrap(), "");
}

#[test]
fn a_server_is_only_read_from_and_mistakes_are_explained() {
    let Some(tables) = server("query_mistakes") else { return };
    let writes = "WITH x AS (DELETE FROM query_mistakes RETURNING 1) SELECT * FROM x";
    let message = refusal(&tables, writes);
    assert!(message.starts_with("query: it writes; a query only reads"), "{message}");
    assert_eq!(ask(&tables, "SELECT count(*) FROM query_mistakes").unwrap(), "2\n");
    let message = refusal(&tables, "SELECT * FROM query_mistake");
    assert!(message.contains("did you mean query_mistakes?"), "{message}");
    let message = refusal(&tables, "SELECT tick FROM query_mistakes");
    assert!(message.contains("ticks"), "{message}");
    let message = refusal(&tables, "SELECT odd FROM query_mistakes");
    assert!(message.contains("column \"odd\" has the type interval"), "{message}");
}

#[test]
fn a_query_on_a_server_can_be_stopped() {
    let Some(tables) = server("query_stopped") else { return };
    let stop = Arc::new(AtomicBool::new(true));
    let sql = "SELECT pg_sleep(30)::text FROM query_stopped";
    let done = run(&tables, sql, Format::Csv, &mut Vec::new(), None, &stop);
    assert!(matches!(done, Err(Fault::Interrupted)), "{done:?}");
}

#[test]
fn a_server_that_does_not_answer_is_named_without_its_password() {
    let sinks = [("live", "table", json!({"url": "postgres://u:geheim@127.0.0.1:1/d"}))];
    let tables = tables_of(&plan(&[], &sinks), Path::new(".")).unwrap();
    let done = run(&tables, "SELECT * FROM live", Format::Csv, &mut Vec::new(), None, &never());
    let message = done.unwrap_err().to_string();
    assert!(message.starts_with("postgres://u@127.0.0.1:1/d: no connection"), "{message}");
    assert!(!message.contains("geheim"));
}

//! The same with tables on a PostgreSQL server. `TAPEFLOW_TEST_PG` says where one is.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use crate::kills::{Moments, disturb, number};
use crate::world::{JOB, World, assert_rows};

const TABLES: [&str; 3] = ["candles", "ticks", "rejects"];

/// The job with its tables in a schema of the server, and no files.
fn job(server: &str, schema: &str) -> String {
    let job = JOB.replace("DATABASE", server).replace("FILES", "");
    TABLES.iter().fold(job, |job, table| {
        job.replace(&format!("table: {table}"), &format!("table: {schema}.{table}"))
    })
}

/// All rows of the three tables as text, sorted.
async fn rows(connection: &mut PgConnection, schema: &str) -> Result<Vec<String>, sqlx::Error> {
    let mut all = Vec::new();
    for table in TABLES {
        let sql = format!("SELECT '{table}' || CAST(t AS text) FROM {schema}.{table} t ORDER BY 1");
        let rows = connection.fetch_all(AssertSqlSafe(sql)).await?;
        all.extend(rows.iter().map(|row| row.get::<String, _>(0)));
    }
    Ok(all)
}

#[test]
fn tables_on_a_server_are_those_of_an_undisturbed_run() {
    let server = std::env::var("TAPEFLOW_TEST_PG")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/test".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut connection = match runtime.block_on(PgConnection::connect(&server)) {
        Ok(connection) => connection,
        Err(error) => {
            let is_required = std::env::var_os("TAPEFLOW_REQUIRE_ALL").is_some();
            assert!(!is_required, "no PostgreSQL at {server}: {error}");
            eprintln!("SKIPPED: no PostgreSQL at TAPEFLOW_TEST_PG: {error}");
            return;
        }
    };
    let schema = format!("crash_{}", std::process::id());
    let renew = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
    let drop = format!("DROP SCHEMA IF EXISTS {schema} CASCADE");
    let (runs, seed) = (number("TAPEFLOW_KILLS", 2), number("TAPEFLOW_SEED", 1));
    let mut expected: Option<Vec<String>> = None;
    let mut kills = 0;
    for run in 0..=runs {
        runtime.block_on(connection.execute(AssertSqlSafe(renew.clone()))).unwrap();
        let world = World::new(&job(&server, &schema));
        let mut moments = Moments::new(seed * 1_000 + 500 + run);
        let history = match run {
            0 => world.succeed(1, &[]).to_string(),
            _ => disturb(&world, &mut moments, &mut kills),
        };
        println!("run {run}: {history}");
        let found = runtime.block_on(rows(&mut connection, &schema)).unwrap();
        let expected = expected.get_or_insert_with(|| found.clone());
        if found != *expected {
            runtime.block_on(connection.execute(AssertSqlSafe(drop.clone()))).unwrap();
        }
        assert_rows(&found, expected, &history);
    }
    runtime.block_on(connection.execute(AssertSqlSafe(drop))).unwrap();
    assert!(kills > 0 || runs == 0, "nothing was killed");
}

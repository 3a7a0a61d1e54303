//! The same with tables on a PostgreSQL server. `TAPEFLOW_TEST_PG` says where one is.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use crate::kills::{Moments, disturb, number};
use crate::world::{JOB, World, assert_rows};

const TABLES: [&str; 3] = ["candles", "ticks", "rejects"];

/// The job with its tables in a schema of the server, and with these files.
pub(crate) fn job(server: &str, schema: &str, files: &str) -> String {
    let job = JOB.replace("DATABASE", server).replace("FILES", files);
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

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Where a server is that answers; none: the test is skipped, and says so.
pub(crate) fn url() -> Option<String> {
    let server = std::env::var("TAPEFLOW_TEST_PG")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/test".to_owned());
    let Err(error) = runtime().block_on(PgConnection::connect(&server)) else {
        return Some(server);
    };
    let is_required = std::env::var_os("TAPEFLOW_REQUIRE_ALL").is_some();
    assert!(!is_required, "no PostgreSQL at {server}: {error}");
    eprintln!("SKIPPED: no PostgreSQL at TAPEFLOW_TEST_PG: {error}");
    None
}

/// A schema of its own on the server, removed in the end.
pub(crate) struct Schema {
    runtime: tokio::runtime::Runtime,
    connection: PgConnection,
    pub(crate) name: String,
}

impl Schema {
    /// Makes one; none: there is no server.
    pub(crate) fn new(what: &str) -> Option<(String, Self)> {
        let server = url()?;
        let runtime = runtime();
        let connection = runtime.block_on(PgConnection::connect(&server)).unwrap();
        let name = format!("{what}_{}", std::process::id());
        let mut schema = Self { runtime, connection, name };
        schema.renew();
        Some((server, schema))
    }

    fn run(&mut self, sql: String) {
        self.runtime.block_on(self.connection.execute(AssertSqlSafe(sql))).unwrap();
    }

    /// Empties it.
    pub(crate) fn renew(&mut self) {
        let name = &self.name;
        self.run(format!("DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}"));
    }

    /// All rows of the three tables.
    pub(crate) fn rows(&mut self) -> Vec<String> {
        self.runtime.block_on(rows(&mut self.connection, &self.name)).unwrap()
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        self.run(format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name));
    }
}

#[test]
fn tables_on_a_server_are_those_of_an_undisturbed_run() {
    let Some((server, mut schema)) = Schema::new("crash") else { return };
    let (runs, seed) = (number("TAPEFLOW_KILLS", 2), number("TAPEFLOW_SEED", 1));
    let mut expected: Option<Vec<String>> = None;
    let mut kills = 0;
    for run in 0..=runs {
        schema.renew();
        let world = World::new(&job(&server, &schema.name, ""));
        let mut moments = Moments::new(seed * 1_000 + 500 + run);
        let history = match run {
            0 => world.succeed(1, &[]).to_string(),
            _ => disturb(&world, &mut moments, &mut kills),
        };
        println!("run {run}: {history}");
        let found = schema.rows();
        let expected = expected.get_or_insert_with(|| found.clone());
        assert_rows(&found, expected, &history);
    }
    assert!(kills > 0 || runs == 0, "nothing was killed");
}

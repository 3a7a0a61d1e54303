//! Queries on a PostgreSQL server: in a read-only transaction, row by row.

mod decode;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dataflows::fault::Fault;
use futures_util::StreamExt as _;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Connection as _, Error, Executor as _,
    SqlSafeStr as _, Statement as _,
};

use super::hint::{self, quoted};
use super::lexer::TableReference;
use super::output::Output;
use super::table::{self, Source, Table};
use super::value::{Column, Value};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a query on a server needs to know.
pub(super) struct Question<'a> {
    /// The tables on the server that it names, or one that shows the way there.
    pub(super) on_server: Vec<&'a Table>,
    /// All tables, for messages.
    pub(super) tables: &'a [Table],
    pub(super) named: &'a [TableReference],
    pub(super) sql: &'a str,
}

/// Runs a statement that reads; gives the number of rows.
pub(super) fn run(
    question: &Question<'_>,
    output: &mut Output<'_>,
    stop: &Arc<AtomicBool>,
) -> Result<u64, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::defect("query", error))?;
    let work = ask(question, output, stop);
    runtime.block_on(async {
        let mut work = std::pin::pin!(work);
        loop {
            match tokio::time::timeout(LOOK_EVERY, &mut work).await {
                Ok(done) => return done,
                // The connection goes with the work, and the server gives up.
                Err(_) if stop.load(Ordering::Relaxed) => return Err(Fault::Interrupted),
                Err(_) => {}
            }
        }
    })
}

async fn ask(
    question: &Question<'_>,
    output: &mut Output<'_>,
    stop: &AtomicBool,
) -> Result<u64, Fault> {
    let mut connection = open(question).await?;
    let sql = AssertSqlSafe(question.sql.to_owned()).into_sql_str();
    let statement = connection.prepare(sql).await.map_err(|error| explain(&error, question))?;
    let columns: Vec<Column> = statement
        .columns()
        .iter()
        .map(|column| decode::column(column.name(), column.type_info()))
        .collect::<Result<_, Fault>>()?;
    output.start(&columns)?;
    let mut count = 0;
    let mut rows = statement.query().fetch(&mut connection);
    while let Some(row) = rows.next().await {
        let row: PgRow = row.map_err(|error| explain(&error, question))?;
        if stop.load(Ordering::Relaxed) {
            return Err(Fault::Interrupted);
        }
        let values: Vec<Value<'_>> = (0..columns.len())
            .map(|column| decode::value(&row, column))
            .collect::<Result<_, Fault>>()?;
        count += 1;
        if !output.row(&values)? {
            return Ok(count);
        }
    }
    drop(rows);
    output.finish()?;
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "not closed cleanly");
    }
    Ok(count)
}

/// Connects, and begins a transaction that cannot write.
async fn open(question: &Question<'_>) -> Result<PgConnection, Fault> {
    let first = question.on_server.first();
    let Some((Source::Postgres { options, .. }, place)) =
        first.map(|table| (&table.source, table.place()))
    else {
        return Err(Fault::defect("query", "no server to ask"));
    };
    let options = options.as_ref().clone().application_name("tapeflow query");
    let options = options.disable_statement_logging();
    let opened = tokio::time::timeout(CONNECT_WITHIN, PgConnection::connect_with(&options)).await;
    let opened = opened.map_err(|_| {
        let message = "no answer within 10 s; check that the server runs and can be reached from \
                       here";
        Fault::stop(place.clone(), message)
    })?;
    let mut connection = opened.map_err(|error| explain(&error, question))?;
    // Servers before 14 do not know it: there a query that is broken off goes on until its end.
    if let Err(error) = connection.execute("SET client_connection_check_interval = '1s'").await {
        tracing::debug!(%error, "the server does not look for clients that went away");
    }
    for statement in aliases(question) {
        let sql = AssertSqlSafe(statement);
        connection.execute(sql).await.map_err(|error| explain(&error, question))?;
    }
    connection
        .execute("SET TIME ZONE 'UTC'; BEGIN READ ONLY")
        .await
        .map_err(|error| explain(&error, question))?;
    Ok(connection)
}

/// Makes the names known that tables have in the job only, as temporary views.
fn aliases(question: &Question<'_>) -> Vec<String> {
    let mut statements = Vec::new();
    for reference in question.named.iter().filter(|reference| reference.schema.is_none()) {
        let table = table::find(question.tables, &reference.name);
        if let Some(Source::Postgres { schema, table, .. }) = table.map(|table| &table.source)
            && !table.eq_ignore_ascii_case(&reference.name)
        {
            let schema =
                schema.as_ref().map(|name| format!("{}.", quoted(name))).unwrap_or_default();
            // As the server reads the name: lower case unless quoted.
            let name = if hint::sql_name(&reference.name).starts_with('"') {
                reference.name.clone()
            } else {
                reference.name.to_lowercase()
            };
            let (name, table) = (quoted(&name), quoted(table));
            statements.push(format!("CREATE TEMP VIEW {name} AS SELECT * FROM {schema}{table}"));
        }
    }
    statements
}

/// Makes a fault of an error, with what helps. Never shows a password.
fn explain(error: &Error, question: &Question<'_>) -> Fault {
    let place = question.on_server.first().map(|table| table.place()).unwrap_or_default();
    let Error::Database(database) = error else {
        let message = match error {
            Error::Io(error) => {
                format!("no connection: {error}; check that the server runs and can be reached")
            }
            Error::Tls(error) => {
                format!("{error}; check the server's certificate, or say ?sslmode= in the URL")
            }
            other => other.to_string(),
        };
        return Fault::stop(place, message);
    };
    let code = database.code().unwrap_or_default();
    let said = database.message();
    let hint = database
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .and_then(|error| error.hint().map(|hint| format!("; {hint}")))
        .unwrap_or_default();
    match code.as_ref() {
        "42P01" => {
            let name = said.split('"').nth(1).unwrap_or_default();
            match table::find(question.tables, name) {
                Some(_) => Fault::stop(place, format!("{said} (yet): run the job first")),
                None => table::unknown(question.tables, name),
            }
        }
        "25006" => Fault::job("query", format!("it writes; a query only reads ({said})")),
        "28P01" | "28000" => Fault::stop(place, format!("{said}; check user and password")),
        code if code.starts_with("42") || code.starts_with("22") => {
            Fault::job("query", format!("{said}{hint}"))
        }
        _ => Fault::stop(place, format!("{said}{hint}")),
    }
}

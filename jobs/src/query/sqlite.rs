//! Queries in process, on SQLite: tables of SQLite files, attached read-only, and Parquet datasets.
//!
//! Only what a query names is opened: SQLite says which table it misses, that one is brought in,
//! and the query is prepared anew.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dataflows::fault::Fault;
use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, ErrorCode, Statement};

use super::functions;
use super::hint::{self, quoted};
use super::output::Output;
use super::parquet::dataset::Dataset;
use super::parquet::vtab::{MODULE, Shared};
use super::table::{self, Source, Table};
use super::value::{Column, Type, Value};

/// Steps of SQLite's machine between two looks at the stop flag.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// How long to wait for a database that is being written without WAL.
const BUSY_FOR: Duration = Duration::from_secs(30);

/// A connection that knows the tables of a job.
pub(super) struct Session<'a> {
    connection: Connection,
    tables: &'a [Table],
    shared: Arc<Shared>,
    /// Files that are attached, by number.
    attached: Vec<std::path::PathBuf>,
    /// Names that tables were brought in under.
    bound: Vec<String>,
    pub(super) datasets: Vec<Arc<Dataset>>,
}

impl<'a> Session<'a> {
    pub(super) fn new(tables: &'a [Table], stop: &Arc<AtomicBool>) -> Result<Self, Fault> {
        let shared = Arc::new(Shared::default());
        let connection = prepare_connection(&shared, stop.clone())
            .map_err(|error| Fault::defect("query", error))?;
        let (attached, bound, datasets) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { connection, tables, shared, attached, bound, datasets })
    }

    /// Runs a statement that reads; gives the number of rows.
    pub(super) fn run(&mut self, sql: &str, output: &mut Output<'_>) -> Result<u64, Fault> {
        while let Some(name) = self.missing(sql)? {
            self.bring_in(&name)?;
        }
        let mut statement = self.connection.prepare(sql).map_err(|error| self.explain(error))?;
        if !statement.readonly() {
            return Err(Fault::job("query", "it writes; a query only reads"));
        }
        let columns = columns(&statement);
        output.start(&columns)?;
        let mut rows = statement.query([]).map_err(|error| self.explain(error))?;
        let mut count = 0;
        while let Some(row) = rows.next().map_err(|error| self.explain(error))? {
            let values: Result<Vec<Value<'_>>, Error> =
                (0..columns.len()).map(|column| row.get_ref(column).map(borrowed)).collect();
            let values = values.map_err(|error| self.explain(error))?;
            count += 1;
            if !output.row(&values)? {
                return Ok(count);
            }
        }
        output.finish()?;
        for dataset in &self.datasets {
            let [files, row_groups, chunks] = dataset.work.read();
            tracing::debug!(files, of = dataset.files.len(), row_groups, chunks, "parquet read");
        }
        Ok(count)
    }

    /// Gives the name of a table that SQLite does not know yet.
    fn missing(&self, sql: &str) -> Result<Option<String>, Fault> {
        match self.connection.prepare(sql) {
            Ok(_) => Ok(None),
            Err(error) => match said(&error).strip_prefix("no such table: ") {
                Some(name) => Ok(Some(name.to_owned())),
                None => Err(self.explain(error)),
            },
        }
    }

    fn bring_in(&mut self, name: &str) -> Result<(), Fault> {
        let is_new = !self.bound.iter().any(|bound| bound.eq_ignore_ascii_case(name));
        let table = table::find(self.tables, name)
            .filter(|_| is_new)
            .ok_or_else(|| table::unknown(self.tables, name))?;
        let made = match &table.source {
            Source::Sqlite { file, table: inner } => {
                let schema = self.attach(file)?;
                self.check_table(&schema, inner, file)?;
                format!(
                    "CREATE TEMP VIEW {} AS SELECT * FROM {schema}.{}",
                    quoted(name),
                    quoted(inner)
                )
            }
            Source::Parquet { patterns, root } => {
                let dataset = Arc::new(Dataset::open(patterns, root)?);
                let number = self.shared.add(dataset.clone());
                self.datasets.push(dataset);
                format!("CREATE VIRTUAL TABLE temp.{} USING {MODULE}({number})", quoted(name))
            }
            Source::Postgres { .. } => {
                let message = format!("{} is on PostgreSQL and cannot be read here", table.name());
                return Err(Fault::job("query", message));
            }
        };
        self.bound.push(name.to_owned());
        self.connection.execute_batch(&made).map_err(|error| self.explain(error))
    }

    /// Attaches a database file read-only; gives the name of its schema.
    fn attach(&mut self, file: &Path) -> Result<String, Fault> {
        if let Some(number) = self.attached.iter().position(|known| known == file) {
            return Ok(format!("db{number}"));
        }
        if !file.exists() {
            let message = "there is no such database (yet): run the job first, or check the URL";
            return Err(Fault::file(file, message));
        }
        let schema = format!("db{}", self.attached.len());
        let attach = |options: &str| {
            self.connection.execute(
                &format!("ATTACH DATABASE ?1 AS {schema}"),
                [format!("file:{}?{options}", encoded(file))],
            )?;
            // Attaching opens nothing: reading does.
            let sql = format!("SELECT count(*) FROM {schema}.sqlite_schema");
            self.connection.query_row(&sql, [], |row| row.get::<_, i64>(0))
        };
        let mut opened = attach("mode=ro");
        let is_closed = !file.with_file_name(wal_name(file)).exists();
        if opened.is_err() && is_closed && matches!(&opened, Err(e) if cannot_open(e)) {
            // In WAL mode a reader makes files beside the database, which a folder without write
            // permission does not allow; with no log beside it, nobody writes it.
            if let Err(error) = self.connection.execute_batch(&format!("DETACH DATABASE {schema}"))
            {
                tracing::debug!(%error, "not detached");
            }
            opened = attach("mode=ro&immutable=1");
        }
        opened.map_err(|error| {
            let message = format!("cannot be read as an SQLite database: {}", said(&error));
            Fault::file(file, message)
        })?;
        self.attached.push(file.to_owned());
        Ok(schema)
    }

    fn check_table(&self, schema: &str, name: &str, file: &Path) -> Result<(), Fault> {
        let sql = format!(
            "SELECT count(*) FROM {schema}.sqlite_schema WHERE type IN ('table', 'view') \
             AND lower(name) = lower(?1)"
        );
        let found: Result<i64, Error> = self.connection.query_row(&sql, [name], |row| row.get(0));
        match found {
            Ok(0) => {
                let message = format!("there is no table {name} in it (yet): run the job first");
                Err(Fault::file(file, message))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(self.explain(error)),
        }
    }

    /// Makes a fault of an error, with what helps.
    fn explain(&self, error: Error) -> Fault {
        if let Some(fault) = self.shared.take_fault() {
            return fault;
        }
        if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            return Fault::Interrupted;
        }
        let said = said(&error);
        if let Some(column) = said.strip_prefix("no such column: ") {
            return Fault::job("query", format!("{said}{}", self.column_hint(column)));
        }
        let help = if said.starts_with("near \"-\"") {
            "; put a name with a dash in double quotes, or write _ for it"
        } else if said.starts_with("no such function") {
            "; SQLite's functions are at hand: https://sqlite.org/lang_corefunc.html"
        } else {
            ""
        };
        match error.sqlite_error_code() {
            None | Some(ErrorCode::Unknown) => Fault::job("query", format!("{said}{help}")),
            Some(_) => {
                let files: Vec<_> =
                    self.attached.iter().map(|file| file.display().to_string()).collect();
                let place = if files.is_empty() { "query".to_owned() } else { files.join(", ") };
                Fault::stop(place, said)
            }
        }
    }

    fn column_hint(&self, column: &str) -> String {
        let mut names: Vec<String> = Vec::new();
        for table in &self.bound {
            let sql = "SELECT name FROM pragma_table_info(?1)";
            let found = self.connection.prepare(sql).and_then(|mut statement| {
                statement.query_map([table], |row| row.get(0))?.collect::<Result<Vec<_>, _>>()
            });
            names.extend(found.unwrap_or_default());
        }
        if names.is_empty() {
            return "; put text in single quotes".to_owned();
        }
        names.sort();
        names.dedup();
        let names = || names.iter().map(String::as_str);
        let wrong = column.rsplit('.').next().unwrap_or(column);
        let hint = hint::did_you_mean(wrong, names());
        format!("{hint} (there are {}; text goes in single quotes)", hint::list(names()))
    }
}

fn prepare_connection(shared: &Arc<Shared>, stop: Arc<AtomicBool>) -> Result<Connection, Error> {
    let connection = Connection::open_in_memory()?;
    // "name" is a name: a typing error must not pass as text.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.busy_timeout(BUSY_FOR)?;
    // Sorting takes 64 MB of memory at most, the rest goes to a file.
    connection.execute_batch(
        "PRAGMA temp_store = FILE; PRAGMA cache_size = -65536; PRAGMA temp.cache_size = -65536",
    )?;
    shared.register(&connection)?;
    functions::register(&connection)?;
    let handler = move || stop.load(Ordering::Relaxed);
    connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(handler))?;
    Ok(connection)
}

fn wal_name(file: &Path) -> String {
    format!("{}-wal", file.file_name().unwrap_or_default().to_string_lossy())
}

fn cannot_open(error: &Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

/// A path in a URI.
fn encoded(path: &Path) -> String {
    let mut out = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What SQLite says.
fn said(error: &Error) -> String {
    match error {
        Error::SqlInputError { msg, .. } => msg.clone(),
        Error::SqliteFailure(_, Some(message)) => message.clone(),
        Error::SqliteFailure(code, None) => code.to_string(),
        other => other.to_string(),
    }
}

fn columns(statement: &Statement<'_>) -> Vec<Column> {
    let columns = statement.columns();
    columns
        .iter()
        .map(|column| {
            let name = column.name().to_owned();
            Column { name, kind: column.decl_type().and_then(declared) }
        })
        .collect()
}

/// What a declared type says of values, by SQLite's rules of affinity.
fn declared(kind: &str) -> Option<Type> {
    let kind = kind.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| kind.contains(word));
    Some(match kind.as_str() {
        "TIMESTAMP_TEXT" => Type::Timestamp,
        "DATE_TEXT" => Type::Date,
        _ if has(&["INT"]) => Type::Integer,
        _ if has(&["CHAR", "CLOB", "TEXT"]) => Type::Text,
        _ if has(&["BLOB"]) => Type::Blob,
        _ if has(&["REAL", "FLOA", "DOUB"]) => Type::Real,
        _ => return None,
    })
}

fn borrowed(value: ValueRef<'_>) -> Value<'_> {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => Value::Blob(Cow::Borrowed(bytes)),
    }
}

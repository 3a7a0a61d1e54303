//! The table of dead letters, and beside it the one that counts how often each was tried.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use dataflows::clock::wall;
use dataflows::fault::Fault;
use proto::event_time::EventTime;
use proto::row::write_time;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Error, Row as _};
use tokio::runtime::Runtime;

use super::letter::{COLUMNS, Letter, Row};

/// What is asked for; an empty list asks for all.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) ids: Vec<String>,
    pub(super) components: Vec<String>,
    pub(super) reasons: Vec<String>,
}

/// What is known of letters of one content.
#[derive(Debug, Clone)]
pub(super) struct Tried {
    pub(super) identity: String,
    pub(super) first_seen: EventTime,
    pub(super) attempts: u64,
}

/// So many letters are held at once.
pub(super) const PAGE: usize = 100;

/// What a letter that came through leaves behind is forgotten after so long.
const FORGET_AFTER_NS: i64 = 90 * 86_400 * 1_000_000_000;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);

enum Backend {
    Sqlite(SqliteConnection),
    Postgres(Box<PgConnection>),
}

/// The letters of one job in one table.
pub(super) struct Store {
    runtime: Runtime,
    backend: Backend,
    place: String,
    job: String,
    /// Both quoted.
    table: String,
    tried: String,
    /// The table tells jobs apart.
    has_job: bool,
}

impl Store {
    /// Opens the table of a sink. Its name was checked with the job.
    pub(super) fn open(url: &str, table: &str, root: &Path, job: &str) -> Result<Self, Fault> {
        let (schema, name) =
            table.split_once('.').map_or((None, table), |(schema, name)| (Some(schema), name));
        let beside = |name: &str| match schema {
            Some(schema) => format!("\"{schema}\".\"{name}\""),
            None => format!("\"{name}\""),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Fault::defect("dlq", error))?;
        let (backend, place) = runtime.block_on(connect(url, root))?;
        let (table, tried) = (beside(name), beside("_tapeflow_dlq"));
        let (job, has_job) = (job.to_owned(), false);
        let mut store = Self { runtime, backend, place, job, table, tried, has_job };
        let columns = store.columns(&store.table.clone())?;
        if columns.is_empty() {
            let text = "there is no such table (yet): run the job first";
            return Err(Fault::stop(format!("{}, table {table}", store.place, table = name), text));
        }
        store.has_job = columns.iter().any(|column| column == "job");
        Ok(store)
    }

    const fn is_sqlite(&self) -> bool {
        matches!(self.backend, Backend::Sqlite(_))
    }

    fn rows(&mut self, sql: &str, binds: &[String]) -> Result<Vec<Row>, Fault> {
        let work = self.backend.rows(sql, binds);
        let rows = self.runtime.block_on(work);
        rows.map_err(|error| explain(&self.place, &error))
    }

    fn run(&mut self, sql: &str, binds: &[String]) -> Result<u64, Fault> {
        let done = self.runtime.block_on(self.backend.run(sql, binds));
        done.map_err(|error| explain(&self.place, &error))
    }

    /// The names of a table's columns; none: there is no such table.
    fn columns(&mut self, table: &str) -> Result<Vec<String>, Fault> {
        let rows = if self.is_sqlite() {
            let name = table.rsplit('.').next().unwrap_or(table).trim_matches('"').to_owned();
            self.rows("SELECT name FROM pragma_table_info($1)", &[name])
        } else {
            let sql = "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) \
                       AND attnum > 0 AND NOT attisdropped";
            self.rows(sql, &[table.to_owned()])
        };
        Ok(rows?.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    /// The condition that holds for the letters that are asked for, and its values.
    fn condition(&self, filter: &Filter) -> (String, Vec<String>) {
        let mut binds = Vec::new();
        let mut condition = "true".to_owned();
        if self.has_job {
            binds.push(self.job.clone());
            condition = "(job = $1 OR job IS NULL)".to_owned();
        }
        let lists =
            [("id", &filter.ids), ("component", &filter.components), ("reason", &filter.reasons)];
        for (column, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            let marks = marks(binds.len(), list.len());
            condition.push_str(&format!(" AND {column} IN ({marks})"));
            binds.extend(list.iter().cloned());
        }
        (condition, binds)
    }

    /// How many there are.
    pub(super) fn count(&mut self, filter: &Filter) -> Result<u64, Fault> {
        let (condition, binds) = self.condition(filter);
        let sql = format!("SELECT CAST(count(*) AS text) FROM {} WHERE {condition}", self.table);
        let rows = self.rows(&sql, &binds)?;
        let count = rows.first().and_then(|row| row.first()?.as_ref()?.parse().ok());
        Ok(count.unwrap_or_default())
    }

    /// The ids of letters in the order in which they came; of the newest so many, if it says.
    pub(super) fn ids(
        &mut self,
        filter: &Filter,
        newest: Option<u32>,
    ) -> Result<Vec<String>, Fault> {
        let (condition, binds) = self.condition(filter);
        let (order, limit) = match newest {
            Some(limit) => ("DESC", format!(" LIMIT {limit}")),
            None => ("ASC", String::new()),
        };
        let order: Vec<String> = ["clock", "time", "nanos", "sequence", "id"]
            .iter()
            .map(|column| format!("\"{column}\" {order}"))
            .collect();
        let (table, order) = (&self.table, order.join(", "));
        let sql = format!("SELECT id FROM {table} WHERE {condition} ORDER BY {order}{limit}");
        let mut ids = first_column(self.rows(&sql, &binds)?);
        if newest.is_some() {
            ids.reverse();
        }
        Ok(ids)
    }

    /// At most two ids that begin so.
    pub(super) fn beginning_with(&mut self, begin: &str) -> Result<Vec<String>, Fault> {
        let (condition, mut binds) = self.condition(&Filter::default());
        binds.push(format!("{begin}%"));
        let (table, mark) = (&self.table, binds.len());
        let sql = format!("SELECT id FROM {table} WHERE {condition} AND id LIKE ${mark} LIMIT 2");
        Ok(first_column(self.rows(&sql, &binds)?))
    }

    /// Reads letters, in this order; those that have gone meanwhile are left out.
    pub(super) fn letters(&mut self, ids: &[String]) -> Result<Vec<Letter>, Fault> {
        let columns: Vec<String> = COLUMNS.iter().map(|column| self.as_text(column)).collect();
        let (columns, table, marks) = (columns.join(", "), &self.table, marks(0, ids.len()));
        let sql = format!("SELECT {columns} FROM {table} WHERE id IN ({marks})");
        let mut found = BTreeMap::new();
        for row in self.rows(&sql, ids)? {
            let id = row.first().cloned().flatten().unwrap_or_default();
            let letter = Letter::read(row).ok_or_else(|| {
                let text = "it holds what no tapeflow writes; correct or delete the row";
                Fault::stop(format!("{}, table {}, row {id}", self.place, self.table), text)
            })?;
            found.insert(id, letter);
        }
        let mut letters: Vec<Letter> = ids.iter().filter_map(|id| found.remove(id)).collect();
        self.recall(&mut letters)?;
        Ok(letters)
    }

    /// Fills in what is known of the same contents from before.
    fn recall(&mut self, letters: &mut [Letter]) -> Result<(), Fault> {
        if letters.is_empty() || self.columns(&self.tried.clone())?.is_empty() {
            return Ok(());
        }
        let identities: Vec<String> = letters.iter().map(Letter::identity).collect();
        let mut binds = vec![self.job.clone()];
        binds.extend(identities.iter().cloned());
        let first_seen = self.time("first_seen");
        let (tried, marks) = (&self.tried, marks(1, identities.len()));
        let sql = format!(
            "SELECT identity, {first_seen}, CAST(attempts AS text) FROM {tried} WHERE job = $1 AND \
             identity IN ({marks})"
        );
        let rows = self.rows(&sql, &binds)?;
        let read = |row: Row| {
            let [identity, first_seen, attempts]: [Option<String>; 3] = row.try_into().ok()?;
            Some((identity?, (first_seen?.parse().ok()?, attempts?.parse().ok()?)))
        };
        let known: BTreeMap<String, (EventTime, u64)> = rows.into_iter().filter_map(read).collect();
        for (letter, identity) in letters.iter_mut().zip(&identities) {
            if let Some((first_seen, attempts)) = known.get(identity) {
                letter.first_seen = letter.first_seen.min(*first_seen);
                letter.attempts = *attempts;
            }
        }
        Ok(())
    }

    /// Removes letters that were sent, and counts the attempt, in one transaction.
    pub(super) fn sent(&mut self, ids: &[String], tried: &[Tried]) -> Result<(), Fault> {
        if self.columns(&self.tried.clone())?.is_empty() {
            let time = if self.is_sqlite() { "text" } else { "timestamp with time zone" };
            let sql = format!(
                "CREATE TABLE IF NOT EXISTS {} (job text NOT NULL, identity text NOT NULL, \
                 first_seen {time} NOT NULL, attempts bigint NOT NULL, replayed {time} NOT NULL, \
                 PRIMARY KEY (job, identity))",
                self.tried
            );
            self.run(&sql, &[])?;
        }
        self.within(|store| {
            store.delete(ids)?;
            let is_sqlite = store.is_sqlite();
            let time = |mark: &str| match is_sqlite {
                true => mark.to_owned(),
                false => format!("CAST({mark} AS timestamp with time zone)"),
            };
            let upsert = format!(
                "INSERT INTO {} AS t (job, identity, first_seen, attempts, replayed) VALUES ($1, \
                 $2, {}, CAST($4 AS bigint), {}) ON CONFLICT (job, identity) DO UPDATE SET \
                 attempts = excluded.attempts, first_seen = excluded.first_seen, replayed = \
                 excluded.replayed",
                store.tried,
                time("$3"),
                time("$5"),
            );
            let now = wall();
            for Tried { identity, first_seen, attempts } in tried {
                let (job, attempts) = (store.job.clone(), attempts.to_string());
                let binds = [job, identity.clone(), shown(*first_seen), attempts, shown(now)];
                store.run(&upsert, &binds)?;
            }
            let forget =
                format!("DELETE FROM {} WHERE job = $1 AND replayed < {}", store.tried, time("$2"));
            let before = EventTime::from_ns(now.ns().saturating_sub(FORGET_AFTER_NS));
            store.run(&forget, &[store.job.clone(), shown(before)]).map(|_| ())
        })
    }

    /// Removes letters for good, and what is known of their contents.
    pub(super) fn dropped(&mut self, ids: &[String], identities: &[String]) -> Result<(), Fault> {
        let has_tried = !self.columns(&self.tried.clone())?.is_empty();
        self.within(|store| {
            store.delete(ids)?;
            for identities in identities.chunks(PAGE).filter(|_| has_tried) {
                let (tried, marks) = (&store.tried, marks(1, identities.len()));
                let sql = format!("DELETE FROM {tried} WHERE job = $1 AND identity IN ({marks})");
                let mut binds = vec![store.job.clone()];
                binds.extend(identities.iter().cloned());
                store.run(&sql, &binds)?;
            }
            Ok(())
        })
    }

    fn delete(&mut self, ids: &[String]) -> Result<(), Fault> {
        for ids in ids.chunks(PAGE) {
            let sql = format!("DELETE FROM {} WHERE id IN ({})", self.table, marks(0, ids.len()));
            self.run(&sql, ids)?;
        }
        Ok(())
    }

    /// Does it in one transaction.
    fn within(&mut self, work: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        // SQLite takes the write lock at once: waiting for it later cannot be retried.
        self.run(if self.is_sqlite() { "BEGIN IMMEDIATE" } else { "BEGIN" }, &[])?;
        let done = work(self).and_then(|()| self.run("COMMIT", &[]).map(|_| ()));
        if done.is_err()
            && let Err(error) = self.run("ROLLBACK", &[])
        {
            tracing::debug!(place = self.place, %error, "no rollback");
        }
        done
    }

    /// A column as text that says all that is in it.
    fn as_text(&self, column: &str) -> String {
        // SQLite prints what is absent as zero.
        let printed = |digits: u32| {
            format!(
                "CASE WHEN \"{column}\" IS NULL THEN NULL ELSE printf('%.{digits}f', \"{column}\") \
                 END"
            )
        };
        match (column, self.is_sqlite()) {
            ("job", _) if !self.has_job => "CAST(NULL AS text)".to_owned(),
            ("clock" | "time", _) => self.time(column),
            ("bid" | "ask" | "last", true) => printed(9),
            ("volume", true) => printed(8),
            ("payload", true) => "hex(\"payload\")".to_owned(),
            ("payload", false) => "encode(\"payload\", 'hex')".to_owned(),
            _ => format!("CAST(\"{column}\" AS text)"),
        }
    }

    fn time(&self, column: &str) -> String {
        if self.is_sqlite() {
            return format!("\"{column}\"");
        }
        format!("to_char(\"{column}\" AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    }
}

fn first_column(rows: Vec<Row>) -> Vec<String> {
    rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
}

/// `$3, $4` behind two.
fn marks(behind: usize, count: usize) -> String {
    let marks: Vec<String> = (1..=count).map(|number| format!("${}", behind + number)).collect();
    marks.join(", ")
}

/// As both databases take it, and as SQLite sorts it.
fn shown(time: EventTime) -> String {
    let mut text = String::with_capacity(27);
    write_time(time.ns(), 6, &mut text);
    text
}

async fn connect(url: &str, root: &Path) -> Result<(Backend, String), Fault> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = root.join(path.strip_prefix("//").unwrap_or(path));
        let place = format!("sqlite:{}", path.display());
        if !path.is_file() {
            return Err(Fault::stop(place, "there is no such database (yet): run the job first"));
        }
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .busy_timeout(Duration::from_secs(30))
            .disable_statement_logging();
        let opened = SqliteConnection::connect_with(&options).await;
        return opened
            .map(|connection| (Backend::Sqlite(connection), place.clone()))
            .map_err(|error| explain(&place, &error));
    }
    // The error of the parser may quote the URL, and so the password in it.
    let options = PgConnectOptions::from_str(url).map_err(|_| {
        Fault::stop("the table of rejects", "not a database URL; expected sqlite:… or postgres://…")
    })?;
    let user = options.get_username();
    let (host, port, database) =
        (options.get_host(), options.get_port(), options.get_database().unwrap_or(user));
    let place = format!("postgres://{user}@{host}:{port}/{database}");
    let options = options.application_name("tapeflow dlq").disable_statement_logging();
    let opening = PgConnection::connect_with(&options);
    let opened = tokio::time::timeout(CONNECT_WITHIN, opening).await.map_err(|_| {
        Fault::stop(place.clone(), "no answer within 10 s; check that the server runs")
    })?;
    opened
        .map(|connection| (Backend::Postgres(Box::new(connection)), place.clone()))
        .map_err(|error| explain(&place, &error))
}

fn explain(place: &str, error: &Error) -> Fault {
    let said = match error {
        Error::Database(error) => error.message().to_owned(),
        Error::Io(error) => format!("no connection: {error}; check that the server runs"),
        other => other.to_string(),
    };
    Fault::stop(place, said)
}

impl Backend {
    async fn rows(&mut self, sql: &str, binds: &[String]) -> Result<Vec<Row>, Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(connection) => {
                let mut query = sqlx::query(sql).persistent(false);
                for bind in binds {
                    query = query.bind(bind.clone());
                }
                let rows = query.fetch_all(connection).await?;
                let row = |row: &sqlx::sqlite::SqliteRow| {
                    (0..row.len()).map(|column| row.try_get(column)).collect()
                };
                rows.iter().map(row).collect()
            }
            Self::Postgres(connection) => {
                let mut query = sqlx::query(sql).persistent(false);
                for bind in binds {
                    query = query.bind(bind.clone());
                }
                let rows = query.fetch_all(connection.as_mut()).await?;
                let row = |row: &sqlx::postgres::PgRow| {
                    (0..row.len()).map(|column| row.try_get(column)).collect()
                };
                rows.iter().map(row).collect()
            }
        }
    }

    async fn run(&mut self, sql: &str, binds: &[String]) -> Result<u64, Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(connection) => {
                let mut query = sqlx::query(sql).persistent(false);
                for bind in binds {
                    query = query.bind(bind.clone());
                }
                query.execute(connection).await.map(|done| done.rows_affected())
            }
            Self::Postgres(connection) => {
                let mut query = sqlx::query(sql).persistent(false);
                for bind in binds {
                    query = query.bind(bind.clone());
                }
                query.execute(connection.as_mut()).await.map(|done| done.rows_affected())
            }
        }
    }
}

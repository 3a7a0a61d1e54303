//! One connection to either database: the statements that both understand, and the way to the
//! inserts that each has of its own.

use std::path::Path;
use std::time::Duration;

use dataflows::fault::Fault;
use proto::row::Values;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, Error, Executor, Row};

use super::fault::Failure;
use super::layout::{Dialect, LAYOUT_VERSION, Layout, TableName, is_compatible, type_name};
use super::url::Place;
use super::{postgres, progress, sqlite};

/// A connection with the name of its place for messages.
#[derive(Debug)]
pub(super) struct Connection {
    backend: Backend,
    pub(super) place: String,
}

#[derive(Debug)]
enum Backend {
    Sqlite(SqliteConnection),
    Postgres(Box<PgConnection>),
}

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long SQLite waits for another writer.
const BUSY_FOR: Duration = Duration::from_secs(30);

impl Connection {
    pub(super) async fn open(place: Place, root: &Path) -> Result<Self, Failure> {
        let place = place.under(root);
        let name = place.to_string();
        let backend = match place {
            Place::Sqlite(path) => {
                if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty())
                {
                    std::fs::create_dir_all(folder).map_err(|error| {
                        let message = format!("cannot be made: {error}; choose another folder");
                        Fault::file(folder, message)
                    })?;
                }
                let options = SqliteConnectOptions::new()
                    .filename(&path)
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
                    .busy_timeout(BUSY_FOR)
                    .pragma("temp_store", "FILE")
                    .disable_statement_logging();
                let opened = SqliteConnection::connect_with(&options).await;
                Backend::Sqlite(opened.map_err(|error| Failure::new(&name, &error))?)
            }
            Place::Postgres(options) => {
                let options = options.application_name("tapeflow").disable_statement_logging();
                let opening = PgConnection::connect_with(&options);
                let opened = tokio::time::timeout(CONNECT_WITHIN, opening).await.map_err(|_| {
                    let message = "no answer within 10 s; check that the server runs and can be \
                                   reached from here";
                    Failure { fault: Fault::stop(name.clone(), message), is_lost: true }
                })?;
                Backend::Postgres(Box::new(opened.map_err(|error| Failure::new(&name, &error))?))
            }
        };
        let mut connection = Self { backend, place: name };
        if connection.dialect() == Dialect::Postgres {
            // Times are written and compared in UTC, whatever the server's zone.
            connection.run("SET TIME ZONE 'UTC'").await?;
            connection.run("SET client_min_messages = warning").await?;
        }
        Ok(connection)
    }

    /// Lets the server end a transaction of ours in which nothing happens any more: of a process
    /// that was stopped in the middle, and whose rows its successor must not wait for.
    pub(super) async fn end_when_idle(&mut self) -> Result<(), Failure> {
        if self.dialect() == Dialect::Postgres {
            self.run("SET idle_in_transaction_session_timeout = '3s'").await?;
        }
        Ok(())
    }

    pub(super) const fn dialect(&self) -> Dialect {
        match self.backend {
            Backend::Sqlite(_) => Dialect::Sqlite,
            Backend::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Runs one statement; gives the number of rows that it changed.
    pub(super) async fn run(&mut self, sql: &str) -> Result<u64, Failure> {
        let sql = AssertSqlSafe(sql.to_owned());
        let done: Result<u64, Error> = match &mut self.backend {
            Backend::Sqlite(connection) => {
                connection.execute(sql).await.map(|done| done.rows_affected())
            }
            Backend::Postgres(connection) => {
                connection.execute(sql).await.map(|done| done.rows_affected())
            }
        };
        done.map_err(|error| Failure::new(&self.place, &error))
    }

    /// Asks for rows of text and numbers: each row gives one text and one number.
    pub(super) async fn ask(&mut self, sql: &str) -> Result<Vec<(String, i64)>, Failure> {
        let sql = AssertSqlSafe(sql.to_owned());
        let answer: Result<Vec<(String, i64)>, Error> = match &mut self.backend {
            Backend::Sqlite(connection) => connection.fetch_all(sql).await.and_then(|rows| {
                rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
            }),
            Backend::Postgres(connection) => connection.fetch_all(sql).await.and_then(|rows| {
                rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
            }),
        };
        answer.map_err(|error| Failure::new(&self.place, &error))
    }

    pub(super) async fn begin(&mut self) -> Result<(), Failure> {
        let sql = match self.dialect() {
            // Takes the write lock at once: waiting for it later cannot be retried.
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN",
        };
        self.run(sql).await.map(|_| ())
    }

    /// Makes a commit last through a crash of the server, where its configuration does not.
    pub(super) async fn wait_for_commits(&mut self) -> Result<(), Failure> {
        if self.dialect() == Dialect::Sqlite {
            return Ok(()); // opened with full syncs
        }
        let sql = "SELECT set_config('synchronous_commit', 'on', false) \
                   WHERE current_setting('synchronous_commit') = 'off'";
        self.run(sql).await.map(|_| ())
    }

    pub(super) async fn commit(&mut self) -> Result<(), Failure> {
        self.run("COMMIT").await.map(|_| ())
    }

    /// Takes back an open transaction; what cannot be taken back goes with the connection.
    pub(super) async fn rollback(&mut self) {
        if let Err(Failure { fault, .. }) = self.run("ROLLBACK").await {
            tracing::debug!(place = self.place, %fault, "no rollback");
        }
    }

    /// Inserts rows into `target`, each key at most once among them.
    pub(super) async fn insert(
        &mut self,
        layout: &Layout,
        target: &str,
        values: &[Values],
    ) -> Result<(), Failure> {
        let done = match &mut self.backend {
            Backend::Sqlite(connection) => sqlite::insert(connection, layout, target, values).await,
            Backend::Postgres(connection) => {
                postgres::insert(connection, layout, target, values).await
            }
        };
        done.map_err(|error| Failure::new(&self.place, &error))
    }

    /// Makes the table or brings it up to date, and notes it in the register of tables.
    pub(super) async fn prepare(
        &mut self,
        layout: &Layout,
        name: &TableName,
    ) -> Result<(), Failure> {
        let register = name.beside("_tapeflow_tables");
        let bigint = type_name(proto::row::ColumnType::Integer, self.dialect());
        self.begin().await?;
        if self.dialect() == Dialect::Postgres {
            // Two sinks that open at once would both make the tables: one after the other.
            self.run("SELECT pg_advisory_xact_lock(8389754676633367412)").await?;
        }
        self.run(&format!(
            "CREATE TABLE IF NOT EXISTS {register} (\"name\" text PRIMARY KEY, \
             \"kind\" text NOT NULL, \"version\" {bigint} NOT NULL)"
        ))
        .await?;
        self.prepare_progress(&progress::progress_table(name)).await?;
        for statement in layout.create(&name.sql(), self.dialect(), false) {
            self.run(&statement).await?;
        }
        self.migrate(layout, name).await?;
        self.register(layout, name, &register).await?;
        self.commit().await
    }

    /// Makes the table of progress. One of a tapeflow that knew no partitions holds nothing that
    /// is of use: only runs that remember nothing wrote it.
    async fn prepare_progress(&mut self, table: &TableName) -> Result<(), Failure> {
        let create = progress::create(&table.sql(), self.dialect());
        self.run(&create).await?;
        let columns = self.ask(&columns_query(table, self.dialect())).await?;
        if columns.iter().any(|(column, _)| column.starts_with("partition:")) {
            return Ok(());
        }
        self.run(&format!("DROP TABLE {}", table.sql())).await?;
        self.run(&create).await.map(|_| ())
    }

    async fn register(
        &mut self,
        layout: &Layout,
        name: &TableName,
        register: &str,
    ) -> Result<(), Failure> {
        let table = &name.table;
        let known = self
            .ask(&format!(
                "SELECT \"kind\", \"version\" FROM {register} WHERE \"name\" = '{table}'"
            ))
            .await?;
        if let Some((kind, version)) = known.first() {
            if kind != layout.kind.name() {
                return Err(self.refuse(
                    table,
                    &format!("it holds {kind}, the sink takes {}; name another table", layout.kind),
                ));
            }
            if *version > LAYOUT_VERSION {
                return Err(self.refuse(
                    table,
                    &format!(
                        "its layout has version {version}, this tapeflow knows {LAYOUT_VERSION}; \
                     use a newer tapeflow"
                    ),
                ));
            }
        }
        self.run(&format!(
            "INSERT INTO {register} (\"name\", \"kind\", \"version\") \
             VALUES ('{table}', '{}', {LAYOUT_VERSION}) \
             ON CONFLICT (\"name\") DO UPDATE SET \"version\" = excluded.\"version\"",
            layout.kind
        ))
        .await
        .map(|_| ())
    }

    /// Adds the columns that the table lacks; refuses those that cannot hold our values.
    async fn migrate(&mut self, layout: &Layout, name: &TableName) -> Result<(), Failure> {
        let dialect = self.dialect();
        let found = self.ask(&columns_query(name, dialect)).await?;
        for column in &layout.columns {
            let prefix = format!("{}:", column.name);
            let there = found.iter().find_map(|(text, _)| text.strip_prefix(&prefix));
            match there {
                None if layout.key.contains(&column.name) => {
                    return Err(self.refuse(
                        &name.table,
                        &format!(
                            "it has no column \"{}\", which is part of the key; name another table",
                            column.name
                        ),
                    ));
                }
                None => {
                    let kind = type_name(column.kind, dialect);
                    self.run(&format!(
                        "ALTER TABLE {} ADD COLUMN \"{}\" {kind}",
                        name.sql(),
                        column.name
                    ))
                    .await?;
                    tracing::info!(table = name.table, column = column.name, "added a column");
                }
                Some(kind) if !is_compatible(kind, column.kind, dialect) => {
                    return Err(self.refuse(
                        &name.table,
                        &format!(
                            "column \"{}\" is {kind}, expected {}; change it or name another table",
                            column.name,
                            type_name(column.kind, dialect)
                        ),
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn refuse(&self, table: &str, message: &str) -> Failure {
        Fault::stop(format!("{}, table {table}", self.place), message).into()
    }

    pub(super) async fn close(self) {
        let closed = match self.backend {
            Backend::Sqlite(connection) => connection.close().await,
            Backend::Postgres(connection) => connection.close().await,
        };
        if let Err(error) = closed {
            tracing::debug!(place = self.place, %error, "not closed cleanly");
        }
    }
}

/// A query that gives `name:type` of each column.
fn columns_query(name: &TableName, dialect: Dialect) -> String {
    let table = &name.table;
    match dialect {
        Dialect::Sqlite => {
            let schema = name.schema.as_deref().unwrap_or("main");
            format!("SELECT name || ':' || type, cid FROM pragma_table_info('{table}', '{schema}')")
        }
        Dialect::Postgres => format!(
            "SELECT attname || ':' || format_type(atttypid, atttypmod), attnum::bigint \
             FROM pg_attribute WHERE attrelid = '{}'::regclass AND attnum > 0 \
             AND NOT attisdropped",
            name.sql()
        ),
    }
}

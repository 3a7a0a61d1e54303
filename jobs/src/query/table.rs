//! What a job offers to queries: tables on SQLite and PostgreSQL, and Parquet datasets.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use dataflows::fault::Fault;
use dataflows::job::plan::Plan;
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;

use super::hint;

/// Something that can stand after FROM.
#[derive(Clone)]
pub struct Table {
    name: String,
    /// Other names that it goes by: the component's id, where the table is called otherwise.
    aliases: Vec<String>,
    pub(super) source: Source,
}

/// Where the rows are.
#[derive(Clone)]
pub(super) enum Source {
    Sqlite { file: PathBuf, table: String },
    Postgres { options: Box<PgConnectOptions>, schema: Option<String>, table: String },
    Parquet { patterns: Vec<String>, root: PathBuf },
}

/// What holds the rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableKind {
    /// A table of an SQLite file.
    Sqlite,
    /// A table of a PostgreSQL server.
    Postgres,
    /// A dataset of Parquet files.
    Parquet,
}

impl fmt::Display for TableKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Parquet => "parquet",
        })
    }
}

impl Table {
    /// Makes a table of the Parquet files that fit `pattern`: a file, a folder (all below it) or a
    /// glob such as `ticks/**/*.parquet`, relative to `root`.
    pub fn parquet(name: &str, pattern: &str, root: &Path) -> Self {
        let source = Source::Parquet { patterns: vec![pattern.to_owned()], root: root.to_owned() };
        Self { name: name.to_owned(), aliases: Vec::new(), source }
    }

    /// Gives the name to query it by. A name with a dash goes in double quotes in SQL, or is
    /// written with `_` in its place.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells what holds its rows.
    pub const fn kind(&self) -> TableKind {
        match &self.source {
            Source::Sqlite { .. } => TableKind::Sqlite,
            Source::Postgres { .. } => TableKind::Postgres,
            Source::Parquet { .. } => TableKind::Parquet,
        }
    }

    /// Tells where its rows are, without a password.
    pub fn place(&self) -> String {
        match &self.source {
            Source::Sqlite { file, .. } => format!("sqlite:{}", file.display()),
            Source::Postgres { options, .. } => postgres_place(options),
            Source::Parquet { patterns, root } => {
                let paths: Vec<_> =
                    patterns.iter().map(|path| root.join(path).display().to_string()).collect();
                paths.join(", ")
            }
        }
    }

    fn answers_to(&self, name: &str) -> bool {
        self.names().any(|own| own.eq_ignore_ascii_case(name))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.aliases.iter().map(String::as_str))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Table({} {} {})", self.name, self.kind(), self.place())
    }
}

/// A server's address without its password.
pub(super) fn postgres_place(options: &PgConnectOptions) -> String {
    let user = options.get_username();
    let database = options.get_database().unwrap_or(user);
    format!("postgres://{user}@{}:{}/{database}", options.get_host(), options.get_port())
}

/// Finds the table that `name` means: by its name, or with `_` where its name has dashes.
pub(super) fn find<'a>(tables: &'a [Table], name: &str) -> Option<&'a Table> {
    let plain = |name: &str| name.replace('-', "_");
    tables.iter().find(|table| table.answers_to(name)).or_else(|| {
        tables
            .iter()
            .find(|table| table.names().any(|own| plain(own).eq_ignore_ascii_case(&plain(name))))
    })
}

/// Says that there is no such table, and which ones there are.
pub(super) fn unknown(tables: &[Table], name: &str) -> Fault {
    let names = || tables.iter().map(Table::name);
    let known = if tables.is_empty() {
        "the job has no tables and no archives".to_owned()
    } else {
        format!("there are {}", hint::list(names()))
    };
    let hint = hint::did_you_mean(name, names());
    Fault::job("query", format!("there is no table {}{hint} ({known})", hint::sql_name(name)))
}

/// Lists what the job `plan` offers to queries: its table sinks, its archives (sinks and sources),
/// and its file sources that name Parquet files. Relative paths start at `root`. Nothing is opened:
/// what does not exist yet is listed, too.
///
/// # Errors
/// When a component's configuration names no place.
pub fn tables_of(plan: &Plan, root: &Path) -> Result<Vec<Table>, Fault> {
    let mut tables: Vec<Table> = Vec::new();
    for sink in &plan.sinks {
        let place = format!("sinks.{}", sink.id);
        match sink.definition.name() {
            "table" => tables.push(table_sink(&sink.id, &sink.config, root, &place)?),
            "archive" => tables.push(archive(&sink.id, &sink.config, root, &place)?),
            _ => {}
        }
    }
    for source in &plan.sources {
        let place = format!("sources.{}", source.id);
        match source.definition.name() {
            "archive" => tables.push(archive(&source.id, &source.config, root, &place)?),
            "file" => {
                let table = archive(&source.id, &source.config, root, &place)?;
                if matches!(&table.source, Source::Parquet { patterns, .. }
                    if patterns.iter().all(|path| super::parquet::files::is_parquet(Path::new(path))))
                {
                    tables.push(table);
                }
            }
            _ => {}
        }
    }
    tell_apart(&mut tables);
    Ok(tables)
}

/// Where two tables of different places have one name, the later one goes by its component's id.
fn tell_apart(tables: &mut [Table]) {
    for index in 1..tables.len() {
        let (before, after) = tables.split_at_mut(index);
        if let Some(table) = after.first_mut()
            && before.iter().any(|other| other.answers_to(&table.name))
            && let Some(id) = table.aliases.pop()
        {
            table.name = id;
        }
    }
}

fn table_sink(id: &str, config: &Value, root: &Path, place: &str) -> Result<Table, Fault> {
    let url = config.get("url").and_then(Value::as_str).unwrap_or_default();
    let name = config.get("table").and_then(Value::as_str).unwrap_or(id);
    let aliases = if name == id { Vec::new() } else { vec![id.to_owned()] };
    let source = if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        Source::Sqlite { file: root.join(path), table: name.to_owned() }
    } else {
        // The error of the parser may quote the URL, and so the password in it.
        let options = PgConnectOptions::from_str(url).map_err(|_| {
            let message = "not a database URL; expected sqlite:FILE or postgres://…";
            Fault::job(format!("{place}.url"), message)
        })?;
        let (schema, table) = match name.split_once('.') {
            Some((schema, table)) => (Some(schema.to_owned()), table.to_owned()),
            None => (None, name.to_owned()),
        };
        Source::Postgres { options: Box::new(options), schema, table }
    };
    Ok(Table { name: name.to_owned(), aliases, source })
}

fn archive(id: &str, config: &Value, root: &Path, place: &str) -> Result<Table, Fault> {
    let patterns: Vec<String> = match config.get("path") {
        Some(Value::String(path)) => vec![path.clone()],
        Some(Value::Array(paths)) => {
            paths.iter().filter_map(|path| path.as_str().map(str::to_owned)).collect()
        }
        _ => {
            return Err(Fault::job(format!("{place}.path"), "expected a path, or a list of paths"));
        }
    };
    let source = Source::Parquet { patterns, root: root.to_owned() };
    Ok(Table { name: id.to_owned(), aliases: Vec::new(), source })
}

//! Tables of SQLite: rows side by side, in the order of their keys, one of each in memory at a time.

use std::cmp::Ordering;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Rows};

use crate::cli::compare::Told;
use crate::cli::failure::Failure;

/// Tells whether a file is a database.
pub(super) fn is_database(path: &Path) -> bool {
    let mut head = [0; 16];
    File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok()
        && &head == b"SQLite format 3\0"
}

/// Opens a database to read from it.
pub(crate) fn open(path: &Path) -> Result<Connection, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .map_err(|error| Failure::Fault(format!("{}: {error}", path.display())))
}

/// Compares all tables of two databases, but those in which tapeflow keeps its progress.
pub(super) fn databases(
    name: &str,
    found: &Path,
    expected: &Path,
    told: &mut Told,
) -> Result<(), Failure> {
    let (found, expected) = (open(found)?, open(expected)?);
    let (here, there) = (tables(name, &found)?, tables(name, &expected)?);
    for table in here.iter().filter(|table| !there.contains(table)) {
        told.differs(|| format!("{name}, table {table}: not expected"));
    }
    for table in &there {
        if !here.contains(table) {
            told.differs(|| format!("{name}, table {table}: missing"));
            continue;
        }
        let place = format!("{name}, table {table}");
        let side = |connection| Side { connection, table };
        compare(&place, [side(&found), side(&expected)], &Look::default(), told)?;
    }
    Ok(())
}

fn tables(name: &str, connection: &Connection) -> Result<Vec<String>, Failure> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' \
               ESCAPE '\\' AND name NOT LIKE '\\_tapeflow\\_%' ESCAPE '\\' ORDER BY name";
    texts(connection, sql).map_err(|error| failed(name, &error))
}

fn texts(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

fn failed(place: &str, error: &rusqlite::Error) -> Failure {
    Failure::Fault(format!("{place}: {error}"))
}

/// One of two tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) table: &'a str,
}

/// What of the tables is looked at.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Only rows that this holds for, in SQL.
    pub(crate) filter: Option<String>,
    /// Columns that are not compared.
    pub(crate) leave_out: Vec<&'static str>,
}

/// Compares two tables; the key is that of the second one.
pub(crate) fn compare(
    place: &str,
    [found, expected]: [Side<'_>; 2],
    look: &Look,
    told: &mut Told,
) -> Result<(), Failure> {
    let broken = |error: &rusqlite::Error| failed(place, error);
    let columns = |side: Side<'_>| {
        let sql = format!("SELECT name FROM pragma_table_info('{}') ORDER BY cid", side.table);
        texts(side.connection, &sql).map_err(|error| broken(&error))
    };
    let (here, there) = (columns(found)?, columns(expected)?);
    told.tables += 1;
    if let Some(missing) = there.iter().find(|column| !here.contains(column)) {
        told.differs(|| format!("{place}: has no column {missing}"));
        return Ok(());
    }
    let key = key(expected).map_err(|error| broken(&error))?;
    let rest = there.iter().filter(|column| !key.contains(column));
    let rest = rest.filter(|column| !look.leave_out.contains(&column.as_str()));
    let names: Vec<&String> = key.iter().chain(rest).collect();
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let list = quoted.join(", ");
    let filter = look.filter.as_deref().map_or_else(String::new, |f| format!(" WHERE {f}"));
    let prepare =
        |side: Side<'_>| format!("SELECT {list} FROM \"{}\"{filter} ORDER BY {list}", side.table);
    let mut statements = [found, expected]
        .map(|side| side.connection.prepare(&prepare(side)).map_err(|error| broken(&error)));
    let [Ok(here), Ok(there)] = &mut statements else {
        let [here, there] = statements;
        return here.and(there).map(drop);
    };
    let [mut here, mut there] = [here.query([]), there.query([])]
        .map(|rows| Cursor { rows: rows.ok(), width: names.len() });
    let (mut left, mut right) = (here.next(place)?, there.next(place)?);
    let keys = if key.is_empty() { names.len() } else { key.len() };
    loop {
        let order = match (&left, &right) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => order(&left[..keys], &right[..keys]),
        };
        told.rows += 1;
        if order == Ordering::Equal {
            if let (Some(left), Some(right)) = (&left, &right)
                && left != right
            {
                told.differs(|| different(place, &names, keys, [left, right]));
            }
        } else if order == Ordering::Less {
            told.differs(|| format!("{place}: {}: not expected", row(&names, keys, &left)));
        } else {
            told.differs(|| format!("{place}: {}: missing", row(&names, keys, &right)));
        }
        if order != Ordering::Greater {
            left = here.next(place)?;
        }
        if order != Ordering::Less {
            right = there.next(place)?;
        }
    }
}

/// The columns of the primary key, or of the first unique one; none: rows have no identity.
fn key(side: Side<'_>) -> rusqlite::Result<Vec<String>> {
    let table = side.table;
    let primary = format!("SELECT name FROM pragma_table_info('{table}') WHERE pk > 0 ORDER BY pk");
    let names = texts(side.connection, &primary)?;
    if !names.is_empty() {
        return Ok(names);
    }
    let unique = format!(
        "SELECT i.name FROM pragma_index_list('{table}') l, pragma_index_info(l.name) i \
         WHERE l.\"unique\" = 1 AND l.seq = 0 ORDER BY i.seqno"
    );
    texts(side.connection, &unique)
}

struct Cursor<'a> {
    rows: Option<Rows<'a>>,
    width: usize,
}

impl Cursor<'_> {
    fn next(&mut self, place: &str) -> Result<Option<Vec<Value>>, Failure> {
        let Some(rows) = &mut self.rows else { return Ok(None) };
        let Some(row) = rows.next().map_err(|error| failed(place, &error))? else {
            return Ok(None);
        };
        let cells: rusqlite::Result<Vec<Value>> =
            (0..self.width).map(|column| row.get(column)).collect();
        cells.map(Some).map_err(|error| failed(place, &error))
    }
}

/// The order in which SQLite sorts.
fn order(left: &[Value], right: &[Value]) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Integer(_) | Value::Real(_) => 1,
        Value::Text(_) => 2,
        Value::Blob(_) => 3,
    };
    let one = |(left, right): (&Value, &Value)| match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => left.cmp(right),
        (Value::Real(left), Value::Real(right)) => left.total_cmp(right),
        (Value::Integer(left), Value::Real(right)) => (*left as f64).total_cmp(right),
        (Value::Real(left), Value::Integer(right)) => left.total_cmp(&(*right as f64)),
        (Value::Text(left), Value::Text(right)) => left.as_bytes().cmp(right.as_bytes()),
        (Value::Blob(left), Value::Blob(right)) => left.cmp(right),
        (left, right) => rank(left).cmp(&rank(right)),
    };
    left.iter().zip(right).map(one).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn row(names: &[&String], keys: usize, values: &Option<Vec<Value>>) -> String {
    let values = values.as_deref().unwrap_or_default();
    let fields = names.iter().zip(values).take(keys);
    let fields: Vec<String> =
        fields.map(|(name, value)| format!("{name} {}", shown(value))).collect();
    fields.join(", ")
}

fn different(
    place: &str,
    names: &[&String],
    keys: usize,
    [found, expected]: [&Vec<Value>; 2],
) -> String {
    let fields = names.iter().zip(found.iter().zip(expected)).skip(keys);
    let fields = fields.filter(|(_, (found, expected))| found != expected);
    let fields: Vec<String> = fields
        .map(|(name, (found, expected))| {
            format!("{name}: found {}, expected {}", shown(found), shown(expected))
        })
        .collect();
    format!("{place}: {}: {}", row(names, keys, &Some(found.clone())), fields.join("; "))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

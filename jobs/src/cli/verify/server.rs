//! A table on PostgreSQL, copied beside the derived one in the form in which SQLite would have it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use dataflows::job::plan::{Plan, SinkPlan};
use dataflows::kind::Kind;
use dataflows::verdict::canonical;
use proto::row::{Column, ColumnType};
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, params_from_iter};
use serde_json::Value;

use crate::cli::Session;
use crate::cli::failure::Failure;
use crate::query;

/// Copies the table of a sink; gives the copy's database and name.
pub(super) fn copy(
    job: &Plan,
    sink: &SinkPlan,
    root: &Path,
    scratch: &Path,
    session: &Session,
) -> Result<(Connection, String), Failure> {
    let failed = |fault| Failure::of(&fault, &job.secrets);
    let mut only = job.clone();
    only.sources.clear();
    only.sinks.retain(|other| other.id == sink.id);
    let tables = query::tables_of(&only, root).map_err(failed)?;
    let columns = columns(sink.kind);
    let names: Vec<String> = columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let name = tables.first().map_or(sink.id.as_str(), query::Table::name);
    let dotted: Vec<String> = name.split('.').map(|part| format!("\"{part}\"")).collect();
    let sql = format!("SELECT {} FROM {}", names.join(", "), dotted.join("."));
    let lines = scratch.join(format!("{}.jsonl", sink.id));
    let (format, out) = (query::Format::Jsonl, Some(lines.as_path()));
    query::run(&tables, &sql, format, &mut std::io::sink(), out, &session.stop).map_err(failed)?;

    let broken = |error: &dyn std::fmt::Display| Failure::Fault(format!("{}: {error}", sink.id));
    let file = scratch.join(format!("{}-copy.db", sink.id));
    let mut copy = Connection::open(&file).map_err(|error| broken(&error))?;
    let kinds: Vec<String> = columns.iter().map(definition).collect();
    copy.execute_batch(&format!("CREATE TABLE copy ({})", kinds.join(", ")))
        .map_err(|error| broken(&error))?;
    let transaction = copy.transaction().map_err(|error| broken(&error))?;
    let marks = vec!["?"; columns.len()].join(", ");
    let mut insert = transaction
        .prepare(&format!("INSERT INTO copy VALUES ({marks})"))
        .map_err(|error| broken(&error))?;
    let rows = BufReader::new(File::open(&lines).map_err(|error| broken(&error))?);
    for line in rows.lines() {
        let line = line.map_err(|error| broken(&error))?;
        let row: Value = serde_json::from_str(&line).map_err(|error| broken(&error))?;
        let cells = columns.iter().map(|column| cell(column, row.get(column.name)));
        insert.execute(params_from_iter(cells)).map_err(|error| broken(&error))?;
    }
    drop(insert);
    transaction.commit().map_err(|error| broken(&error))?;
    Ok((copy, "copy".to_owned()))
}

/// What a table of a kind consists of: rejects have a name of their own there.
fn columns(kind: Kind) -> Vec<Column> {
    let id = Column { name: "id", kind: ColumnType::Text, nullable: false };
    let id = (kind == Kind::Rejects).then_some(id);
    id.into_iter().chain(kind.columns().iter().copied()).collect()
}

fn definition(column: &Column) -> String {
    let kind = match column.kind {
        ColumnType::Price | ColumnType::Quantity => "REAL",
        ColumnType::Integer | ColumnType::Nanos => "INTEGER",
        ColumnType::Bytes => "BLOB",
        _ => "TEXT",
    };
    format!("\"{}\" {kind}", column.name)
}

/// A value as the table sink writes it to SQLite.
fn cell(column: &Column, value: Option<&Value>) -> Cell {
    let value = match value {
        None | Some(Value::Null) => return Cell::Null,
        Some(value) => value,
    };
    let text = || value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match column.kind {
        ColumnType::Price | ColumnType::Quantity => {
            value.as_f64().map_or_else(|| Cell::Text(text()), Cell::Real)
        }
        ColumnType::Integer | ColumnType::Nanos => {
            value.as_i64().map_or_else(|| Cell::Text(text()), Cell::Integer)
        }
        ColumnType::Bytes => {
            let digits = text();
            let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
            let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
            bytes.map_or(Cell::Text(digits), Cell::Blob)
        }
        ColumnType::Text => Cell::Text(text()),
        ColumnType::Second | ColumnType::Time | ColumnType::Date => {
            match canonical(column, value) {
                Ok(Value::String(text)) => Cell::Text(text),
                _ => Cell::Text(text()),
            }
        }
    }
}

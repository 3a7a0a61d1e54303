//! `tapeflow query`: SQL over what a job wrote and reads.
//!
//! Tables on SQLite and Parquet datasets are read in process, by SQLite: tables are attached
//! read-only, datasets are virtual tables that read only the files, row groups and columns that a
//! query needs. Tables on PostgreSQL are queried there. Either way the rows stream through one
//! output, and memory stays bounded.

mod functions;
mod hint;
mod lexer;
mod output;
mod parquet;
mod postgres;
mod sqlite;
mod table;
#[cfg(test)]
mod tests;
mod value;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use dataflows::fault::Fault;

use lexer::TableReference;
pub use output::Format;
use output::Output;
use table::Source;
pub use table::{Table, TableKind, tables_of};

/// Runs one statement that reads over `tables`, and writes its rows as `format` says: to `to`, or
/// to `out_file` if it is given, which is replaced only when all rows are there. Gives the number
/// of rows.
///
/// `stop` may be set at any time, and ends the query with [`Fault::Interrupted`]. A reader of `to`
/// that goes away ends it quietly.
///
/// # Errors
/// [`Fault::Job`] at the place `query` when the SQL is wrong: what is wrong, the nearest right
/// name, what there is. [`Fault::Stop`] when a file or server cannot be read, or the output cannot
/// be written.
pub fn run(
    tables: &[Table],
    sql: &str,
    format: Format,
    to: &mut dyn Write,
    out_file: Option<&Path>,
    stop: &Arc<AtomicBool>,
) -> Result<u64, Fault> {
    let tokens = lexer::tokens(sql);
    lexer::check(&tokens)?;
    let named = lexer::table_references(&tokens);
    let engine = engine(tables, &named)?;
    let mut output = Output::new(format, to, out_file)?;
    match engine {
        Engine::Sqlite => sqlite::Session::new(tables, stop)?.run(sql, &mut output),
        Engine::Postgres(on_server) => {
            let question = postgres::Question { on_server, tables, named: &named, sql };
            postgres::run(&question, &mut output, stop)
        }
    }
}

/// Who runs a query.
enum Engine<'a> {
    Sqlite,
    /// A server, with the tables on it that the query names.
    Postgres(Vec<&'a Table>),
}

fn engine<'a>(tables: &'a [Table], named: &[TableReference]) -> Result<Engine<'a>, Fault> {
    let mut on_server: Vec<&Table> = Vec::new();
    let mut here: Vec<&Table> = Vec::new();
    for reference in named {
        let dotted = reference.schema.as_ref().map(|schema| format!("{schema}.{}", reference.name));
        let Some(table) = table::find(tables, dotted.as_deref().unwrap_or(&reference.name)) else {
            continue;
        };
        let side = if table.kind() == TableKind::Postgres { &mut on_server } else { &mut here };
        if !side.iter().any(|known| known.name() == table.name()) {
            side.push(table);
        }
    }
    if let (Some(there), Some(here)) = (on_server.first(), here.first()) {
        let message = format!(
            "{} is on PostgreSQL, {} is not, and one query cannot read both; ask one after the \
             other (--format parquet keeps a result for the next query)",
            hint::sql_name(there.name()),
            hint::sql_name(here.name())
        );
        return Err(Fault::job("query", message));
    }
    if on_server.is_empty() && here.is_empty() {
        // No table of ours: a job that has tables on a server only means that server.
        let all_on_server = tables.iter().all(|table| table.kind() == TableKind::Postgres);
        if all_on_server {
            on_server.extend(tables.first());
        }
    }
    let place = |table: &&Table| match &table.source {
        Source::Postgres { .. } => table.place(),
        _ => String::new(),
    };
    if let Some(first) = on_server.first()
        && let Some(other) = on_server.iter().find(|other| place(other) != place(first))
    {
        let message = format!(
            "{} and {} are in different databases, and one query cannot read both",
            hint::sql_name(first.name()),
            hint::sql_name(other.name())
        );
        return Err(Fault::job("query", message));
    }
    Ok(if on_server.is_empty() { Engine::Sqlite } else { Engine::Postgres(on_server) })
}

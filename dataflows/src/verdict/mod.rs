//! The tests of a job: from objects that a job file holds to records, from records to objects in
//! canonical order, and what differs between those that came and those that were expected.
//!
//! Pure functions: who feeds, runs and collects stands elsewhere. Decimals and times are text
//! here, exact to the last digit; whole numbers are JSON numbers; what is absent is null.

mod compare;
mod read;
mod value;

use proto::columns::Names;
use proto::row::{Column, ColumnType, Values};
use proto::series::SeriesTable;
use serde_json::{Map, Value};

use crate::batch::Rows;
use crate::kind::Kind;
use crate::order;

pub use compare::compare;
pub(crate) use read::required;
pub use read::rows_of;
pub use value::canonical;

/// Gives the columns of a kind that an object has as keys: times are written in full, so none of
/// nanoseconds.
pub fn columns(kind: Kind) -> impl Iterator<Item = &'static Column> {
    kind.columns().iter().filter(|column| column.kind != ColumnType::Nanos)
}

/// Makes objects of the rows of one place, in canonical order: by the names of the series, then by
/// time, never by arrival. All runs carry one kind; others than the first one's are left out.
pub fn objects(runs: Vec<Rows>, table: &SeriesTable) -> Vec<Map<String, Value>> {
    let names = Names::new(table.clone());
    let Some(rows) = order::canonical(runs, &names) else { return Vec::new() };
    let values = rows.values(&names);
    let columns: Vec<(&Column, Values)> = rows.kind().columns().iter().zip(values).collect();
    let object = |row: usize| {
        let columns = columns.iter().filter(|(column, _)| column.kind != ColumnType::Nanos);
        columns.map(move |(column, values)| (column.name.to_owned(), shown(column, values, row)))
    };
    (0..rows.len()).map(|row| object(row).collect()).collect()
}

fn shown(column: &Column, values: &Values, row: usize) -> Value {
    if let (ColumnType::Integer, Values::Numbers(values)) = (column.kind, values) {
        return values.get(row).copied().flatten().map_or(Value::Null, Value::from);
    }
    let mut text = String::new();
    if values.write(column.kind, row, &mut text) { Value::String(text) } else { Value::Null }
}

#[cfg(test)]
mod tests;

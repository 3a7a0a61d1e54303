//! Rows as lines of text: JSON with exact decimals, CSV, and fields for a table.

use dataflows::batch::Rows;
use dataflows::kind::Kind;
use proto::columns::Names;
use proto::row::{Column, ColumnType, Values};

/// The values of rows with their columns; without the columns that text has no need of.
#[derive(Debug)]
pub(crate) struct Sheet {
    columns: Vec<(Column, Values)>,
    pub(crate) rows: usize,
}

/// The columns of a kind that text shows: times are written in full, so none of nanoseconds.
pub(crate) fn columns(kind: Kind) -> impl Iterator<Item = Column> {
    kind.columns().iter().copied().filter(|column| column.kind != ColumnType::Nanos)
}

impl Sheet {
    pub(crate) fn new(rows: &Rows, names: &Names) -> Self {
        let columns = rows.kind().columns().iter().copied().zip(rows.values(names));
        let columns = columns.filter(|(column, _)| column.kind != ColumnType::Nanos).collect();
        Self { columns, rows: rows.len() }
    }

    /// Appends a row as one line of JSON. Numbers keep every digit; what is absent is null.
    pub(crate) fn write_json(&self, row: usize, out: &mut String) {
        for (index, (column, values)) in self.columns.iter().enumerate() {
            out.push(if index == 0 { '{' } else { ',' });
            out.push_str(&format!("\"{}\":", column.name));
            let start = out.len();
            if !values.write(column.kind, row, out) {
                out.push_str("null");
            } else if !is_number(column.kind) {
                let text = out.split_off(start);
                out.push_str(&serde_json::Value::String(text).to_string());
            }
        }
        out.push_str("}\n");
    }

    /// Appends a row as one line of CSV; what is absent is empty.
    pub(crate) fn write_csv(&self, row: usize, out: &mut String) {
        for (index, (column, values)) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            let start = out.len();
            let is_there = values.write(column.kind, row, out);
            let is_plain = !out[start..].contains([',', '"', '\n', '\r']);
            if is_there && !is_plain {
                let text = out.split_off(start);
                out.push_str(&format!("\"{}\"", text.replace('"', "\"\"")));
            }
        }
        out.push('\n');
    }

    /// Gives a field as text for people.
    pub(crate) fn field(&self, name: &str, row: usize) -> String {
        let mut text = String::new();
        if let Some((column, values)) = self.columns.iter().find(|(column, _)| column.name == name)
        {
            values.write(column.kind, row, &mut text);
        }
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

const fn is_number(kind: ColumnType) -> bool {
    matches!(kind, ColumnType::Integer | ColumnType::Price | ColumnType::Quantity)
}

//! Rows in aligned columns, to look at. The first rows decide how wide a column is; a longer cell
//! further down pushes its row out of line, and nothing is cut.

use std::io::{self, Write};

use super::Rows;
use crate::query::value::{Column, Value};

/// So many rows are looked at before the first is written,
const ROWS_FOR_WIDTHS: usize = 1_000;
/// or so many bytes of them.
const BYTES_FOR_WIDTHS: usize = 1 << 22;

#[derive(Debug, Default)]
pub(super) struct TableRows {
    names: Vec<String>,
    is_number: Vec<bool>,
    widths: Vec<usize>,
    waiting: Vec<Vec<Cell>>,
    bytes: usize,
    has_begun: bool,
}

#[derive(Debug)]
struct Cell {
    text: String,
    is_number: bool,
}

impl Cell {
    fn new(value: &Value<'_>) -> Self {
        let mut text = String::new();
        match value {
            Value::Null => text.push('∅'),
            // A control character could move the terminal's cursor, or worse.
            Value::Text(raw) if raw.chars().any(char::is_control) => {
                for c in raw.chars() {
                    if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
                }
            }
            value => value.write_text(&mut text),
        }
        Self { text, is_number: matches!(value, Value::Integer(_) | Value::Real(_)) }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl TableRows {
    fn begin(&mut self, to: &mut dyn Write) -> io::Result<()> {
        self.has_begun = true;
        let rows = std::mem::take(&mut self.waiting);
        let header = self.names.iter().map(|name| Cell::new(&Value::Text(name.into()))).collect();
        self.is_number = vec![false; self.names.len()];
        for row in &rows {
            for (is_number, cell) in self.is_number.iter_mut().zip(row) {
                *is_number |= cell.is_number;
            }
        }
        for row in std::iter::once(&header).chain(&rows) {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        self.write(&header, to)?;
        let rules: Vec<String> = self.widths.iter().map(|width| "─".repeat(*width)).collect();
        writeln!(to, "{}", rules.join("──"))?;
        rows.iter().try_for_each(|row| self.write(row, to))
    }

    fn write(&self, row: &[Cell], to: &mut dyn Write) -> io::Result<()> {
        let mut line = String::new();
        for (index, cell) in row.iter().enumerate() {
            let width = self.widths.get(index).copied().unwrap_or(0);
            let pad = width.saturating_sub(cell.width());
            let is_number = self.is_number.get(index).copied().unwrap_or(false);
            if index > 0 {
                line.push_str("  ");
            }
            if is_number {
                line.extend(std::iter::repeat_n(' ', pad));
            }
            line.push_str(&cell.text);
            if !is_number && index + 1 < row.len() {
                line.extend(std::iter::repeat_n(' ', pad));
            }
        }
        line.push('\n');
        to.write_all(line.as_bytes())
    }
}

impl Rows for TableRows {
    fn start(&mut self, columns: &[Column], _: &mut dyn Write) -> io::Result<()> {
        self.names = columns.iter().map(|column| column.name.clone()).collect();
        self.widths = vec![0; columns.len()];
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>], to: &mut dyn Write) -> io::Result<()> {
        let row: Vec<Cell> = values.iter().map(Cell::new).collect();
        if self.has_begun {
            return self.write(&row, to);
        }
        self.bytes += row.iter().map(|cell| cell.text.len()).sum::<usize>();
        self.waiting.push(row);
        if self.waiting.len() >= ROWS_FOR_WIDTHS || self.bytes >= BYTES_FOR_WIDTHS {
            self.begin(to)?;
        }
        Ok(())
    }

    fn finish(&mut self, to: &mut dyn Write) -> io::Result<()> {
        if self.has_begun { Ok(()) } else { self.begin(to) }
    }
}

//! Rows as CSV (RFC 4180), a line feed after each.

use std::io::{self, Write};

use super::Rows;
use crate::query::value::{Column, Value};

#[derive(Debug, Default)]
pub(super) struct CsvRows {
    field: String,
    line: Vec<u8>,
}

impl Rows for CsvRows {
    fn start(&mut self, columns: &[Column], to: &mut dyn Write) -> io::Result<()> {
        let names: Vec<_> =
            columns.iter().map(|column| Value::Text(column.name.as_str().into())).collect();
        self.row(&names, to)
    }

    fn row(&mut self, values: &[Value<'_>], to: &mut dyn Write) -> io::Result<()> {
        self.line.clear();
        // A line of its own: the writer would flush all that is behind it, at every row.
        let mut writer = csv::WriterBuilder::new().buffer_capacity(256).from_writer(&mut self.line);
        for value in values {
            self.field.clear();
            value.write_text(&mut self.field);
            writer.write_field(&self.field).map_err(io::Error::from)?;
        }
        writer.write_record(None::<&[u8]>).map_err(io::Error::from)?;
        writer.flush()?;
        drop(writer);
        to.write_all(&self.line)
    }

    fn finish(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

//! Rows as CSV (RFC 4180), a line feed after each.

use std::io::{self, Write};

use super::Rows;
use crate::query::value::{Column, Value};

#[derive(Debug, Default)]
pub(super) struct CsvRows {
    field: String,
}

impl Rows for CsvRows {
    fn start(&mut self, columns: &[Column], to: &mut dyn Write) -> io::Result<()> {
        let mut writer = csv::WriterBuilder::new().buffer_capacity(256).from_writer(to);
        writer.write_record(columns.iter().map(|column| &column.name)).map_err(io::Error::from)?;
        writer.flush()
    }

    fn row(&mut self, values: &[Value<'_>], to: &mut dyn Write) -> io::Result<()> {
        let mut writer = csv::WriterBuilder::new().buffer_capacity(256).from_writer(to);
        for value in values {
            self.field.clear();
            value.write_text(&mut self.field);
            writer.write_field(&self.field).map_err(io::Error::from)?;
        }
        writer.write_record(None::<&[u8]>).map_err(io::Error::from)?;
        writer.flush()
    }

    fn finish(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

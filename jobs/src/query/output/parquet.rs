//! Rows as a Parquet file. What the engine does not declare (an expression has no type in SQLite)
//! the first rows decide; a later value that does not fit is an error that says what to write.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::{Rows, distinct_names};
use crate::query::parquet::time_text;
use crate::query::value::{Column, Type, Value};

const ROWS_AT_ONCE: usize = 8_192;
/// Text is counted as it comes, so that long texts do not pile up.
const BYTES_AT_ONCE: usize = 16 << 20;
const BYTES_PER_GROUP: usize = 128 << 20;

#[derive(Default)]
pub(super) struct ParquetRows {
    names: Vec<String>,
    declared: Vec<Option<Type>>,
    kinds: Vec<Type>,
    waiting: Vec<Vec<Value<'static>>>,
    bytes: usize,
    rows: u64,
    encoder: Option<(SchemaRef, ArrowWriter<Vec<u8>>)>,
}

impl ParquetRows {
    /// Decides the types, by what is declared and by the rows that wait.
    fn begin(&mut self) -> io::Result<()> {
        self.kinds = (0..)
            .zip(&self.declared)
            .map(|(column, declared)| {
                let fits = |kind| {
                    self.waiting
                        .iter()
                        .all(|row| row.get(column).is_none_or(|value| fits(value, kind)))
                };
                let mut seen = self
                    .waiting
                    .iter()
                    .filter_map(|row| row.get(column))
                    .filter(|value| **value != Value::Null);
                match (declared, seen.next()) {
                    (Some(kind), _) if fits(*kind) => *kind,
                    (_, Some(Value::Integer(_))) if fits(Type::Integer) => Type::Integer,
                    (_, Some(Value::Integer(_) | Value::Real(_))) => Type::Real,
                    (_, Some(Value::Blob(_))) => Type::Blob,
                    _ => Type::Text,
                }
            })
            .collect();
        let fields: Vec<Field> = self
            .names
            .iter()
            .zip(&self.kinds)
            .map(|(name, kind)| Field::new(name, arrow_type(*kind), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder()
            .set_created_by("tapeflow".to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let encoder = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties));
        self.encoder = Some((schema, encoder.map_err(io::Error::other)?));
        Ok(())
    }

    fn flush(&mut self, to: &mut dyn Write) -> io::Result<()> {
        if self.encoder.is_none() {
            self.begin()?;
        }
        let Some((schema, encoder)) = &mut self.encoder else { return Ok(()) };
        let mut arrays = Vec::with_capacity(self.kinds.len());
        for (column, kind) in self.kinds.iter().enumerate() {
            for (row, values) in (0_u64..).zip(&self.waiting) {
                let value = values.get(column).unwrap_or(&Value::Null);
                if !fits(value, *kind) {
                    let name = self.names.get(column).map_or("", String::as_str);
                    let at = self.rows + row + 1;
                    return Err(mismatch(name, *kind, value, at));
                }
            }
            arrays.push(array(&self.waiting, column, *kind));
        }
        let options =
            arrow::array::RecordBatchOptions::new().with_row_count(Some(self.waiting.len()));
        let batch = RecordBatch::try_new_with_options(schema.clone(), arrays, &options)
            .map_err(io::Error::other)?;
        encoder.write(&batch).map_err(io::Error::other)?;
        if encoder.in_progress_size() > BYTES_PER_GROUP {
            encoder.flush().map_err(io::Error::other)?;
        }
        drain(encoder, to)?;
        self.rows += self.waiting.len() as u64;
        self.waiting.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// Passes on what is encoded.
fn drain(encoder: &mut ArrowWriter<Vec<u8>>, to: &mut dyn Write) -> io::Result<()> {
    let encoded = encoder.inner_mut();
    to.write_all(encoded)?;
    encoded.clear();
    Ok(())
}

impl Rows for ParquetRows {
    fn start(&mut self, columns: &[Column], _: &mut dyn Write) -> io::Result<()> {
        self.names = distinct_names(columns);
        self.declared = columns.iter().map(|column| column.kind).collect();
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>], to: &mut dyn Write) -> io::Result<()> {
        let row: Vec<_> = values.iter().map(|value| value.clone().into_owned()).collect();
        self.bytes += row
            .iter()
            .map(|value| match value {
                Value::Text(text) => text.len(),
                Value::Blob(bytes) => bytes.len(),
                _ => 0,
            })
            .sum::<usize>();
        self.waiting.push(row);
        if self.waiting.len() >= ROWS_AT_ONCE || self.bytes >= BYTES_AT_ONCE {
            self.flush(to)?;
        }
        Ok(())
    }

    fn finish(&mut self, to: &mut dyn Write) -> io::Result<()> {
        self.flush(to)?;
        let Some((_, mut encoder)) = self.encoder.take() else { return Ok(()) };
        encoder.finish().map_err(io::Error::other)?;
        drain(&mut encoder, to)
    }
}

fn arrow_type(kind: Type) -> DataType {
    match kind {
        Type::Integer => DataType::Int64,
        Type::Real => DataType::Float64,
        Type::Text => DataType::Utf8,
        Type::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::Date => DataType::Date32,
        Type::Blob => DataType::Binary,
    }
}

fn fits(value: &Value<'_>, kind: Type) -> bool {
    match (value, kind) {
        (Value::Null, _)
        | (Value::Integer(_), Type::Integer | Type::Real)
        | (Value::Real(_), Type::Real)
        | (Value::Text(_), Type::Text)
        | (Value::Blob(_), Type::Blob) => true,
        (Value::Text(text), Type::Timestamp) => micros(text).is_some(),
        (Value::Text(text), Type::Date) => days(text).is_some(),
        _ => false,
    }
}

/// Microseconds since 1970; none for a time that is finer, or no time.
fn micros(text: &str) -> Option<i64> {
    time_text::parse(text).filter(|ns| ns % 1_000 == 0).map(|ns| ns / 1_000)
}

fn days(text: &str) -> Option<i32> {
    let ns = time_text::parse(text).filter(|_| text.len() == 10)?;
    i32::try_from(ns.div_euclid(86_400_000_000_000)).ok()
}

fn mismatch(name: &str, kind: Type, value: &Value<'_>, row: u64) -> io::Error {
    let mut text = String::new();
    value.write_text(&mut text);
    let kind = match kind {
        Type::Integer => "whole numbers",
        Type::Real => "numbers",
        Type::Text => "text",
        Type::Timestamp => "times in microseconds",
        Type::Date => "dates",
        Type::Blob => "bytes",
    };
    let message = format!(
        "column \"{name}\" began with {kind}, but row {row} has `{text}`, and a Parquet column has \
         one type; say which: CAST(… AS TEXT) or CAST(… AS REAL)"
    );
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn array(rows: &[Vec<Value<'static>>], column: usize, kind: Type) -> ArrayRef {
    let values = || rows.iter().map(|row| row.get(column).unwrap_or(&Value::Null));
    let texts = || {
        values().map(|value| match value {
            Value::Text(text) => Some(text.as_ref()),
            _ => None,
        })
    };
    match kind {
        Type::Integer => Arc::new(Int64Array::from_iter(values().map(|value| match value {
            Value::Integer(value) => Some(*value),
            _ => None,
        }))),
        Type::Real => Arc::new(Float64Array::from_iter(values().map(Value::as_f64))),
        Type::Text => Arc::new(StringArray::from_iter(texts())),
        Type::Timestamp => {
            let times = texts().map(|text| text.and_then(micros));
            Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC"))
        }
        Type::Date => Arc::new(Date32Array::from_iter(texts().map(|text| text.and_then(days)))),
        Type::Blob => Arc::new(BinaryArray::from_iter(values().map(|value| match value {
            Value::Blob(bytes) => Some(bytes.as_ref()),
            _ => None,
        }))),
    }
}

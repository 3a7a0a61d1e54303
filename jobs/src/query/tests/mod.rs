//! Tests of the query engine, end to end: real files, real databases, text that comes out.

mod datasets;
mod functions;
mod model;
mod outputs;
mod server;
mod sqlite_files;
mod tables;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::{
    ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use dataflows::fault::Fault;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::output::Output;
use super::sqlite::Session;
use super::{Format, Table, run};

/// 2014-05-01T00:00:00Z, in microseconds.
const MAY: i64 = 1_398_902_400_000_000;

fn never() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

/// Asks; gives CSV without its header.
fn ask(tables: &[Table], sql: &str) -> Result<String, Fault> {
    let text = written(tables, sql, Format::Csv)?;
    Ok(text.split_once('\n').map(|(_, rows)| rows.to_owned()).unwrap_or_default())
}

fn written(tables: &[Table], sql: &str, format: Format) -> Result<String, Fault> {
    let mut to = Vec::new();
    run(tables, sql, format, &mut to, None, &never())?;
    Ok(String::from_utf8(to).unwrap())
}

/// What a wrong question is answered with.
fn refusal(tables: &[Table], sql: &str) -> String {
    ask(tables, sql).expect_err(sql).to_string()
}

/// Asks; gives the rows and how many files, row groups and column chunks were read for them.
fn counted(tables: &[Table], sql: &str) -> (String, [usize; 3]) {
    let mut to = Vec::new();
    let mut output = Output::new(Format::Csv, &mut to, None).unwrap();
    let mut session = Session::new(tables, &never()).unwrap();
    session.run(sql, &mut output).unwrap();
    let read = session.datasets.first().unwrap().work.read();
    drop(output);
    let text = String::from_utf8(to).unwrap();
    (text.split_once('\n').unwrap().1.to_owned(), read)
}

fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>, rows_per_group: usize) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap();
    let properties =
        WriterProperties::builder().set_max_row_group_row_count(Some(rows_per_group)).build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// A tick of the test data: name, microseconds, bid in 10^-9, volume.
type TickRow = (&'static str, i64, Option<i64>, Option<i64>);

fn tick_columns(rows: &[TickRow]) -> Vec<(&'static str, ArrayRef)> {
    let bids = Decimal128Array::from_iter(rows.iter().map(|row| row.2.map(i128::from)));
    let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.1));
    vec![
        ("instrument", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)))),
        ("time", Arc::new(times.with_timezone("UTC"))),
        ("bid", Arc::new(bids.with_precision_and_scale(18, 9).unwrap())),
        ("volume", Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.3)))),
    ]
}

fn write_ticks(path: &Path, rows: &[TickRow], rows_per_group: usize) {
    write_parquet(path, tick_columns(rows), rows_per_group);
}

fn reals(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

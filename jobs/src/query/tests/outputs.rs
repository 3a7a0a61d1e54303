//! The outputs: what a result looks like, and that it streams.

use std::fs::File;
use std::io::{self, Write};

use arrow::datatypes::{DataType, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{MAY, ask, never, refusal, write_ticks, written};
use crate::query::{Format, Table, run};

const SQL: &str = "SELECT * FROM (VALUES ('a,b', 1, 0.5), ('say \"x\"', -20, NULL), ('', 3, 1e20))";

#[test]
fn a_table_is_aligned_with_numbers_to_the_right() {
    let text = written(&[], SQL, Format::Table).unwrap();
    assert_eq!(
        text,
        "column1  column2  column3\n\
         ─────────────────────────\n\
         a,b            1      0.5\n\
         say \"x\"      -20        ∅\n\
         \u{20}              3     1e20\n"
    );
    let text = written(&[], "SELECT char(27) || '[2J' AS x, 1 AS y", Format::Table).unwrap();
    assert!(text.contains("\\u{1b}[2J"), "{text}");
}

#[test]
fn a_long_table_streams_and_has_all_rows() {
    let sql = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 5000) \
               SELECT x FROM n";
    let text = written(&[], sql, Format::Table).unwrap();
    assert_eq!(text.lines().count(), 5_002);
    assert!(text.ends_with("5000\n"));
}

#[test]
fn csv_quotes_what_must_be_quoted() {
    let text = written(&[], SQL, Format::Csv).unwrap();
    let rows = "column1,column2,column3\n\"a,b\",1,0.5\n\"say \"\"x\"\"\",-20,\n,3,1e20\n";
    assert_eq!(text, rows);
}

#[test]
fn json_is_one_array_of_objects_or_an_object_a_line() {
    let text = written(&[], "SELECT 1 AS a, 'x' AS a, NULL AS b", Format::Json).unwrap();
    assert_eq!(text, "[\n{\"a\":1,\"a_2\":\"x\",\"b\":null}\n]\n");
    let text = written(&[], SQL, Format::Json).unwrap();
    let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(rows[1]["column1"], "say \"x\"");
    assert_eq!(rows.as_array().map(Vec::len), Some(3));
    let none = written(&[], "SELECT 1 AS a WHERE 0", Format::Json).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&none).unwrap(), serde_json::json!([]));
    let lines = written(&[], SQL, Format::Jsonl).unwrap();
    assert_eq!(lines.lines().count(), 3);
}

#[test]
fn a_parquet_file_has_types_and_can_be_queried_again() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<_> = (0..20_000)
        .map(|n| ("EURUSD", MAY + n, (n % 3 > 0).then_some(n), (n % 2 > 0).then_some(n)))
        .collect();
    write_ticks(&folder.path().join("ticks.parquet"), &rows, 5_000);
    let tables = [
        Table::parquet("ticks", "ticks.parquet", folder.path()),
        Table::parquet("again", "again.parquet", folder.path()),
    ];
    let file = folder.path().join("again.parquet");
    let sql = "SELECT *, volume + 1 AS more FROM ticks";
    let count = run(&tables, sql, Format::Parquet, &mut Vec::new(), Some(&file), &never());
    assert_eq!(count.unwrap(), 20_000);
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file).unwrap()).unwrap();
    let kinds: Vec<_> =
        reader.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let number = DataType::Float64;
    assert_eq!(kinds, [DataType::Utf8, time, number, DataType::Int64, DataType::Int64]);
    for columns in ["instrument, time, bid, volume", "count(*), sum(bid), sum(volume)"] {
        let of = |table| ask(&tables, &format!("SELECT {columns} FROM {table}")).unwrap();
        assert_eq!(of("ticks"), of("again"));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_value_that_does_not_fit_its_column_leaves_the_old_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.parquet");
    std::fs::write(&file, "old").unwrap();
    let sql = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 20000) \
               SELECT CASE WHEN x < 15000 THEN x ELSE 'word' END AS y FROM n";
    let done = run(&[], sql, Format::Parquet, &mut Vec::new(), Some(&file), &never());
    let message = done.unwrap_err().to_string();
    assert!(message.contains("row 15000 has `word`"), "{message}");
    assert_eq!(std::fs::read(&file).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let missing = run(&[], "SELECT 1", Format::Parquet, &mut Vec::new(), None, &never());
    assert!(missing.unwrap_err().to_string().contains("--file"));
    assert!(refusal(&[], "SELECT absent").contains("no such column"));
}

/// A reader that goes away after so many bytes.
struct Pipe(usize);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(self.0);
        self.0 -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_query_quietly() {
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n";
    for format in [Format::Table, Format::Csv, Format::Json, Format::Jsonl] {
        run(&[], endless, format, &mut Pipe(100_000), None, &never()).unwrap();
    }
    run(&[], "SELECT 1", Format::Table, &mut Pipe(0), None, &never()).unwrap();
}

//! Rows to a Parquet file: encodings, row groups, and pages cut at the same rows always.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use dataflows::fault::Fault;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves,
};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use proto::columns::{Detail, Names};

use super::stored::Stored;
use super::words::{Words, are_words};

/// Rows are encoded so many at a time: few enough for the cache, and always the same number, so
/// that pages end at the same rows whatever the slices were that rows came in.
const ROWS_AT_ONCE: usize = 8_192;
const ROWS_PER_GROUP: usize = 1 << 20;

/// Columns that mostly change by small steps: differences, no dictionary. Of prices, too: a
/// dictionary of them outgrows its page, which made candles a quarter larger and slower to write.
const STEPS: [&str; 21] = [
    "time",
    "start",
    "end",
    "first_time",
    "last_time",
    "sequence",
    "first_sequence",
    "last_sequence",
    "trading_date",
    "clock",
    "bid",
    "ask",
    "last",
    "open",
    "high",
    "low",
    "close",
    "ask_open",
    "ask_high",
    "ask_low",
    "ask_close",
];
/// Words that nobody prunes by: no statistics.
const WORDS: [&str; 6] = ["basis", "reason", "flags", "detail", "payload", "place"];

/// How every file of an archive is written; `benches` measures the floor with the same.
pub fn properties() -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_created_by("tapeflow".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()))
        .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for name in STEPS {
        properties = properties
            .set_column_dictionary_enabled(ColumnPath::from(name), false)
            .set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
    }
    for name in ["time", "start"] {
        properties = properties
            .set_column_statistics_enabled(ColumnPath::from(name), EnabledStatistics::Page);
    }
    for name in WORDS {
        properties = properties
            .set_column_statistics_enabled(ColumnPath::from(name), EnabledStatistics::None);
    }
    properties.build()
}

/// A file that is being written.
pub(super) struct Encoder<R> {
    path: PathBuf,
    file: SerializedFileWriter<BufWriter<File>>,
    factory: ArrowRowGroupWriterFactory,
    /// The columns of the row group under way, and how many rows it has.
    group: Vec<Column>,
    group_rows: usize,
    /// Rows that do not fill a batch yet.
    rest: Vec<R>,
    rows: u64,
    detail: Detail,
}

/// A column of a row group.
enum Column {
    Words(Box<Words>),
    Other(Box<ArrowColumnWriter>),
}

impl<R: Stored> Encoder<R> {
    /// Starts the file `path`; what was there is overwritten.
    pub(super) fn create(path: &Path, detail: Detail) -> Result<Self, Fault> {
        let file = File::create(path).map_err(|error| refused(path, &error))?;
        let options = ArrowWriterOptions::new()
            .with_properties(properties())
            // Plain Parquet types say all; Arrow's own schema would only bind readers to ours.
            .with_skip_arrow_metadata(true)
            .with_schema_root("tapeflow".to_owned());
        let schema = R::schema(detail);
        let writer = ArrowWriter::try_new_with_options(BufWriter::new(file), schema, options);
        let (file, factory) = writer
            .and_then(ArrowWriter::into_serialized_writer)
            .map_err(|error| refused(path, &error))?;
        let (group, rest) = (Vec::new(), Vec::new());
        let path = path.to_owned();
        Ok(Self { path, file, factory, group, group_rows: 0, rest, rows: 0, detail })
    }

    /// Adds one row.
    pub(super) fn push(&mut self, row: R, names: &Names) -> Result<(), Fault> {
        self.rest.push(row);
        if self.rest.len() == ROWS_AT_ONCE {
            let rows = std::mem::take(&mut self.rest);
            self.write(&[&rows], names)?;
            self.rest = rows;
            self.rest.clear();
        }
        Ok(())
    }

    /// Adds slices of rows. Not to be mixed with [`Self::push`].
    pub(super) fn extend(&mut self, runs: &[&[R]], names: &Names) -> Result<(), Fault> {
        let mut pieces: Vec<&[R]> = Vec::new();
        let mut wanted = ROWS_AT_ONCE;
        for run in runs {
            let mut run = *run;
            while run.len() >= wanted {
                let (piece, rest) = run.split_at(wanted);
                pieces.push(piece);
                self.write(&pieces, names)?;
                pieces.clear();
                wanted = ROWS_AT_ONCE;
                run = rest;
            }
            if !run.is_empty() {
                pieces.push(run);
                wanted -= run.len();
            }
        }
        if pieces.is_empty() { Ok(()) } else { self.write(&pieces, names) }
    }

    fn write(&mut self, runs: &[&[R]], names: &Names) -> Result<(), Fault> {
        let batch = R::to_batch(runs, names, self.detail)
            .map_err(|error| Fault::defect("sinks::archive", error))?;
        self.rows += batch.num_rows() as u64;
        self.put(&batch).map_err(|error| refused(&self.path, &error))
    }

    fn put(&mut self, batch: &RecordBatch) -> parquet::errors::Result<()> {
        if self.group.is_empty() {
            self.group = self.begin(batch.schema_ref())?;
        }
        let fields = batch.schema_ref().fields();
        for ((column, array), field) in self.group.iter_mut().zip(batch.columns()).zip(fields) {
            match column {
                Column::Words(words) => words.push(array)?,
                Column::Other(writer) => {
                    compute_leaves(field, array)?.iter().try_for_each(|leaf| writer.write(leaf))?;
                }
            }
        }
        self.group_rows += batch.num_rows();
        if self.group_rows >= ROWS_PER_GROUP { self.end_group() } else { Ok(()) }
    }

    /// Starts a row group.
    fn begin(&self, schema: &Schema) -> parquet::errors::Result<Vec<Column>> {
        let others = self.factory.create_column_writers(self.file.flushed_row_groups().len())?;
        let leaves = self.file.schema_descr().columns();
        let columns = others.into_iter().zip(schema.fields()).zip(leaves);
        Ok(columns
            .map(|((other, field), leaf)| {
                if !are_words(field) {
                    return Column::Other(Box::new(other));
                }
                let statistics = self.file.properties().statistics_enabled(leaf.path());
                let has_statistics = statistics != EnabledStatistics::None;
                Column::Words(Box::new(Words::new(leaf.clone(), has_statistics)))
            })
            .collect())
    }

    fn end_group(&mut self) -> parquet::errors::Result<()> {
        self.group_rows = 0;
        let mut group = self.file.next_row_group()?;
        for column in self.group.drain(..) {
            match column {
                Column::Words(words) => {
                    let (bytes, close) = words.finish()?;
                    group.append_column(&bytes, close)?;
                }
                Column::Other(writer) => writer.close()?.append_to_row_group(&mut group)?,
            }
        }
        group.close().map(drop)
    }

    /// Ends the file, without waiting for the disk; gives its rows and bytes.
    pub(super) fn finish(mut self, names: &Names) -> Result<(u64, u64), Fault> {
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            self.write(&[&rest], names)?;
        }
        if !self.group.is_empty() {
            self.end_group().map_err(|error| refused(&self.path, &error))?;
        }
        let path = self.path;
        let mut buffer = self.file.into_inner().map_err(|error| refused(&path, &error))?;
        buffer.flush().map_err(|error| refused(&path, &error))?;
        let file = buffer.into_inner().map_err(|error| refused(&path, error.error()))?;
        let bytes = file.metadata().map_err(|error| refused(&path, &error))?.len();
        Ok((self.rows, bytes))
    }
}

fn refused(path: &Path, error: &dyn std::error::Error) -> Fault {
    Fault::file(
        path,
        format!("cannot be written: {error}; check the folder's permissions and the disk's space"),
    )
}

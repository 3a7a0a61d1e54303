//! Sorted runs to one sorted run, a group at a time: rows in memory, temporary files, and the
//! file of an earlier run.

use std::cmp::Ordering;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::Schema;
use dataflows::component::source::Range;
use dataflows::fault::Fault;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use proto::columns::{Detail, Names};

use super::buffer::Sorted;
use super::encode::Encoder;
use super::stored::Stored;
use crate::order;
use crate::replace::covers;

/// A sorted run of rows.
pub(super) enum Run<R> {
    /// In memory.
    Memory(std::iter::Flatten<std::vec::IntoIter<Vec<R>>>),
    /// In a file that this sink wrote.
    File(Box<FileRun<R>>),
}

impl<R: Stored> Run<R> {
    pub(super) fn memory(sorted: Sorted<R>) -> Self {
        Self::Memory(sorted.pieces.into_iter().flatten())
    }

    fn next(&mut self, names: &mut Names) -> Result<Option<R>, Fault> {
        match self {
            Self::Memory(rows) => Ok(rows.next()),
            Self::File(run) => run.next(names),
        }
    }
}

/// Rows read back from a file.
pub(super) struct FileRun<R> {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    rows: std::vec::IntoIter<R>,
    /// How much of a row this run writes, whatever the file has.
    detail: Detail,
}

/// Opens a file that we wrote, in whatever detail.
fn builder<R: Stored>(
    file: File,
) -> parquet::errors::Result<ParquetRecordBatchReaderBuilder<File>> {
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    let schema = R::schema(Detail::Full);
    let stored = metadata.schema().fields().iter();
    let fields: Option<Vec<_>> =
        stored.map(|field| schema.field_with_name(field.name()).ok().cloned()).collect();
    let mut options = ArrowReaderOptions::new();
    if let Some(fields) = fields {
        options = options.with_schema(Arc::new(Schema::new(fields)));
    }
    ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
}

impl<R: Stored> FileRun<R> {
    pub(super) fn open(path: &Path, detail: Detail) -> Result<Self, Fault> {
        let damaged = |error: &dyn std::fmt::Display| {
            Fault::file(
                path,
                format!(
                    "cannot be read, so nothing can be added to it: {error}; \
                     move it away and run again"
                ),
            )
        };
        let file = File::open(path).map_err(|error| Fault::file(path, error))?;
        let builder = builder::<R>(file).map_err(|error| damaged(&error))?;
        let reader = builder.with_batch_size(8_192).build().map_err(|error| damaged(&error))?;
        Ok(Self { path: path.to_owned(), reader, rows: Vec::new().into_iter(), detail })
    }

    fn next(&mut self, names: &mut Names) -> Result<Option<R>, Fault> {
        loop {
            if let Some(mut row) = self.rows.next() {
                row.trim(self.detail);
                return Ok(Some(row));
            }
            let Some(batch) = self.reader.next() else { return Ok(None) };
            let batch = batch.map_err(|error| Fault::file(&self.path, error))?;
            let rows = R::of_batch(&batch, names.table())
                .map_err(|error| Fault::file(&self.path, error))?;
            names.refresh();
            self.rows = rows.into_iter();
        }
    }
}

/// What becomes of the rows of an earlier run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mode<'a> {
    /// They stay, where no row of this run is the same.
    Merge,
    /// Those in the range give way.
    Replace(&'a Range),
}

/// A run with its next row.
struct Head<R> {
    run: Run<R>,
    row: R,
}

/// Merges `old` and `new` runs into a file.
pub(super) fn merge<R: Stored>(
    old: Option<Run<R>>,
    new: Vec<Run<R>>,
    mode: Mode<'_>,
    out: &mut Encoder<R>,
    names: &mut Names,
) -> Result<(), Fault> {
    let mut heads = Vec::new();
    for mut run in new {
        if let Some(row) = run.next(names)? {
            heads.push(Head { run, row });
        }
    }
    let mut old_head = None;
    if let Some(mut run) = old
        && let Some(row) = run.next(names)?
    {
        old_head = Some(Head { run, row });
    }
    loop {
        let least = heads.iter().chain(&old_head).map(|head| &head.row);
        let Some(least) = least.min_by(|left, right| group_order(*left, *right, names)) else {
            return Ok(());
        };
        let least = least.clone();
        let mut rows = Vec::new();
        let mut index = 0;
        while index < heads.len() {
            let is_live = take(&mut heads[index], &least, &mut rows, names)?;
            if is_live {
                index += 1;
            } else {
                heads.remove(index);
            }
        }
        rows.sort_by(R::order);
        R::settle(&mut rows);
        let mut before = Vec::new();
        if let Some(head) = &mut old_head
            && !take(head, &least, &mut before, names)?
        {
            old_head = None;
        }
        let is_replaced = |row: &R| match mode {
            Mode::Merge => false,
            Mode::Replace(range) => covers(range, row.time(), row.series(), names),
        };
        let rows = if before.first().is_some_and(is_replaced) || replaces(mode, &rows) {
            R::replace(before, rows)
        } else {
            R::merge(before, rows)
        };
        for row in rows {
            out.push(row, names)?;
        }
    }
}

/// Tells whether rows of this run stand for all there is of their group.
const fn replaces<R>(mode: Mode<'_>, rows: &[R]) -> bool {
    matches!(mode, Mode::Replace(_)) && !rows.is_empty()
}

/// Moves the head's rows of the group of `least` to `rows`; tells whether the run goes on.
fn take<R: Stored>(
    head: &mut Head<R>,
    least: &R,
    rows: &mut Vec<R>,
    names: &mut Names,
) -> Result<bool, Fault> {
    while group_order(&head.row, least, names) == Ordering::Equal {
        let Some(next) = head.run.next(names)? else {
            rows.push(head.row.clone());
            return Ok(false);
        };
        rows.push(std::mem::replace(&mut head.row, next));
    }
    Ok(true)
}

fn group_order<R: Stored>(left: &R, right: &R, names: &Names) -> Ordering {
    order::series(left.series(), right.series(), names)
        .then_with(|| left.timeframe().cmp(&right.timeframe()))
        .then_with(|| left.time().cmp(&right.time()))
}

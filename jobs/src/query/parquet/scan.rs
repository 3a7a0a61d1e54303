//! One pass over a dataset: a batch of rows in memory at a time, and of it only what is asked for.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::RecordBatch;
use dataflows::fault::Fault;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::cells::Cells;
use super::dataset::{DataFile, Dataset, damaged, open_file};
use super::prune::{Bound, file_may_hold, row_groups};
use crate::query::value::Value;

const ROWS_AT_ONCE: usize = 8_192;

/// What a query asks of a dataset.
#[derive(Debug, Default)]
pub(in crate::query) struct Request {
    /// Per column, whether its values are needed.
    pub(in crate::query) wanted: Vec<bool>,
    /// What rows must fulfil, all of it. Others may be given, too.
    pub(in crate::query) bounds: Vec<Bound>,
    /// Columns that stand in the names of folders, to sort by; true: from the greatest down.
    pub(in crate::query) order: Vec<(usize, bool)>,
}

/// A pass over a dataset.
pub(in crate::query) struct Scan {
    dataset: Arc<Dataset>,
    request: Request,
    /// The files to come, by number.
    files: VecDeque<usize>,
    open: Option<OpenFile>,
    cells: Vec<Cells>,
    rows: usize,
}

/// The file that is being read.
struct OpenFile {
    number: usize,
    rows: Rows,
}

enum Rows {
    /// No column of the file is needed: so many rows to come.
    Counted(usize),
    Read(Box<ParquetRecordBatchReader>),
}

impl Scan {
    /// Starts a pass; opens nothing yet.
    pub(in crate::query) fn new(dataset: Arc<Dataset>, request: Request) -> Self {
        let mut numbers: Vec<usize> = (0..dataset.files.len())
            .filter(|number| {
                dataset.files.get(*number).is_some_and(|file| file_may_hold(file, &request.bounds))
            })
            .collect();
        for (column, is_descending) in request.order.iter().rev() {
            let key = |number: &usize| {
                let file = dataset.files.get(*number);
                file.and_then(|file| file.folder_values.get(*column)).and_then(Option::as_ref)
            };
            numbers.sort_by(|left, right| {
                let order = match (key(left), key(right)) {
                    (Some(left), Some(right)) => {
                        left.compare(right).unwrap_or(std::cmp::Ordering::Equal)
                    }
                    (left, right) => left.is_some().cmp(&right.is_some()),
                };
                if *is_descending { order.reverse() } else { order }
            });
        }
        Self { dataset, request, files: numbers.into(), open: None, cells: Vec::new(), rows: 0 }
    }

    /// Goes to the next batch that has rows; gives how many, 0 at the end.
    pub(in crate::query) fn advance(&mut self) -> Result<usize, Fault> {
        loop {
            if let Some(open) = &mut self.open {
                let file = self.dataset.files.get(open.number);
                let file = file.ok_or_else(|| Fault::defect("query::scan", "no such file"))?;
                match read(&mut open.rows, file)? {
                    Some(batch) => {
                        self.rows = batch.num_rows();
                        self.cells = cells(&self.dataset, &self.request, file, &batch)?;
                        return Ok(self.rows);
                    }
                    None => self.open = None,
                }
            }
            let Some(number) = self.files.pop_front() else {
                self.rows = 0;
                return Ok(0);
            };
            self.open = self.start(number)?;
        }
    }

    /// Gives a value of the batch.
    pub(in crate::query) fn value(&self, column: usize, row: usize) -> Value<'_> {
        self.cells.get(column).map_or(Value::Null, |cells| cells.value(row))
    }

    fn start(&self, number: usize) -> Result<Option<OpenFile>, Fault> {
        let Some(file) = self.dataset.files.get(number) else { return Ok(None) };
        let (handle, metadata) = open_file(&file.path)?;
        let groups = row_groups(&self.dataset, file, &metadata, &self.request.bounds);
        if groups.is_empty() {
            return Ok(None);
        }
        let wanted: Vec<&str> = needed(&self.dataset, &self.request, file).collect();
        let roots: Vec<usize> = (0..)
            .zip(metadata.schema().fields())
            .filter_map(|(root, field)| {
                wanted.iter().any(|name| name.eq_ignore_ascii_case(field.name())).then_some(root)
            })
            .collect();
        self.dataset.work.add(groups.len(), roots.len());
        if roots.is_empty() {
            let all = metadata.metadata().row_groups();
            let rows = groups.iter().filter_map(|group| all.get(*group)).map(|g| g.num_rows());
            let rows = usize::try_from(rows.sum::<i64>()).unwrap_or(0);
            return Ok(Some(OpenFile { number, rows: Rows::Counted(rows) }));
        }
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(handle, metadata)
            .with_projection(mask)
            .with_row_groups(groups)
            .with_batch_size(ROWS_AT_ONCE)
            .build()
            .map_err(|error| damaged(&file.path, &error))?;
        Ok(Some(OpenFile { number, rows: Rows::Read(Box::new(reader)) }))
    }
}

/// The names of the columns that are needed and not known from folders.
fn needed<'a>(
    dataset: &'a Dataset,
    request: &'a Request,
    file: &'a DataFile,
) -> impl Iterator<Item = &'a str> {
    let columns = dataset.columns.iter().zip(&request.wanted).zip(&file.folder_values);
    columns
        .filter(|((_, is_wanted), value)| **is_wanted && value.is_none())
        .map(|((column, _), _)| column.name.as_str())
}

fn read(rows: &mut Rows, file: &DataFile) -> Result<Option<RecordBatch>, Fault> {
    match rows {
        Rows::Counted(0) => Ok(None),
        Rows::Counted(left) => {
            let count = (*left).min(1 << 20);
            *left -= count;
            let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(count));
            let schema = Arc::new(arrow::datatypes::Schema::empty());
            RecordBatch::try_new_with_options(schema, Vec::new(), &options)
                .map(Some)
                .map_err(|error| Fault::defect("query::scan", error))
        }
        // A panic must not reach SQLite, which is C; a decoder should not, but may, panic on a
        // damaged page.
        Rows::Read(reader) => match catch_unwind(AssertUnwindSafe(|| reader.next())) {
            Ok(batch) => batch.transpose().map_err(|error| damaged(&file.path, &error)),
            Err(_) => Err(damaged(&file.path, &"a page is damaged")),
        },
    }
}

fn cells(
    dataset: &Dataset,
    request: &Request,
    file: &DataFile,
    batch: &RecordBatch,
) -> Result<Vec<Cells>, Fault> {
    let schema = batch.schema();
    let columns = dataset.columns.iter().zip(&request.wanted).zip(&file.folder_values);
    columns
        .map(|((column, is_wanted), value)| {
            if !is_wanted {
                return Ok(Cells::Absent);
            }
            if let Some(value) = value {
                return Ok(Cells::Constant(value.clone()));
            }
            let mut fields = schema.fields().iter();
            match fields.position(|field| field.name().eq_ignore_ascii_case(&column.name)) {
                None => Ok(Cells::Absent),
                Some(index) => Cells::new(batch.column(index), column.kind).map_err(|error| {
                    let message = format!("column \"{}\": {error}", column.name);
                    Fault::file(&file.path, message)
                }),
            }
        })
        .collect()
}

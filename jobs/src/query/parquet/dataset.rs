//! A dataset of Parquet files: its columns, gathered from every file and every folder's name.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::datatypes::Schema;
use dataflows::fault::Fault;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use super::cells::CellKind;
use super::files;
use crate::query::value::Value;

/// A dataset, opened: all footers were read once, none is kept.
#[derive(Debug)]
pub(in crate::query) struct Dataset {
    pub(in crate::query) columns: Vec<DatasetColumn>,
    pub(in crate::query) files: Vec<DataFile>,
    /// The rows of all files.
    pub(in crate::query) rows: u64,
    /// What queries made of it.
    pub(in crate::query) work: Work,
}

/// A column of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::query) struct DatasetColumn {
    pub(in crate::query) name: String,
    pub(in crate::query) kind: CellKind,
    /// Its value stands in the names of folders: `instrument=EURUSD`.
    pub(in crate::query) is_folder: bool,
    /// How many different values it has there, at least 1.
    pub(in crate::query) folders: usize,
    /// Every file has it in the names of its folders.
    pub(in crate::query) is_folder_of_all: bool,
}

/// A file of a dataset.
#[derive(Debug)]
pub(in crate::query) struct DataFile {
    pub(in crate::query) path: PathBuf,
    pub(in crate::query) rows: u64,
    /// Per column of the dataset, the value that the names of its folders say.
    pub(in crate::query) folder_values: Vec<Option<Value<'static>>>,
}

/// How much was read: what tests (and `RUST_LOG=debug`) see of pruning.
#[derive(Debug, Default)]
pub(in crate::query) struct Work {
    pub(in crate::query) files: AtomicUsize,
    pub(in crate::query) row_groups: AtomicUsize,
    /// Row groups times columns.
    pub(in crate::query) chunks: AtomicUsize,
}

impl Work {
    pub(super) fn add(&self, row_groups: usize, columns: usize) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.row_groups.fetch_add(row_groups, Ordering::Relaxed);
        self.chunks.fetch_add(row_groups * columns, Ordering::Relaxed);
    }

    /// Files, row groups, and column chunks that were read.
    pub(in crate::query) fn read(&self) -> [usize; 3] {
        [&self.files, &self.row_groups, &self.chunks].map(|count| count.load(Ordering::Relaxed))
    }
}

/// Opens a file and reads its footer.
pub(super) fn open_file(path: &Path) -> Result<(File, ArrowReaderMetadata), Fault> {
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            Fault::file(path, "is gone: a run replaced it in the meantime; ask again")
        }
        _ => Fault::file(path, error),
    })?;
    // Plain Parquet types: what Arrow adds (dictionaries, say) makes no difference to SQL.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata =
        ArrowReaderMetadata::load(&file, options).map_err(|error| damaged(path, &error))?;
    Ok((file, metadata))
}

pub(super) fn damaged(path: &Path, error: &dyn std::fmt::Display) -> Fault {
    let message = format!(
        "cannot be read as Parquet: {error}; restore the file, or take it out of the dataset"
    );
    Fault::file(path, message)
}

impl Dataset {
    /// Finds the files that `patterns` name below `root` and reads what columns they have.
    pub(in crate::query) fn open(patterns: &[String], root: &Path) -> Result<Self, Fault> {
        let mut columns: Vec<DatasetColumn> = Vec::new();
        let mut found = Vec::new();
        for path in files::find(patterns, root)? {
            let (_, metadata) = open_file(&path)?;
            gather(metadata.schema(), &path, &mut columns)?;
            let rows = metadata.metadata().file_metadata().num_rows();
            let keys = files::hive_keys(&path);
            found.push((path, u64::try_from(rows).unwrap_or(0), keys));
        }
        // Times that fall on whole seconds are written so, as table sinks do.
        if columns.iter().any(|column| column.name == "timeframe") {
            for column in &mut columns {
                if ["start", "end"].contains(&column.name.as_str())
                    && matches!(column.kind, CellKind::Time { .. })
                {
                    column.kind = CellKind::Time { digits: 0 };
                }
            }
        }
        let keys = found.iter().flat_map(|(_, _, keys)| keys);
        folder_columns(keys, &mut columns);
        let files = found.into_iter().map(|(path, rows, keys)| {
            let folder_values = columns.iter().map(|column| {
                let same = |key: &&(String, _)| column.is_folder && key.0 == column.name;
                let text = keys.iter().rev().find(same)?.1.as_deref()?;
                Some(match column.kind {
                    CellKind::Integer => text.parse().map(Value::Integer).unwrap_or(Value::Null),
                    _ => Value::Text(Cow::Owned(text.to_owned())),
                })
            });
            let folder_values = folder_values.collect();
            DataFile { path, rows, folder_values }
        });
        let files: Vec<DataFile> = files.collect();
        for (index, column) in columns.iter_mut().enumerate() {
            let values = || files.iter().map(|file| file.folder_values.get(index)?.as_ref());
            let different: BTreeSet<String> =
                values().flatten().map(|value| format!("{value:?}")).collect();
            column.folders = different.len().max(1);
            column.is_folder_of_all = values().all(|value| value.is_some());
        }
        let rows = files.iter().map(|file| file.rows).sum();
        Ok(Self { columns, files, rows, work: Work::default() })
    }
}

impl DatasetColumn {
    fn new(name: &str, kind: CellKind, is_folder: bool) -> Self {
        Self { name: name.to_owned(), kind, is_folder, folders: 1, is_folder_of_all: false }
    }
}

/// Adds the columns of a file that are not known yet.
fn gather(schema: &Schema, path: &Path, columns: &mut Vec<DatasetColumn>) -> Result<(), Fault> {
    for (index, field) in schema.fields().iter().enumerate() {
        let name = field.name();
        if let Some(twin) =
            schema.fields().iter().take(index).find(|other| other.name().eq_ignore_ascii_case(name))
        {
            let message = format!(
                "columns \"{}\" and \"{name}\" differ in case only, which SQL cannot tell apart; \
                 rename one",
                twin.name()
            );
            return Err(Fault::file(path, message));
        }
        let kind = CellKind::of(field.data_type());
        match columns.iter_mut().find(|column| column.name.eq_ignore_ascii_case(name)) {
            None => columns.push(DatasetColumn::new(name, kind, false)),
            Some(known) => known.kind = both(known.kind, kind),
        }
    }
    Ok(())
}

/// The kind that holds the values of both.
fn both(known: CellKind, other: CellKind) -> CellKind {
    match (known, other) {
        (CellKind::Time { digits: a }, CellKind::Time { digits: b }) => {
            CellKind::Time { digits: a.max(b) }
        }
        (CellKind::Real, CellKind::Integer) => CellKind::Real,
        (CellKind::Integer, CellKind::Real) => CellKind::Real,
        (known, other) if known == other => known,
        _ => CellKind::Text,
    }
}

/// Adds the keys of folders as columns; a column of text in the files takes its folders' word.
fn folder_columns<'a>(
    keys: impl Iterator<Item = &'a (String, Option<String>)> + Clone,
    columns: &mut Vec<DatasetColumn>,
) {
    let names: BTreeSet<&str> = keys.clone().map(|(name, _)| name.as_str()).collect();
    for name in names {
        match columns.iter_mut().find(|column| column.name.eq_ignore_ascii_case(name)) {
            Some(column) => column.is_folder = column.name == name && column.kind == CellKind::Text,
            None => {
                let mut values =
                    keys.clone().filter(|(key, _)| key == name).filter_map(|(_, v)| v.as_deref());
                let is_number = |text: &str| text.parse().is_ok_and(|n: i64| n.to_string() == text);
                let kind = if values.all(is_number) { CellKind::Integer } else { CellKind::Text };
                columns.push(DatasetColumn::new(name, kind, true));
            }
        }
    }
}

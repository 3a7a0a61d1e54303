//! The rows of a result as a table to look at, CSV, JSON, JSON lines or a Parquet file.

mod csv;
mod json;
mod parquet;
mod table;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use dataflows::fault::Fault;

use super::value::{Column, Value};

/// How the rows of a result are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Aligned columns to look at; a null is `∅`.
    #[default]
    Table,
    /// CSV (RFC 4180) with a header; a null is an empty field.
    Csv,
    /// One JSON array of objects, a row a line.
    Json,
    /// A JSON object a line.
    Jsonl,
    /// A Parquet file, compressed with zstd; needs a file to write to.
    Parquet,
}

/// Writes rows in some format.
trait Rows {
    /// Takes the columns, once, before all rows.
    fn start(&mut self, columns: &[Column], to: &mut dyn Write) -> io::Result<()>;
    /// Takes a row.
    fn row(&mut self, values: &[Value<'_>], to: &mut dyn Write) -> io::Result<()>;
    /// Writes what is left.
    fn finish(&mut self, to: &mut dyn Write) -> io::Result<()>;
}

/// Where a result goes.
pub(super) struct Output<'a> {
    to: BufWriter<Box<dyn Write + 'a>>,
    rows: Box<dyn Rows>,
    file: Option<Replacement>,
}

/// A file that takes the place of `path` when it is whole.
struct Replacement {
    path: PathBuf,
    temporary: PathBuf,
    is_done: bool,
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.is_done
            && let Err(error) = std::fs::remove_file(&self.temporary)
        {
            tracing::debug!(path = %self.temporary.display(), %error, "not removed");
        }
    }
}

impl<'a> Output<'a> {
    pub(super) fn new(
        format: Format,
        to: &'a mut dyn Write,
        file: Option<&Path>,
    ) -> Result<Self, Fault> {
        if format == Format::Parquet && file.is_none() {
            let message = "Parquet goes to a file only; name one with --file FILE";
            return Err(Fault::job("query", message));
        }
        let rows: Box<dyn Rows> = match format {
            Format::Table => Box::new(table::TableRows::default()),
            Format::Csv => Box::new(csv::CsvRows::default()),
            Format::Json => Box::new(json::JsonRows::array()),
            Format::Jsonl => Box::new(json::JsonRows::lines()),
            Format::Parquet => Box::new(parquet::ParquetRows::default()),
        };
        let (to, file): (Box<dyn Write + 'a>, _) = match file {
            None => (Box::new(to), None),
            Some(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
                let made = File::create(&temporary).map_err(|error| not_written(path, &error))?;
                let file = Replacement { path: path.to_owned(), temporary, is_done: false };
                (Box::new(made), Some(file))
            }
        };
        Ok(Self { to: BufWriter::with_capacity(1 << 16, to), rows, file })
    }

    pub(super) fn start(&mut self, columns: &[Column]) -> Result<(), Fault> {
        let done = self.rows.start(columns, &mut self.to);
        self.check(done).map(|_| ())
    }

    /// Takes a row; false: nobody reads any more.
    pub(super) fn row(&mut self, values: &[Value<'_>]) -> Result<bool, Fault> {
        let done = self.rows.row(values, &mut self.to);
        self.check(done)
    }

    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        let done = self.rows.finish(&mut self.to).and_then(|()| self.to.flush());
        self.check(done)?;
        if let Some(file) = &mut self.file {
            std::fs::rename(&file.temporary, &file.path)
                .map_err(|error| not_written(&file.path, &error))?;
            file.is_done = true;
        }
        Ok(())
    }

    /// A pipe that is closed is no failure: `tapeflow query … | head`.
    fn check(&self, done: io::Result<()>) -> Result<bool, Fault> {
        match done {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(Fault::job("query", error))
            }
            Err(error) => Err(match &self.file {
                Some(file) => not_written(&file.path, &error),
                None => Fault::stop("query", format!("the result cannot be written: {error}")),
            }),
        }
    }
}

fn not_written(path: &Path, error: &io::Error) -> Fault {
    let message =
        format!("cannot be written: {error}; check the folder's permissions and the disk's space");
    Fault::file(path, message)
}

/// The names of columns, each once: a name that is there already gets a number.
fn distinct_names(columns: &[Column]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(columns.len());
    for column in columns {
        let mut name = column.name.clone();
        let mut number = 2;
        while names.contains(&name) {
            name = format!("{}_{number}", column.name);
            number += 1;
        }
        names.push(name);
    }
    names
}

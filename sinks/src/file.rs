//! The sink `file`: rows as CSV or JSON lines in one file, which appears when it is whole.

use std::fs::{self, TryLockError};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use dataflows::component::sink::{
    Ending, Guarantee, Sealed, Sink, SinkContext, SinkDefinition, SinkReport,
};
use dataflows::component::{Definition, check_config, read_config};
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::moment::Epoch;
use proto::columns::Names;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use serde_json::Value;

use crate::lines::{Sheet, columns};
use crate::order;

/// The definition of `file`.
#[derive(Debug)]
pub struct File;

/// Writes rows as CSV or JSON lines into one file.
///
/// Rows are written beside the file's place and take it at the end of the run; a file that was
/// there before stands until then. Within an epoch rows are in the order of source, instrument,
/// timeframe and time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file, relative to the folder that `tapeflow` was called in.
    pub path: String,
    /// How rows are written; unless given, what the file's name ends with: `.csv`, `.jsonl`,
    /// `.ndjson` or `.json`.
    #[serde(default)]
    pub format: Option<Format>,
    /// When a run is stopped before the end of its input, put the rows that it has in place.
    #[serde(default)]
    pub publish_partial: bool,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A line of names, then a line a row.
    Csv,
    /// An object a line; decimals with every digit.
    Jsonl,
}

fn format(config: &Config) -> Option<Format> {
    let by_name = match Path::new(&config.path).extension()?.to_str()? {
        "csv" => Some(Format::Csv),
        "jsonl" | "ndjson" | "json" => Some(Format::Jsonl),
        _ => None,
    };
    config.format.or(by_name)
}

impl Definition for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn summary(&self) -> &'static str {
        "Writes rows as CSV or JSON lines into one file."
    }

    fn config(&self) -> Schema {
        schema_for!(Config)
    }

    fn check(&self, config: &Value) -> Vec<(String, String)> {
        let mut found = check_config::<Config>(config);
        if let Ok(config) = Config::deserialize(config)
            && config.format.or_else(|| format(&config)).is_none()
        {
            let message = "the name does not tell the format; expected .csv or .jsonl, or `format`";
            found.push(("path".to_owned(), message.to_owned()));
        }
        found
    }
}

impl SinkDefinition for File {
    fn takes(&self) -> &'static [Kind] {
        Kind::ALL
    }

    fn within(&self, config: &Value, _: &str) -> Option<Value> {
        crate::within::with_path(config)
    }

    fn guarantee(&self, _: &Value, _: Kind) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn open(&self, config: &Value, context: SinkContext) -> Result<Box<dyn Sink>, Fault> {
        let place = format!("sinks.{}", context.id);
        let config: Config = read_config(&place, config)?;
        if context.replace.is_some() {
            return Err(Fault::job(
                place,
                "a file is written whole, a part of it cannot be replaced; use a table or an \
                 archive for what a backfill shall write",
            ));
        }
        let Some(format) = config.format.or_else(|| format(&config)) else {
            return Err(Fault::job(format!("{place}.path"), "expected .csv or .jsonl at the end"));
        };
        let path = context.root.join(&config.path);
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".tmp");
        let temporary = path.with_file_name(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| refused(folder, &error))?;
        }
        let file = begin(&temporary)?;
        let names = Names::new(context.series);
        let mut sink = FileSink {
            path,
            temporary,
            format,
            publish_partial: config.publish_partial,
            out: BufWriter::new(file),
            names,
            report: SinkReport { bytes: Some(0), ..SinkReport::default() },
        };
        if format == Format::Csv {
            let header: Vec<&str> = columns(context.kind).map(|column| column.name).collect();
            sink.write(&format!("{}\n", header.join(",")))?;
        }
        Ok(Box::new(sink))
    }
}

/// Opens the temporary file, empty, for one writer: two would mix their rows.
fn begin(path: &Path) -> Result<fs::File, Fault> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).open(path);
    let file = file.map_err(|error| refused(path, &error))?;
    let is_taken = match file.try_lock() {
        Ok(()) => !path.exists(),
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(error)) => return Err(refused(path, &error)),
    };
    if is_taken {
        let why = "another run or sink writes this file; wait until it is done, or name another";
        return Err(Fault::file(path, why));
    }
    file.set_len(0).map_err(|error| refused(path, &error))?;
    Ok(file)
}

fn refused(path: &Path, error: &std::io::Error) -> Fault {
    Fault::file(
        path,
        format!("cannot be written: {error}; check the folder's permissions and the disk's space"),
    )
}

#[derive(Debug)]
struct FileSink {
    path: PathBuf,
    temporary: PathBuf,
    format: Format,
    publish_partial: bool,
    out: BufWriter<fs::File>,
    names: Names,
    report: SinkReport,
}

impl FileSink {
    fn write(&mut self, text: &str) -> Result<(), Fault> {
        self.out.write_all(text.as_bytes()).map_err(|error| refused(&self.temporary, &error))?;
        let bytes = self.report.bytes.unwrap_or(0) + text.len() as u64;
        self.report.bytes = Some(bytes);
        Ok(())
    }

    fn publish(&mut self) -> Result<SinkReport, Fault> {
        let synced = self.out.flush().and_then(|()| self.out.get_ref().sync_all());
        synced.map_err(|error| refused(&self.temporary, &error))?;
        fs::rename(&self.temporary, &self.path).map_err(|error| refused(&self.path, &error))?;
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(|error| refused(folder, &error))?;
        }
        self.report.places = vec![self.path.display().to_string()];
        Ok(self.report.clone())
    }
}

impl Sink for FileSink {
    fn applied(&mut self) -> Result<Option<Epoch>, Fault> {
        Ok(None)
    }

    fn apply(&mut self, sealed: Sealed) -> Result<(), Fault> {
        self.names.refresh();
        let Some(rows) = order::canonical(sealed.runs, &self.names) else { return Ok(()) };
        let sheet = Sheet::new(&rows, &self.names);
        let mut text = String::new();
        for row in 0..sheet.rows {
            match self.format {
                Format::Csv => sheet.write_csv(row, &mut text),
                Format::Jsonl => sheet.write_json(row, &mut text),
            }
        }
        self.report.rows += sheet.rows as u64;
        self.write(&text)
    }

    fn checkpoint(&mut self) -> Result<Vec<u8>, Fault> {
        Ok(Vec::new())
    }

    fn finish(&mut self, ending: Ending) -> Result<SinkReport, Fault> {
        let is_wanted = match ending {
            Ending::Complete => true,
            Ending::Interrupted => self.publish_partial,
            Ending::Failed => false,
        };
        if is_wanted {
            return self.publish();
        }
        if let Err(error) = fs::remove_file(&self.temporary) {
            tracing::warn!(path = %self.temporary.display(), %error, "a temporary file remains");
        }
        Ok(SinkReport::default())
    }
}

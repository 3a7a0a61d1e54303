//! The sink `file`: rows as CSV or JSON lines in one file, which appears when it is whole.

use std::fs::{self, TryLockError};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use dataflows::component::sink::{
    Ending, Guarantee, Sealed, Sink, SinkContext, SinkDefinition, SinkReport,
};
use dataflows::component::{Definition, check_config, read_config};
use dataflows::crash;
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::moment::Epoch;
use proto::columns::Names;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
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
///
/// Every row is there exactly once, whatever is killed: a job that keeps its state goes on in the
/// file beside the place, `.<name>.tmp`, from the length that the checkpoint names. Stopped before
/// the end of its input, it leaves that file for the next start; after the end, the next start
/// adds to a copy of the whole file.
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
        let saved = match context.durable.as_ref().and_then(|durable| durable.restored.as_ref()) {
            Some((epoch, bytes)) if *epoch > 0 || !bytes.is_empty() => {
                Some((*epoch, restore(&place, bytes)?))
            }
            _ => None,
        };
        let file = match &saved {
            Some((_, saved)) => saved.go_on(&temporary, &path)?,
            None => begin(&temporary, true)?,
        };
        let is_durable = context.durable.is_some();
        if is_durable {
            sync_folder(&temporary)?;
        }
        let names = Names::new(context.series);
        let (epoch, known) = saved.unwrap_or_default();
        let mut sink = FileSink {
            path,
            temporary,
            format,
            publish_partial: config.publish_partial,
            out: BufWriter::new(file),
            names,
            report: SinkReport { rows: known.rows, bytes: Some(known.bytes), places: Vec::new() },
            is_durable,
            restored: epoch,
            sum: crc32fast::Hasher::new_with_initial_len(known.sum, known.bytes),
        };
        if format == Format::Csv && known.bytes == 0 {
            let header: Vec<&str> = columns(context.kind).map(|column| column.name).collect();
            sink.write(&format!("{}\n", header.join(",")))?;
        }
        Ok(Box::new(sink))
    }
}

/// Opens the temporary file for one writer: two would mix their rows.
fn begin(path: &Path, is_empty: bool) -> Result<fs::File, Fault> {
    let mut options = fs::OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(path);
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
    if is_empty {
        file.set_len(0).map_err(|error| refused(path, &error))?;
    }
    Ok(file)
}

/// What a checkpoint holds of the sink.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Saved {
    version: u8,
    /// How long the file was.
    bytes: u64,
    /// The CRC-32 of so much of it.
    sum: u32,
    rows: u64,
}

const SAVED_VERSION: u8 = 1;

fn restore(place: &str, bytes: &[u8]) -> Result<Saved, Fault> {
    let saved = postcard::from_bytes::<Saved>(bytes).ok();
    saved.filter(|saved| saved.version == SAVED_VERSION).ok_or_else(|| {
        Fault::stop(
            place,
            "the checkpoint does not hold what this tapeflow's files write; use the tapeflow \
             that wrote it, or start the job with `--fresh`",
        )
    })
}

impl Saved {
    /// Opens the temporary file at what the checkpoint knows of it; a run that had completed has
    /// put it in its place.
    fn go_on(self, temporary: &Path, path: &Path) -> Result<fs::File, Fault> {
        let was_there = temporary.exists();
        let mut file = begin(temporary, false)?;
        let failed = |error: std::io::Error| refused(temporary, &error);
        if !self.is_head_of(&mut file, None).map_err(failed)? {
            let mut whole = fs::File::open(path).ok();
            let is_whole = whole.as_mut().map(|whole| self.is_head_of(whole, None));
            let Some(whole) = whole.filter(|_| matches!(is_whole, Some(Ok(true)))) else {
                return Err(self.lost(temporary, &file, was_there));
            };
            file.set_len(0).map_err(failed)?;
            file.rewind().map_err(failed)?;
            let mut whole = whole;
            self.is_head_of(&mut whole, Some(&mut file)).map_err(failed)?;
        }
        file.set_len(self.bytes).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(file)
    }

    /// Tells whether a file begins with what the checkpoint knows, and copies that to `to`.
    fn is_head_of(self, file: &mut fs::File, to: Option<&mut fs::File>) -> std::io::Result<bool> {
        if file.metadata()?.len() < self.bytes {
            return Ok(false);
        }
        file.rewind()?;
        let (mut sum, mut left, mut to) = (crc32fast::Hasher::new(), self.bytes, to);
        let mut piece = vec![0; 1 << 18];
        while left > 0 {
            let length = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
            let piece = piece.get_mut(..length).unwrap_or_default();
            file.read_exact(piece)?;
            sum.update(piece);
            if let Some(to) = &mut to {
                to.write_all(piece)?;
            }
            left -= length as u64;
        }
        Ok(sum.finalize() == self.sum)
    }

    fn lost(self, temporary: &Path, file: &fs::File, was_there: bool) -> Fault {
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        let found = match was_there {
            false => "is gone".to_owned(),
            true if bytes < self.bytes => format!("has {bytes} bytes"),
            true => "holds something else".to_owned(),
        };
        if !was_there && let Err(error) = fs::remove_file(temporary) {
            tracing::warn!(path = %temporary.display(), %error, "a temporary file remains");
        }
        Fault::file(
            temporary,
            format!(
                "{found}, and the job's checkpoint goes on behind {} bytes that it had written \
                 there. Bring the file back, or start the job with `--fresh`",
                self.bytes
            ),
        )
    }
}

/// Waits until the disk has the names in the folder of `path`.
fn sync_folder(path: &Path) -> Result<(), Fault> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Some(folder) = folder else { return Ok(()) };
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| refused(folder, &error))
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
    is_durable: bool,
    /// The epoch of the checkpoint that the run goes on from.
    restored: Epoch,
    /// Of all that is in the file.
    sum: crc32fast::Hasher,
}

impl FileSink {
    fn write(&mut self, text: &str) -> Result<(), Fault> {
        self.out.write_all(text.as_bytes()).map_err(|error| refused(&self.temporary, &error))?;
        self.sum.update(text.as_bytes());
        let bytes = self.report.bytes.unwrap_or(0) + text.len() as u64;
        self.report.bytes = Some(bytes);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Fault> {
        crash::point("file.before_sync");
        let synced = self.out.flush().and_then(|()| self.out.get_ref().sync_all());
        synced.map_err(|error| refused(&self.temporary, &error))?;
        crash::point("file.after_sync");
        Ok(())
    }

    fn publish(&mut self) -> Result<SinkReport, Fault> {
        self.sync()?;
        crash::point("file.before_rename");
        fs::rename(&self.temporary, &self.path).map_err(|error| refused(&self.path, &error))?;
        sync_folder(&self.path)?;
        self.report.places = vec![self.path.display().to_string()];
        Ok(self.report.clone())
    }
}

impl Sink for FileSink {
    fn applied(&mut self) -> Result<Option<Epoch>, Fault> {
        Ok(self.is_durable.then_some(self.restored))
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
        if !self.is_durable {
            return Ok(Vec::new());
        }
        self.sync()?;
        let saved = Saved {
            version: SAVED_VERSION,
            bytes: self.report.bytes.unwrap_or(0),
            sum: self.sum.clone().finalize(),
            rows: self.report.rows,
        };
        postcard::to_allocvec(&saved).map_err(|error| Fault::defect("sinks::file", error))
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
        if self.is_durable {
            return Ok(SinkReport::default()); // the next start goes on in the temporary file
        }
        if let Err(error) = fs::remove_file(&self.temporary) {
            tracing::warn!(path = %self.temporary.display(), %error, "a temporary file remains");
        }
        Ok(SinkReport::default())
    }
}

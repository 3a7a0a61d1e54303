//! `file`: ticks in text files (CSV, JSON lines, JSON arrays) and Parquet, with a column mapping.

mod element;
mod line;
mod reader;
mod record;
#[cfg(test)]
mod tests;
mod time;

use std::collections::BTreeSet;

use dataflows::component::source::{Position, Promise, Source, SourceContext, SourceDefinition};
use dataflows::component::{Definition, Output, check_config, read_config};
use dataflows::fault::Fault;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::Value;

use crate::archive::{ArchiveConfig, Selection, check_texts, open_files, utc};
use crate::columns::{Columns, Field, Wanted};
use crate::paths::{Paths, has_ending};
use crate::time_zone::{TimeUnit, Zone};

/// Endings of text files, and then those of Parquet files.
const ENDINGS: &[&str] = &["csv", "tsv", "txt", "json", "jsonl", "ndjson", "parquet", "pq"];

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One tick a line, fields between delimiters. Endings: `.csv`, `.tsv`, `.txt`.
    Csv,
    /// One JSON object or array a line. Endings: `.jsonl`, `.ndjson`.
    Jsonl,
    /// One JSON array of objects or of arrays. Ending: `.json`.
    Json,
    /// Parquet, read as the `archive` source reads it: in the order of time. Endings: `.parquet`,
    /// `.pq`.
    Parquet,
}

/// What to do about a record that is no tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// Hand it to the output `dead`, and go on.
    #[default]
    Reject,
    /// End the run.
    Stop,
}

/// What to do about a number with more digits than are kept: nine of a price, eight of a size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TooFine {
    /// The record is an error.
    #[default]
    Reject,
    /// Round to the nearest, halves away from zero: for numbers that went through a float.
    Round,
}

/// Reads ticks from files: CSV, JSON lines, JSON arrays, Parquet. Files are read in the order of
/// their paths, text files as they are; numbers are taken from the text exactly.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// A file, a directory, a glob such as `ticks/*.csv`, or a list of these.
    pub path: Paths,
    /// How the files are written. Else their ending tells.
    #[serde(default)]
    pub format: Option<Format>,
    /// What the columns (keys) are called, or their places from 0 where they have no names. In
    /// JSON, a dot leads into an inner object: `data.b`.
    #[serde(default)]
    pub columns: Columns,
    /// Read only these values of a tick; else all that there are.
    #[serde(default)]
    pub fields: Option<BTreeSet<Field>>,
    /// CSV: whether the first line has the names of the columns. Else: unless all `columns` are
    /// places.
    #[serde(default)]
    pub header: Option<bool>,
    /// CSV: the one character between fields. Else: a tab in `.tsv`, and otherwise the one of
    /// comma, tab and semicolon that the first line has most of.
    #[serde(default)]
    pub delimiter: Option<char>,
    /// The source of every tick, for files that do not say it.
    #[serde(default)]
    pub source: Option<String>,
    /// The instrument of every tick, for files that do not say it.
    #[serde(default)]
    pub instrument: Option<String>,
    /// How times are written, as chrono and strftime have it: `%d/%m/%Y %H:%M:%S%.f`. Else:
    /// `2024-03-10 17:00:00.123` with `-`, `.`, `/` or nothing in the date, `T` or a space, and
    /// perhaps an offset; or a number since 1970.
    #[serde(default)]
    pub time_format: Option<String>,
    /// The zone of times that do not say theirs: `UTC`, `+02:00` or `Europe/Athens`. A local time
    /// that occurs twice means the first.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// What a time that is a number counts since 1970. Else it is guessed by magnitude: below
    /// 10^11 seconds, below 10^14 milliseconds, below 10^17 microseconds, else nanoseconds.
    #[serde(default)]
    pub time_unit: Option<TimeUnit>,
    /// What to do about a record that is no tick.
    #[serde(default)]
    pub on_error: OnError,
    /// What to do about a number with more digits than are kept.
    #[serde(default)]
    pub too_fine: TooFine,
}

/// The row in the catalog.
#[derive(Debug)]
pub struct File;

impl Definition for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn summary(&self) -> &'static str {
        "Reads ticks from CSV, JSON lines, JSON arrays and Parquet files, as they are."
    }

    fn config(&self) -> Schema {
        schemars::schema_for!(FileConfig)
    }

    fn check(&self, config: &Value) -> Vec<(String, String)> {
        let found = check_config::<FileConfig>(config);
        if !found.is_empty() {
            return found;
        }
        let config = match FileConfig::deserialize(config) {
            Ok(config) => config,
            Err(error) => return vec![(String::new(), error.to_string())],
        };
        let mut found = check_texts(&config.time_zone, None, None);
        if config.delimiter.is_some_and(|delimiter| !delimiter.is_ascii() || delimiter == '"') {
            found.push(("delimiter".to_owned(), "expected one ASCII character".to_owned()));
        }
        if let Some(format) = &config.time_format
            && chrono::format::StrftimeItems::new(format)
                .any(|item| item == chrono::format::Item::Error)
        {
            let message = format!("`{format}` is not a pattern such as `%Y-%m-%d %H:%M:%S%.f`");
            found.push(("time_format".to_owned(), message));
        }
        found
    }
}

impl SourceDefinition for File {
    fn outputs(&self) -> &'static [Output] {
        crate::OUTPUTS
    }

    fn is_bounded(&self, _config: &Value) -> bool {
        true
    }

    fn promise(&self, _: &Value) -> Promise {
        Promise::Replays
    }

    fn open(
        &self,
        config: &Value,
        behind: Option<Position>,
        context: SourceContext,
    ) -> Result<Box<dyn Source>, Fault> {
        let place = format!("sources.{}", context.id);
        let config: FileConfig = read_config(&place, config)?;
        let files = crate::paths::find(&config.path, &context.root, ENDINGS)?;
        let mut formats = Vec::with_capacity(files.len());
        for file in &files {
            formats.push(match config.format {
                Some(format) => format,
                None => format_of(file).ok_or_else(|| {
                    Fault::file(file, "its ending does not tell how it is written; set `format`")
                })?,
            });
        }
        if formats.contains(&Format::Parquet) {
            if formats.iter().any(|format| *format != Format::Parquet) {
                return Err(Fault::job(
                    format!("{place}.path"),
                    "both Parquet and text files match; make a source of each",
                ));
            }
            return open_files(parquet(config), files, behind, &context);
        }
        let zone: Zone = config
            .time_zone
            .parse()
            .map_err(|error| Fault::job(format!("{place}.time_zone"), error))?;
        let selection = Selection::new((None, None, &[]), &context)?;
        let wanted = Wanted {
            columns: config.columns.clone(),
            fields: config.fields.clone(),
            source: config.source.clone(),
            instrument: config.instrument.clone(),
        };
        let assembler = record::Assembler::new(&config, wanted, (zone, selection), &context);
        let files = files.into_iter().zip(formats).collect();
        Ok(Box::new(reader::FileReader::new(config, files, assembler, (behind, &context))?))
    }
}

fn format_of(file: &std::path::Path) -> Option<Format> {
    [
        (Format::Csv, &["csv", "tsv", "txt"][..]),
        (Format::Jsonl, &["jsonl", "ndjson"]),
        (Format::Json, &["json"]),
        (Format::Parquet, &["parquet", "pq"]),
    ]
    .into_iter()
    .find_map(|(format, endings)| has_ending(file, endings).then_some(format))
}

fn parquet(config: FileConfig) -> ArchiveConfig {
    ArchiveConfig {
        path: config.path,
        columns: config.columns,
        fields: config.fields,
        source: config.source,
        instrument: config.instrument,
        time_zone: config.time_zone,
        time_unit: config.time_unit,
        from: None,
        to: None,
        instruments: Vec::new(),
    }
}

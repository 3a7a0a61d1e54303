//! `archive`: a Parquet dataset of ticks, by day, source and instrument, read in the order of time.

mod convert;
mod decode;
mod merge;
mod names;
mod note;
mod plan;
mod pool;
mod reader;
mod row_group;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dataflows::component::source::{Position, Promise, Source, SourceContext, SourceDefinition};
use dataflows::component::{Definition, Output, check_config, read_config};
use dataflows::fault::Fault;
use proto::archive_note::ArchiveNote;
use proto::event_time::EventTime;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::Value;

use crate::columns::{Columns, Field, Wanted};
use crate::paths::Paths;
use crate::time_zone::{TimeUnit, Zone};

/// Reads a Parquet dataset of ticks in the order of time, whatever the order of its files.
///
/// Row groups that do not overlap in time are read one behind the other; those that do are merged
/// by (time, path, row). Files, folders and row groups outside of the wanted times and instruments
/// are not read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveConfig {
    /// A directory (flat or hive-style: `source=mt4/instrument=EURUSD/...`), a file, a glob such
    /// as `ticks/**/*.parquet`, or a list of these.
    pub path: Paths,
    /// What the columns are called.
    #[serde(default)]
    pub columns: Columns,
    /// Read only these values of a tick: the columns of the others are not even decoded. A job
    /// that builds bid candles needs `[bid, volume]`. Else: all that there are. Time and names
    /// are always read.
    #[serde(default)]
    pub fields: Option<BTreeSet<Field>>,
    /// The source of every tick, for files without such a column or folder.
    #[serde(default)]
    pub source: Option<String>,
    /// The instrument of every tick, for files without such a column or folder.
    #[serde(default)]
    pub instrument: Option<String>,
    /// The zone of times that do not say theirs: `UTC`, `+02:00` or `Europe/Athens`. A local time
    /// that occurs twice means the first.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// What a time that is a whole number counts since 1970. Else it is guessed by magnitude:
    /// below 10^11 seconds, below 10^14 milliseconds, below 10^17 microseconds, else nanoseconds.
    #[serde(default)]
    pub time_unit: Option<TimeUnit>,
    /// Only ticks from this time on: `2024-03-10` or `2024-03-10T17:00:00Z`.
    #[serde(default)]
    pub from: Option<String>,
    /// Only ticks before this time.
    #[serde(default)]
    pub to: Option<String>,
    /// Only ticks of these instruments.
    #[serde(default)]
    pub instruments: Vec<String>,
}

pub(crate) fn utc() -> String {
    "UTC".to_owned()
}

/// Checks what a schema cannot say of the texts that both file sources have.
pub(crate) fn check_texts(
    time_zone: &str,
    from: Option<&str>,
    to: Option<&str>,
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if let Err(message) = time_zone.parse::<Zone>() {
        found.push(("time_zone".to_owned(), message));
    }
    let mut bound = |name: &str, text: Option<&str>| {
        let time = text?.parse::<EventTime>();
        time.map_err(|error| found.push((name.to_owned(), error.to_string()))).ok()
    };
    let (from_time, to_time) = (bound("from", from), bound("to", to));
    if let (Some(from), Some(to)) = (from_time, to_time)
        && from >= to
    {
        found.push(("to".to_owned(), format!("{to} is not after `from`, {from}")));
    }
    found
}

/// Which ticks are wanted: the configuration and the range of a backfill together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// From here on, in nanoseconds.
    pub(crate) from: i64,
    /// Up to, but not with, here.
    pub(crate) to: i64,
    /// Only these; none: all.
    pub(crate) instruments: Option<BTreeSet<String>>,
}

impl Selection {
    pub(crate) fn new(
        config: (Option<&str>, Option<&str>, &[String]),
        context: &SourceContext,
    ) -> Result<Self, Fault> {
        let (from, to, instruments) = config;
        let bound = |name: &str, text: Option<&str>, default: EventTime| match text {
            None => Ok(default.ns()),
            Some(text) => text
                .parse::<EventTime>()
                .map(EventTime::ns)
                .map_err(|error| Fault::job(format!("sources.{}.{name}", context.id), error)),
        };
        let set = |names: &[String]| -> Option<BTreeSet<String>> {
            (!names.is_empty()).then(|| names.iter().cloned().collect())
        };
        let mut selection = Self {
            from: bound("from", from, EventTime::MIN)?,
            to: bound("to", to, EventTime::MAX)?,
            instruments: set(instruments),
        };
        if let Some(range) = &context.range {
            selection.from = selection.from.max(range.from.ns());
            selection.to = selection.to.min(range.to.ns());
            selection.instruments = match (selection.instruments, set(&range.instruments)) {
                (Some(mine), Some(theirs)) => Some(mine.intersection(&theirs).cloned().collect()),
                (mine, theirs) => mine.or(theirs),
            };
        }
        Ok(selection)
    }

    /// Tells whether ticks of `instrument` are wanted.
    pub(crate) fn has(&self, instrument: &str) -> bool {
        self.instruments.as_ref().is_none_or(|instruments| instruments.contains(instrument))
    }
}

/// The row in the catalog.
#[derive(Debug)]
pub struct Archive;

impl Definition for Archive {
    fn name(&self) -> &'static str {
        "archive"
    }

    fn summary(&self) -> &'static str {
        "Reads a Parquet dataset of ticks in the order of time."
    }

    fn config(&self) -> Schema {
        schemars::schema_for!(ArchiveConfig)
    }

    fn check(&self, config: &Value) -> Vec<(String, String)> {
        let found = check_config::<ArchiveConfig>(config);
        if !found.is_empty() {
            return found;
        }
        match ArchiveConfig::deserialize(config) {
            Ok(config) => {
                check_texts(&config.time_zone, config.from.as_deref(), config.to.as_deref())
            }
            Err(error) => vec![(String::new(), error.to_string())],
        }
    }
}

impl SourceDefinition for Archive {
    fn outputs(&self) -> &'static [Output] {
        crate::OUTPUTS
    }

    fn is_bounded(&self, _config: &Value) -> bool {
        true
    }

    fn promise(&self, _: &Value) -> Promise {
        Promise::Replays
    }

    fn note(&self, config: &Value, root: &Path) -> Result<Option<ArchiveNote>, Fault> {
        let config: ArchiveConfig = read_config("heal", config)?;
        note::read(&config.path, root)
    }

    fn open(
        &self,
        config: &Value,
        behind: Option<Position>,
        context: SourceContext,
    ) -> Result<Box<dyn Source>, Fault> {
        let config: ArchiveConfig = read_config(&format!("sources.{}", context.id), config)?;
        let files = crate::paths::find(&config.path, &context.root, &["parquet", "pq"])?;
        open_files(config, files, behind, &context)
    }
}

/// Opens `files`, whatever `config.path` says: also for the `file` source.
pub(crate) fn open_files(
    config: ArchiveConfig,
    files: Vec<PathBuf>,
    behind: Option<Position>,
    context: &SourceContext,
) -> Result<Box<dyn Source>, Fault> {
    let place = |name: &str| format!("sources.{}.{name}", context.id);
    let zone: Zone =
        config.time_zone.parse().map_err(|error| Fault::job(place("time_zone"), error))?;
    let selection = Selection::new(
        (config.from.as_deref(), config.to.as_deref(), &config.instruments),
        context,
    )?;
    let request = plan::Request {
        component: context.id.clone(),
        wanted: Wanted {
            columns: config.columns,
            fields: config.fields,
            source: config.source,
            instrument: config.instrument,
        },
        zone,
        unit: config.time_unit,
        selection,
    };
    let plan = plan::Plan::new(files, request, &context.root)?;
    Ok(Box::new(reader::ArchiveReader::new(plan, behind, context)?))
}

//! The sink `archive`: a dataset of Parquet files, one per partition, each written whole or not at
//! all.
//!
//! A file's bytes depend on the rows of its partition alone: not on their order of arrival, on
//! workers, batches or on how often a run was repeated.

mod buffer;
mod durable;
mod encode;
mod files;
mod layout;
mod ledger;
mod merge;
mod note;
mod partition;
mod publish;
mod sink;
mod spool;
mod stored;
mod swap;
mod words;
mod writer;

pub use encode::properties as writer_properties;

use dataflows::component::sink::{Guarantee, Sink, SinkContext, SinkDefinition};
use dataflows::component::{Definition, check_config, read_config};
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use proto::candle::Candle;
use proto::columns::Detail;
use proto::reject::Reject;
use proto::tick::Tick;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::period::Period;

/// The definition of `archive`.
#[derive(Debug)]
pub struct Archive;

/// Writes rows into a dataset of Parquet files that DuckDB, Polars and Spark read without help.
///
/// A partition's file is written when the partition is whole, beside its place, and then renamed.
/// Rows that come later, or in another run, are merged into it: of a candle the greatest revision
/// stays, a tick with a sequence is there once, ticks without one are there as often as in that
/// run which has most of them.
///
/// Every row is there exactly once, whatever is killed: a job that keeps its state makes the rows
/// of partitions that are not whole durable with each checkpoint, in the hidden folder
/// `.tapeflow` of the dataset, and puts files in place together with a note of what they hold.
/// Stopped before the end of its input, it keeps those rows for the next start.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder of the dataset, relative to the folder that `tapeflow` was called in.
    pub path: String,
    /// The folders below it, from outer to inner; `day` must be among them. Unless given:
    /// `[day, source, instrument]` for ticks, `[timeframe, day]` for candles, `[day]` for rejects.
    #[serde(default)]
    pub partition: Option<Vec<PartitionBy>>,
    /// A partition is whole when the job clock is so far past the end of its day (and of the
    /// last candle that starts on it).
    #[serde(default = "complete_after")]
    pub complete_after: Period,
    /// When a run is stopped before the end of its input, write partitions that are not whole,
    /// too, with the rows that they have. A later run adds to them.
    #[serde(default)]
    pub publish_partial: bool,
    /// Also writes what there is of partitions that are not whole, so often by the job clock, and
    /// notes in `.tapeflow/JOB/SINK/complete.json` how far the dataset is complete by that: what a
    /// source that lost a part of its stream is healed from (`heal`). Every such time the files of
    /// those partitions are written anew.
    #[serde(default)]
    pub publish_every: Option<Period>,
    /// How much of a candle is written.
    #[serde(default)]
    pub detail: CandleDetail,
    /// Rows that wait for their partition to be whole go to temporary files beside it when they
    /// take more than so many MB of memory.
    #[serde(default = "memory_mb")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub memory_mb: usize,
}

const fn complete_after() -> Period {
    Period::from_secs(3_600)
}

const fn memory_mb() -> usize {
    256
}

/// How much of a candle is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CandleDetail {
    /// Everything.
    #[default]
    Full,
    /// What charts draw: names, start, prices, volume, ticks and revision; half the size. Not what
    /// can be derived (end, trading date) nor where it comes from (first and last tick, basis, reason,
    /// flags).
    Prices,
}

impl From<CandleDetail> for Detail {
    fn from(detail: CandleDetail) -> Self {
        match detail {
            CandleDetail::Full => Self::Full,
            CandleDetail::Prices => Self::Prices,
        }
    }
}

/// What a folder of the dataset stands for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PartitionBy {
    /// The UTC day of a tick's time, a candle's start or a reject's clock: `day=2014-05-01`.
    Day,
    /// `source=mt4`.
    Source,
    /// `instrument=EURUSD`.
    Instrument,
    /// `timeframe=1m`, of candles.
    Timeframe,
}

impl Definition for Archive {
    fn name(&self) -> &'static str {
        "archive"
    }

    fn summary(&self) -> &'static str {
        "Writes rows into a dataset of Parquet files by day, atomically and sorted."
    }

    fn config(&self) -> Schema {
        schema_for!(Config)
    }

    fn check(&self, config: &Value) -> Vec<(String, String)> {
        let mut found = check_config::<Config>(config);
        if let Ok(config) = Config::deserialize(config)
            && let Some(Err(message)) = config.partition.as_deref().map(layout::check)
        {
            found.push(("partition".to_owned(), message));
        }
        let config = Config::deserialize(config).ok();
        if config.and_then(|config| config.publish_every).is_some_and(|every| every.ns() == 0) {
            found.push(("publish_every".to_owned(), "it is 0; expected 1s or more".to_owned()));
        }
        found
    }

    fn check_input(&self, config: &Value, kind: Kind) -> Vec<(String, String)> {
        let by = Config::deserialize(config).ok().and_then(|config| config.partition);
        let at = by.unwrap_or_default().iter().position(|by| *by == PartitionBy::Timeframe);
        let told = |at| (format!("partition[{at}]"), format!("{kind} have no timeframe"));
        at.filter(|_| kind != Kind::Candles).map(told).into_iter().collect()
    }
}

impl SinkDefinition for Archive {
    fn replaces(&self) -> bool {
        true
    }

    fn takes(&self) -> &'static [Kind] {
        Kind::ARCHIVED
    }

    fn within(&self, config: &Value, _: &str) -> Option<Value> {
        crate::within::with_path(config)
    }

    fn guarantee(&self, _: &Value, _: Kind) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn open(&self, config: &Value, context: SinkContext) -> Result<Box<dyn Sink>, Fault> {
        let path = format!("sinks.{}", context.id);
        let config: Config = read_config(&path, config)?;
        Ok(match context.kind {
            Kind::Ticks => Box::new(sink::ArchiveSink::<Tick>::open(&config, context)?),
            Kind::Candles => Box::new(sink::ArchiveSink::<Candle>::open(&config, context)?),
            Kind::Rejects => Box::new(sink::ArchiveSink::<Reject>::open(&config, context)?),
            kind @ (Kind::Payloads | Kind::Statuses) => {
                return Err(Fault::defect(path, format!("an archive takes no {kind}")));
            }
        })
    }
}

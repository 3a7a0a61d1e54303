//! The sink `table`: rows of one kind in a table of SQLite or PostgreSQL, upserted by key.
//!
//! One transaction writes a flush of rows together with the job's progress, so that neither is
//! ever there without the other.

mod connection;
mod fault;
mod layout;
mod occurrences;
mod postgres;
mod progress;
mod reject_id;
mod sink;
mod sqlite;
mod url;

use dataflows::component::sink::{Guarantee, Sink, SinkContext, SinkDefinition};
use dataflows::component::{Definition, check_config, read_config};
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use serde_json::Value;

use crate::period::Period;

/// The definition of `table`.
#[derive(Debug)]
pub struct Table;

/// Writes rows into a table of SQLite or PostgreSQL.
///
/// The table is made if it is not there, and columns that it lacks are added. Candles are upserted
/// by (source, instrument, timeframe, start): the greatest revision wins. Ticks that carry a
/// sequence are written once; ticks without one have no identity and are appended. Rejects are
/// written once.
///
/// Exactly once: rows and the job's progress are committed together, epochs that come again after
/// a crash are known by that, and a start of the job that was replaced can commit nothing. A run
/// without durable state has no progress to go on from: it writes ticks without a sequence again.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the database is: `sqlite:path/file.db` (relative to the folder that `tapeflow` was
    /// called in) or `postgres://user:password@host/database`. Never shown with its password.
    pub url: String,
    /// The table, with a schema before a dot on PostgreSQL if you like; the component's id unless
    /// given. Letters, digits and underscores.
    #[serde(default)]
    pub table: Option<String>,
    /// Rows are written when so many wait,
    #[serde(default = "batch")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub batch: usize,
    /// or when the oldest has waited so long.
    #[serde(default = "flush_every")]
    pub flush_every: Period,
}

const fn batch() -> usize {
    20_000
}

const fn flush_every() -> Period {
    Period::from_secs(1)
}

impl Definition for Table {
    fn name(&self) -> &'static str {
        "table"
    }

    fn summary(&self) -> &'static str {
        "Writes rows into a table of SQLite or PostgreSQL, upserted by key."
    }

    fn config(&self) -> Schema {
        schema_for!(Config)
    }

    fn check(&self, config: &Value) -> Vec<(String, String)> {
        let mut found = check_config::<Config>(config);
        if let Ok(config) = Config::deserialize(config) {
            if let Err(message) = url::Place::parse(&config.url) {
                found.push(("url".to_owned(), message));
            }
            if let Some(Err(message)) = config.table.as_deref().map(layout::TableName::parse) {
                found.push(("table".to_owned(), message));
            }
        }
        found
    }
}

impl SinkDefinition for Table {
    fn replaces(&self) -> bool {
        true
    }

    fn takes(&self) -> &'static [Kind] {
        Kind::KEYED
    }

    fn within(&self, config: &Value, id: &str) -> Option<Value> {
        let url = config.get("url")?.as_str()?;
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let url = format!("sqlite:{}", crate::within::path(path));
            return Some(crate::within::with(config, "url", url));
        }
        // A file of its own: the table's name need not be one of its kind on the server.
        let config = crate::within::with(config, "url", format!("sqlite:{id}.db"));
        let name = config.get("table").and_then(Value::as_str).unwrap_or(id).to_owned();
        let table = name.rsplit('.').next().unwrap_or(&name).to_owned();
        Some(crate::within::with(&config, "table", table))
    }

    fn guarantee(&self, _: &Value, _: Kind) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn open(&self, config: &Value, context: SinkContext) -> Result<Box<dyn Sink>, Fault> {
        let path = format!("sinks.{}", context.id);
        let config: Config = read_config(&path, config)?;
        Ok(Box::new(sink::TableSink::open(&config, context)?))
    }
}

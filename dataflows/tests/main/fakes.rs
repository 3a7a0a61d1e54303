//! Components that can be described but not run: enough for a job file to name.

use dataflows::catalog::Catalog;
use dataflows::component::operator::{OperatorContext, OperatorDefinition};
use dataflows::component::sink::{Guarantee, Sink, SinkContext, SinkDefinition};
use dataflows::component::source::{Position, Promise, Source, SourceContext, SourceDefinition};
use dataflows::component::{Definition, Output, check_config};
use dataflows::duration::Duration;
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::machine::AnyMachine;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use serde_json::Value;

/// Ticks from files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct FileConfig {
    /// The file, or a pattern such as `ticks/*.csv`.
    path: String,
    /// How a file is laid out.
    #[serde(default)]
    format: Format,
    /// Which column holds what.
    columns: Option<Columns>,
    /// Where the instrument's name is taken from.
    instrument: Option<Instrument>,
    /// Read so many rows at once.
    #[serde(default = "rows")]
    #[schemars(range(min = 1, max = 65_536))]
    rows: u32,
    /// Follow the file as it grows.
    #[serde(default)]
    follow: bool,
}

const fn rows() -> u32 {
    8_192
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// Comma-separated values.
    #[default]
    Csv,
    /// A JSON object per line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Columns {
    /// The event time.
    time: String,
    /// The bid.
    bid: Option<String>,
    /// The ask.
    ask: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "from", rename_all = "lowercase", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
enum Instrument {
    /// From a column.
    Column {
        /// Its name.
        name: String,
    },
    /// The same for all rows.
    Fixed {
        /// The instrument.
        name: String,
    },
}

/// Ticks from a queue.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct AmqpConfig {
    /// The broker.
    url: String,
    /// The exchange to bind to.
    exchange: String,
    /// The password, if it is not in the URL.
    password: Option<String>,
    /// How many deliveries may be unacknowledged.
    #[serde(default)]
    prefetch: Option<u16>,
}

/// Candles from ticks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct OhlcvConfig {
    /// The lengths of the candles.
    #[schemars(length(min = 1))]
    timeframes: Vec<String>,
    /// How long a window stays open for late ticks.
    #[serde(default)]
    lateness: Duration,
    /// Which prices count.
    #[serde(default)]
    basis: Basis,
    /// When a market is open: a name, or sessions.
    calendar: Option<Calendar>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Basis {
    #[default]
    Bid,
    Ask,
    Mid,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Calendar {
    /// One of the calendars that are built in.
    Named(String),
    /// A file.
    File(CalendarFile),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct CalendarFile {
    /// Its path.
    file: String,
}

/// At most one record per key and interval.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct ThrottleConfig {
    /// The interval.
    every: Duration,
}

/// Rows in a table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct TableConfig {
    /// The database.
    url: String,
    /// The table.
    table: String,
}

/// Records on standard output.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsoleConfig {}

/// Declares a definition with what all of them have.
macro_rules! definition {
    ($name:ident, $word:literal, $config:ty, $summary:literal) => {
        #[derive(Debug)]
        struct $name;
        impl Definition for $name {
            fn name(&self) -> &'static str {
                $word
            }
            fn summary(&self) -> &'static str {
                $summary
            }
            fn config(&self) -> Schema {
                schema_for!($config)
            }
            fn check(&self, config: &Value) -> Vec<(String, String)> {
                check_config::<$config>(config)
            }
        }
    };
}

definition!(File, "file", FileConfig, "Reads ticks from files.");
definition!(Amqp, "amqp", AmqpConfig, "Reads ticks from a queue.");
definition!(Ohlcv, "ohlcv", OhlcvConfig, "Builds candles from ticks.");
definition!(Throttle, "throttle", ThrottleConfig, "Lets one record per interval pass.");
definition!(Table, "table", TableConfig, "Writes rows to a table.");
definition!(Console, "console", ConsoleConfig, "Prints records.");

const fn output(name: &'static str, kind: Option<Kind>, about: &'static str) -> Output {
    Output { name, kind, about }
}

const SOURCE_OUTPUTS: &[Output] = &[
    output("ticks", Some(Kind::Ticks), "What was read."),
    output("dead", Some(Kind::Rejects), "What could not be decoded."),
];

macro_rules! source {
    ($name:ident, $bounded:literal, $promise:expr) => {
        impl SourceDefinition for $name {
            fn outputs(&self) -> &'static [Output] {
                SOURCE_OUTPUTS
            }
            fn is_bounded(&self, _: &Value) -> bool {
                $bounded
            }

            fn window(&self, config: &Value) -> Option<u64> {
                config["prefetch"].as_u64()
            }

            fn tells_continuity(&self, config: &Value) -> bool {
                self.promise(config) == Promise::Redelivers
            }

            fn promise(&self, config: &Value) -> Promise {
                let promise: fn(&Value) -> Promise = $promise;
                promise(config)
            }
            fn open(
                &self,
                _: &Value,
                _: Option<Position>,
                context: SourceContext,
            ) -> Result<Box<dyn Source>, Fault> {
                Err(Fault::defect(context.id, "a fake cannot run"))
            }
        }
    };
}

source!(File, true, |_| Promise::Replays);
// Without a limit the broker takes everything for acknowledged.
source!(Amqp, false, |config| match config["prefetch"].as_u64() {
    Some(0) => Promise::Forgets,
    _ => Promise::Redelivers,
});

macro_rules! operator {
    ($name:ident, $takes:expr, $outputs:expr) => {
        impl OperatorDefinition for $name {
            fn takes(&self) -> &'static [Kind] {
                $takes
            }
            fn outputs(&self) -> &'static [Output] {
                const OUTPUTS: &[Output] = $outputs;
                OUTPUTS
            }
            fn build(&self, _: &Value, context: OperatorContext) -> Result<AnyMachine, Fault> {
                Err(Fault::defect(context.id, "a fake cannot run"))
            }
        }
    };
}

operator!(
    Ohlcv,
    &[Kind::Ticks],
    &[
        output("closed", Some(Kind::Candles), "Candles that are final."),
        output("open", Some(Kind::Candles), "Candles as they grow."),
        output("revised", Some(Kind::Candles), "Candles that late ticks have changed."),
        output("dead", Some(Kind::Rejects), "Ticks that belong to no candle."),
    ]
);
operator!(
    Throttle,
    &[Kind::Ticks, Kind::Candles],
    &[output("latest", None, "The latest of each key.")]
);

macro_rules! sink {
    ($name:ident, $takes:expr, $guarantee:expr) => {
        impl SinkDefinition for $name {
            fn takes(&self) -> &'static [Kind] {
                $takes
            }

            fn guarantee(&self, _: &Value, _: Kind) -> Guarantee {
                $guarantee
            }
            fn open(&self, _: &Value, context: SinkContext) -> Result<Box<dyn Sink>, Fault> {
                Err(Fault::defect(context.id, "a fake cannot run"))
            }
        }
    };
}

sink!(Table, &[Kind::Candles], Guarantee::ExactlyOnce);
sink!(Console, Kind::ALL, Guarantee::AtLeastOnce);

/// All of them.
pub(crate) const CATALOG: Catalog = Catalog {
    sources: &[&Amqp, &File],
    operators: &[&Ohlcv, &Throttle],
    sinks: &[&Console, &Table],
};

//! The sink `amqp`: rows as messages to an exchange of RabbitMQ.

mod encode;
mod sink;

use std::borrow::Cow;

use brokers::amqp::address::Address;
use brokers::amqp::topology::{ExchangeType, check_name};
use brokers::key::{Name, Template};
use brokers::tls::TlsConfig;
use dataflows::component::sink::{Guarantee, Sink, SinkContext, SinkDefinition};
use dataflows::component::{Definition, check_config, read_config};
use dataflows::duration::Duration;
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The definition of `amqp`.
#[derive(Debug)]
pub struct Amqp;

/// Publishes rows to an exchange of RabbitMQ.
///
/// A tick or candle is a message in Protobuf or JSON; a payload is its bytes as they are; a reject
/// is JSON, with the reason, the job, the component and the time in headers (`x-reason`, `x-job`,
/// `x-component`, `x-first-seen`), so that any exchange can be one of dead letters. Every message
/// has its event time in the header `x-event-time-ns`, and a message id that is the same when it is
/// published again.
///
/// At least once: an epoch is done when the broker has confirmed all of it, and what was not
/// confirmed when a connection was lost is published again on the next one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The broker: `amqp://user:password@host:port/vhost`, or `amqps://` for TLS. A slash that
    /// belongs to the vhost's name is written as `%2F`. Never shown with its password.
    pub url: String,
    /// TLS of an `amqps://` address.
    #[serde(default)]
    pub tls: TlsConfig,
    /// So long the broker may be silent before it is taken for dead.
    #[serde(default = "heartbeat")]
    pub heartbeat: Duration,
    /// The exchange; empty: the broker's own, which puts a message into the queue that is named as
    /// its key.
    pub exchange: String,
    /// How it routes.
    #[serde(default)]
    pub exchange_type: ExchangeType,
    /// Whether it is declared, durable; else it must be there.
    #[serde(default = "yes")]
    pub declare: bool,
    /// The routing key, made of the row's `{source}` and `{instrument}`, of a candle's
    /// `{timeframe}`, of a reject's `{component}` and `{reason}`. Unless given:
    /// `market.{source}.{instrument}.tick` for ticks and payloads,
    /// `market.{source}.{instrument}.candle.{timeframe}` for candles, `dead.{component}.{reason}`
    /// for rejects.
    #[serde(default)]
    pub key: Option<String>,
    /// What ticks and candles are written as.
    #[serde(default)]
    pub format: Format,
    /// Whether messages outlive the broker, in queues that do.
    #[serde(default = "yes")]
    pub persistent: bool,
    /// Whether the broker confirms that it has a message. Without, what is on its way when a
    /// connection is lost is lost, and nobody knows.
    #[serde(default = "yes")]
    pub confirm: bool,
    /// So many messages may be unconfirmed.
    #[serde(default = "window")]
    #[schemars(range(min = 1, max = 65535))]
    pub window: usize,
    /// Whether a message for which no queue is bound ends the run; else the broker drops it.
    #[serde(default)]
    pub mandatory: bool,
}

/// What ticks and candles are written as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Protobuf: `Tick` and `Candle`.
    #[default]
    Protobuf,
    /// The platform's short JSON of a tick, and a candle as charts draw it.
    Json,
}

const fn heartbeat() -> Duration {
    Duration::from_seconds(10)
}

const fn yes() -> bool {
    true
}

const fn window() -> usize {
    1_000
}

impl Config {
    /// The template of keys of rows of a kind.
    fn template(&self, kind: Kind) -> Result<Template, String> {
        let (names, default): (&[Name], &str) = match kind {
            Kind::Ticks | Kind::Payloads => {
                (&[Name::Source, Name::Instrument], "market.{source}.{instrument}.tick")
            }
            Kind::Candles => (
                &[Name::Source, Name::Instrument, Name::Timeframe],
                "market.{source}.{instrument}.candle.{timeframe}",
            ),
            Kind::Statuses => {
                (&[Name::Source, Name::Instrument], "market.{source}.{instrument}.status")
            }
            Kind::Rejects => (
                &[Name::Component, Name::Reason, Name::Source, Name::Instrument],
                "dead.{component}.{reason}",
            ),
        };
        let text = self.key.as_deref().map_or(Cow::Borrowed(default), Cow::Borrowed);
        let template = Template::parse(&text, names)?;
        if template.is_writable() {
            Ok(template)
        } else {
            Err("`*` is for reading; expected a word".to_owned())
        }
    }

    fn problems(&self) -> Vec<(String, String)> {
        let mut found = self.tls.problems();
        let mut refuse = |path: &str, message: String| found.push((path.to_owned(), message));
        match Address::parse(&self.url) {
            Err(message) => refuse("url", message),
            Ok(address) if !address.is_encrypted() && self.tls != TlsConfig::default() => {
                refuse("tls", "the address is not encrypted; expected amqps://".to_owned());
            }
            Ok(_) => {}
        }
        if self.heartbeat.ns() < 1_000_000_000 {
            refuse("heartbeat", "expected at least 1s".to_owned());
        }
        if let Err(message) = check_name(&self.exchange) {
            refuse("exchange", message);
        }
        if self.window == 0 {
            refuse("window", "expected at least 1".to_owned());
        }
        if self.mandatory && !self.confirm {
            refuse(
                "mandatory",
                "only with `confirm: true` anybody waits for its answer".to_owned(),
            );
        }
        found
    }
}

impl Definition for Amqp {
    fn name(&self) -> &'static str {
        "amqp"
    }

    fn summary(&self) -> &'static str {
        "Publishes rows to an exchange of RabbitMQ, confirmed by the broker."
    }

    fn config(&self) -> Schema {
        schema_for!(Config)
    }

    fn check(&self, config: &Value) -> Vec<(String, String)> {
        let found = check_config::<Config>(config);
        if !found.is_empty() {
            return found;
        }
        Config::deserialize(config).map_or_else(
            |error| vec![(String::new(), error.to_string())],
            |config| config.problems(),
        )
    }

    fn check_input(&self, config: &Value, kind: Kind) -> Vec<(String, String)> {
        let Ok(config) = Config::deserialize(config) else { return Vec::new() };
        let found = config.template(kind).err();
        found.map(|message| ("key".to_owned(), message)).into_iter().collect()
    }
}

impl SinkDefinition for Amqp {
    fn takes(&self) -> &'static [Kind] {
        Kind::ALL
    }

    fn guarantee(&self, config: &Value, _: Kind) -> Guarantee {
        let is_confirmed = Config::deserialize(config).is_ok_and(|config| config.confirm);
        if is_confirmed { Guarantee::AtLeastOnce } else { Guarantee::BestEffort }
    }

    fn open(&self, config: &Value, context: SinkContext) -> Result<Box<dyn Sink>, Fault> {
        let place = format!("sinks.{}", context.id);
        let config: Config = read_config(&place, config)?;
        if let Some((path, message)) = config.problems().into_iter().next() {
            return Err(Fault::job(format!("{place}.{path}"), message));
        }
        Ok(Box::new(sink::AmqpSink::open(&config, context)?))
    }
}

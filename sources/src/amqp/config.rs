//! What a job says of the source `amqp`.

use std::collections::BTreeMap;

use brokers::amqp::address::Address;
use brokers::amqp::incoming::From;
use brokers::amqp::topology::{
    Argument, Declare, Exchange, ExchangeType, Overflow, Queue, QueueType, Settings, Topology,
    check_name,
};
use brokers::key::{Name, Template};
use brokers::tls::TlsConfig;
use dataflows::duration::Duration;
use proto::series::check_name as check_series_name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Reads messages of a queue or a stream of RabbitMQ.
///
/// Exchange, queue and bindings are declared whenever it connects, and it connects again by itself.
/// A message is acknowledged when `ack` says so, never before; what was not is delivered again, and
/// dropped if the publisher gave it a message id that was seen. Permissions that are missing, a
/// wrong vhost, or a queue that is there with other settings end the run.
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
    /// What is declared of exchange, queue and bindings.
    #[serde(default)]
    pub declare: Declare,
    /// The exchange that the queue is bound to; without one the queue is only read.
    #[serde(default)]
    pub exchange: Option<String>,
    /// How that exchange routes.
    #[serde(default)]
    pub exchange_type: ExchangeType,
    /// The key or keys that bind the queue to the exchange: `market.#`, or `[market.mt4.#,
    /// market.ib.#]`. With `x-consistent-hash`: the queue's weight.
    #[serde(default = "binding")]
    pub binding: Keys,
    /// Headers that bind the queue to an exchange of that type, with `x-match` among them.
    #[serde(default)]
    pub binding_headers: BTreeMap<String, Argument>,
    /// The queue; `tapeflow.JOB.ID` unless given.
    #[serde(default)]
    pub queue: Option<String>,
    /// What the queue is. A stream is read from the place where the job stood, without
    /// acknowledgements.
    #[serde(default)]
    pub queue_type: QueueType,
    /// Whether the queue outlives the broker.
    #[serde(default = "yes")]
    pub durable: bool,
    /// So many messages the queue keeps.
    #[serde(default)]
    pub max_length: Option<u64>,
    /// What happens to a queue that is full.
    #[serde(default)]
    pub overflow: Option<Overflow>,
    /// So long the queue keeps a message.
    #[serde(default)]
    pub message_ttl: Option<Duration>,
    /// Where the broker puts what the queue drops.
    #[serde(default)]
    pub dead_letter_exchange: Option<String>,
    /// Of several consumers one is served, and the next one when that goes: the queue's order
    /// stays whole.
    #[serde(default)]
    pub single_active_consumer: bool,
    /// Further arguments of the queue, as the broker names them: `x-max-length-bytes`, `x-max-age`.
    #[serde(default)]
    pub arguments: BTreeMap<String, Argument>,
    /// So many messages may be on their way or unacknowledged: at least the rate, times the time
    /// between two acknowledgements (a sync of the journal, or with `ack: checkpoint` a
    /// checkpoint), times two.
    #[serde(default = "prefetch")]
    #[schemars(range(min = 1, max = 65535))]
    pub prefetch: u16,
    /// What the messages are. A message whose content type says JSON or Protobuf is read as that.
    #[serde(default)]
    pub format: Format,
    /// How routing keys name source and instrument, for messages that do not (`json`, `bytes`).
    /// `{instrument}` may be several words, `*` is any word.
    #[serde(default = "key")]
    pub key: String,
    /// The source, where neither message nor key tells it.
    #[serde(default)]
    pub source: Option<String>,
    /// The instrument, where neither message nor key tells it.
    #[serde(default)]
    pub instrument: Option<String>,
    /// Whether two messages of one key and one message id are the same message, delivered again.
    /// Say no where publishers start to count anew.
    #[serde(default = "yes")]
    pub message_ids: bool,
    /// Where a stream is read from when the job runs for the first time.
    #[serde(default)]
    pub offset: Offset,
}

/// What messages are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One tick in Protobuf.
    #[default]
    Tick,
    /// Many ticks in one message, in Protobuf.
    TickBatch,
    /// One tick in JSON: `{"b":1.1734,"a":1.1736,"t":1536935412}`.
    Json,
    /// Whatever they are: the bytes are passed on as payloads and never read.
    Bytes,
}

/// One key or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Keys {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Keys {
    fn list(&self) -> &[String] {
        match self {
            Self::One(key) => std::slice::from_ref(key),
            Self::Several(keys) => keys,
        }
    }
}

/// A place in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Offset {
    /// Its number.
    At(u64),
    /// A word for it.
    Word(OffsetWord),
}

impl Default for Offset {
    fn default() -> Self {
        Self::Word(OffsetWord::First)
    }
}

/// A word for a place in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OffsetWord {
    /// The oldest message that is there.
    First,
    /// The last chunk that was written.
    Last,
    /// What comes from now on.
    Next,
}

impl Offset {
    pub(super) const fn from(self) -> From {
        match self {
            Self::At(offset) => From::Offset(offset),
            Self::Word(OffsetWord::First) => From::First,
            Self::Word(OffsetWord::Last) => From::Last,
            Self::Word(OffsetWord::Next) => From::Next,
        }
    }
}

const fn heartbeat() -> Duration {
    Duration::from_seconds(10)
}

fn binding() -> Keys {
    Keys::One("#".to_owned())
}

const fn yes() -> bool {
    true
}

const fn prefetch() -> u16 {
    2_000
}

fn key() -> String {
    "market.{source}.{instrument}.tick".to_owned()
}

impl Config {
    /// The template of keys.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn template(&self) -> Result<Template, String> {
        Template::parse(&self.key, &[Name::Source, Name::Instrument, Name::Timeframe])
    }

    fn queue(&self, name: String) -> Queue {
        let (kind, durable) = (self.queue_type, self.durable);
        let mut queue = Queue { name, kind, durable, arguments: self.arguments.clone() };
        queue.set(&Settings {
            max_length: self.max_length,
            overflow: self.overflow,
            message_ttl_ms: self.message_ttl.map(|ttl| ttl.ns() / 1_000_000),
            dead_letter_exchange: self.dead_letter_exchange.as_deref(),
            single_active_consumer: self.single_active_consumer,
        });
        queue
    }

    /// The name of the queue.
    pub fn queue_name(&self, job: &str, id: &str) -> String {
        self.queue.clone().unwrap_or_else(|| format!("tapeflow.{job}.{id}"))
    }

    /// What is declared, and the queue's name.
    pub(super) fn topology(&self, job: &str, id: &str) -> (Topology, String) {
        let name = self.queue_name(job, id);
        let exchange =
            self.exchange.clone().map(|name| Exchange { name, kind: self.exchange_type });
        let topology = Topology {
            declare: self.declare,
            exchange,
            queue: Some(self.queue(name.clone())),
            bindings: self.binding.list().to_vec(),
            headers: self.binding_headers.clone(),
        };
        (topology, name)
    }

    /// Finds what a schema cannot say.
    pub(super) fn problems(&self) -> Vec<(String, String)> {
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
        if self.prefetch == 0 {
            refuse("prefetch", "expected at least 1: what is read ahead is bounded".to_owned());
        }
        let names = [("exchange", &self.exchange), ("queue", &self.queue)];
        for (path, name) in names {
            if let Some(Err(message)) = name.as_deref().map(check_name) {
                refuse(path, message);
            }
        }
        let keys = self.binding.list().iter().chain(self.arguments.keys());
        for key in keys.chain(self.binding_headers.keys()) {
            if let Err(message) = check_name(key) {
                refuse("binding", message);
            }
        }
        let fixed = [("source", &self.source), ("instrument", &self.instrument)];
        for (path, name) in fixed {
            if let Some(Err(error)) = name.as_deref().map(check_series_name) {
                refuse(path, error.to_string());
            }
        }
        match self.template() {
            Err(message) => refuse("key", message),
            Ok(template) if matches!(self.format, Format::Json | Format::Bytes) => {
                let told = [
                    ("source", template.has(Name::Source) || self.source.is_some()),
                    ("instrument", template.has(Name::Instrument) || self.instrument.is_some()),
                ];
                for (name, is_told) in told {
                    if !is_told {
                        let message = format!("expected `{{{name}}}` in it, or `{name}` beside it");
                        refuse("key", message);
                    }
                }
            }
            Ok(_) => {}
        }
        if self.queue_type != QueueType::Stream && self.offset != Offset::default() {
            refuse("offset", "only a stream (`queue_type: stream`) has offsets".to_owned());
        }
        found.extend(self.queue(String::new()).problems());
        found
    }
}

#[cfg(test)]
mod tests {
    use dataflows::component::source::{Promise, SourceDefinition};
    use dataflows::component::{Definition, Output};
    use serde_json::{Value, json};

    use crate::amqp::Amqp;

    fn problems(more: Value) -> Vec<String> {
        let mut config =
            json!({ "url": "amqp://u:secret@mq/%2Ftrading", "exchange": "market.ticks" });
        let object = config.as_object_mut().unwrap();
        object.extend(more.as_object().unwrap().clone());
        let found = Amqp.check(&config);
        assert!(found.iter().all(|(_, message)| !message.contains("secret")), "{found:?}");
        found.into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn mistakes_are_found_before_anything_runs() {
        let none: [&str; 0] = [];
        assert_eq!(problems(json!({})), none);
        for (config, path) in [
            (json!({ "url": "mqtt://u:secret@mq" }), "url"),
            (json!({ "tls": { "ca": "ca.pem" } }), "tls"),
            (json!({ "prefetch": 0 }), "prefetch"),
            (json!({ "heartbeat": "10ms" }), "heartbeat"),
            (json!({ "queue": "x".repeat(256) }), "queue"),
            (json!({ "key": "a.{sauce}" }), "key"),
            (json!({ "key": "ticks.{instrument}", "format": "json" }), "key"),
            (json!({ "offset": "last" }), "offset"),
            (json!({ "source": "a/b" }), "source"),
            (json!({ "queue_type": "stream", "max_length": 5 }), "max_length"),
            (json!({ "queue_type": "quorum", "durable": false }), "durable"),
        ] {
            assert_eq!(problems(config.clone()), [path], "{config}");
        }
        let fixed = json!({ "key": "ticks.{instrument}", "format": "json", "source": "mt4" });
        assert_eq!(problems(fixed), none);
    }

    #[test]
    fn what_it_gives_and_promises_follows_from_how_it_reads() {
        let first = |format: &str| {
            let outputs: &[Output] = Amqp.outputs_of(&json!({ "format": format }));
            outputs[0].name
        };
        assert_eq!((first("bytes"), first("json")), ("payloads", "ticks"));
        let promise = |kind: &str| Amqp.promise(&json!({ "url": "amqp://mq", "queue_type": kind }));
        assert_eq!(promise("stream"), Promise::Replays);
        assert_eq!(promise("quorum"), Promise::Redelivers);
    }
}

//! The source `mqtt`: messages of subscriptions, acknowledged when they are durable.

mod decode;
mod reader;

use brokers::mqtt::config::{Client, Parts, Protocol, Texts, Will};
use brokers::tls::TlsConfig;
use brokers::topic::{Template, check_filter};
use dataflows::component::source::{Position, Promise, Source, SourceContext, SourceDefinition};
use dataflows::component::{Definition, Output, check_config, read_config};
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use proto::series::check_name;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use serde_json::Value;

/// The definition of `mqtt`.
#[derive(Debug)]
pub struct Mqtt;

/// Subscribes to topics at a broker of MQTT.
///
/// With QoS 1 a message is acknowledged when it is durable, as `ack` says, and the broker delivers
/// again what was not; one whose publisher gave it an id (the user property `message-id`, or that
/// of the tick) is then recognised and dropped. With QoS 0 what is lost is lost.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the broker is: `mqtt://user:password@host:1883`, `mqtts://`, `ws://host:port/path`,
    /// `wss://`. A list: the next one is tried when one cannot be reached. Never shown with its
    /// password.
    pub url: Texts,
    /// What to subscribe to: `market/+/+/tick`, or a list. `$share/group/market/#` is shared out
    /// among the clients that name the same group.
    pub topics: Texts,
    /// 0: at most once; 1: at least once. 2 is taken as 1: removing duplicates is the job's own
    /// work, by the ids of messages.
    #[serde(default = "at_least_once")]
    #[schemars(range(min = 0, max = 2))]
    pub qos: u8,
    /// How messages are read. With MQTT 5, a message that says by its content type that it is
    /// JSON, or Protobuf, is read so.
    #[serde(default)]
    pub format: Format,
    /// Where the topic names source and instrument, for messages that do not:
    /// `market/{source}/{instrument}/tick`.
    #[serde(default)]
    pub template: Option<String>,
    /// The source of every record, where neither message nor topic tells.
    #[serde(default)]
    pub source: Option<String>,
    /// The instrument of every record, where neither message nor topic tells.
    #[serde(default)]
    pub instrument: Option<String>,
    /// The version of the protocol.
    #[serde(default)]
    pub protocol: Protocol,
    /// TLS of `mqtts://` and `wss://`.
    #[serde(default)]
    pub tls: TlsConfig,
    /// What the broker publishes when this job is gone without a farewell.
    #[serde(default)]
    pub will: Option<Will>,
    /// How the job presents itself to the broker.
    #[serde(default)]
    pub client: Client,
}

const fn at_least_once() -> u8 {
    1
}

/// How messages are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A Protobuf `Tick`.
    #[default]
    Tick,
    /// A Protobuf `TickBatch`.
    TickBatch,
    /// A tick in the short JSON form, `{"b","a","t"}`.
    Json,
    /// Not at all: payloads, passed on as they are.
    Bytes,
}

/// The placeholders of `template`.
const FIELDS: &[&str] = &["source", "instrument"];

const PAYLOADS: &[Output] = &[
    Output {
        name: "payloads",
        kind: Some(Kind::Payloads),
        about: "With `format: bytes`, the messages as they are, in the order of the broker.",
    },
    Output {
        name: "dead",
        kind: Some(Kind::Rejects),
        about: "Messages whose topic does not name a series, each with its topic and the reason.",
    },
];

impl Definition for Mqtt {
    fn name(&self) -> &'static str {
        "mqtt"
    }

    fn summary(&self) -> &'static str {
        "Subscribes to topics at a broker of MQTT: ticks, or payloads that are passed on."
    }

    fn config(&self) -> Schema {
        schema_for!(Config)
    }

    fn check(&self, config: &Value) -> Vec<(String, String)> {
        let mut found = check_config::<Config>(config);
        let Ok(config) = Config::deserialize(config) else { return found };
        let parts = Parts {
            url: &config.url,
            tls: &config.tls,
            will: config.will.as_ref(),
            client: &config.client,
        };
        found.extend(parts.check());
        let mut say = |path: String, message: String| found.push((path, message));
        if config.topics.all().is_empty() {
            say("topics".to_owned(), "expected at least one".to_owned());
        }
        for (number, filter) in config.topics.all().iter().enumerate() {
            if let Err(message) = check_filter(filter) {
                let path = match config.topics {
                    Texts::One(_) => "topics".to_owned(),
                    Texts::Several(_) => format!("topics[{number}]"),
                };
                say(path, message);
            }
        }
        for (path, name) in [("source", &config.source), ("instrument", &config.instrument)] {
            if let Some(Err(error)) = name.as_deref().map(check_name) {
                say(path.to_owned(), error.to_string());
            }
        }
        let template = config.template.as_deref();
        let template = template.map(|text| Template::compile(text, FIELDS));
        let has = |field| matches!(&template, Some(Ok(template)) if template.has(field));
        match &template {
            Some(Err(message)) => say("template".to_owned(), message.clone()),
            _ if matches!(config.format, Format::Tick | Format::TickBatch) => {}
            _ => {
                let given = [config.source.is_some(), config.instrument.is_some()];
                for (field, name) in FIELDS.iter().enumerate() {
                    if !has(field) && !given[field] {
                        let message = format!(
                            "{name} stands nowhere: expected `{{{name}}}` in `template`, such as \
                             market/{{source}}/{{instrument}}/tick, or `{name}`"
                        );
                        say("template".to_owned(), message);
                    }
                }
            }
        }
        found
    }
}

impl SourceDefinition for Mqtt {
    fn outputs(&self) -> &'static [Output] {
        crate::OUTPUTS
    }

    fn outputs_of(&self, config: &Value) -> &'static [Output] {
        match config.get("format").and_then(Value::as_str) {
            Some("bytes") => PAYLOADS,
            _ => crate::OUTPUTS,
        }
    }

    fn is_bounded(&self, _: &Value) -> bool {
        false
    }

    fn promise(&self, config: &Value) -> Promise {
        match config.get("qos").and_then(Value::as_u64) {
            Some(0) => Promise::Forgets,
            _ => Promise::Redelivers,
        }
    }

    fn open(
        &self,
        config: &Value,
        _: Option<Position>,
        context: SourceContext,
    ) -> Result<Box<dyn Source>, Fault> {
        let config: Config = read_config(&format!("sources.{}", context.id), config)?;
        Ok(Box::new(reader::Reader::open(&config, context)?))
    }
}

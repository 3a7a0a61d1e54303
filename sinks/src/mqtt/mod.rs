//! The sink `mqtt`: each record a message, to a topic made from its names.

mod encode;
mod sink;
mod state;

use brokers::mqtt::config::{Client, Parts, Protocol, Texts, Will};
use brokers::tls::TlsConfig;
use brokers::topic::Template;
use dataflows::component::sink::{Guarantee, Sink, SinkContext, SinkDefinition};
use dataflows::component::{Definition, check_config, read_config};
use dataflows::duration::Duration;
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use proto::json::VolumeMode;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use serde_json::Value;

/// The definition of `mqtt`.
#[derive(Debug)]
pub struct Mqtt;

/// Publishes each record to a broker of MQTT, on a topic made from its names.
///
/// QoS 0 is best effort: an epoch is done when it is written, what is lost behind that is not heard
/// of. With QoS 1 an epoch is done when the broker has acknowledged all of it. While no broker can be
/// reached, nothing is dropped: the job waits.
///
/// With MQTT 5 a message carries its content type and, as user properties, `x-event-time-ns`,
/// `message-id` (of ticks with a sequence, and of candles) and `traceparent` (of payloads).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the broker is: `mqtt://user:password@host:1883`, `mqtts://`, `ws://host:port/path`,
    /// `wss://`. A list: the next one is tried when one cannot be reached. Never shown with its
    /// password.
    pub url: Texts,
    /// Where to publish: `market/{source}/{instrument}/tick`. Candles have `{timeframe}` too;
    /// rejects have `{component}` and `{reason}` instead.
    pub topic: String,
    /// 0: best effort; 1: at least once.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub qos: u8,
    /// Whether the broker keeps the newest message of each topic for those who subscribe later. The
    /// sink keeps it, too, in its state, and publishes it again on every new connection: a broker
    /// that has lost it has it back.
    #[serde(default)]
    pub retain: bool,
    /// How ticks are written: `protobuf` unless given. Candles are always JSON for charts
    /// (`{"o","h","l","c","v","tf","t"}`), rejects and statuses JSON with all columns, payloads what they are.
    #[serde(default)]
    pub format: Option<Format>,
    /// What `v` of a candle is.
    #[serde(default)]
    pub volume: Volume,
    /// Of one epoch, only the newest record of each topic (of candles: and timeframe) is published.
    #[serde(default)]
    pub conflate: bool,
    /// What is older than this when it is its turn is not published: `2s`.
    #[serde(default)]
    pub max_age: Option<Duration>,
    /// Whether messages carry user properties (MQTT 5).
    #[serde(default = "yes")]
    pub properties: bool,
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

const fn yes() -> bool {
    true
}

/// How ticks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The message `Tick`.
    Protobuf,
    /// The short form `{"b","a","t"}`.
    Json,
}

/// What `v` of a candle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Volume {
    /// The sum of sizes; left out where no tick had one.
    #[default]
    Sum,
    /// How many ticks.
    TickCount,
}

impl From<Volume> for VolumeMode {
    fn from(volume: Volume) -> Self {
        match volume {
            Volume::Sum => Self::Sum,
            Volume::TickCount => Self::TickCount,
        }
    }
}

/// All placeholders, and the numbers of those that each kind has.
const FIELDS: &[&str] = &["source", "instrument", "timeframe", "component", "reason"];

const fn fields(kind: Kind) -> &'static [usize] {
    match kind {
        Kind::Ticks | Kind::Payloads | Kind::Statuses => &[0, 1],
        Kind::Candles => &[0, 1, 2],
        Kind::Rejects => &[3, 4],
    }
}

impl Definition for Mqtt {
    fn name(&self) -> &'static str {
        "mqtt"
    }

    fn summary(&self) -> &'static str {
        "Publishes records to a broker of MQTT, each to a topic made from its names."
    }

    fn config(&self) -> Schema {
        schema_for!(Config)
    }

    fn check(&self, config: &Value) -> Vec<(String, String)> {
        let mut found = check_config::<Config>(config);
        let Ok(config) = Config::deserialize(config) else { return found };
        found.extend(parts(&config).check());
        if let Err(message) = Template::compile(&config.topic, FIELDS) {
            found.push(("topic".to_owned(), message));
        }
        if config.max_age.is_some_and(Duration::is_zero) {
            found.push(("max_age".to_owned(), "expected more than nothing".to_owned()));
        }
        found
    }

    fn check_input(&self, config: &Value, kind: Kind) -> Vec<(String, String)> {
        let Ok(config) = Config::deserialize(config) else { return Vec::new() };
        let mut found = Vec::new();
        if let Ok(template) = Template::compile(&config.topic, FIELDS) {
            let has = fields(kind);
            for (number, name) in FIELDS.iter().enumerate() {
                if template.has(number) && !has.contains(&number) {
                    let names: Vec<String> =
                        has.iter().map(|number| format!("{{{}}}", FIELDS[*number])).collect();
                    let names = names.join(", ");
                    let message = format!("{kind} have no `{{{name}}}`; expected {names}");
                    found.push(("topic".to_owned(), message));
                }
            }
        }
        let misplaced = match (kind, config.format) {
            (Kind::Candles | Kind::Rejects | Kind::Statuses, Some(Format::Protobuf)) => {
                Some("always JSON")
            }
            (Kind::Payloads, Some(_)) => Some("published as they are"),
            _ => None,
        };
        if let Some(how) = misplaced {
            found.push(("format".to_owned(), format!("{kind} are {how}; leave it out")));
        }
        found
    }
}

fn parts(config: &Config) -> Parts<'_> {
    Parts { url: &config.url, tls: &config.tls, will: config.will.as_ref(), client: &config.client }
}

impl SinkDefinition for Mqtt {
    fn takes(&self) -> &'static [Kind] {
        Kind::ALL
    }

    fn guarantee(&self, config: &Value, _: Kind) -> Guarantee {
        match config.get("qos").and_then(Value::as_u64) {
            Some(1..) => Guarantee::AtLeastOnce,
            _ => Guarantee::BestEffort,
        }
    }

    fn open(&self, config: &Value, context: SinkContext) -> Result<Box<dyn Sink>, Fault> {
        let config: Config = read_config(&format!("sinks.{}", context.id), config)?;
        Ok(Box::new(sink::MqttSink::open(config, context)?))
    }
}

#[cfg(test)]
mod tests {
    use dataflows::component::Definition;
    use dataflows::kind::Kind;
    use serde_json::json;

    use super::Mqtt;

    #[test]
    fn a_topic_has_only_what_its_records_have() {
        let config = |topic: &str| json!({ "url": "mqtt://h", "topic": topic });
        let candles = config("market/{source}/{instrument}/{timeframe}");
        assert_eq!(Mqtt.check(&candles), []);
        assert_eq!(Mqtt.check_input(&candles, Kind::Candles), []);
        let found = Mqtt.check_input(&candles, Kind::Ticks);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "topic");
        assert!(found[0].1.contains("expected {source}, {instrument}"), "{found:?}");
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_and_no_password() {
        let found = Mqtt.check(&json!({
            "url": ["mqtt://u:secret@h", "http://u:secret@h"],
            "topic": "market/#",
            "max_age": "0s",
            "tls": { "certificate": "c.pem" },
            "will": { "topic": "a/+" },
            "client": { "id": "", "keep_alive": "1s" },
        }));
        let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "url[1]",
                "tls",
                "will.topic",
                "client.id",
                "client.keep_alive",
                "tls.certificate",
                "topic",
                "max_age"
            ]
        );
        assert!(!format!("{found:?}").contains("secret"));
    }
}

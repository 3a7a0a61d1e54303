//! The source `amqp`: messages of a queue or a stream of RabbitMQ.

mod config;
mod decode;
mod position;
mod reader;

use dataflows::component::source::{Position, Promise, Source, SourceContext, SourceDefinition};
use dataflows::component::{Definition, Output, check_config, read_config};
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use schemars::{Schema, schema_for};
use serde::Deserialize;
use serde_json::Value;

use brokers::amqp::topology::QueueType;
pub use config::{Config, Format};

/// The definition of `amqp`.
#[derive(Debug)]
pub struct Amqp;

/// What one gives that decodes nothing.
const PAYLOADS: &[Output] = &[
    Output {
        name: "payloads",
        kind: Some(Kind::Payloads),
        about: "The messages' bytes, in the queue's order.",
    },
    Output {
        name: "dead",
        kind: Some(Kind::Rejects),
        about: "Messages whose key does not tell their series, each with its place and the reason.",
    },
];

impl Definition for Amqp {
    fn name(&self) -> &'static str {
        "amqp"
    }

    fn summary(&self) -> &'static str {
        "Reads a queue or a stream of RabbitMQ: ticks in Protobuf or JSON, or bytes as they are."
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
}

fn is(config: &Value, is: impl Fn(&Config) -> bool) -> bool {
    Config::deserialize(config).is_ok_and(|config| is(&config))
}

impl SourceDefinition for Amqp {
    fn outputs(&self) -> &'static [Output] {
        crate::OUTPUTS
    }

    fn outputs_of(&self, config: &Value) -> &'static [Output] {
        // Read by itself: a mistake elsewhere does not change what it carries.
        let format = config.get("format").and_then(Value::as_str);
        if format == Some("bytes") { PAYLOADS } else { crate::OUTPUTS }
    }

    fn is_bounded(&self, _: &Value) -> bool {
        false
    }

    fn window(&self, config: &Value) -> Option<u64> {
        Config::deserialize(config).ok().map(|config| u64::from(config.prefetch))
    }

    fn tells_continuity(&self, config: &Value) -> bool {
        is(config, |config| config.queue_type != QueueType::Stream)
    }

    fn promise(&self, config: &Value) -> Promise {
        let is_stream = is(config, |config| config.queue_type == QueueType::Stream);
        if is_stream { Promise::Replays } else { Promise::Redelivers }
    }

    fn open(
        &self,
        config: &Value,
        behind: Option<Position>,
        context: SourceContext,
    ) -> Result<Box<dyn Source>, Fault> {
        let place = format!("sources.{}", context.id);
        let config: Config = read_config(&place, config)?;
        if let Some((path, message)) = config.problems().into_iter().next() {
            return Err(Fault::job(format!("{place}.{path}"), message));
        }
        Ok(Box::new(reader::AmqpReader::open(&config, behind, &context)?))
    }
}

//! Exchanges, queues and bindings: what a job says of them, and how they are declared.
//!
//! Declared at every connection: what is there already with the same settings stays as it is.

use std::collections::BTreeMap;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an exchange routes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExchangeType {
    /// By patterns of the key: `*` is one word, `#` any number of them.
    #[default]
    #[serde(rename = "topic")]
    Topic,
    /// By the whole key.
    #[serde(rename = "direct")]
    Direct,
    /// To every queue.
    #[serde(rename = "fanout")]
    Fanout,
    /// By headers.
    #[serde(rename = "headers")]
    Headers,
    /// By a hash of the key, to one of several queues; the key of a binding is its weight. Needs
    /// the plugin `rabbitmq_consistent_hash_exchange`.
    #[serde(rename = "x-consistent-hash")]
    ConsistentHash,
}

impl ExchangeType {
    fn kind(self) -> ExchangeKind {
        match self {
            Self::Topic => ExchangeKind::Topic,
            Self::Direct => ExchangeKind::Direct,
            Self::Fanout => ExchangeKind::Fanout,
            Self::Headers => ExchangeKind::Headers,
            Self::ConsistentHash => ExchangeKind::Custom("x-consistent-hash".to_owned()),
        }
    }
}

/// What a queue is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueueType {
    /// One broker has it.
    #[default]
    Classic,
    /// Several brokers agree on it. From RabbitMQ 4 it drops, or dead-letters, what was delivered 20
    /// times without being acknowledged, unless `x-delivery-limit` says otherwise.
    Quorum,
    /// A log that is read from any place, again and again.
    Stream,
}

/// What happens to a queue that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// The oldest message is dropped, or dead-lettered.
    DropHead,
    /// The newest is refused; a publisher with confirms learns of it.
    RejectPublish,
    /// The same, and it is dead-lettered.
    RejectPublishDlx,
}

impl Overflow {
    const fn word(self) -> &'static str {
        match self {
            Self::DropHead => "drop-head",
            Self::RejectPublish => "reject-publish",
            Self::RejectPublishDlx => "reject-publish-dlx",
        }
    }
}

/// What is declared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Declare {
    /// The exchange, and the queue with its bindings.
    #[default]
    All,
    /// The queue and its bindings; the exchange must be there.
    Queue,
    /// Nothing: all must be there.
    Nothing,
}

/// A value of an argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Argument {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

impl From<&Argument> for AMQPValue {
    fn from(argument: &Argument) -> Self {
        match argument {
            Argument::Flag(flag) => Self::Boolean(*flag),
            Argument::Number(number) => Self::LongLongInt(*number),
            Argument::Text(text) => Self::LongString(text.as_str().into()),
        }
    }
}

/// An exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Its name; empty: the broker's own, which routes to the queue that is named as the key.
    pub name: String,
    /// How it routes.
    pub kind: ExchangeType,
}

/// A queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: QueueType,
    /// Whether it outlives the broker.
    pub durable: bool,
    /// All `x-…` but its type.
    pub arguments: BTreeMap<String, Argument>,
}

/// A queue's settings that have a name of their own in a job.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings<'a> {
    /// `x-max-length`.
    pub max_length: Option<u64>,
    /// `x-overflow`.
    pub overflow: Option<Overflow>,
    /// `x-message-ttl`, in milliseconds.
    pub message_ttl_ms: Option<i64>,
    /// `x-dead-letter-exchange`.
    pub dead_letter_exchange: Option<&'a str>,
    /// `x-single-active-consumer`.
    pub single_active_consumer: bool,
}

impl Queue {
    /// Puts settings among the arguments; those that are there already stay.
    pub fn set(&mut self, settings: &Settings<'_>) {
        let text = |text: &str| Argument::Text(text.to_owned());
        let number = |number: u64| Argument::Number(i64::try_from(number).unwrap_or(i64::MAX));
        let found = [
            ("x-max-length", settings.max_length.map(number)),
            ("x-overflow", settings.overflow.map(|overflow| text(overflow.word()))),
            ("x-message-ttl", settings.message_ttl_ms.map(Argument::Number)),
            ("x-dead-letter-exchange", settings.dead_letter_exchange.map(text)),
            (
                "x-single-active-consumer",
                settings.single_active_consumer.then_some(Argument::Flag(true)),
            ),
        ];
        for (name, value) in found {
            if let Some(value) = value {
                self.arguments.entry(name.to_owned()).or_insert(value);
            }
        }
    }

    /// What is declared of it. A classic queue has no word for its type, as those that others have
    /// declared: the broker takes the same type, said and unsaid, for two.
    pub fn table(&self) -> FieldTable {
        let mut table = table(&self.arguments);
        let kind = match self.kind {
            QueueType::Classic => return table,
            QueueType::Quorum => "quorum",
            QueueType::Stream => "stream",
        };
        table.insert(short("x-queue-type"), AMQPValue::LongString(kind.into()));
        table
    }

    /// Finds what no broker takes.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut refuse = |path: &str, message: &str| {
            found.push((path.to_owned(), message.to_owned()));
        };
        if self.kind != QueueType::Classic && !self.durable {
            refuse("durable", "a quorum queue or a stream is durable");
        }
        if self.kind == QueueType::Stream {
            let has = |name: &str| self.arguments.contains_key(name);
            for (path, name) in [
                ("message_ttl", "x-message-ttl"),
                ("dead_letter_exchange", "x-dead-letter-exchange"),
                ("overflow", "x-overflow"),
                ("max_length", "x-max-length"),
            ] {
                if has(name) {
                    refuse(
                        path,
                        "a stream has none; its length is bounded by `arguments: { \
                         x-max-length-bytes: …, x-max-age: 7D }`",
                    );
                }
            }
        }
        found
    }
}

/// What a link declares.
#[derive(Debug, Clone)]
pub struct Topology {
    /// What of it.
    pub declare: Declare,
    /// The exchange; none: only the queue.
    pub exchange: Option<Exchange>,
    /// The queue; none: only the exchange.
    pub queue: Option<Queue>,
    /// The keys that bind one to the other.
    pub bindings: Vec<String>,
    /// Headers that bind, of an exchange of that type.
    pub headers: BTreeMap<String, Argument>,
}

impl Topology {
    /// Declares it.
    pub(super) async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        // Exchanges of the broker's own are there, and may not be declared.
        let own =
            |exchange: &&Exchange| !exchange.name.is_empty() && !exchange.name.starts_with("amq.");
        if let Some(exchange) = self.exchange.as_ref().filter(own)
            && self.declare == Declare::All
        {
            let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
            let (name, kind) = (short(&exchange.name), exchange.kind.kind());
            channel.exchange_declare(name, kind, options, FieldTable::default()).await?;
        }
        let Some(queue) = self.queue.as_ref().filter(|_| self.declare != Declare::Nothing) else {
            return Ok(());
        };
        let options = QueueDeclareOptions { durable: queue.durable, ..Default::default() };
        channel.queue_declare(short(&queue.name), options, queue.table()).await?;
        let Some(exchange) = self.exchange.as_ref().filter(|exchange| !exchange.name.is_empty())
        else {
            return Ok(());
        };
        for key in &self.bindings {
            let (queue, exchange) = (short(&queue.name), short(&exchange.name));
            let arguments = table(&self.headers);
            let options = QueueBindOptions::default();
            channel.queue_bind(queue, exchange, short(key), options, arguments).await?;
        }
        Ok(())
    }
}

fn table(arguments: &BTreeMap<String, Argument>) -> FieldTable {
    let pairs = arguments.iter().map(|(name, value)| (short(name), value.into()));
    pairs.collect::<BTreeMap<ShortString, AMQPValue>>().into()
}

/// The longest name or key, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// Makes a name or key of a text; one that is too long is cut, which those who took the text from
/// outside have kept from happening.
pub fn short(text: &str) -> ShortString {
    let mut end = text.len().min(NAME_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    ShortString::try_new(&text[..end]).unwrap_or_default()
}

/// Tells whether a text can be a name or key.
///
/// # Errors
/// Says what was expected.
pub fn check_name(text: &str) -> Result<(), String> {
    if text.len() > NAME_BYTES_MAX || text.contains(char::is_control) {
        return Err(format!("expected at most {NAME_BYTES_MAX} bytes without control characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lapin::types::AMQPValue;

    use super::{Argument, Overflow, Queue, QueueType, Settings, check_name, short};

    fn queue(kind: QueueType) -> Queue {
        Queue { name: "q".to_owned(), kind, durable: true, ..Queue::default() }
    }

    #[test]
    fn settings_become_the_brokers_arguments_and_what_is_said_by_hand_wins() {
        let mut queue = queue(QueueType::Quorum);
        queue.arguments.insert("x-max-length".to_owned(), Argument::Number(7));
        queue.set(&Settings {
            max_length: Some(1_000),
            overflow: Some(Overflow::RejectPublish),
            message_ttl_ms: Some(60_000),
            dead_letter_exchange: Some("dead"),
            single_active_consumer: true,
        });
        let table = queue.table();
        let get = |name: &str| table.inner().get(name).cloned();
        assert_eq!(get("x-max-length"), Some(AMQPValue::LongLongInt(7)));
        assert_eq!(get("x-overflow"), Some(AMQPValue::LongString("reject-publish".into())));
        assert_eq!(get("x-message-ttl"), Some(AMQPValue::LongLongInt(60_000)));
        assert_eq!(get("x-dead-letter-exchange"), Some(AMQPValue::LongString("dead".into())));
        assert_eq!(get("x-single-active-consumer"), Some(AMQPValue::Boolean(true)));
        assert_eq!(get("x-queue-type"), Some(AMQPValue::LongString("quorum".into())));
        assert!(queue.problems().is_empty());
    }

    #[test]
    fn a_classic_queue_is_declared_as_others_declare_it() {
        assert!(queue(QueueType::Classic).table().inner().is_empty());
    }

    #[test]
    fn what_a_stream_cannot_be_is_told_before_the_broker_does() {
        let mut stream = queue(QueueType::Stream);
        stream.durable = false;
        stream.set(&Settings { message_ttl_ms: Some(1), ..Settings::default() });
        let paths: Vec<String> = stream.problems().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["durable", "message_ttl"]);
    }

    #[test]
    fn a_long_name_is_a_mistake_and_never_a_panic() {
        assert!(check_name(&"é".repeat(128)).is_err());
        assert!(check_name("a\nb").is_err());
        assert_eq!(short(&"é".repeat(128)).as_str().len(), 254);
    }
}

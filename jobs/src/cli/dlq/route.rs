//! Where a dead letter goes when it is replayed: the queue of the source that it came from, or of
//! the one that leads to the operator that rejected it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;

use brokers::amqp::address::Address;
use brokers::amqp::connect::Broker;
use brokers::amqp::lapin::BasicProperties;
use brokers::amqp::lapin::types::{AMQPValue, FieldTable};
use brokers::amqp::outgoing::{Message, Outgoing, Publishing};
use brokers::amqp::place::{KEY_HEADER, MessagePlace, TIME_HEADER};
use brokers::amqp::topology::{Declare, Exchange, ExchangeType, NAME_BYTES_MAX, Topology, short};
use brokers::key::Name;
use dataflows::fault::Fault;
use dataflows::job::plan::{Plan, SourcePlan};
use proto::protobuf::{encode_tick, encode_tick_batch};
use proto::tick_message::TickMessage;
use sources::amqp::{Config, Format};

use super::letter::Letter;

const PROTOBUF: &str = "application/x-protobuf";

/// So many messages may be unconfirmed.
const WINDOW: usize = 256;

/// A letter as its source takes it.
#[derive(Debug)]
pub(super) struct Route {
    /// The id of the source.
    pub(super) source: String,
    /// Key, content type and what else its reading depends on.
    place: MessagePlace,
    body: Vec<u8>,
}

impl Route {
    /// Finds the way of a letter; `to`: the source for ticks of operators, if it is said.
    ///
    /// # Errors
    /// Says why it cannot be replayed.
    pub(super) fn of(plan: &Plan, letter: &Letter, to: Option<&str>) -> Result<Self, String> {
        let component = letter.component.as_str();
        if let Some(source) = plan.sources.iter().find(|source| source.id == component) {
            return Self::of_message(plan, source, letter);
        }
        if plan.operators.iter().all(|operator| operator.id != component) {
            return Err(format!("the job has no component `{component}` (any more)"));
        }
        let tick = letter.tick.as_ref().ok_or("it has no tick")?;
        let found = leading(plan, component);
        let source = match (to, found.as_slice()) {
            (Some(to), _) => {
                let named = found.iter().find(|source| source.id == to);
                named.ok_or_else(|| format!("`{to}` is no source `amqp` that leads to it"))?
            }
            (None, [one]) => one,
            (None, []) => return Err("no source of `type: amqp` leads to its component".to_owned()),
            (None, several) => {
                let ids: Vec<&str> = several.iter().map(|source| source.id.as_str()).collect();
                return Err(format!("several sources lead to it, {}: say --to", ids.join(", ")));
            }
        };
        Self::of_tick(plan, source, tick)
    }

    fn of_message(plan: &Plan, source: &SourcePlan, letter: &Letter) -> Result<Self, String> {
        let config = config(source).ok_or_else(|| {
            let kind = source.definition.name();
            format!("it came from a source of `type: {kind}`; correct what that reads")
        })?;
        let place = letter.message_place().ok_or("its place does not tell its routing key")?;
        if let Some(bytes) = place.cut_from {
            let kept = letter.payload.len();
            return Err(format!("its payload was cut: {kept} of {bytes} bytes are here"));
        }
        let place = MessagePlace { queue: config.queue_name(&plan.name, &source.id), ..place };
        Ok(Self { source: source.id.clone(), place, body: letter.payload.clone() })
    }

    fn of_tick(plan: &Plan, source: &SourcePlan, tick: &TickMessage) -> Result<Self, String> {
        let config = config(source).ok_or("its source is none of `type: amqp`")?;
        let queue = config.queue_name(&plan.name, &source.id);
        let mut trace = String::new();
        let tick = tick.borrow(&mut trace);
        let mut body = Vec::new();
        let written = match config.format {
            Format::TickBatch => encode_tick_batch(tick.source, &[tick], &mut body),
            // One that reads JSON reads Protobuf where the content type says so.
            _ => encode_tick(&tick, &mut body),
        };
        written.map_err(|error| format!("no tick that can be sent: {error}"))?;
        let mut key = String::new();
        let template = config.template()?;
        let value = |name| match name {
            Name::Source => Cow::Borrowed(tick.source),
            Name::Instrument => Cow::Borrowed(tick.instrument),
            _ => Cow::Borrowed("any"),
        };
        template.write(value, &mut key);
        if !template.is_writable() || key.len() > NAME_BYTES_MAX {
            key.clone_from(&queue);
        }
        let content_type = Some(PROTOBUF.to_owned());
        let time_ns = Some(tick.time.ns());
        let place = MessagePlace { queue, key, content_type, time_ns, ..MessagePlace::default() };
        Ok(Self { source: source.id.clone(), place, body })
    }

    /// The queue that it goes to.
    pub(super) fn queue(&self) -> &str {
        &self.place.queue
    }

    /// Makes the message: the same one, with the same id, until the attempt is counted.
    pub(super) fn message(self, letter: &Letter) -> Message {
        let Self { place, body, .. } = self;
        let attempt = letter.attempts.saturating_add(1);
        let mut headers = FieldTable::default();
        let text = |text: &str| AMQPValue::LongString(text.into());
        headers.insert(short(KEY_HEADER), text(&place.key));
        let number = AMQPValue::LongLongInt(i64::try_from(attempt).unwrap_or(i64::MAX));
        headers.insert(short("x-attempts"), number);
        headers.insert(short("x-first-seen"), text(&letter.first_seen.to_string()));
        if let Some(time) = place.time_ns {
            headers.insert(short(TIME_HEADER), AMQPValue::LongLongInt(time));
        }
        if let Some(trace) = &place.traceparent {
            headers.insert(short("traceparent"), text(trace));
        }
        let id = format!("dlq/{}/{attempt}", letter.id);
        let mut properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_app_id(short("tapeflow-dlq"))
            .with_message_id(short(&id))
            .with_headers(headers);
        if let Some(kind) = &place.content_type {
            properties = properties.with_content_type(short(kind));
        }
        if let Some(timestamp) = place.timestamp {
            properties = properties.with_timestamp(timestamp);
        }
        // By the queue's name, so that nobody else gets it again.
        Message { key: place.queue, properties, body }
    }
}

/// What a source `amqp` is configured as.
fn config(source: &SourcePlan) -> Option<Config> {
    (source.definition.name() == "amqp")
        .then(|| serde_json::from_value(source.config.clone()).ok())?
}

/// The sources `amqp` from which ticks come to an operator.
fn leading<'a>(plan: &'a Plan, operator: &str) -> Vec<&'a SourcePlan> {
    let mut reached = BTreeSet::from([operator]);
    // Each stands behind all that it reads from.
    for operator in plan.operators.iter().rev() {
        if reached.contains(operator.id.as_str()) {
            reached.extend(operator.inputs.iter().map(|input| input.id.as_str()));
        }
    }
    let is_one = |source: &&SourcePlan| {
        reached.contains(source.id.as_str())
            && config(source).is_some_and(|config| config.format != Format::Bytes)
    };
    plan.sources.iter().filter(is_one).collect()
}

/// Connects to the broker of a source, to publish to its queue.
///
/// # Errors
/// When the broker refuses us.
pub(super) fn connect(plan: &Plan, source: &str, root: &Path) -> Result<Outgoing, Fault> {
    let found = plan.sources.iter().find(|other| other.id == source).and_then(config);
    let config = found.ok_or_else(|| Fault::defect("dlq", "no such source"))?;
    let address = Address::parse(&config.url)
        .map_err(|message| Fault::job(format!("sources.{source}.url"), message))?;
    let name = format!("tapeflow {}.{source} dlq", plan.name);
    let broker = Broker::new(address, &config.tls, root, config.heartbeat.into(), name)?;
    let publishing = Publishing {
        topology: Topology {
            declare: Declare::Nothing,
            exchange: None,
            queue: None,
            bindings: Vec::new(),
            headers: Default::default(),
        },
        exchange: Exchange { name: String::new(), kind: ExchangeType::Direct },
        confirm: true,
        window: WINDOW,
        mandatory: true,
    };
    let mut outgoing = Outgoing::new(broker, publishing);
    outgoing.try_once()?;
    Ok(outgoing)
}

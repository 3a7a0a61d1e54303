//! The running sink: publishes an epoch and waits until the broker has it.

use std::time::{Duration, Instant};

use brokers::amqp::address::Address;
use brokers::amqp::connect::Broker;
use brokers::amqp::outgoing::{Outgoing, Publishing};
use brokers::amqp::topology::{Declare, Exchange, Topology};
use dataflows::component::sink::{Ending, Sealed, Sink, SinkContext, SinkReport, Stop};
use dataflows::fault::Fault;
use dataflows::moment::Epoch;
use proto::columns::Names;

use super::Config;
use super::encode::Encoder;

/// So long a run that is to end waits for a broker that does not take what is left.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// The running sink.
pub(super) struct AmqpSink {
    outgoing: Outgoing,
    encoder: Encoder,
    names: Names,
    stop: Stop,
    place: String,
    rows: u64,
    bytes: u64,
}

impl AmqpSink {
    pub(super) fn open(config: &Config, context: SinkContext) -> Result<Self, Fault> {
        let id = format!("sinks.{}", context.id);
        let address = Address::parse(&config.url)
            .map_err(|message| Fault::job(format!("{id}.url"), message))?;
        let template = config
            .template(context.kind)
            .map_err(|message| Fault::job(format!("{id}.key"), message))?;
        let place = format!("{address}, exchange `{}`", config.exchange);
        let name = format!("tapeflow {}.{}", context.job, context.id);
        let heartbeat = config.heartbeat.into();
        let broker = Broker::new(address, &config.tls, &context.root, heartbeat, name)?;
        let exchange = Exchange { name: config.exchange.clone(), kind: config.exchange_type };
        let publishing = Publishing {
            topology: Topology {
                declare: if config.declare { Declare::All } else { Declare::Nothing },
                exchange: Some(exchange.clone()),
                queue: None,
                bindings: Vec::new(),
                headers: Default::default(),
            },
            exchange,
            confirm: config.confirm,
            window: config.window.max(1),
            mandatory: config.mandatory,
        };
        let restored = context.durable.as_ref().and_then(|durable| durable.restored.as_ref());
        let restored = restored.map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
        let started = started(&id, restored)?;
        let mut outgoing = Outgoing::new(broker, publishing);
        outgoing.report_to(context.health.clone());
        outgoing.try_once()?;
        let encoder = Encoder {
            template,
            format: config.format,
            persistent: config.persistent,
            job: context.job,
            id: context.id,
            started,
        };
        let names = Names::new(context.series);
        Ok(Self { outgoing, encoder, names, stop: context.stop, place, rows: 0, bytes: 0 })
    }
}

/// The time of the start from nothing that epochs are counted from, as a checkpoint has it; else
/// this start is it.
fn started(place: &str, restored: &[u8]) -> Result<u64, Fault> {
    match restored {
        [] => Ok(u64::try_from(dataflows::clock::wall().ns()).unwrap_or_default()),
        bytes => bytes
            .try_into()
            .map(u64::from_le_bytes)
            .map_err(|_| Fault::defect(place, "a checkpoint that it did not write")),
    }
}

impl Sink for AmqpSink {
    fn applied(&mut self) -> Result<Option<Epoch>, Fault> {
        Ok(None)
    }

    fn apply(&mut self, sealed: Sealed) -> Result<(), Fault> {
        self.names.refresh();
        let messages = self.encoder.messages(sealed.moment.epoch, sealed.runs, &self.names)?;
        if messages.is_empty() {
            return Ok(());
        }
        let stop = &self.stop;
        let mut asked: Option<Instant> = None;
        let mut gives_up = || {
            stop.has_failed()
                || (stop.is_asked()
                    && asked.get_or_insert_with(Instant::now).elapsed() >= DRAIN_WITHIN)
        };
        self.outgoing.publish(&messages, &mut gives_up)?;
        self.rows += messages.len() as u64;
        self.bytes += messages.iter().map(|message| message.body.len() as u64).sum::<u64>();
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<Vec<u8>, Fault> {
        Ok(self.encoder.started.to_le_bytes().to_vec())
    }

    fn finish(&mut self, _: Ending) -> Result<SinkReport, Fault> {
        self.outgoing.close();
        if self.outgoing.repeated() > 0 {
            let repeated = self.outgoing.repeated();
            tracing::info!(place = self.place, repeated, "messages that were published again");
        }
        let places = vec![self.place.clone()];
        Ok(SinkReport { rows: self.rows, places, bytes: Some(self.bytes) })
    }
}

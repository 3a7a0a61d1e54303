//! The running source: takes messages out of the link, has them decoded, and acknowledges them.

use std::sync::atomic::{AtomicBool, Ordering};

use brokers::amqp::address::Address;
use brokers::amqp::connect::Broker;
use brokers::amqp::incoming::{From, Incoming, Reading};
use brokers::amqp::topology::QueueType;
use dataflows::clock::wall;
use dataflows::component::source::{
    Continuity, Intake, Position, SETTLE_WITHIN, Source, SourceContext,
};
use dataflows::fault::Fault;
use lapin::message::Delivery;

use super::config::{Config, Format};
use super::decode::{Decoded, Decoder, offset_of};
use super::position::Place;

/// So many messages are handed in at once at most,
const MESSAGES_MAX: usize = 4_096;
/// and as soon as so many rows have come of them.
const ROWS_MAX: usize = 16_384;

/// The running source.
#[derive(Debug)]
pub(super) struct AmqpReader {
    incoming: Incoming,
    decoder: Decoder,
    format: Format,
    queue: String,
    is_stream: bool,
    /// Taken out and not decoded yet, the next one last.
    messages: Vec<Delivery>,
    place: Place,
}

impl AmqpReader {
    pub(super) fn open(
        config: &Config,
        behind: Option<Position>,
        context: &SourceContext,
    ) -> Result<Self, Fault> {
        let id = format!("sources.{}", context.id);
        let wrong = |path: &str| {
            let path = format!("{id}.{path}");
            move |message: String| Fault::job(path, message)
        };
        let address = Address::parse(&config.url).map_err(wrong("url"))?;
        let template = config.template().map_err(wrong("key"))?;
        let name = format!("tapeflow {}.{}", context.job, context.id);
        let heartbeat = config.heartbeat.into();
        let broker = Broker::new(address, &config.tls, &context.root, heartbeat, name)?;
        let (topology, queue) = config.topology(&context.job, &context.id);
        let is_stream = config.queue_type == QueueType::Stream;
        let place = behind.map_or(Ok(Place::Start), |behind| Place::read(&behind))?;
        let (generation, from) = match place {
            // Of an earlier run: none of ours has its number.
            Place::Delivery { generation, .. } => (generation, config.offset.from()),
            Place::Offset(offset) => (0, From::Offset(offset)),
            Place::Start => (0, config.offset.from()),
        };
        let reading = Reading {
            topology,
            queue: queue.clone(),
            prefetch: config.prefetch,
            from: is_stream.then_some(from),
        };
        let mut incoming = Incoming::new(broker, reading, generation);
        incoming.report_to(context.health.clone());
        if context.is_healed && !is_stream {
            incoming.watch_continuity();
        }
        incoming.try_once()?;
        let names = (context.id.as_str(), queue.as_str());
        let decoder = Decoder::new(config, (template, is_stream), names, context.series.clone());
        let format = config.format;
        let messages = Vec::new();
        Ok(Self { incoming, decoder, format, queue, is_stream, messages, place })
    }

    /// Decodes what was taken out, up to what an intake may hold.
    fn decode(&mut self) -> Result<Intake, Fault> {
        let received = wall();
        let generation = self.incoming.generation();
        let mut decoded = Decoded::default();
        let mut last = None;
        while decoded.len() < ROWS_MAX
            && let Some(message) = self.messages.pop()
        {
            let tag = message.delivery_tag;
            last = Some(tag);
            self.place = if self.is_stream {
                let offset = offset_of(&message).ok_or_else(|| {
                    Fault::stop(
                        format!("queue `{}`", self.queue),
                        "messages without an offset; it is no stream: correct `queue_type`",
                    )
                })?;
                if matches!(self.place, Place::Offset(next) if offset < next) {
                    continue; // a stream is handed out by chunks, and this one begins before us
                }
                self.incoming.stands_at(offset + 1);
                Place::Offset(offset + 1)
            } else {
                Place::Delivery { generation, tag }
            };
            self.decoder.read(message, received, &mut decoded);
        }
        if let Some(tag) = last.filter(|_| self.is_stream) {
            // Only credit for the next ones: the place is the offset.
            self.incoming.acknowledge(generation, tag)?;
        }
        let rejects = std::mem::take(&mut decoded.rejects);
        let mut deliveries = std::mem::take(&mut decoded.deliveries);
        if self.is_stream {
            deliveries.clear();
        }
        let rows = decoded.into_rows(self.format);
        Ok(Intake { rows, rejects, position: self.place.write(), deliveries })
    }
}

impl Source for AmqpReader {
    fn next(&mut self, stop: &AtomicBool) -> Result<Option<Intake>, Fault> {
        while !stop.load(Ordering::Relaxed) {
            if self.messages.is_empty() {
                self.incoming.take(MESSAGES_MAX, SETTLE_WITHIN, &mut self.messages)?;
                self.messages.reverse();
            }
            // One that is acknowledged is asked to come back soon; a stream is not.
            if !self.messages.is_empty() || !self.is_stream {
                return self.decode().map(Some);
            }
        }
        Ok(None)
    }

    fn continuity(&mut self) -> Option<Continuity> {
        self.incoming.continuity()
    }

    fn settle(&mut self, position: &Position) -> Result<(), Fault> {
        let Place::Delivery { generation, tag } = Place::read(position)? else { return Ok(()) };
        if !self.incoming.acknowledge(generation, tag)? {
            tracing::debug!(
                queue = self.queue,
                generation,
                tag,
                "a connection that is gone had delivered this; it is not acknowledged on another"
            );
        }
        Ok(())
    }
}

impl Drop for AmqpReader {
    fn drop(&mut self) {
        self.incoming.close();
    }
}

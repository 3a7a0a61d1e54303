//! The running source.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use brokers::mqtt::message::Received;
use brokers::mqtt::options::Settings;
use brokers::mqtt::subscriber::{Receipt, Subscriber};
use dataflows::clock;
use dataflows::component::source::{Intake, Position, SETTLE_WITHIN, Source, SourceContext};
use dataflows::fault::Fault;

use crate::mqtt::Config;
use crate::mqtt::decode::Decoder;

/// How many messages go into one intake.
const INTAKE_MAX: usize = 4_096;

/// Reads messages, and acknowledges those that are durable.
#[derive(Debug)]
pub(super) struct Reader {
    subscriber: Subscriber,
    decoder: Decoder,
    is_acknowledged: bool,
    /// Tells this opening of the source from others: a position of another one acknowledges nothing.
    opened: i64,
    /// How many messages were handed over.
    given: u64,
    /// What was handed over and is not acknowledged, by its number.
    unsettled: VecDeque<(u64, Receipt)>,
    messages: Vec<Received>,
}

impl Reader {
    pub(super) fn open(config: &Config, context: SourceContext) -> Result<Self, Fault> {
        let settings = Settings {
            place: format!("sources.{}", context.id),
            job: &context.job,
            id: &context.id,
            root: &context.root,
            url: &config.url,
            protocol: config.protocol,
            tls: &config.tls,
            will: config.will.as_ref(),
            client: &config.client,
            qos: config.qos,
            wait_max: None,
            health: context.health.clone(),
        };
        let subscriber = Subscriber::open(&settings, config.topics.all())?;
        let decoder = Decoder::new(config, &context.id, context.series)?;
        Ok(Self {
            subscriber,
            decoder,
            is_acknowledged: config.qos > 0,
            opened: clock::wall().ns(),
            given: 0,
            unsettled: VecDeque::new(),
            messages: Vec::new(),
        })
    }

    fn position(&self) -> Position {
        let mut bytes = self.opened.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.given.to_le_bytes());
        Position(bytes)
    }
}

impl Source for Reader {
    fn next(&mut self, stop: &AtomicBool) -> Result<Option<Intake>, Fault> {
        self.messages.clear();
        while self.messages.is_empty() {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            self.subscriber.take(&mut self.messages, INTAKE_MAX, SETTLE_WITHIN)?;
            if self.is_acknowledged {
                break;
            }
        }
        let mut decoded = self.decoder.decode(&self.messages);
        if self.is_acknowledged {
            for message in &self.messages {
                self.given += 1;
                self.unsettled.push_back((self.given, message.receipt()));
            }
        } else {
            decoded.deliveries.clear();
        }
        Ok(Some(Intake {
            rows: decoded.rows,
            rejects: decoded.rejects,
            position: self.position(),
            deliveries: decoded.deliveries,
        }))
    }

    fn settle(&mut self, position: &Position) -> Result<(), Fault> {
        let Some((opened, given)) = position.0.split_first_chunk::<8>() else { return Ok(()) };
        let Ok(given) = <[u8; 8]>::try_from(given) else { return Ok(()) };
        if i64::from_le_bytes(*opened) != self.opened {
            return Ok(()); // of a run before, whose connection is gone
        }
        let given = u64::from_le_bytes(given);
        while let Some((number, receipt)) = self.unsettled.front()
            && *number <= given
        {
            self.subscriber.ack(*receipt);
            self.unsettled.pop_front();
        }
        Ok(())
    }
}

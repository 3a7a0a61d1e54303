//! The running sink.

use brokers::mqtt::message::Message;
use brokers::mqtt::options::Settings;
use brokers::mqtt::publisher::{Manner, Publisher, Retained};
use brokers::topic::Template;
use dataflows::clock;
use dataflows::component::sink::{Ending, Sealed, Sink, SinkContext, SinkReport, Stop};
use dataflows::fault::Fault;
use dataflows::moment::Epoch;

use crate::mqtt::encode::Encoder;
use crate::mqtt::{Config, FIELDS, state};

/// Publishes whole epochs.
#[derive(Debug)]
pub(super) struct MqttSink {
    publisher: Publisher,
    encoder: Encoder,
    /// Nanoseconds.
    max_age: Option<i64>,
    is_retained: bool,
    stop: Stop,
    id: String,
    place: String,
    /// The messages of the epoch under way.
    messages: Vec<Message>,
    rows: u64,
    bytes: u64,
    stale: u64,
    too_large: u64,
}

impl MqttSink {
    pub(super) fn open(config: Config, context: SinkContext) -> Result<Self, Fault> {
        let place = format!("sinks.{}", context.id);
        let template = Template::compile(&config.topic, FIELDS)
            .map_err(|message| Fault::job(format!("{place}.topic"), message))?;
        let restored = context.durable.as_ref().and_then(|durable| durable.restored.as_ref());
        let retained = match restored {
            Some((_, bytes)) if config.retain => state::restore(&context.id, bytes)?,
            _ => Retained::new(),
        };
        let settings = Settings {
            place,
            job: &context.job,
            id: &context.id,
            root: &context.root,
            url: &config.url,
            protocol: config.protocol,
            tls: &config.tls,
            will: config.will.as_ref(),
            client: &config.client,
            qos: config.qos,
            // Prices are to be fresh again soon after the broker is back.
            wait_max: config.max_age.map(|age| std::time::Duration::from(age) / 2),
            health: context.health.clone(),
        };
        let Config { qos, retain, properties, .. } = config;
        let manner = Manner { qos, retain, properties };
        let mut publisher = Publisher::open(&settings, manner, retained)?;
        if retain && qos == 0 && context.durable.is_some() {
            publisher.keep_while_away(); // checkpoints have it
        }
        let encoder = Encoder::new(&config, template, context.kind, context.series);
        Ok(Self {
            publisher,
            encoder,
            max_age: config.max_age.map(|age| age.ns()),
            is_retained: config.retain,
            stop: context.stop,
            id: context.id,
            place: config.topic,
            messages: Vec::new(),
            rows: 0,
            bytes: 0,
            stale: 0,
            too_large: 0,
        })
    }
}

impl Sink for MqttSink {
    fn applied(&mut self) -> Result<Option<Epoch>, Fault> {
        Ok(None)
    }

    fn apply(&mut self, sealed: Sealed) -> Result<(), Fault> {
        self.messages.clear();
        for rows in sealed.runs {
            self.encoder.encode(rows, &mut self.messages)?;
        }
        if self.messages.is_empty() {
            return Ok(());
        }
        let published = match self.max_age {
            None => self.publisher.publish(&self.messages, &self.stop, &|_| true)?,
            Some(age) => {
                let is_fresh = |message: &Message| {
                    let time = message.properties.time;
                    time.is_none_or(|time| clock::wall().ns().saturating_sub(time.ns()) <= age)
                };
                self.publisher.publish(&self.messages, &self.stop, &is_fresh)?
            }
        };
        self.rows += published.messages;
        self.bytes += published.bytes;
        self.stale += published.dropped;
        self.too_large += published.too_large;
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<Vec<u8>, Fault> {
        if self.is_retained { state::save(self.publisher.retained()) } else { Ok(Vec::new()) }
    }

    fn finish(&mut self, _: Ending) -> Result<SinkReport, Fault> {
        self.publisher.finish();
        let (stale, too_large) = (self.stale, self.too_large);
        let (conflated, refused) = (self.encoder.conflated, self.encoder.refused);
        if stale + too_large + conflated + refused > 0 {
            let sink = &self.id;
            tracing::info!(sink, stale, conflated, too_large, refused, "not published");
        }
        let places = vec![self.place.clone()];
        Ok(SinkReport { rows: self.rows, places, bytes: Some(self.bytes) })
    }
}

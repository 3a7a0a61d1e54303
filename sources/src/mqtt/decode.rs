//! Messages to records.

use std::sync::Arc;

use brokers::identity;
use brokers::mqtt::message::Received;
use brokers::topic::Template;
use dataflows::batch::Rows;
use dataflows::component::source::Delivery;
use dataflows::fault::Fault;
use hashbrown::HashMap;
use proto::event_time::EventTime;
use proto::payload::Payload;
use proto::protobuf::TickBatch;
use proto::record::{MESSAGE_BYTES_MAX, RecordError};
use proto::reject::{EXCERPT_BYTES_MAX, Reject};
use proto::series::{NameError, SeriesId, SeriesTable};
use proto::tick::Tick;
use proto::tick_message::TickRef;

use crate::mqtt::{Config, FIELDS, Format};

/// How a message is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Tick,
    Batch,
    Json,
}

/// What some messages come to.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) rows: Rows,
    pub(super) rejects: Vec<Reject>,
    pub(super) deliveries: Vec<Delivery>,
}

/// Makes records of messages.
#[derive(Debug)]
pub(super) struct Decoder {
    component: String,
    format: Format,
    template: Option<Template>,
    source: Option<String>,
    instrument: Option<String>,
    table: SeriesTable,
    /// The series of each topic that named one.
    topics: HashMap<String, SeriesId>,
    /// By source, by instrument: the table is locked.
    series: HashMap<String, HashMap<String, SeriesId>>,
    /// Content types that were seen, each once.
    content_types: HashMap<Arc<str>, Arc<str>>,
    /// The order of arrival, for ticks without a sequence: nanoseconds, ever upwards.
    arrival: u64,
}

/// No more topics, or content types, are kept than this.
const KEPT_MAX: usize = 65_536;

/// Why a record was not made: a word, and a sentence.
type Refusal = (&'static str, String);

impl Decoder {
    pub(super) fn new(config: &Config, component: &str, table: SeriesTable) -> Result<Self, Fault> {
        let compile = |text: &String| {
            Template::compile(text, FIELDS)
                .map_err(|message| Fault::job(format!("sources.{component}.template"), message))
        };
        Ok(Self {
            component: component.to_owned(),
            format: config.format,
            template: config.template.as_ref().map(compile).transpose()?,
            source: config.source.clone(),
            instrument: config.instrument.clone(),
            table,
            topics: HashMap::new(),
            series: HashMap::new(),
            content_types: HashMap::new(),
            arrival: 0,
        })
    }

    /// Makes records of messages, in their order.
    pub(super) fn decode(&mut self, messages: &[Received]) -> Decoded {
        let mut rejects = Vec::new();
        let mut deliveries = Vec::with_capacity(messages.len());
        let rows = if self.format == Format::Bytes {
            let mut payloads = Vec::with_capacity(messages.len());
            for message in messages {
                let before = (payloads.len(), rejects.len());
                match self.payload(message) {
                    Ok(payload) => payloads.push(payload),
                    Err(refusal) => rejects.push(self.reject(message, refusal, &message.payload)),
                }
                let id = message.properties.message_id.as_deref();
                let id = id.map(|id| identity::of(&message.topic, id));
                deliveries.push(delivery(id, before, (payloads.len(), rejects.len())));
            }
            Rows::Payloads(payloads)
        } else {
            let mut ticks = Vec::with_capacity(messages.len());
            for message in messages {
                let before = (ticks.len(), rejects.len());
                let id = self.ticks(message, &mut ticks, &mut rejects);
                deliveries.push(delivery(id, before, (ticks.len(), rejects.len())));
            }
            Rows::Ticks(ticks)
        };
        Decoded { rows, rejects, deliveries }
    }

    fn payload(&mut self, message: &Received) -> Result<Payload, Refusal> {
        if message.payload.len() > MESSAGE_BYTES_MAX {
            let error = RecordError::TooLarge(message.payload.len());
            return Err((error.reason(), error.to_string()));
        }
        let known = self.topics.get(&message.topic).copied();
        let series = match known {
            Some(series) => series,
            None => {
                let (source, instrument) = self.names(&message.topic)?;
                let series = self.table.intern(source, instrument).map_err(bad_name)?;
                if self.topics.len() < KEPT_MAX {
                    self.topics.insert(message.topic.clone(), series);
                }
                series
            }
        };
        let properties = &message.properties;
        Ok(Payload {
            series,
            time: properties.time.unwrap_or(message.received),
            content_type: properties.content_type.as_ref().map(|text| self.content_type(text)),
            traceparent: properties.traceparent,
            bytes: message.payload.to_vec(),
        })
    }

    /// One text for all messages that say the same.
    fn content_type(&mut self, text: &Arc<str>) -> Arc<str> {
        if let Some(known) = self.content_types.get(text) {
            return known.clone();
        }
        if self.content_types.len() < KEPT_MAX {
            self.content_types.insert(text.clone(), text.clone());
        }
        text.clone()
    }

    /// Gives source and instrument, as the topic or the configuration has them.
    fn names<'a>(&'a self, topic: &'a str) -> Result<(&'a str, &'a str), Refusal> {
        let read = match &self.template {
            None => ["", ""],
            Some(template) => template.read::<2>(topic).ok_or_else(|| {
                ("bad_topic", format!("it is no topic such as {template} with legal names"))
            })?,
        };
        let or = |read: &'a str, given: &'a Option<String>| {
            if read.is_empty() { given.as_deref().unwrap_or("") } else { read }
        };
        Ok((or(read[0], &self.source), or(read[1], &self.instrument)))
    }

    /// Tells how a message is read: as it says itself, else as the job says.
    fn form(&self, message: &Received) -> Form {
        let content_type = message.properties.content_type.as_deref().unwrap_or("");
        let media = content_type.split(';').next().unwrap_or("").trim();
        let is = |names: &[&str]| names.iter().any(|name| media.eq_ignore_ascii_case(name));
        match self.format {
            _ if is(&["application/json"]) => Form::Json,
            Format::Json
                if !is(&[
                    "application/x-protobuf",
                    "application/protobuf",
                    "application/vnd.google.protobuf",
                ]) =>
            {
                Form::Json
            }
            Format::TickBatch => Form::Batch,
            _ => Form::Tick,
        }
    }

    /// Appends the ticks of a message; gives its identity.
    fn ticks(
        &mut self,
        message: &Received,
        ticks: &mut Vec<Tick>,
        rejects: &mut Vec<Reject>,
    ) -> Option<u128> {
        let mut id = message.properties.message_id.as_deref().map(str::to_owned);
        let mut put = |decoder: &mut Self, read: Result<TickRef<'_>, RecordError>, bytes: &[u8]| {
            let read = read.map_err(|error| (error.reason(), error.to_string()));
            match read.and_then(|tick| decoder.tick(message, tick)) {
                Ok(tick) => ticks.push(tick),
                Err(refusal) => rejects.push(decoder.reject(message, refusal, bytes)),
            }
        };
        let bytes = &message.payload[..];
        match self.form(message) {
            Form::Json => {
                let (source, instrument) = match self.names(&message.topic) {
                    Ok((source, instrument)) => (source.to_owned(), instrument.to_owned()),
                    Err(refusal) => {
                        rejects.push(self.reject(message, refusal, bytes));
                        return id.map(|id| identity::of(&message.topic, &id));
                    }
                };
                put(self, proto::json::decode_tick(bytes, &source, &instrument), bytes);
            }
            Form::Tick => {
                let read = proto::protobuf::decode_tick(bytes);
                if let Ok(tick) = &read
                    && id.is_none()
                    && !tick.message_id.is_empty()
                {
                    id = Some(tick.message_id.to_owned());
                }
                put(self, read, bytes);
            }
            Form::Batch => match TickBatch::decode(bytes) {
                Ok(batch) => batch.ticks().for_each(|read| put(self, read, &[])),
                Err(error) => put(self, Err(error), bytes),
            },
        }
        id.map(|id| identity::of(&message.topic, &id))
    }

    fn tick(&mut self, message: &Received, read: TickRef<'_>) -> Result<Tick, Refusal> {
        let found;
        let mut read = read;
        if read.source.is_empty() || read.instrument.is_empty() {
            let (source, instrument) = self.names(&message.topic)?;
            found = (source.to_owned(), instrument.to_owned());
            if read.source.is_empty() {
                read.source = &found.0;
            }
            if read.instrument.is_empty() {
                read.instrument = &found.1;
            }
        }
        let series = self.intern(read.source, read.instrument).map_err(bad_name)?;
        let mut tick = read.tick(series);
        if !tick.has(Tick::HAS_SEQUENCE) {
            let received = u64::try_from(message.received.ns()).unwrap_or(0);
            self.arrival = self.arrival.saturating_add(1).max(received);
            tick.sequence = self.arrival;
        }
        if message.is_again {
            tick.flags |= Tick::IS_REDELIVERED;
        }
        Ok(tick)
    }

    fn intern(&mut self, source: &str, instrument: &str) -> Result<SeriesId, NameError> {
        if let Some(series) = self.series.get(source).and_then(|known| known.get(instrument)) {
            return Ok(*series);
        }
        let series = self.table.intern(source, instrument)?;
        let known = self.series.entry(source.to_owned()).or_default();
        known.insert(instrument.to_owned(), series);
        Ok(series)
    }

    fn reject(&self, message: &Received, (reason, detail): Refusal, bytes: &[u8]) -> Reject {
        Reject {
            component: self.component.clone(),
            reason: reason.to_owned(),
            detail,
            place: Some(format!("topic {}", shown(&message.topic))),
            clock: EventTime::default(),
            tick: None,
            payload: bytes.get(..EXCERPT_BYTES_MAX).unwrap_or(bytes).to_vec(),
        }
    }
}

fn bad_name(error: NameError) -> Refusal {
    ("bad_name", error.to_string())
}

/// A topic in a place of a reject: on one line, and not longer than anyone reads.
fn shown(topic: &str) -> String {
    const MOST: usize = 200;
    let mut text: String = topic
        .chars()
        .take(MOST)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if topic.chars().nth(MOST).is_some() {
        text.push('…');
    }
    text
}

fn delivery(id: Option<u128>, before: (usize, usize), after: (usize, usize)) -> Delivery {
    let count = |before: usize, after: usize| u32::try_from(after - before).unwrap_or(u32::MAX);
    Delivery { id, rows: count(before.0, after.0), rejects: count(before.1, after.1) }
}

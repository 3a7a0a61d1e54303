//! Messages to rows: ticks, payloads, and rejects of what is neither.

use std::borrow::Cow;
use std::sync::Arc;

use brokers::amqp::place::{KEY_HEADER, MessagePlace, TIME_HEADER};
use brokers::key::Template;
use dataflows::batch::Rows;
use dataflows::component::source::Delivery;
use lapin::message::Delivery as Message;
use lapin::types::{AMQPValue, ShortString};
use proto::event_time::EventTime;
use proto::payload::Payload;
use proto::protobuf::{TickBatch, decode_tick};
use proto::record::{MESSAGE_BYTES_MAX, RecordError};
use proto::reject::{EXCERPT_BYTES_MAX, PAYLOAD_BYTES_MAX, Reject};
use proto::series::{SeriesId, SeriesTable, check_name};
use proto::tick::Tick;
use proto::tick_message::TickRef;
use proto::traceparent::Traceparent;
use twox_hash::XxHash3_128;

use super::config::{Config, Format};

/// Of all ticks of one message together no more than so many bytes are kept for the dead letters.
const BATCH_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;

/// Why a message is no row.
struct Refusal {
    reason: &'static str,
    detail: String,
}

impl From<RecordError> for Refusal {
    fn from(error: RecordError) -> Self {
        Self { reason: error.reason(), detail: error.to_string() }
    }
}

/// Rows of the messages of one intake.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    ticks: Vec<Tick>,
    payloads: Vec<Payload>,
    pub(super) rejects: Vec<Reject>,
    pub(super) deliveries: Vec<Delivery>,
}

impl Decoded {
    fn rows(&self) -> usize {
        self.ticks.len() + self.payloads.len()
    }

    pub(super) fn len(&self) -> usize {
        self.rows() + self.rejects.len()
    }

    pub(super) fn into_rows(self, format: Format) -> Rows {
        match format {
            Format::Bytes => Rows::Payloads(self.payloads),
            _ => Rows::Ticks(self.ticks),
        }
    }
}

/// Reads messages as the configuration says.
#[derive(Debug)]
pub(super) struct Decoder {
    format: Format,
    template: Template,
    source: Option<String>,
    instrument: Option<String>,
    has_ids: bool,
    /// A stream gives the same again, so nothing in it may depend on when it was received.
    is_stream: bool,
    component: String,
    queue: String,
    series: SeriesTable,
    /// The names met last: most messages are of the series of the one before, or one of few.
    last: Option<(String, String, SeriesId)>,
    content_type: Option<Arc<str>>,
}

impl Decoder {
    pub(super) fn new(
        config: &Config,
        (template, is_stream): (Template, bool),
        (component, queue): (&str, &str),
        series: SeriesTable,
    ) -> Self {
        Self {
            format: config.format,
            template,
            source: config.source.clone(),
            instrument: config.instrument.clone(),
            has_ids: config.message_ids,
            is_stream,
            component: component.to_owned(),
            queue: queue.to_owned(),
            series,
            last: None,
            content_type: None,
        }
    }

    /// Reads a message. `received`: the time of day.
    pub(super) fn read(&mut self, mut message: Message, received: EventTime, into: &mut Decoded) {
        let (rows, rejects) = (into.rows(), into.rejects.len());
        self.restore_key(&mut message);
        let id = self.identity(&message);
        let flags = if message.redelivered { Tick::IS_REDELIVERED } else { 0 };
        let outcome = match self.format_of(&message) {
            Format::Tick => decode_tick(&message.data)
                .map_err(Refusal::from)
                .and_then(|tick| self.tick(&tick, flags))
                .map(|tick| into.ticks.push(tick)),
            Format::Json => self.json(&message, flags).map(|tick| into.ticks.push(tick)),
            Format::TickBatch => self.batch(&message, flags, into),
            Format::Bytes => {
                self.payload(&mut message, received).map(|payload| into.payloads.push(payload))
            }
        };
        if let Err(refusal) = outcome {
            let bytes = message.data.get(..PAYLOAD_BYTES_MAX).unwrap_or(&message.data);
            into.rejects.push(self.reject(refusal, &message, (bytes, message.data.len())));
        }
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        into.deliveries.push(Delivery {
            id,
            rows: count(into.rows() - rows),
            rejects: count(into.rejects.len() - rejects),
        });
    }

    /// A dead letter that is replayed is put into this queue alone, by the queue's name, and tells
    /// the key that it had.
    fn restore_key(&self, message: &mut Message) {
        if message.routing_key.as_str() == self.queue
            && let Some(AMQPValue::LongString(key)) = header(message, KEY_HEADER)
            && let Ok(key) = std::str::from_utf8(key.as_bytes())
            && let Ok(key) = ShortString::try_new(key)
        {
            message.routing_key = key;
        }
    }

    /// What the message says that it is, before what the job says.
    fn format_of(&self, message: &Message) -> Format {
        let kind = message.properties.content_type().as_ref().map_or("", |kind| kind.as_str());
        match self.format {
            Format::Tick | Format::TickBatch if kind.contains("json") => Format::Json,
            Format::Json if kind.contains("protobuf") => Format::Tick,
            format => format,
        }
    }

    /// A publisher's id is its own: another one may count from 1, too. Keys and names of publishers
    /// tell them apart, and stay the same when a message is delivered again.
    fn identity(&self, message: &Message) -> Option<u128> {
        let id = message.properties.message_id().as_ref().filter(|_| self.has_ids)?;
        let publisher = message.properties.app_id().as_ref().map_or("", |app| app.as_str());
        let mut text = String::with_capacity(128);
        for part in [publisher, message.routing_key.as_str(), id.as_str()] {
            text.push_str(part);
            text.push('\0');
        }
        Some(XxHash3_128::oneshot(text.as_bytes()))
    }

    fn tick(&mut self, tick: &TickRef<'_>, flags: u32) -> Result<Tick, Refusal> {
        let series = self.series(tick.source, tick.instrument)?;
        let mut tick = tick.tick(series);
        tick.flags |= flags;
        Ok(tick)
    }

    fn json(&mut self, message: &Message, flags: u32) -> Result<Tick, Refusal> {
        let (source, instrument) = self.names(message)?;
        let tick = proto::json::decode_tick(&message.data, &source, &instrument)?;
        self.tick(&tick, flags)
    }

    fn batch(&mut self, message: &Message, flags: u32, into: &mut Decoded) -> Result<(), Refusal> {
        let batch = TickBatch::decode(&message.data)?;
        let (mut ticks, mut number) = (batch.ticks(), 0);
        let (mut shared, mut left) = (None, BATCH_BYTES_MAX);
        while let Some(tick) = ticks.next() {
            number += 1;
            match tick.map_err(Refusal::from).and_then(|tick| self.tick(&tick, flags)) {
                Ok(tick) => into.ticks.push(tick),
                Err(Refusal { reason, detail }) => {
                    // The good ones of its message are not to come again with it.
                    let alone = ticks.alone(shared.get_or_insert_with(|| batch.shared()));
                    let most = left.min(EXCERPT_BYTES_MAX);
                    let bytes = alone.get(..most).unwrap_or(&alone);
                    left -= bytes.len();
                    let detail = format!("tick {number} of {}: {detail}", batch.len());
                    let refusal = Refusal { reason, detail };
                    into.rejects.push(self.reject(refusal, message, (bytes, alone.len())));
                }
            }
        }
        Ok(())
    }

    fn payload(&mut self, message: &mut Message, received: EventTime) -> Result<Payload, Refusal> {
        if message.data.len() > MESSAGE_BYTES_MAX {
            return Err(RecordError::TooLarge(message.data.len()).into());
        }
        let (source, instrument) = self.names(message)?;
        let series = self.series(&source, &instrument)?;
        let time = match time_of(message) {
            Some(time) => time,
            None if !self.is_stream => received,
            None => {
                let detail = format!(
                    "a message of a stream needs the header `{TIME_HEADER}` or a timestamp: it is \
                     read again, and the time of receipt would be another one"
                );
                return Err(Refusal { reason: "missing_field", detail });
            }
        };
        let traceparent = trace_of(message);
        let content_type = self.content_type(message);
        let bytes = std::mem::take(&mut message.data);
        Ok(Payload { series, time, content_type, traceparent, bytes })
    }

    fn content_type(&mut self, message: &Message) -> Option<Arc<str>> {
        let kind = message.properties.content_type().as_ref()?.as_str();
        if self.content_type.as_deref() != Some(kind) {
            self.content_type = Some(kind.into());
        }
        self.content_type.clone()
    }

    /// Source and instrument, as the key tells them.
    fn names<'a>(&self, message: &'a Message) -> Result<(Cow<'a, str>, Cow<'a, str>), Refusal> {
        let key = self.template.read(message.routing_key.as_str());
        let (source, instrument) = key.map_err(|detail| Refusal { reason: "bad_key", detail })?;
        let or = |name: Cow<'a, str>, fixed: &Option<String>| match fixed {
            Some(fixed) if name.is_empty() => fixed.clone().into(),
            _ => name,
        };
        Ok((or(source, &self.source), or(instrument.into(), &self.instrument)))
    }

    fn series(&mut self, source: &str, instrument: &str) -> Result<SeriesId, Refusal> {
        if let Some((last_source, last_instrument, series)) = &self.last
            && last_instrument == instrument
            && last_source == source
        {
            return Ok(*series);
        }
        let bad = |name: &str, error| Refusal {
            reason: "bad_name",
            detail: format!("the {name}: {error}"),
        };
        let series = match self.series.find(source, instrument) {
            Some(series) => series,
            None => {
                check_name(source).map_err(|error| bad("source", error))?;
                check_name(instrument).map_err(|error| bad("instrument", error))?;
                self.series.intern(source, instrument).map_err(|error| bad("series", error))?
            }
        };
        self.last = Some((source.to_owned(), instrument.to_owned(), series));
        Ok(series)
    }

    /// Makes a reject with the bytes that are kept of it, of so many.
    fn reject(&self, refusal: Refusal, message: &Message, kept: (&[u8], usize)) -> Reject {
        let text = |text: &Option<ShortString>| text.as_ref().map(|text| text.as_str().to_owned());
        let (properties, (kept, length)) = (&message.properties, kept);
        let place = MessagePlace {
            queue: self.queue.clone(),
            key: message.routing_key.as_str().to_owned(),
            message_id: text(properties.message_id()),
            content_type: text(properties.content_type()),
            time_ns: time_header(message),
            timestamp: *properties.timestamp(),
            traceparent: trace_of(message).map(|trace| trace.to_string()),
            cut_from: (kept.len() < length).then_some(length),
        };
        Reject {
            component: self.component.clone(),
            reason: refusal.reason.to_owned(),
            detail: refusal.detail,
            place: Some(place.to_string()),
            clock: EventTime::default(),
            tick: None,
            payload: kept.to_vec(),
        }
    }
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a AMQPValue> {
    message.properties.headers().as_ref()?.inner().get(name)
}

fn trace_of(message: &Message) -> Option<Traceparent> {
    match header(message, "traceparent")? {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok()?.parse().ok(),
        _ => None,
    }
}

fn time_header(message: &Message) -> Option<i64> {
    match header(message, TIME_HEADER)? {
        AMQPValue::LongLongInt(ns) => Some(*ns),
        _ => None,
    }
}

/// When it happened, as far as the message says so beside its bytes.
fn time_of(message: &Message) -> Option<EventTime> {
    if let Some(ns) = time_header(message) {
        return Some(EventTime::from_ns(ns));
    }
    // Seconds by the standard; some publishers write milliseconds, which would be the year 5138.
    let timestamp = i64::try_from((*message.properties.timestamp())?).ok()?;
    let unit = if timestamp < 100_000_000_000 { 1_000_000_000 } else { 1_000_000 };
    timestamp.checked_mul(unit).map(EventTime::from_ns)
}

/// The offset of a message of a stream.
pub(super) fn offset_of(message: &Message) -> Option<u64> {
    match header(message, "x-stream-offset")? {
        AMQPValue::LongLongInt(offset) => u64::try_from(*offset).ok(),
        _ => None,
    }
}

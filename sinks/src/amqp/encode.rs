//! Rows to messages.

use std::borrow::Cow;

use brokers::amqp::outgoing::Message;
use brokers::amqp::topology::short;
use brokers::key::{Name, Template};
use dataflows::batch::{Record, Rows};
use dataflows::fault::Fault;
use dataflows::order;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use proto::candle::Candle;
use proto::candle_message::CandleMessage;
use proto::columns::Names;
use proto::event_time::EventTime;
use proto::feed_status::FeedStatus;
use proto::json::{ChartCandle, TimeUnit, VolumeMode};
use proto::payload::Payload;
use proto::protobuf::{Protobuf, encode_tick};
use proto::record::RecordError;
use proto::reject::Reject;
use proto::series::{Series, SeriesId};
use proto::tick::Tick;
use proto::tick_message::TickRef;

use super::Format;
use crate::lines::Sheet;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
/// What stands in a key where a reject has no series.
const UNKNOWN: &str = "unknown";

/// Makes messages of rows.
#[derive(Debug)]
pub(super) struct Encoder {
    pub(super) template: Template,
    pub(super) format: Format,
    pub(super) persistent: bool,
    pub(super) job: String,
    pub(super) id: String,
    /// Told apart from other starts from nothing: their epochs have the same numbers.
    pub(super) started: u64,
}

impl Encoder {
    /// Makes the messages of an epoch, the same to the byte whenever it is handed over and whatever
    /// the number of workers: series in the order of their names, each in its own order.
    pub(super) fn messages(
        &self,
        epoch: u64,
        runs: Vec<Rows>,
        names: &Names,
    ) -> Result<Vec<Message>, Fault> {
        let mut runs = runs.into_iter();
        let Some(mut rows) = runs.next() else { return Ok(Vec::new()) };
        for run in runs {
            rows.append(run).map_err(|run| {
                Fault::defect("the sink `amqp`", format!("{} among others", run.kind()))
            })?;
        }
        let mut messages = Vec::with_capacity(rows.len());
        match rows {
            Rows::Ticks(mut ticks) => {
                by_series(&mut ticks, names);
                for tick in &ticks {
                    messages.push(self.tick(tick, names)?);
                }
            }
            Rows::Candles(mut candles) => {
                by_series(&mut candles, names);
                for candle in &candles {
                    messages.push(self.candle(candle, names)?);
                }
            }
            Rows::Payloads(mut payloads) => {
                by_series(&mut payloads, names);
                for payload in payloads {
                    messages.push(self.payload(payload, names)?);
                }
            }
            mut rows @ Rows::Statuses(_) => {
                rows.sort(names);
                let sheet = Sheet::new(&rows, names);
                if let Rows::Statuses(statuses) = &rows {
                    for (row, status) in statuses.iter().enumerate() {
                        messages.push(self.status(status, row, &sheet, names)?);
                    }
                }
            }
            mut rows @ Rows::Rejects(_) => {
                rows.sort(names);
                let sheet = Sheet::new(&rows, names);
                if let Rows::Rejects(rejects) = &rows {
                    let all = rejects.iter().enumerate();
                    messages
                        .extend(all.map(|(row, reject)| self.reject(reject, row, &sheet, names)));
                }
            }
        }
        for (number, message) in messages.iter_mut().enumerate() {
            let Self { job, id, started, .. } = self;
            let name = format!("{job}/{id}/{started:x}/{epoch}/{number}");
            let properties = std::mem::take(&mut message.properties);
            message.properties =
                properties.with_message_id(short(&name)).with_app_id(short("tapeflow"));
        }
        Ok(messages)
    }

    fn tick(&self, tick: &Tick, names: &Names) -> Result<Message, Fault> {
        let series = known(tick.series, names)?;
        let reference = TickRef {
            source: &series.source,
            instrument: &series.instrument,
            time: tick.time,
            sequence: tick.has(Tick::HAS_SEQUENCE).then_some(tick.sequence),
            bid: tick.bid,
            ask: tick.ask,
            last: tick.last,
            volume: tick.has(Tick::HAS_VOLUME).then_some(tick.volume),
            traceparent: "",
            message_id: "",
        };
        let mut body = Vec::with_capacity(96);
        let written = match self.format {
            Format::Protobuf => encode_tick(&reference, &mut body),
            Format::Json => proto::json::encode_tick(&reference, TimeUnit::Seconds, &mut body),
        };
        written.map_err(|error| unwritable("tick", series, tick.time, &error))?;
        let key = self.key(series, None);
        Ok(self.message(key, self.content_type(), Some(tick.time), FieldTable::default(), body))
    }

    fn candle(&self, candle: &Candle, names: &Names) -> Result<Message, Fault> {
        let series = known(candle.series, names)?;
        let mut body = Vec::with_capacity(192);
        let written = match self.format {
            Format::Protobuf => CandleMessage::new(series, candle).encode(&mut body),
            Format::Json => match ChartCandle::new(candle, VolumeMode::Sum) {
                Some(chart) => chart.encode(&mut body),
                None => Err(RecordError::Missing("volume")),
            },
        };
        written.map_err(|error| unwritable("candle", series, candle.start, &error))?;
        let key = self.key(series, Some(candle));
        Ok(self.message(key, self.content_type(), Some(candle.start), FieldTable::default(), body))
    }

    /// All columns as JSON.
    fn status(
        &self,
        status: &FeedStatus,
        row: usize,
        sheet: &Sheet,
        names: &Names,
    ) -> Result<Message, Fault> {
        let key = self.key(known(status.series, names)?, None);
        let mut text = String::new();
        sheet.write_json(row, &mut text);
        let body = text.trim_end().as_bytes().to_vec();
        Ok(self.message(key, "application/json", Some(status.clock), FieldTable::default(), body))
    }

    fn payload(&self, payload: Payload, names: &Names) -> Result<Message, Fault> {
        let key = self.key(known(payload.series, names)?, None);
        let mut headers = FieldTable::default();
        if let Some(trace) = payload.traceparent {
            insert(&mut headers, "traceparent", &trace.to_string());
        }
        let kind = payload.content_type.as_deref().unwrap_or_default();
        Ok(self.message(key, kind, Some(payload.time), headers, payload.bytes))
    }

    fn reject(&self, reject: &Reject, row: usize, sheet: &Sheet, names: &Names) -> Message {
        let series = reject.series().and_then(|series| names.get(series));
        let value = |name| -> Cow<'_, str> {
            match name {
                Name::Component => Cow::Borrowed(reject.component.as_str()),
                Name::Reason => Cow::Borrowed(reject.reason.as_str()),
                Name::Source => series.map_or(UNKNOWN, |series| &series.source).into(),
                Name::Instrument => series.map_or(UNKNOWN, |series| &series.instrument).into(),
                Name::Timeframe => UNKNOWN.into(),
            }
        };
        let mut key = String::new();
        self.template.write(value, &mut key);
        let mut headers = FieldTable::default();
        insert(&mut headers, "x-reason", &reject.reason);
        insert(&mut headers, "x-job", &self.job);
        insert(&mut headers, "x-component", &reject.component);
        insert(&mut headers, "x-first-seen", &reject.clock.to_string());
        if let Some(place) = &reject.place {
            insert(&mut headers, "x-place", place);
        }
        let mut text = String::new();
        sheet.write_json(row, &mut text);
        let time = reject.tick.map(|tick| tick.time);
        self.message(key, JSON, time, headers, text.trim_end().as_bytes().to_vec())
    }

    const fn content_type(&self) -> &'static str {
        match self.format {
            Format::Protobuf => PROTOBUF,
            Format::Json => JSON,
        }
    }

    fn key(&self, series: &Series, candle: Option<&Candle>) -> String {
        let value = |name| -> Cow<'_, str> {
            match name {
                Name::Source => Cow::Borrowed(&*series.source),
                Name::Instrument => Cow::Borrowed(&*series.instrument),
                Name::Timeframe => {
                    candle.map_or(UNKNOWN.into(), |candle| candle.timeframe.to_string().into())
                }
                Name::Component | Name::Reason => UNKNOWN.into(),
            }
        };
        let mut key = String::with_capacity(64);
        self.template.write(value, &mut key);
        key
    }

    fn message(
        &self,
        key: String,
        content_type: &str,
        time: Option<EventTime>,
        mut headers: FieldTable,
        body: Vec<u8>,
    ) -> Message {
        let mut properties =
            BasicProperties::default().with_delivery_mode(if self.persistent { 2 } else { 1 });
        if !content_type.is_empty() {
            properties = properties.with_content_type(short(content_type));
        }
        if let Some(time) = time {
            headers.insert(short("x-event-time-ns"), AMQPValue::LongLongInt(time.ns()));
            if let Ok(seconds) = u64::try_from(time.ns().div_euclid(1_000_000_000)) {
                properties = properties.with_timestamp(seconds);
            }
        }
        Message { key, properties: properties.with_headers(headers), body }
    }
}

/// Stable: what is of one series stays in its order, which is that of its worker.
fn by_series<T: Record>(rows: &mut [T], names: &Names) {
    rows.sort_by(|left, right| order::series(left.series(), right.series(), names));
}

fn insert(headers: &mut FieldTable, name: &str, value: &str) {
    headers.insert(short(name), AMQPValue::LongString(value.into()));
}

fn known(series: SeriesId, names: &Names) -> Result<&Series, Fault> {
    names.get(series).ok_or_else(|| {
        Fault::defect("the sink `amqp`", format!("series number {} is unknown", series.0))
    })
}

fn unwritable(what: &str, series: &Series, time: EventTime, error: &RecordError) -> Fault {
    Fault::stop(
        format!("{what} of {} {} at {time}", series.source, series.instrument),
        format!(
            "cannot be written as a message: {error}; keep such rows out with `clean` or `filter`"
        ),
    )
}

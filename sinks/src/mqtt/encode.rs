//! Records to messages.

use std::sync::Arc;

use brokers::mqtt::message::{Message, Properties};
use brokers::topic::{PerSeries, SegmentError, Template};
use bytes::Bytes;
use dataflows::batch::Rows;
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use proto::candle::Candle;
use proto::columns::Names;
use proto::event_time::EventTime;
use proto::feed_status::FeedStatus;
use proto::json::{ChartCandle, TimeUnit};
use proto::payload::Payload;
use proto::reject::Reject;
use proto::series::{Series, SeriesId, SeriesTable};
use proto::tick::Tick;
use proto::tick_message::TickRef;
use proto::timeframe::Timeframe;

use crate::lines::Sheet;
use crate::mqtt::{Config, Format, Volume};

/// A topic, made once.
#[derive(Debug, Clone)]
struct Topic {
    name: Arc<str>,
    /// The beginning of the ids of its messages: a hash of its name.
    hash: u64,
}

/// Makes messages of records.
#[derive(Debug)]
pub(super) struct Encoder {
    template: Template,
    format: Format,
    volume: Volume,
    conflate: bool,
    properties: bool,
    series: SeriesTable,
    known: Vec<Arc<Series>>,
    names: Names,
    topics: PerSeries<Option<Timeframe>, Result<Topic, SegmentError>>,
    /// The newest row of each topic in the run under way.
    newest: PerSeries<Option<Timeframe>, (u64, usize, EventTime)>,
    /// Counts runs, so that `newest` need not be cleared.
    run: u64,
    content_type: Arc<str>,
    /// Records without a message: their names cannot be in a topic, or they cannot be told in the format.
    pub(super) refused: u64,
    /// Records that a newer one stood in for.
    pub(super) conflated: u64,
}

/// What a record says of itself beside its content.
trait Told {
    fn series(&self) -> SeriesId;
    fn timeframe(&self) -> Option<Timeframe> {
        None
    }
    fn time(&self) -> EventTime;
}

impl Told for Tick {
    fn series(&self) -> SeriesId {
        self.series
    }
    fn time(&self) -> EventTime {
        self.time
    }
}

impl Told for Payload {
    fn series(&self) -> SeriesId {
        self.series
    }
    fn time(&self) -> EventTime {
        self.time
    }
}

impl Told for FeedStatus {
    fn series(&self) -> SeriesId {
        self.series
    }
    fn time(&self) -> EventTime {
        self.clock
    }
}

impl Told for Candle {
    fn series(&self) -> SeriesId {
        self.series
    }
    fn timeframe(&self) -> Option<Timeframe> {
        Some(self.timeframe)
    }
    fn time(&self) -> EventTime {
        self.start
    }
}

/// Payloads of one run, one behind the other.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Encoder {
    pub(super) fn new(
        config: &Config,
        template: Template,
        kind: Kind,
        series: SeriesTable,
    ) -> Self {
        let format = config.format.unwrap_or(Format::Protobuf);
        let content_type = match (kind, format) {
            (Kind::Ticks, Format::Protobuf) => "application/x-protobuf",
            _ => "application/json",
        };
        Self {
            template,
            format,
            volume: config.volume,
            conflate: config.conflate,
            properties: config.properties,
            names: Names::new(series.clone()),
            series,
            known: Vec::new(),
            topics: PerSeries::new(),
            newest: PerSeries::new(),
            run: 0,
            content_type: content_type.into(),
            refused: 0,
            conflated: 0,
        }
    }

    /// Appends the messages of a run of records.
    pub(super) fn encode(&mut self, rows: Rows, out: &mut Vec<Message>) -> Result<(), Fault> {
        self.series.refresh(&mut self.known);
        self.run += 1;
        match rows {
            Rows::Ticks(ticks) => self.ticks(&ticks, out),
            Rows::Candles(candles) => self.candles(&candles, out),
            Rows::Payloads(payloads) => self.payloads(payloads, out),
            Rows::Rejects(rejects) => return self.rejects(rejects, out),
            Rows::Statuses(statuses) => self.statuses(statuses, out),
        }
        Ok(())
    }

    /// Notes the newest row of every topic.
    fn note(&mut self, rows: &[impl Told]) {
        if !self.conflate {
            return;
        }
        for (at, row) in rows.iter().enumerate() {
            let (run, time) = (self.run, row.time());
            let newest = self.newest.get(row.series(), row.timeframe(), || (0, 0, EventTime::MIN));
            if newest.0 != run || time >= newest.2 {
                *newest = (run, at, time);
            }
        }
    }

    /// Tells whether a newer row stands in for this one.
    fn is_conflated(&mut self, at: usize, row: &impl Told) -> bool {
        if !self.conflate {
            return false;
        }
        let newest = self.newest.get(row.series(), row.timeframe(), || (0, at, EventTime::MIN));
        let is_old = newest.1 != at;
        self.conflated += u64::from(is_old);
        is_old
    }

    /// Gives a record's topic; none where its names cannot be in one, which is said once a topic.
    fn topic(&mut self, row: &impl Told) -> Option<Topic> {
        let (template, known) = (&self.template, &self.known);
        let (series, timeframe) = (row.series(), row.timeframe());
        let made = self.topics.get(series, timeframe, || {
            let Some(series) = known.get(series.index()) else { return Err(SegmentError::Empty) };
            let timeframe = timeframe.map(|timeframe| timeframe.to_string()).unwrap_or_default();
            let mut name = String::new();
            let rendered =
                template.render(&[&series.source, &series.instrument, &timeframe], &mut name);
            if let Err(error) = rendered {
                let (source, instrument) = (&*series.source, &*series.instrument);
                tracing::warn!(source, instrument, %error, "no topic: its records are left out");
                return Err(error);
            }
            Ok(Topic { hash: fnv(&name), name: name.into() })
        });
        if let Ok(topic) = made {
            return Some(topic.clone());
        }
        self.refused += 1;
        None
    }

    fn properties(&self, id: Option<String>, time: EventTime) -> Properties {
        Properties {
            content_type: Some(self.content_type.clone()),
            message_id: id.map(Arc::from),
            time: Some(time),
            traceparent: None,
        }
    }

    fn ticks(&mut self, ticks: &[Tick], out: &mut Vec<Message>) {
        self.note(ticks);
        let start = out.len();
        let mut buffer = Buffer::default();
        for (at, tick) in ticks.iter().enumerate() {
            if self.is_conflated(at, tick) {
                continue;
            }
            let Some(topic) = self.topic(tick) else { continue };
            let Some(series) = self.known.get(tick.series.index()) else { continue };
            let told = tick_ref(series, tick);
            let written = match self.format {
                Format::Protobuf => proto::protobuf::encode_tick(&told, &mut buffer.bytes),
                Format::Json => {
                    proto::json::encode_tick(&told, TimeUnit::Seconds, &mut buffer.bytes)
                }
            };
            if let Err(error) = written {
                self.refuse(&topic, &error);
                continue;
            }
            buffer.ends.push(buffer.bytes.len());
            let id = (self.properties && tick.has(Tick::HAS_SEQUENCE))
                .then(|| format!("{:016x}-{}-{}", topic.hash, tick.time.ns(), tick.sequence));
            let properties = self.properties(id, tick.time);
            out.push(Message { topic: topic.name, payload: Bytes::new(), properties });
        }
        buffer.fill(out, start);
    }

    fn candles(&mut self, candles: &[Candle], out: &mut Vec<Message>) {
        self.note(candles);
        let start = out.len();
        let mut buffer = Buffer::default();
        for (at, candle) in candles.iter().enumerate() {
            if self.is_conflated(at, candle) {
                continue;
            }
            let Some(topic) = self.topic(candle) else { continue };
            let chart = ChartCandle::new(candle, self.volume.into());
            let written = chart.map(|chart| chart.encode(&mut buffer.bytes));
            match written {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    self.refuse(&topic, &error);
                    continue;
                }
                None => {
                    self.refuse(&topic, &"more ticks than can be told");
                    continue;
                }
            }
            buffer.ends.push(buffer.bytes.len());
            let id = self.properties.then(|| {
                let (start, revision) = (candle.start.ns(), candle.revision);
                let (timeframe, ticks) = (candle.timeframe, candle.ticks);
                format!("{:016x}-{timeframe}-{start}-{revision}-{ticks}", topic.hash)
            });
            let properties = self.properties(id, candle.last_time);
            out.push(Message { topic: topic.name, payload: Bytes::new(), properties });
        }
        buffer.fill(out, start);
    }

    /// All columns as JSON.
    fn statuses(&mut self, statuses: Vec<FeedStatus>, out: &mut Vec<Message>) {
        self.note(&statuses);
        self.names.refresh();
        let rows = Rows::Statuses(statuses);
        let sheet = Sheet::new(&rows, &self.names);
        let Rows::Statuses(statuses) = rows else { return };
        for (at, status) in statuses.iter().enumerate() {
            if self.is_conflated(at, status) {
                continue;
            }
            let Some(topic) = self.topic(status) else { continue };
            let mut text = String::new();
            sheet.write_json(at, &mut text);
            text.truncate(text.trim_end().len());
            let properties = self.properties(None, status.clock);
            out.push(Message { topic: topic.name, payload: Bytes::from(text), properties });
        }
    }

    fn payloads(&mut self, payloads: Vec<Payload>, out: &mut Vec<Message>) {
        self.note(&payloads);
        for (at, payload) in payloads.into_iter().enumerate() {
            if self.is_conflated(at, &payload) {
                continue;
            }
            let Some(topic) = self.topic(&payload) else { continue };
            let properties = Properties {
                content_type: payload.content_type,
                traceparent: payload.traceparent,
                message_id: None,
                time: Some(payload.time),
            };
            let payload = Bytes::from(payload.bytes);
            out.push(Message { topic: topic.name, payload, properties });
        }
    }

    /// Rejects have no series; there are few.
    fn rejects(&mut self, rejects: Vec<Reject>, out: &mut Vec<Message>) -> Result<(), Fault> {
        self.names.refresh();
        let mut topics = Vec::with_capacity(rejects.len());
        for reject in &rejects {
            let mut name = String::new();
            let values = ["", "", "", &reject.component, &reject.reason];
            let rendered = self.template.render(&values, &mut name);
            topics.push(rendered.map(|()| (Arc::from(name), reject.clock)));
        }
        let rows = Rows::Rejects(rejects);
        let sheet = Sheet::new(&rows, &self.names);
        for (row, topic) in topics.into_iter().enumerate() {
            let Ok((topic, time)) = topic else {
                self.refused += 1;
                continue;
            };
            let mut text = String::new();
            sheet.write_json(row, &mut text);
            text.truncate(text.trim_end().len());
            let properties = self.properties(None, time);
            out.push(Message { topic, payload: Bytes::from(text), properties });
        }
        Ok(())
    }

    fn refuse(&mut self, topic: &Topic, error: &dyn std::fmt::Display) {
        self.refused += 1;
        let topic = &*topic.name;
        tracing::warn!(topic, %error, "a record cannot be written in this format, and is left out");
    }
}

impl Buffer {
    /// Hands the payloads out to the messages from `start` on.
    fn fill(self, out: &mut [Message], start: usize) {
        let bytes = Bytes::from(self.bytes);
        let mut from = 0;
        for (message, end) in out.iter_mut().skip(start).zip(self.ends) {
            message.payload = bytes.slice(from..end);
            from = end;
        }
    }
}

fn tick_ref<'a>(series: &'a Series, tick: &Tick) -> TickRef<'a> {
    TickRef {
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
    }
}

/// 64-bit FNV-1a.
fn fnv(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

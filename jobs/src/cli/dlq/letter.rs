//! A dead letter: a row of a table of rejects, and what has become of it before.

use brokers::amqp::place::MessagePlace;
use proto::decimal::{Price, Quantity};
use proto::envelope::Envelope;
use proto::event_time::EventTime;
use proto::protobuf::{TickBatch, decode_tick};
use proto::tick_message::TickMessage;
use serde_json::{Value, json};
use twox_hash::XxHash3_128;

/// One dead letter.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) id: String,
    /// None: written before tables told it.
    pub(super) job: Option<String>,
    pub(super) clock: EventTime,
    pub(super) component: String,
    pub(super) reason: String,
    pub(super) detail: String,
    pub(super) place: Option<String>,
    pub(super) tick: Option<TickMessage>,
    pub(super) payload: Vec<u8>,
    /// When the first letter of the same content came.
    pub(super) first_seen: EventTime,
    /// How often it was tried: once more than it was replayed.
    pub(super) attempts: u64,
}

/// A row as text, column by column, in the order of [`COLUMNS`].
pub(super) type Row = Vec<Option<String>>;

/// What a letter is read from.
pub(super) const COLUMNS: [&str; 17] = [
    "id",
    "job",
    "clock",
    "component",
    "reason",
    "detail",
    "place",
    "source",
    "instrument",
    "time",
    "nanos",
    "sequence",
    "bid",
    "ask",
    "last",
    "volume",
    "payload",
];

impl Letter {
    /// Reads a row; none: it holds what no sink writes.
    pub(super) fn read(row: Row) -> Option<Self> {
        let row: [Option<String>; 17] = row.try_into().ok()?;
        let [id, job, clock, component, reason, detail, place, tick @ .., payload] = row;
        let clock: EventTime = clock?.parse().ok()?;
        Some(Self {
            id: id?,
            job,
            clock,
            component: component?,
            reason: reason?,
            detail: detail?,
            place,
            tick: read_tick(tick)?,
            payload: unhex(&payload.unwrap_or_default())?,
            first_seen: clock,
            attempts: 1,
        })
    }

    /// Where its message was found, if it is one of a queue.
    pub(super) fn message_place(&self) -> Option<MessagePlace> {
        MessagePlace::parse(self.place.as_deref()?)
    }

    /// The same for letters of the same content, however often it comes back.
    pub(super) fn identity(&self) -> String {
        let mut bytes = Vec::with_capacity(128 + self.payload.len());
        let mut field = |part: &[u8]| {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part);
        };
        if let Some(tick) = &self.tick {
            field(b"tick");
            field(tick.envelope.source.as_bytes());
            field(tick.instrument.as_bytes());
            field(&tick.envelope.time.ns().to_le_bytes());
            let price = |price: Option<Price>| price.map(Price::units);
            let numbers = [
                tick.envelope.sequence.map(|sequence| sequence as i64),
                price(tick.bid),
                price(tick.ask),
                price(tick.last),
                tick.volume.map(Quantity::units),
            ];
            for number in numbers {
                field(number.map(i64::to_le_bytes).as_ref().map_or(&[], |bytes| bytes.as_slice()));
            }
        } else {
            let place = self.message_place();
            field(b"payload");
            let elsewhere = || self.place.clone().unwrap_or_default();
            field(place.map_or_else(elsewhere, |place| place.key).as_bytes());
            field(&self.payload);
        }
        format!("{:032x}", XxHash3_128::oneshot(&bytes))
    }

    /// What its bytes say, where they can be read.
    pub(super) fn decoded(&self) -> Option<Value> {
        if self.payload.is_empty() {
            return None;
        }
        if let Ok(value) = serde_json::from_slice::<Value>(&self.payload) {
            return Some(value);
        }
        if let Ok(tick) = decode_tick(&self.payload) {
            return serde_json::to_value(tick.to_message()).ok();
        }
        let batch = TickBatch::decode(&self.payload).ok().filter(|batch| !batch.is_empty())?;
        let ticks = batch.ticks().take(1_000).map(|tick| match tick {
            Ok(tick) => serde_json::to_value(tick.to_message()).unwrap_or_default(),
            Err(error) => json!({ "error": error.to_string() }),
        });
        Some(json!({ "ticks": ticks.collect::<Vec<Value>>() }))
    }
}

/// Reads a tick's columns; none within: there is no tick; none at all: it cannot be read.
fn read_tick(columns: [Option<String>; 9]) -> Option<Option<TickMessage>> {
    let [source, instrument, time, nanos, sequence, bid, ask, last, volume] = columns;
    let (Some(source), Some(instrument), Some(time)) = (source, instrument, time) else {
        return Some(None);
    };
    let micros: EventTime = time.parse().ok()?;
    let nanos: i64 = nanos.map_or(Some(0), |nanos| nanos.parse().ok())?;
    let time = EventTime::from_ns(micros.ns().checked_add(nanos)?);
    let price = |text: Option<String>| match text {
        None => Some(None),
        Some(text) => text.parse::<Price>().ok().map(Some),
    };
    let mut envelope = Envelope::new(source, time);
    if let Some(sequence) = sequence {
        envelope.sequence = Some(sequence.parse::<i64>().ok()? as u64);
    }
    let volume = match volume {
        None => None,
        Some(text) => Some(text.parse::<Quantity>().ok()?),
    };
    let (bid, ask, last) = (price(bid)?, price(ask)?, price(last)?);
    Some(Some(TickMessage { envelope, instrument, bid, ask, last, volume }))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some((digit(pair.first()?)? << 4 | digit(pair.get(1)?)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, Letter};

    fn row(values: &[(&str, &str)]) -> Vec<Option<String>> {
        let value = |name: &str| {
            let found = values.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        COLUMNS.iter().map(|name| value(name)).collect()
    }

    const COMMON: [(&str, &str); 5] = [
        ("id", "00ff"),
        ("clock", "2024-03-07T10:00:00.000001Z"),
        ("component", "clean"),
        ("reason", "deviation"),
        ("detail", "too far"),
    ];

    #[test]
    fn a_tick_comes_back_to_the_nanosecond() {
        let tick = [
            ("source", "mt5"),
            ("instrument", "EURUSD"),
            ("time", "2024-03-07T10:00:00.123456Z"),
            ("nanos", "789"),
            ("sequence", "7"),
            ("bid", "1.089500000"),
            ("volume", "0.00000001"),
        ];
        let letter = Letter::read(row(&[&COMMON[..], &tick[..]].concat())).unwrap();
        let found = letter.tick.clone().unwrap();
        assert_eq!(found.envelope.time.to_string(), "2024-03-07T10:00:00.123456789Z");
        assert_eq!((found.envelope.sequence, found.ask), (Some(7), None));
        assert_eq!(found.bid.unwrap().to_string(), "1.0895");
        assert_eq!(found.volume.unwrap().units(), 1);
        let mut later = letter.clone();
        (later.id, later.detail) = ("1".to_owned(), "still too far".to_owned());
        assert_eq!(later.identity(), letter.identity());
        later.tick.as_mut().unwrap().ask = later.tick.as_ref().unwrap().bid;
        assert_ne!(later.identity(), letter.identity());
    }

    #[test]
    fn a_message_is_known_by_its_key_and_its_bytes_not_by_its_id() {
        let letter = |place: &str, payload: &str| {
            let more = [("place", place), ("payload", payload)];
            Letter::read(row(&[&COMMON[..], &more[..]].concat())).unwrap()
        };
        let first = letter("queue q, key k, message id 1", "FFff00");
        assert_eq!(first.payload, [255, 255, 0]);
        assert_eq!(first.identity(), letter("queue q, key k", "ffff00").identity());
        assert_ne!(first.identity(), letter("queue q, key j", "ffff00").identity());
        assert_ne!(first.identity(), letter("queue q, key k", "ffff").identity());
        assert!(first.decoded().is_none());
        assert!(letter("queue q, key k", "7b7d").decoded().is_some(), "{{}}");
    }

    #[test]
    fn a_row_that_no_sink_has_written_is_none() {
        assert!(Letter::read(row(&COMMON[1..])).is_none());
        assert!(Letter::read(row(&[&COMMON[..], &[("payload", "abc")]].concat())).is_none());
    }
}

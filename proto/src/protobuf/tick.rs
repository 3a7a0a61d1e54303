//! The tick on the wire, read and written by hand: it is the one message that comes by the
//! hundred thousand a second. Tests hold it against what prost makes of the schema.

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::decimal::{Price, Quantity};
use crate::event_time::EventTime;
use crate::protobuf::reader::Reader;
use crate::record::{RecordError, ensure_length};
use crate::tick_message::TickRef;

/// The envelope of a tick or of a batch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Meta<'a> {
    pub(super) source: &'a str,
    sequence: Option<u64>,
    event_time_ns: Option<i64>,
    pub(super) traceparent: &'a str,
    message_id: &'a str,
}

impl<'a> Meta<'a> {
    /// Reads fields into it: a message may hold its envelope in pieces.
    pub(super) fn merge(&mut self, bytes: &'a [u8]) -> Result<(), RecordError> {
        let mut reader = Reader(bytes);
        while let Some(key) = reader.key()? {
            match key.0 {
                1 => self.source = reader.text(key)?,
                2 => self.sequence = Some(reader.varint(key)?),
                3 => self.event_time_ns = Some(reader.sfixed64(key)?),
                4 => self.traceparent = reader.text(key)?,
                5 => self.message_id = reader.text(key)?,
                _ => reader.skip(key)?,
            }
        }
        Ok(())
    }
}

/// Reads one tick without allocating. Its names are those of the message: unchecked until they
/// are interned, or until [`TickRef::check`].
///
/// # Errors
/// When it is too long, not Protobuf, has no time or no price, or a number out of range.
pub fn decode_tick(bytes: &[u8]) -> Result<TickRef<'_>, RecordError> {
    ensure_length(bytes.len())?;
    decode_within(bytes, Meta::default())
}

/// Reads one tick; `outer` is the envelope of its batch.
pub(super) fn decode_within<'a>(
    bytes: &'a [u8],
    outer: Meta<'a>,
) -> Result<TickRef<'a>, RecordError> {
    let mut meta = Meta::default();
    let mut instrument = "";
    let (mut bid, mut ask, mut last, mut volume) = (0, 0, 0, None);
    let mut reader = Reader(bytes);
    while let Some(key) = reader.key()? {
        match key.0 {
            1 => meta.merge(reader.bytes(key)?)?,
            2 => instrument = reader.text(key)?,
            3 => bid = reader.sint64(key)?,
            4 => ask = reader.sint64(key)?,
            5 => last = reader.sint64(key)?,
            6 => volume = Some(reader.sint64(key)?),
            _ => reader.skip(key)?,
        }
    }
    let or_outer = |own: &'a str, outer| if own.is_empty() { outer } else { own };
    let tick = TickRef {
        source: or_outer(meta.source, outer.source),
        instrument,
        time: meta
            .event_time_ns
            .map(EventTime::from_ns)
            .ok_or(RecordError::Missing("event_time_ns"))?,
        sequence: meta.sequence,
        bid: Price::from_units(bid),
        ask: Price::from_units(ask),
        last: Price::from_units(last),
        volume: volume.map(Quantity::from_units),
        traceparent: or_outer(meta.traceparent, outer.traceparent),
        message_id: meta.message_id,
    };
    tick.check_numbers()?;
    Ok(tick)
}

/// Appends one tick to `out`, byte for byte what the schema's own encoder writes.
///
/// # Errors
/// When the tick breaks a rule; then `out` is as it was.
pub fn encode_tick(tick: &TickRef<'_>, out: &mut Vec<u8>) -> Result<(), RecordError> {
    tick.check()?;
    ensure_length(tick_len(tick))?;
    write_tick(tick, out);
    Ok(())
}

pub(super) fn write_tick(tick: &TickRef<'_>, out: &mut Vec<u8>) {
    encode_key(1, WireType::LengthDelimited, out);
    encode_varint(meta_len(tick) as u64, out);
    write_text(1, tick.source, out);
    if let Some(sequence) = tick.sequence {
        encode_key(2, WireType::Varint, out);
        encode_varint(sequence, out);
    }
    encode_key(3, WireType::SixtyFourBit, out);
    out.extend_from_slice(&tick.time.ns().to_le_bytes());
    write_text(4, tick.traceparent, out);
    write_text(5, tick.message_id, out);
    write_text(2, tick.instrument, out);
    for (tag, units) in numbers(tick) {
        if let Some(units) = units {
            encode_key(tag, WireType::Varint, out);
            encode_varint(zigzag(units), out);
        }
    }
}

/// How many bytes [`write_tick`] writes.
pub(super) fn tick_len(tick: &TickRef<'_>) -> usize {
    let meta = meta_len(tick);
    let numbers: usize = numbers(tick)
        .iter()
        .filter_map(|(_, units)| *units)
        .map(|units| 1 + encoded_len_varint(zigzag(units)))
        .sum();
    1 + encoded_len_varint(meta as u64) + meta + text_len(2, tick.instrument) + numbers
}

fn meta_len(tick: &TickRef<'_>) -> usize {
    text_len(1, tick.source)
        + tick.sequence.map_or(0, |sequence| 1 + encoded_len_varint(sequence))
        + 9
        + text_len(4, tick.traceparent)
        + text_len(5, tick.message_id)
}

fn numbers(tick: &TickRef<'_>) -> [(u32, Option<i64>); 4] {
    let price = |price: Price| (price != Price::ZERO).then_some(price.units());
    [
        (3, price(tick.bid)),
        (4, price(tick.ask)),
        (5, price(tick.last)),
        (6, tick.volume.map(Quantity::units)),
    ]
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(super) fn write_text(tag: u32, text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        encode_key(tag, WireType::LengthDelimited, out);
        encode_varint(text.len() as u64, out);
        out.extend_from_slice(text.as_bytes());
    }
}

pub(super) fn text_len(tag: u32, text: &str) -> usize {
    if text.is_empty() {
        return 0;
    }
    key_len(tag) + encoded_len_varint(text.len() as u64) + text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};
    use prost::Message;

    use super::{decode_tick, encode_tick};
    use crate::decimal::{Price, Quantity};
    use crate::event_time::EventTime;
    use crate::protobuf::meta;
    use crate::tick_message::{TickMessage, TickRef};
    use crate::wire;

    /// The tick as prost reads it, or nothing where prost or a rule refuses it.
    fn by_prost(bytes: &[u8]) -> Option<TickMessage> {
        let tick = wire::Tick::decode(bytes).ok()?;
        let meta = tick.meta.unwrap_or_default();
        let reference = TickRef {
            source: &meta.source,
            instrument: &tick.instrument,
            time: EventTime::from_ns(meta.event_time_ns?),
            sequence: meta.sequence,
            bid: Price::from_units(tick.bid.unwrap_or(0)),
            ask: Price::from_units(tick.ask.unwrap_or(0)),
            last: Price::from_units(tick.last.unwrap_or(0)),
            volume: tick.volume.map(Quantity::from_units),
            traceparent: &meta.traceparent,
            message_id: &meta.message_id,
        };
        reference.check_numbers().ok()?;
        Some(reference.to_message())
    }

    fn to_wire(tick: &TickMessage) -> wire::Tick {
        wire::Tick {
            meta: meta::to_wire(&tick.envelope),
            instrument: tick.instrument.clone(),
            bid: tick.bid.map(Price::units),
            ask: tick.ask.map(Price::units),
            last: tick.last.map(Price::units),
            volume: tick.volume.map(Quantity::units),
        }
    }

    proptest! {
        #[test]
        fn by_hand_and_by_prost_are_the_same_bytes(
            sequence in any::<Option<u64>>(),
            time in any::<i64>(),
            bid in 1..=Price::MAX.units(),
            ask in prop::option::of(-Price::MAX.units()..0),
            volume in prop::option::of(0..=Quantity::MAX.units()),
            id in "[!-~]{0,128}",
        ) {
            let tick = TickRef {
                source: "mt4",
                instrument: "EURUSD",
                time: EventTime::from_ns(time),
                sequence,
                bid: Price::from_units(bid),
                ask: Price::from_units(ask.unwrap_or(0)),
                last: Price::ZERO,
                volume: volume.map(Quantity::from_units),
                traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                message_id: &id,
            };
            let mut bytes = Vec::new();
            encode_tick(&tick, &mut bytes).unwrap();
            prop_assert_eq!(&bytes, &to_wire(&tick.to_message()).encode_to_vec());
            prop_assert_eq!(decode_tick(&bytes).unwrap(), tick);
        }

        #[test]
        fn by_hand_and_by_prost_accept_and_refuse_the_same(
            mut bytes in prop::collection::vec(any::<u8>(), 0..64),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<prop::sample::Index>(),
            good in any::<bool>(),
        ) {
            if good {
                let tick = wire::Tick {
                    meta: Some(wire::Meta {
                        source: "mt4".to_owned(),
                        event_time_ns: Some(1),
                        ..wire::Meta::default()
                    }),
                    instrument: "é".to_owned(),
                    bid: Some(1),
                    volume: Some(300),
                    ..wire::Tick::default()
                };
                bytes.splice(0..0, tick.encode_to_vec());
            }
            for (index, byte) in flips {
                if !bytes.is_empty() {
                    let index = index.index(bytes.len());
                    bytes[index] ^= byte;
                }
            }
            bytes.truncate(cut.index(bytes.len() + 1).max(bytes.len() / 2));
            let by_hand = decode_tick(&bytes).ok().map(|tick| tick.to_message());
            prop_assert_eq!(by_hand, by_prost(&bytes));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            if let Err(error) = decode_tick(&bytes) {
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }
}

//! Many ticks in one message. A broken frame refuses the whole message; a bad tick in a good frame
//! refuses that tick alone.

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use crate::protobuf::reader::Reader;
use crate::protobuf::tick::{Meta, decode_within, text_len, tick_len, write_text, write_tick};
use crate::record::{RecordError, ensure, ensure_length, ensure_name};
use crate::tick_message::TickRef;

const META: u32 = 1;
const TICK: u32 = 2;
const META_SOURCE: u32 = 1;

/// A batch whose frame was read; its ticks are read one by one.
#[derive(Debug, Clone, Copy)]
pub struct TickBatch<'a> {
    meta: Meta<'a>,
    bytes: &'a [u8],
    len: usize,
}

impl<'a> TickBatch<'a> {
    /// Reads the frame without allocating.
    ///
    /// # Errors
    /// When it is too long or not Protobuf.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, RecordError> {
        ensure_length(bytes.len())?;
        let mut batch = Self { meta: Meta::default(), bytes, len: 0 };
        let mut reader = Reader(bytes);
        while let Some(key) = reader.key()? {
            match key.0 {
                META => batch.meta.merge(reader.bytes(key)?)?,
                TICK => {
                    reader.bytes(key)?;
                    batch.len += 1;
                }
                _ => reader.skip(key)?,
            }
        }
        Ok(batch)
    }

    /// How many ticks it has, good and bad.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Tells whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What all ticks share, as it stands in the message; see [`Ticks::alone`].
    pub fn shared(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut reader = Reader(self.bytes);
        // The frame was read once, so nothing is wrong with it.
        while let Ok(Some(key)) = reader.key() {
            if key.0 != META {
                if reader.skip(key).is_err() {
                    break;
                }
            } else if let Ok(bytes) = reader.bytes(key) {
                write_field(META, bytes, &mut out);
            }
        }
        out
    }

    /// Reads the ticks in order, each with its own error.
    pub const fn ticks(&self) -> Ticks<'a> {
        Ticks { meta: self.meta, reader: Reader(self.bytes), frame: &[] }
    }
}

/// The ticks of a batch; see [`TickBatch::ticks`].
#[derive(Debug, Clone)]
pub struct Ticks<'a> {
    meta: Meta<'a>,
    reader: Reader<'a>,
    /// The bytes of the tick that was read last.
    frame: &'a [u8],
}

fn write_field(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

impl<'a> Ticks<'a> {
    /// Gives the message that has only the tick that was read last, good or bad, and what all of
    /// its message `shared`.
    pub fn alone(&self, shared: &[u8]) -> Vec<u8> {
        let mut out = shared.to_vec();
        write_field(TICK, self.frame, &mut out);
        out
    }

    fn frame(&mut self) -> Result<Option<&'a [u8]>, RecordError> {
        while let Some(key) = self.reader.key()? {
            if key.0 == TICK {
                return self.reader.bytes(key).map(Some);
            }
            self.reader.skip(key)?;
        }
        Ok(None)
    }
}

impl<'a> Iterator for Ticks<'a> {
    type Item = Result<TickRef<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.frame() {
            Ok(frame) => frame.map(|bytes| {
                self.frame = bytes;
                decode_within(bytes, self.meta)
            }),
            Err(error) => {
                self.reader = Reader(&[]);
                Some(Err(error))
            }
        }
    }
}

/// Appends ticks of one `source` to `out` as one message, the source written once.
///
/// # Errors
/// When a tick breaks a rule or is of another source, or the message would be too long; then `out`
/// is as it was.
pub fn encode_tick_batch(
    source: &str,
    ticks: &[TickRef<'_>],
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    ensure_name(source, "source")?;
    let meta = text_len(META_SOURCE, source);
    let mut bytes = 1 + encoded_len_varint(meta as u64) + meta;
    for tick in ticks {
        tick.check()?;
        ensure(tick.source == source, "source", "must be that of the batch")?;
        let length = tick_len(&TickRef { source: "", ..*tick });
        bytes += 1 + encoded_len_varint(length as u64) + length;
    }
    ensure_length(bytes)?;
    out.reserve(bytes);
    encode_key(META, WireType::LengthDelimited, out);
    encode_varint(meta as u64, out);
    write_text(META_SOURCE, source, out);
    for tick in ticks {
        let tick = TickRef { source: "", ..*tick };
        encode_key(TICK, WireType::LengthDelimited, out);
        encode_varint(tick_len(&tick) as u64, out);
        write_tick(&tick, out);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::{TickBatch, encode_tick_batch};
    use crate::decimal::Price;
    use crate::event_time::EventTime;
    use crate::tick_message::TickRef;
    use crate::wire;

    fn tick(bid: i64) -> TickRef<'static> {
        TickRef {
            source: "mt4",
            instrument: "EURUSD",
            time: EventTime::from_ns(bid),
            sequence: None,
            bid: Price::from_units(bid),
            ask: Price::ZERO,
            last: Price::ZERO,
            volume: None,
            traceparent: "",
            message_id: "",
        }
    }

    #[test]
    fn a_batch_gives_back_its_ticks_in_order() {
        let ticks: Vec<_> = (1..=1_000).map(tick).collect();
        let mut bytes = Vec::new();
        encode_tick_batch("mt4", &ticks, &mut bytes).unwrap();
        let batch = TickBatch::decode(&bytes).unwrap();
        assert_eq!(batch.len(), 1_000);
        let read: Vec<_> = batch.ticks().collect::<Result<_, _>>().unwrap();
        assert_eq!(read, ticks);
        assert_eq!(wire::TickBatch::decode(&*bytes).unwrap().encode_to_vec(), bytes);
    }

    #[test]
    fn one_bad_tick_does_not_cost_the_others() {
        let ticks = [tick(1), tick(2), tick(3)];
        let mut bytes = Vec::new();
        encode_tick_batch("mt4", &ticks, &mut bytes).unwrap();
        let mut message = wire::TickBatch::decode(&*bytes).unwrap();
        message.ticks[1].meta = None;
        let bytes = message.encode_to_vec();
        let read: Vec<_> = TickBatch::decode(&bytes).unwrap().ticks().collect();
        assert_eq!(read[0], Ok(ticks[0]));
        assert_eq!(read[1].as_ref().unwrap_err().reason(), "missing_field");
        assert_eq!(read[2], Ok(ticks[2]));
    }

    #[test]
    fn a_bad_tick_can_be_sent_alone() {
        let mut bytes = Vec::new();
        encode_tick_batch("mt4", &[tick(1), tick(2), tick(3)], &mut bytes).unwrap();
        let batch = TickBatch::decode(&bytes).unwrap();
        let (shared, mut ticks) = (batch.shared(), batch.ticks());
        ticks.nth(1).unwrap().unwrap();
        let alone = ticks.alone(&shared);
        let alone: Vec<_> = TickBatch::decode(&alone).unwrap().ticks().collect();
        assert_eq!(alone, [Ok(tick(2))]);
    }

    #[test]
    fn a_broken_frame_refuses_the_whole_message() {
        let mut bytes = Vec::new();
        encode_tick_batch("mt4", &[tick(1), tick(2)], &mut bytes).unwrap();
        bytes.pop();
        assert_eq!(TickBatch::decode(&bytes).unwrap_err().reason(), "malformed");
    }

    #[test]
    fn what_cannot_be_written_leaves_the_buffer_alone() {
        let other = TickRef { source: "mt5", ..tick(2) };
        let mut bytes = vec![7];
        assert!(encode_tick_batch("mt4", &[tick(1), other], &mut bytes).is_err());
        let many = vec![tick(1); 20_000];
        let refused = encode_tick_batch("mt4", &many, &mut bytes).unwrap_err();
        assert_eq!(refused.reason(), "too_large");
        assert_eq!(bytes, [7]);
    }
}

//! Protobuf: records to bytes and back, always checked. The schemas stand in `schemas/`.

mod chat;
mod market;
mod meta;
mod reader;
mod tick;
mod tick_batch;
mod trading;

pub use tick::{decode_tick, encode_tick};
pub use tick_batch::{TickBatch, Ticks, encode_tick_batch};

use prost::Message;

use crate::candle_message::CandleMessage;
use crate::chat_message::ChatMessage;
use crate::depth::Depth;
use crate::order::Order;
use crate::record::{Record, RecordError, ensure_length};
use crate::tick_message::TickMessage;
use crate::trade_event::TradeEvent;
use crate::trade_signal::TradeSignal;

/// The compiled schemas as a `google.protobuf.FileDescriptorSet`, for programs that read them at
/// run time.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tapeflow.v1.bin"));

/// A record with a Protobuf form.
pub trait Protobuf: Record {
    /// Appends the message to `out`; on an error `out` is as it was.
    ///
    /// # Errors
    /// When the record breaks a rule of its type, or the message would be too long to be read.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), RecordError>;

    /// Reads one whole message.
    ///
    /// # Errors
    /// When it is too long, not Protobuf, or no record: see [`RecordError`].
    fn decode(bytes: &[u8]) -> Result<Self, RecordError>;
}

/// The way between a record and what prost made of its schema.
trait Wire: Record {
    type Message: Message + Default;

    fn to_wire(&self) -> Self::Message;
    fn from_wire(message: Self::Message) -> Result<Self, RecordError>;
}

fn encode_wire<T: Wire>(record: &T, out: &mut Vec<u8>) -> Result<(), RecordError> {
    record.check()?;
    let message = record.to_wire();
    ensure_length(message.encoded_len())?;
    message.encode(out).map_err(malformed)
}

fn decode_wire<T: Wire>(bytes: &[u8]) -> Result<T, RecordError> {
    ensure_length(bytes.len())?;
    let record = T::from_wire(T::Message::decode(bytes).map_err(malformed)?)?;
    record.check()?;
    Ok(record)
}

fn malformed(error: impl ToString) -> RecordError {
    RecordError::malformed("protobuf", error)
}

macro_rules! protobuf {
    ($($record:ty),*) => {
        $(
            impl Protobuf for $record {
                fn encode(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
                    encode_wire(self, out)
                }

                fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
                    decode_wire(bytes)
                }
            }
        )*
    };
}

protobuf!(Depth, CandleMessage, TradeEvent, TradeSignal, Order, ChatMessage);

impl Protobuf for TickMessage {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        self.check()?;
        encode_tick(&self.borrow(&mut String::new()), out)
    }

    fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let tick = decode_tick(bytes)?;
        tick.check()?;
        Ok(tick.to_message())
    }
}

/// Takes `text` as absent when it is empty, as proto3 does.
fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

//! Reads a message field by field and borrows its texts, where prost would copy them.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::protobuf::malformed;
use crate::record::RecordError;

/// What is left of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

/// The number and the type of the field that comes next.
pub(super) type Key = (u32, WireType);

impl<'a> Reader<'a> {
    /// Gives the next field, or nothing at the end.
    pub(super) fn key(&mut self) -> Result<Option<Key>, RecordError> {
        if self.0.is_empty() {
            Ok(None)
        } else {
            decode_key(&mut self.0).map(Some).map_err(malformed)
        }
    }

    /// Steps over a field that this version does not know.
    pub(super) fn skip(&mut self, (tag, wire_type): Key) -> Result<(), RecordError> {
        skip_field(wire_type, tag, &mut self.0, DecodeContext::default()).map_err(malformed)
    }

    pub(super) fn varint(&mut self, key: Key) -> Result<u64, RecordError> {
        expect(key, WireType::Varint)?;
        decode_varint(&mut self.0).map_err(malformed)
    }

    /// A zigzag varint.
    pub(super) fn sint64(&mut self, key: Key) -> Result<i64, RecordError> {
        let value = self.varint(key)?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(super) fn sfixed64(&mut self, key: Key) -> Result<i64, RecordError> {
        expect(key, WireType::SixtyFourBit)?;
        let (value, rest) =
            self.0.split_first_chunk::<8>().ok_or_else(|| malformed("buffer underflow"))?;
        self.0 = rest;
        Ok(i64::from_le_bytes(*value))
    }

    pub(super) fn bytes(&mut self, key: Key) -> Result<&'a [u8], RecordError> {
        expect(key, WireType::LengthDelimited)?;
        let length = decode_varint(&mut self.0).map_err(malformed)?;
        let (value, rest) = usize::try_from(length)
            .ok()
            .and_then(|length| self.0.split_at_checked(length))
            .ok_or_else(|| malformed("buffer underflow"))?;
        self.0 = rest;
        Ok(value)
    }

    pub(super) fn text(&mut self, key: Key) -> Result<&'a str, RecordError> {
        std::str::from_utf8(self.bytes(key)?).map_err(malformed)
    }
}

fn expect((tag, found): Key, expected: WireType) -> Result<(), RecordError> {
    if found == expected {
        Ok(())
    } else {
        Err(malformed(format!("field {tag} has wire type {found:?}; expected {expected:?}")))
    }
}

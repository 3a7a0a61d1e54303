//! The envelope: where a message comes from, when it happened, which trace it belongs to.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event_time::EventTime;
use crate::record::{Record, RecordError, ensure, ensure_name};
use crate::traceparent::{Traceparent, lenient};

/// The longest message id, in bytes.
pub const MESSAGE_ID_BYTES_MAX: usize = 128;

/// What every message of the platform begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The system that made it: `mt4`, `mt5`, `ib`, `chat`.
    pub source: String,
    /// Orders messages of one source and one time, where the source numbers them.
    #[serde(default)]
    pub sequence: Option<u64>,
    /// When it happened at the venue. RFC 3339 in JSON: browsers have no 64-bit numbers.
    #[serde(with = "time")]
    pub time: EventTime,
    /// The trace; an invalid one was dropped when it was read.
    #[serde(default, deserialize_with = "lenient")]
    pub traceparent: Option<Traceparent>,
    /// Identity for removing duplicates: printable ASCII, at most [`MESSAGE_ID_BYTES_MAX`].
    #[serde(default)]
    pub message_id: Option<String>,
}

impl Envelope {
    /// Makes one with neither sequence nor trace nor message id.
    pub fn new(source: impl Into<String>, time: EventTime) -> Self {
        Self { source: source.into(), sequence: None, time, traceparent: None, message_id: None }
    }
}

impl Record for Envelope {
    const NAME: &'static str = "Meta";

    fn check(&self) -> Result<(), RecordError> {
        ensure_name(&self.source, "source")?;
        self.message_id.as_deref().map_or(Ok(()), check_message_id)
    }
}

/// Checks the form of a message id.
pub(crate) fn check_message_id(id: &str) -> Result<(), RecordError> {
    ensure(
        !id.is_empty()
            && id.len() <= MESSAGE_ID_BYTES_MAX
            && id.bytes().all(|byte| byte.is_ascii_graphic()),
        "message_id",
        "must be 1 to 128 printable ASCII characters",
    )
}

/// Event time for serde: RFC 3339 in text, nanoseconds in binary.
pub(crate) mod time {
    use super::{Deserialize, Deserializer, EventTime, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &EventTime, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.collect_str(time) } else { time.serialize(to) }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<EventTime, D::Error> {
        if from.is_human_readable() {
            String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
        } else {
            EventTime::deserialize(from)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Envelope;
    use crate::event_time::EventTime;
    use crate::record::Record;

    #[test]
    fn a_message_id_is_one_short_printable_word() {
        let mut envelope = Envelope::new("mt4", EventTime::from_ns(1));
        envelope.check().unwrap();
        for id in ["", "a b", "a\r\nb", "é", &"x".repeat(129)] {
            envelope.message_id = Some(id.to_owned());
            assert_eq!(envelope.check().unwrap_err().reason(), "invalid", "{id:?}");
        }
    }
}

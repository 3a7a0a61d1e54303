//! The envelope on the wire.

use crate::envelope::Envelope;
use crate::event_time::EventTime;
use crate::protobuf::some;
use crate::record::RecordError;
use crate::wire;

pub(super) fn to_wire(envelope: &Envelope) -> Option<wire::Meta> {
    Some(wire::Meta {
        source: envelope.source.clone(),
        sequence: envelope.sequence,
        event_time_ns: Some(envelope.time.ns()),
        traceparent: envelope.traceparent.map_or_else(String::new, |trace| trace.to_string()),
        message_id: envelope.message_id.clone().unwrap_or_default(),
    })
}

pub(super) fn from_wire(meta: Option<wire::Meta>) -> Result<Envelope, RecordError> {
    let meta = meta.ok_or(RecordError::Missing("meta"))?;
    Ok(Envelope {
        source: meta.source,
        sequence: meta.sequence,
        time: meta
            .event_time_ns
            .map(EventTime::from_ns)
            .ok_or(RecordError::Missing("event_time_ns"))?,
        traceparent: meta.traceparent.parse().ok(),
        message_id: some(meta.message_id),
    })
}

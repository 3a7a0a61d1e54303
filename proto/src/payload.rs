//! A payload: the bytes of one message of a broker, passed on as they are.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event_time::EventTime;
use crate::series::SeriesId;
use crate::traceparent::Traceparent;

/// One message that nobody decodes. Its series comes from the message's routing key or topic, so
/// that it can be routed, and the newest of a series told apart, without a look into the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// Which series it belongs to.
    pub series: SeriesId,
    /// When it was made, so far as the message says so beside its bytes; else when it was received.
    pub time: EventTime,
    /// What the bytes are, as the publisher says: `application/x-protobuf`.
    pub content_type: Option<Arc<str>>,
    /// The trace that it belongs to.
    pub traceparent: Option<Traceparent>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

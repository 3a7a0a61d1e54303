//! What is published and received, the same for both versions of the protocol.

use std::sync::Arc;

use bytes::Bytes;
use proto::event_time::EventTime;
use proto::traceparent::Traceparent;
use rumqttc::v5::mqttbytes::v5::PublishProperties;

/// The names of user properties.
const TRACEPARENT: &str = "traceparent";
const MESSAGE_ID: &str = "message-id";
const EVENT_TIME: &str = "x-event-time-ns";

/// What stands beside a payload; MQTT 3.1.1 has no place for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Properties {
    /// What the payload is: `application/x-protobuf`.
    pub content_type: Option<Arc<str>>,
    /// The trace that it belongs to.
    pub traceparent: Option<Traceparent>,
    /// Its identity, for removing duplicates.
    pub message_id: Option<Arc<str>>,
    /// When what it tells happened.
    pub time: Option<EventTime>,
}

/// What is to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where to.
    pub topic: Arc<str>,
    /// What.
    pub payload: Bytes,
    /// Beside it.
    pub properties: Properties,
}

/// What was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Where from; a topic that is no UTF-8, which the standard forbids, with marks in it.
    pub topic: String,
    /// What.
    pub payload: Bytes,
    /// Beside it.
    pub properties: Properties,
    /// When it was received.
    pub received: EventTime,
    /// How sure it was delivered, and so whether it is acknowledged.
    pub qos: u8,
    /// The broker says that it may have delivered it before.
    pub is_again: bool,
    /// Its number, until it is acknowledged, on its connection.
    pub(super) packet: u16,
    /// Its connection.
    pub(super) generation: u64,
}

impl Properties {
    /// Brings them into the form of MQTT 5.
    pub(super) fn to_wire(&self) -> PublishProperties {
        let mut user_properties = Vec::new();
        let mut add = |name: &str, value: String| user_properties.push((name.to_owned(), value));
        if let Some(trace) = &self.traceparent {
            add(TRACEPARENT, trace.to_string());
        }
        if let Some(id) = &self.message_id {
            add(MESSAGE_ID, (**id).to_owned());
        }
        if let Some(time) = self.time {
            add(EVENT_TIME, time.ns().to_string());
        }
        let content_type = self.content_type.as_deref().map(str::to_owned);
        PublishProperties { user_properties, content_type, ..PublishProperties::default() }
    }

    /// Reads them; what cannot be read is not there, and the first of a name counts.
    pub(super) fn from_wire(wire: PublishProperties) -> Self {
        let mut found = Self { content_type: wire.content_type.map(Arc::from), ..Self::default() };
        for (name, value) in wire.user_properties {
            match name.as_str() {
                TRACEPARENT if found.traceparent.is_none() => {
                    found.traceparent = value.parse().ok();
                }
                MESSAGE_ID if found.message_id.is_none() && !value.is_empty() => {
                    found.message_id = Some(value.into());
                }
                EVENT_TIME if found.time.is_none() => {
                    found.time = value.parse().ok().map(EventTime::from_ns);
                }
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proto::event_time::EventTime;
    use rumqttc::v5::mqttbytes::v5::PublishProperties;

    use super::Properties;

    #[test]
    fn what_stands_beside_a_payload_comes_back() {
        let properties = Properties {
            content_type: Some("application/json".into()),
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().ok(),
            message_id: Some("7".into()),
            time: Some(EventTime::from_ns(-1)),
        };
        assert_eq!(Properties::from_wire(properties.to_wire()), properties);
    }

    #[test]
    fn what_cannot_be_read_is_not_there() {
        let user_properties =
            [("traceparent", "x"), ("x-event-time-ns", "1e9"), ("message-id", "")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec();
        let wire = PublishProperties { user_properties, ..PublishProperties::default() };
        assert_eq!(Properties::from_wire(wire), Properties::default());
    }
}

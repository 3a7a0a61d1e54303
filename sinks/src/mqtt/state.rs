//! What the sink keeps in a checkpoint: the newest message of every topic.

use std::sync::Arc;

use brokers::mqtt::message::{Message, Properties};
use brokers::mqtt::publisher::Retained;
use bytes::Bytes;
use dataflows::fault::Fault;
use proto::event_time::EventTime;
use proto::traceparent::Traceparent;
use serde::{Deserialize, Serialize};

/// The form of the state; another one is not understood.
const VERSION: u8 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    topic: Arc<str>,
    payload: Vec<u8>,
    content_type: Option<Arc<str>>,
    traceparent: Option<String>,
    message_id: Option<Arc<str>>,
    time: Option<EventTime>,
}

/// Writes what is retained.
pub(super) fn save(retained: Retained) -> Result<Vec<u8>, Fault> {
    let keep = |message: Message| Kept {
        topic: message.topic,
        payload: message.payload.to_vec(),
        content_type: message.properties.content_type,
        traceparent: message.properties.traceparent.map(|trace| trace.to_string()),
        message_id: message.properties.message_id,
        time: message.properties.time,
    };
    let kept: Vec<Kept> = retained.into_values().map(keep).collect();
    postcard::to_stdvec(&(VERSION, kept)).map_err(|error| Fault::defect("sinks.mqtt", error))
}

/// Reads what [`save`] has written; nothing where nothing was kept.
pub(super) fn restore(id: &str, bytes: &[u8]) -> Result<Retained, Fault> {
    if bytes.is_empty() {
        return Ok(Retained::new());
    }
    let unknown = || {
        let message = "its state in the checkpoint is not understood; start over with --fresh";
        Fault::stop(format!("sinks.{id}"), message)
    };
    if bytes.first() != Some(&VERSION) {
        return Err(unknown());
    }
    let (_, kept): (u8, Vec<Kept>) = postcard::from_bytes(bytes).map_err(|_| unknown())?;
    let message = |kept: Kept| {
        let properties = Properties {
            content_type: kept.content_type,
            traceparent: kept.traceparent.and_then(|trace| trace.parse::<Traceparent>().ok()),
            message_id: kept.message_id,
            time: kept.time,
        };
        let message = Message { topic: kept.topic, payload: Bytes::from(kept.payload), properties };
        (message.topic.clone(), message)
    };
    Ok(kept.into_iter().map(message).collect())
}

#[cfg(test)]
mod tests {
    use brokers::mqtt::message::{Message, Properties};
    use brokers::mqtt::publisher::Retained;
    use bytes::Bytes;
    use proto::event_time::EventTime;

    use super::{restore, save};

    #[test]
    fn what_is_retained_comes_back_from_a_checkpoint() {
        let properties = Properties {
            content_type: Some("application/json".into()),
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().ok(),
            message_id: None,
            time: Some(EventTime::from_ns(7)),
        };
        let message =
            Message { topic: "a/b".into(), payload: Bytes::from_static(b"\0x"), properties };
        let retained = Retained::from([(message.topic.clone(), message)]);
        let bytes = save(retained.clone()).unwrap();
        assert_eq!(restore("live", &bytes).unwrap(), retained);
        assert_eq!(restore("live", &[]).unwrap(), Retained::new());
        for bad in [&[9][..], &bytes[..bytes.len() - 1]] {
            assert!(restore("live", bad).unwrap_err().to_string().contains("--fresh"));
        }
    }
}

//! What the sink publishes, as another client sees it.

use dataflows::batch::Rows;
use dataflows::clock::wall;
use dataflows::kind::Kind;
use proto::event_time::EventTime;
use proto::protobuf::decode_tick;
use proto::reject::Reject;
use serde_json::json;

use crate::mosquitto::Mosquitto;
use crate::parts::Stage;

#[test]
fn a_tick_goes_out_on_its_topic_with_either_protocol_and_qos() {
    let Some(broker) = Mosquitto::open() else { return };
    for (protocol, qos) in [("v5", 0), ("v5", 1), ("v3", 0), ("v3", 1)] {
        let stage = Stage::new("out");
        let listener = broker.listen("market/#", &[]);
        let mut play = stage.sink(
            Kind::Ticks,
            &json!({ "url": broker.url(), "topic": "market/{source}/{instrument}/tick",
                     "protocol": protocol, "qos": qos }),
        );
        let ticks: Vec<_> = (1..=300).map(|ns| stage.tick("EURUSD", ns, "1.1734")).collect();
        play.apply(Rows::Ticks(ticks)).unwrap();
        for (number, seen) in listener.take(300).iter().enumerate() {
            let tick = decode_tick(&seen.payload).unwrap();
            assert_eq!(tick.time.ns(), number as i64 + 1, "in order");
            assert_eq!((tick.source, tick.instrument), ("mt4", "EURUSD"));
            assert_eq!((&*seen.topic, seen.qos), ("market/mt4/EURUSD/tick", qos));
            assert!(!seen.retained);
        }
        assert_eq!(play.finish(), 300);
    }
}

#[test]
fn what_stands_beside_a_payload_goes_with_it() {
    let Some(broker) = Mosquitto::open() else { return };
    let stage = Stage::new("beside");
    let listener = broker.listen("#", &[]);
    let topic = "market/{source}/{instrument}/tick";
    let mut play = stage.sink(Kind::Ticks, &json!({ "url": broker.url(), "topic": topic }));
    play.apply(Rows::Ticks(vec![stage.tick("EURUSD", 7, "1.5")])).unwrap();
    let seen = listener.next();
    assert_eq!(seen.content_type, "application/x-protobuf");
    assert!(seen.properties.contains("x-event-time-ns:7"), "{seen:?}");
    assert!(seen.properties.contains("message-id:"), "{seen:?}");
    play.finish();

    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut payload = stage.payload("GBPUSD", 9, b"\0\xff|any bytes\n");
    payload.traceparent = trace.parse().ok();
    let mut play = stage.sink(Kind::Payloads, &json!({ "url": broker.url(), "topic": topic }));
    play.apply(Rows::Payloads(vec![payload.clone()])).unwrap();
    let seen = listener.next();
    assert_eq!(seen.payload, payload.bytes, "byte for byte");
    assert_eq!(seen.content_type, "application/x-protobuf");
    assert!(seen.properties.contains(&format!("traceparent:{trace}")), "{seen:?}");
    play.finish();

    let bare = json!({ "url": broker.url(), "topic": topic, "properties": false });
    let mut play = stage.sink(Kind::Payloads, &bare);
    play.apply(Rows::Payloads(vec![payload])).unwrap();
    let seen = listener.next();
    assert_eq!((&*seen.content_type, &*seen.properties), ("", ""));
    play.finish();
}

#[test]
fn json_is_the_platforms_own() {
    let Some(broker) = Mosquitto::open() else { return };
    let stage = Stage::new("json");
    let listener = broker.listen("#", &[]);
    let config =
        json!({ "url": broker.url(), "topic": "m/{source}/{instrument}", "format": "json" });
    let mut play = stage.sink(Kind::Ticks, &config);
    let mut tick = stage.tick("EURUSD", 1_536_935_412_000_000_000, "1.1734");
    tick.flags = 0;
    play.apply(Rows::Ticks(vec![tick])).unwrap();
    assert_eq!(listener.next().text(), r#"{"b":1.1734,"t":1536935412}"#);
    play.finish();

    let reject = Reject {
        component: "clean".to_owned(),
        reason: "late".to_owned(),
        detail: "too late".to_owned(),
        place: None,
        clock: EventTime::from_ns(0),
        tick: None,
        payload: b"x".to_vec(),
    };
    let config = json!({ "url": broker.url(), "topic": "dead/{component}/{reason}" });
    let mut play = stage.sink(Kind::Rejects, &config);
    play.apply(Rows::Rejects(vec![reject])).unwrap();
    let seen = listener.next();
    assert_eq!(seen.topic, "dead/clean/late");
    let value: serde_json::Value = serde_json::from_slice(&seen.payload).unwrap();
    assert_eq!(value["detail"], "too late");
    play.finish();
}

#[test]
fn of_an_epoch_only_the_newest_goes_out_and_nothing_that_is_too_old() {
    let Some(broker) = Mosquitto::open() else { return };
    let stage = Stage::new("fresh");
    let listener = broker.listen("#", &[]);
    let config = json!({ "url": broker.url(), "topic": "{source}/{instrument}", "conflate": true,
                         "max_age": "1h" });
    let now = wall().ns();
    let mut play = stage.sink(Kind::Payloads, &config);
    let old = now - 2 * 3_600_000_000_000;
    play.apply(Rows::Payloads(vec![
        stage.payload("EURUSD", now - 3, b"first"),
        stage.payload("GBPUSD", now - 2, b"only"),
        stage.payload("EURUSD", now - 1, b"newest"),
        stage.payload("EURUSD", now - 2, b"late"),
        stage.payload("USDJPY", old, b"stale"),
    ]))
    .unwrap();
    play.apply(Rows::Payloads(vec![stage.payload("EURUSD", now, b"next")])).unwrap();
    let seen: Vec<String> = listener.take(3).iter().map(super::mosquitto::Seen::text).collect();
    assert_eq!(seen, ["only", "newest", "next"]);
    assert_eq!(play.finish(), 3);
}

#[test]
fn a_name_that_cannot_be_a_level_publishes_nothing_and_stops_nothing() {
    let Some(broker) = Mosquitto::open() else { return };
    let stage = Stage::new("hostile");
    let listener = broker.listen("#", &[]);
    let config = json!({ "url": broker.url(), "topic": "dead/{component}/{reason}" });
    let mut play = stage.sink(Kind::Rejects, &config);
    let reject = |reason: &str| Reject {
        component: "c".to_owned(),
        reason: reason.to_owned(),
        detail: String::new(),
        place: None,
        clock: EventTime::from_ns(0),
        tick: None,
        payload: Vec::new(),
    };
    let reasons = ["#", "a/b", "+", "", "$SYS", "a\0b", &"x".repeat(70_000), "fine"];
    play.apply(Rows::Rejects(reasons.map(reject).to_vec())).unwrap();
    assert_eq!(listener.next().topic, "dead/c/fine");
    assert_eq!(play.finish(), 1);
}

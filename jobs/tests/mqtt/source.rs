//! What the source reads, as another client has published it.

use dataflows::batch::Rows;
use proto::event_time::EventTime;
use proto::protobuf::{encode_tick, encode_tick_batch};
use proto::tick::Tick;
use proto::tick_message::TickRef;
use serde_json::json;

use crate::mosquitto::Mosquitto;
use crate::parts::{Stage, read};

fn tick(instrument: &str, sequence: u64) -> TickRef<'_> {
    TickRef {
        source: "mt4",
        instrument,
        time: EventTime::from_ns(5),
        sequence: Some(sequence),
        bid: "1.5".parse().unwrap(),
        ask: "1.6".parse().unwrap(),
        last: "0".parse().unwrap(),
        volume: None,
        traceparent: "",
        message_id: "",
    }
}

fn encoded(tick: &TickRef<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_tick(tick, &mut bytes).unwrap();
    bytes
}

#[test]
fn every_format_is_read_and_what_is_none_is_rejected_with_its_topic() {
    let Some(broker) = Mosquitto::open() else { return };
    for protocol in ["v5", "v3"] {
        let stage = Stage::new("formats");
        let config = json!({ "url": broker.url(), "topics": ["m/+/+"], "protocol": protocol,
                             "format": "tick_batch", "template": "m/{source}/{instrument}" });
        let mut source = stage.source(&config);
        // A broker that is asked twice for a client's session has it from then on.
        broker.publish("m/mt4/EURUSD", b"", &["-q", "1"]);
        let mut batch = Vec::new();
        let ticks = [tick("EURUSD", 1), tick("GBPUSD", 2)];
        let publish = || {
            let mut bytes = Vec::new();
            encode_tick_batch("mt4", &ticks, &mut bytes).unwrap();
            broker.publish("m/mt4/EURUSD", &bytes, &["-q", "1"]);
            bytes
        };
        // Until it is subscribed, nothing comes.
        let stop = std::sync::atomic::AtomicBool::new(false);
        crate::mosquitto::eventually("it is subscribed", || {
            batch = publish();
            let intake = source.next(&stop).unwrap().unwrap();
            !intake.rows.is_empty()
        });
        assert!(!batch.is_empty());
        broker.publish("m/mt4/EURUSD", b"\xff\xff\xff", &["-q", "1"]);
        let given = read(source.as_mut(), 1);
        let reject = given.rejects.last().unwrap();
        assert_eq!(reject.reason, "malformed");
        assert_eq!(reject.place.as_deref(), Some("topic m/mt4/EURUSD"));
        assert_eq!(reject.payload, b"\xff\xff\xff");
        if protocol == "v5" {
            // What says that it is JSON is read as JSON.
            let json = br#"{"b":1.25,"t":1536935412}"#;
            let more = ["-q", "1", "-D", "publish", "content-type", "application/json"];
            broker.publish("m/ib/AAPL", json, &more);
            let given = read(source.as_mut(), 1);
            let series = stage.series.get(given.ticks[0].series).unwrap();
            assert_eq!((&*series.source, &*series.instrument), ("ib", "AAPL"));
            assert_eq!(given.ticks[0].bid, "1.25".parse().unwrap());
        }
    }
}

/// Waits until the source is subscribed: a message that is retained has come.
fn settled(source: &mut dyn dataflows::component::source::Source) {
    let given = read(source, 1);
    source.settle(&given.last.unwrap().position).unwrap();
}

#[test]
fn payloads_are_passed_on_as_they_are_and_no_topic_can_lie() {
    let Some(broker) = Mosquitto::open() else { return };
    let stage = Stage::new("bytes");
    broker.publish("market/mt4/FIRST/tick", b"first", &["-r", "-q", "1"]);
    let config = json!({ "url": broker.url(), "topics": "market/#", "format": "bytes",
                         "template": "market/{source}/{instrument}/tick" });
    let mut source = stage.source(&config);
    settled(source.as_mut());
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let user = ["-D", "publish", "user-property"];
    let mut more = vec!["-q", "1", "-D", "publish", "content-type", "application/x-protobuf"];
    more.extend(user.iter().chain(&["traceparent", trace]));
    more.extend(user.iter().chain(&["x-event-time-ns", "42"]));
    more.extend(user.iter().chain(&["message-id", "a-7"]));
    broker.publish("market/mt4/EURUSD/tick", b"\0\xff bytes", &more);
    broker.publish("market/mt4/EUR'; DROP/tick", b"x", &["-q", "1"]);
    broker.publish("market/mt4/a/b/tick", b"y", &["-q", "1"]);
    broker.publish(&format!("market/mt4/{}/tick", "x".repeat(60_000)), b"z", &["-q", "1"]);
    broker.publish("market/mt4/../tick", b"z", &["-q", "1"]);
    broker.publish("market/mt4//tick", b"z", &["-q", "1"]);
    let given = read(source.as_mut(), 6);
    assert_eq!(given.payloads.len(), 1);
    let payload = &given.payloads[0];
    assert_eq!(payload.bytes, b"\0\xff bytes");
    assert_eq!(payload.time.ns(), 42);
    assert_eq!(payload.content_type.as_deref(), Some("application/x-protobuf"));
    assert_eq!(payload.traceparent, trace.parse().ok());
    let reasons: Vec<&str> = given.rejects.iter().map(|reject| &*reject.reason).collect();
    assert_eq!(reasons, ["bad_name", "bad_topic", "bad_topic", "bad_name", "bad_topic"]);
    assert!(given.rejects.iter().all(|reject| reject.place.as_ref().unwrap().len() < 300));
    assert_eq!(given.ids.len(), 6);
    assert_eq!(given.ids.iter().flatten().count(), 1, "only one has said what it is called");
}

#[test]
fn what_was_not_settled_comes_again_under_the_same_name_and_no_more() {
    let Some(broker) = Mosquitto::open() else { return };
    for protocol in ["v5", "v3"] {
        let stage = Stage::new(&format!("again-{protocol}"));
        broker.publish("start", &encoded(&tick("EURUSD", 0)), &["-r", "-q", "1"]);
        let config =
            json!({ "url": broker.url(), "topics": ["start", "again"], "protocol": protocol });
        let mut source = stage.source(&config);
        settled(source.as_mut());
        let publish = |sequence: u64| {
            let id = sequence.to_string();
            let tick = TickRef { message_id: &id, ..tick("EURUSD", sequence) };
            broker.publish("again", &encoded(&tick), &["-q", "1"]);
        };
        (1..=3).for_each(publish);
        let first = read(source.as_mut(), 3);
        (4..=5).for_each(publish);
        let rest = read(source.as_mut(), 2);
        // The farewell comes behind the receipts.
        source.settle(&first.last.as_ref().unwrap().position).unwrap();
        drop(source);
        let is_of = |tick: &Tick| tick.sequence > 0;
        let mut source = stage.source(&config);
        broker.publish("again", &encoded(&tick("EURUSD", 6)), &["-q", "1"]);
        let again = read(source.as_mut(), 3);
        let sequences: Vec<u64> =
            again.ticks.iter().filter(|tick| is_of(tick)).map(|tick| tick.sequence).collect();
        assert_eq!(sequences, [4, 5, 6], "{protocol}");
        let names = |given: &crate::parts::Given| -> Vec<u128> {
            given.ids.iter().flatten().copied().collect()
        };
        assert_eq!(names(&again), names(&rest), "{protocol}: told by their ids");
        let redelivered = again.ticks.iter().filter(|tick| tick.has(Tick::IS_REDELIVERED)).count();
        assert_eq!(redelivered, 2, "{protocol}");
        source.settle(&again.last.unwrap().position).unwrap();
    }
}

#[test]
fn a_group_shares_what_comes() {
    let Some(broker) = Mosquitto::open() else { return };
    let config = json!({ "url": broker.url(), "topics": ["$share/workers/shared/#", "ready"],
                         "format": "bytes", "source": "s", "instrument": "i" });
    broker.publish("ready", b"ready", &["-r", "-q", "1"]);
    let stages = ["first", "second"].map(|id| Stage::new(&format!("share-{id}")));
    let mut sources = stages.each_ref().map(|stage| stage.source(&config));
    sources.iter_mut().for_each(|source| settled(source.as_mut()));
    let numbers: Vec<String> = (0..20).map(|number| format!("{number:02}")).collect();
    for number in &numbers {
        broker.publish("shared/x", number.as_bytes(), &["-q", "1"]);
    }
    let mut all: Vec<String> = Vec::new();
    let mut counts = [0, 0];
    let stop = std::sync::atomic::AtomicBool::new(false);
    crate::mosquitto::eventually("all have come", || {
        for (source, count) in sources.iter_mut().zip(&mut counts) {
            let intake = source.next(&stop).unwrap().unwrap();
            let Rows::Payloads(payloads) = intake.rows else { panic!("no payloads") };
            *count += payloads.len();
            all.extend(payloads.into_iter().map(|p| String::from_utf8(p.bytes).unwrap()));
            source.settle(&intake.position).unwrap();
        }
        all.len() >= 20
    });
    all.sort_unstable();
    assert_eq!(all, numbers, "each once");
    assert!(counts.iter().all(|count| *count > 0), "both have some: {counts:?}");
}

//! The source `amqp` by itself: every format, poison, kinds of queues, acknowledgements.

use brokers::amqp::lapin::BasicProperties;
use brokers::amqp::lapin::types::{AMQPValue, FieldTable};
use proto::protobuf::{encode_tick, encode_tick_batch};
use proto::tick::Tick;
use serde_json::{Value, json};

use crate::parts::open;
use crate::rabbit::{Rabbit, rabbit, reference, tick, ticks};

const PROTOBUF: &str = "application/x-protobuf";

/// A source bound to an exchange of the test's own, with further settings.
fn config(rabbit: &Rabbit, more: Value) -> (String, String, Value) {
    let (exchange, queue) = (rabbit.own("in"), rabbit.own("queue"));
    let mut config = json!({ "url": rabbit.url, "exchange": exchange, "queue": queue });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    (exchange, queue, config)
}

#[test]
fn ticks_come_one_by_one_in_batches_and_in_json_as_the_content_type_says() {
    let Some(rabbit) = rabbit() else { return };
    let json = br#"{"b":1.1734,"a":1.1736,"t":1536935412}"#;
    let (exchange, _, config_of_tick) = config(&rabbit, json!({}));
    let mut reading = open("formats", &config_of_tick, None).unwrap();
    rabbit.publish_one(&exchange, "market.mt4.EURUSD.tick", PROTOBUF, &tick("mt4", "EURUSD", 7));
    rabbit.publish_one(&exchange, "market.mt5.BRK.B.tick", "application/json", json);
    reading.until(2, 0, 0);
    let names: Vec<_> = reading
        .ticks
        .iter()
        .map(|tick| reading.series.get(tick.series).unwrap())
        .map(|series| format!("{} {}", series.source, series.instrument))
        .collect();
    assert_eq!(names, ["mt4 EURUSD", "mt5 BRK.B"]);
    assert_eq!(reading.ticks[1].time.ns(), 1_536_935_412_000_000_000);
    drop(reading);

    let batch = json!({ "format": "tick_batch", "queue": rabbit.own("batches") });
    let (exchange, _, config_of_batches) = config(&rabbit, batch);
    let mut reading = open("formats", &config_of_batches, None).unwrap();
    let all: Vec<_> = (0..100).map(|number| reference("mt4", "EURUSD", number)).collect();
    let mut bytes = Vec::new();
    encode_tick_batch("mt4", &all, &mut bytes).unwrap();
    rabbit.publish_one(&exchange, "batch", PROTOBUF, &bytes);
    reading.until(100, 0, 0);
    assert_eq!(reading.sequences(), (0..100).collect::<Vec<u64>>());
    assert_eq!((reading.deliveries.len(), reading.deliveries[0].rows), (1, 100));
}

#[test]
fn payloads_keep_every_byte_and_take_their_series_and_time_from_beside_it() {
    let Some(rabbit) = rabbit() else { return };
    let (exchange, _, config) = config(&rabbit, json!({ "format": "bytes" }));
    let mut reading = open("bytes", &config, None).unwrap();
    let bytes: Vec<u8> = (0..=255).collect();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut headers = FieldTable::default();
    headers.insert("x-event-time-ns".into(), AMQPValue::LongLongInt(1_234_567_890));
    headers.insert("traceparent".into(), AMQPValue::LongString(trace.into()));
    let properties = BasicProperties::default().with_content_type("application/odd".into());
    let with_headers = properties.clone().with_headers(headers);
    let key = "market.mt4.EURUSD.tick".to_owned();
    rabbit.publish(
        &exchange,
        &[
            (key.clone(), with_headers, bytes.clone()),
            (key.clone(), properties.clone().with_timestamp(1_536_935_412), bytes.clone()),
            (key.clone(), properties, bytes.clone()),
            ("something.else".to_owned(), BasicProperties::default(), bytes.clone()),
            ("market.mt4.a/b.tick".to_owned(), BasicProperties::default(), bytes.clone()),
        ],
    );
    let before = dataflows::clock::wall();
    reading.until(0, 3, 2);
    assert!(reading.payloads.iter().all(|payload| payload.bytes == bytes));
    let times: Vec<i64> = reading.payloads.iter().map(|payload| payload.time.ns()).collect();
    assert_eq!(times[..2], [1_234_567_890, 1_536_935_412_000_000_000]);
    let second = 1_000_000_000;
    assert!((before.ns() - times[2]).abs() < 60 * second, "the third says nothing: receipt");
    assert_eq!(reading.payloads[0].content_type.as_deref(), Some("application/odd"));
    assert_eq!(reading.payloads[0].traceparent.unwrap().to_string(), trace);
    let reasons: Vec<&str> = reading.rejects.iter().map(|reject| reject.reason.as_str()).collect();
    assert_eq!(reasons, ["bad_key", "bad_name"]);
}

#[test]
fn poison_goes_to_dead_with_its_place_and_reason_and_everything_else_goes_on() {
    let Some(rabbit) = rabbit() else { return };
    let (exchange, queue, config) = config(&rabbit, json!({}));
    let mut reading = open("poison", &config, None).unwrap();
    let mut odd = Vec::new();
    let names =
        ["EURUSD/#", "+", "../../etc", "'); DROP TABLE candles;--", "a\0b", &"x".repeat(65_536)];
    let good = tick("mt4", "GOOD", 1);
    for name in names {
        // By hand: no encoder of ours writes such a name.
        let mut bytes = vec![0x12];
        let mut length = name.len();
        while length >= 0x80 {
            bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend(name.as_bytes());
        let mut tick = Vec::new();
        encode_tick(&reference("mt4", "X", 1), &mut tick).unwrap();
        tick.extend(bytes); // a field that comes twice: the last one counts
        odd.push(tick);
    }
    odd.push(b"\xff\xff".to_vec());
    odd.push(Vec::new());
    odd.push(vec![0; 300_000]);
    odd.push(vec![0x12, 0x03, 0xed, 0xa0, 0x80]); // a lone surrogate
    let count = odd.len();
    for (number, body) in odd.into_iter().enumerate() {
        let id = format!("poison-{number}");
        let properties = BasicProperties::default().with_message_id(id.as_str().into());
        let key = format!("market.mt4.{number}.tick");
        rabbit.publish(&exchange, &[(key, properties, body)]);
        rabbit.publish_one(&exchange, "market.mt4.GOOD.tick", PROTOBUF, &good);
    }
    reading.until(count, 0, count);
    let reasons: Vec<&str> = reading.rejects.iter().map(|reject| reject.reason.as_str()).collect();
    assert_eq!(reasons[..6], ["bad_name"; 6]);
    assert_eq!(reasons[6..], ["malformed", "missing_field", "too_large", "malformed"]);
    for (number, reject) in reading.rejects.iter().enumerate() {
        let place = reject.place.as_deref().unwrap();
        let cut = if reject.reason == "too_large" { ", cut from 300000" } else { "" };
        let wanted =
            format!("queue {queue}, key market.mt4.{number}.tick, message id poison-{number}{cut}");
        assert_eq!(place, wanted);
        assert!(reject.payload.len() <= 262_144 && reject.detail.len() < 500, "{reject:?}");
    }
    reading.settle();
    drop(reading);
    assert_eq!(rabbit.waiting(&queue), 0, "poison is acknowledged, too");
}

#[test]
fn what_was_not_acknowledged_comes_again_marked_and_with_the_same_identity() {
    let Some(rabbit) = rabbit() else { return };
    for kind in ["classic", "quorum"] {
        let settings = json!({ "queue_type": kind, "queue": rabbit.own(kind) });
        let (exchange, _, config) = config(&rabbit, settings);
        let mut reading = open("again", &config, None).unwrap();
        rabbit.publish(&exchange, &ticks(0..100));
        reading.until(100, 0, 0);
        let first = reading.deliveries.clone();
        assert!(first.iter().all(|delivery| delivery.id.is_some()));
        drop(reading);

        let mut reading = open("again", &config, None).unwrap();
        reading.until(100, 0, 0);
        assert_eq!(reading.sequences(), (0..100).collect::<Vec<u64>>(), "in their order");
        assert!(reading.ticks.iter().all(|tick| tick.has(Tick::IS_REDELIVERED)), "{kind}");
        assert_eq!(reading.deliveries, first);
        reading.settle();
        drop(reading);

        let mut reading = open("again", &config, None).unwrap();
        rabbit.publish(&exchange, &ticks(100..101));
        reading.until(1, 0, 0);
        assert_eq!(reading.sequences(), [100], "what was acknowledged is gone");
        reading.settle();
    }
}

#[test]
fn the_same_id_of_another_publisher_or_key_is_another_message() {
    let Some(rabbit) = rabbit() else { return };
    let (exchange, _, config) = config(&rabbit, json!({}));
    let mut reading = open("ids", &config, None).unwrap();
    let properties = BasicProperties::default().with_message_id("1".into());
    let of_app = properties.clone().with_app_id("mt5".into());
    let body = tick("mt4", "EURUSD", 1);
    let keys = ["market.mt4.EURUSD.tick", "market.mt4.GBPUSD.tick"].map(str::to_owned);
    rabbit.publish(
        &exchange,
        &[
            (keys[0].clone(), properties.clone(), body.clone()),
            (keys[0].clone(), of_app, body.clone()),
            (keys[1].clone(), properties, body.clone()),
            (keys[0].clone(), BasicProperties::default(), body),
        ],
    );
    reading.until(4, 0, 0);
    let mut ids: Vec<_> = reading.deliveries.iter().map(|delivery| delivery.id).collect();
    assert_eq!(ids.iter().flatten().count(), 3, "without a name there is no identity");
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn a_stream_is_read_again_from_the_place_where_the_job_stood() {
    let Some(rabbit) = rabbit() else { return };
    let (exchange, _, config) = config(&rabbit, json!({ "queue_type": "stream" }));
    let mut reading = open("stream", &config, None).unwrap();
    rabbit.publish(&exchange, &ticks(0..5_000));
    reading.until(5_000, 0, 0);
    assert_eq!(reading.sequences(), (0..5_000).collect::<Vec<u64>>());
    assert!(reading.deliveries.is_empty(), "its place is its identity");
    let stood = reading.position.clone();
    drop(reading);

    rabbit.publish(&exchange, &ticks(5_000..5_010));
    let mut again = open("stream", &config, Some(stood)).unwrap();
    again.until(10, 0, 0);
    assert_eq!(again.sequences(), (5_000..5_010).collect::<Vec<u64>>(), "neither gap nor repeat");
    drop(again);

    let mut config = config;
    config["offset"] = json!(4_999);
    let mut reading = open("stream", &config, None).unwrap();
    reading.until(11, 0, 0);
    assert_eq!(reading.sequences()[0], 4_999);
}

#[test]
fn everything_that_a_job_can_say_of_a_queue_is_declared() {
    let Some(rabbit) = rabbit() else { return };
    let dead = rabbit.own("dead");
    rabbit.exchange(&dead);
    let (exchange, queue, config) = config(
        &rabbit,
        json!({
            "binding": ["market.mt4.#", "market.ib.*.tick"],
            "max_length": 2, "overflow": "drop-head", "message_ttl": "1h",
            "dead_letter_exchange": dead, "single_active_consumer": true,
            "arguments": { "x-max-length-bytes": 1_000_000 }
        }),
    );
    let reading = open("declared", &config, None).unwrap();
    drop(reading);
    let text = |text: &str| AMQPValue::LongString(text.into());
    // Declared again by somebody else: the broker compares every argument.
    rabbit.queue(
        &queue,
        None,
        &[
            ("x-max-length", AMQPValue::LongLongInt(2)),
            ("x-overflow", text("drop-head")),
            ("x-message-ttl", AMQPValue::LongLongInt(3_600_000)),
            ("x-dead-letter-exchange", text(&dead)),
            ("x-single-active-consumer", AMQPValue::Boolean(true)),
            ("x-max-length-bytes", AMQPValue::LongLongInt(1_000_000)),
        ],
    );
    let dropped = rabbit.own("dropped");
    rabbit.queue(&dropped, Some(&dead), &[]);
    for key in ["market.mt4.A.tick", "market.ib.B.tick", "market.mt5.C.tick", "market.mt4.D.tick"] {
        rabbit.publish_one(&exchange, key, PROTOBUF, b"x");
    }
    assert_eq!(rabbit.take(&dropped, 1)[0].routing_key.as_str(), "market.mt4.A.tick");
    assert_eq!(rabbit.waiting(&queue), 2, "mt5 is not bound, and two are kept");
}

#[test]
fn an_exchange_can_route_by_headers_and_by_a_hash_of_the_key() {
    let Some(rabbit) = rabbit() else { return };
    let (exchange, queue, config_of_headers) = config(
        &rabbit,
        json!({
            "exchange_type": "headers", "binding": "",
            "binding_headers": { "x-match": "all", "kind": "tick", "level": 1 }
        }),
    );
    let mut reading = open("headers", &config_of_headers, None).unwrap();
    let mut headers = FieldTable::default();
    headers.insert("kind".into(), AMQPValue::LongString("tick".into()));
    let body = tick("mt4", "EURUSD", 1);
    let some = BasicProperties::default().with_headers(headers.clone());
    headers.insert("level".into(), AMQPValue::LongLongInt(1));
    let all = BasicProperties::default().with_headers(headers);
    rabbit.publish(&exchange, &[("a".to_owned(), some, body.clone())]);
    rabbit.publish(&exchange, &[("b".to_owned(), all, body.clone())]);
    reading.until(1, 0, 0);
    reading.settle();
    drop(reading);
    assert_eq!(rabbit.waiting(&queue), 0, "the other one did not fit");

    let (exchange, queue) = (rabbit.own("hashed"), rabbit.own("share"));
    let settings = json!({
        "exchange": exchange, "queue": queue, "exchange_type": "x-consistent-hash", "binding": "1"
    });
    let (_, _, config_of_hash) = config(&rabbit, settings);
    match open("hash", &config_of_hash, None) {
        Err(fault) => {
            let said = fault.to_string();
            assert!(said.contains("is a plugin missing"), "{said}");
            eprintln!("SKIPPED: the plugin rabbitmq_consistent_hash_exchange is not enabled");
        }
        Ok(mut reading) => {
            rabbit.publish_one(&exchange, "any", PROTOBUF, &body);
            reading.until(1, 0, 0);
        }
    }
}

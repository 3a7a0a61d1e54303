//! The sink `amqp` by itself: what each kind of row becomes.

use brokers::amqp::lapin::types::AMQPValue;
use dataflows::batch::Rows;
use dataflows::component::sink::{Durable, Ending, Guarantee, Sink};
use dataflows::kind::Kind;
use proto::candle::{Basis, Candle, Ohlc, Reason};
use proto::candle_message::CandleMessage;
use proto::event_time::EventTime;
use proto::payload::Payload;
use proto::protobuf::Protobuf;
use proto::reject::Reject;
use proto::series::SeriesTable;
use serde_json::{Value, json};

use crate::parts::{open_sink, sealed};
use crate::rabbit::{Rabbit, rabbit, reference};

struct Out {
    rabbit: Rabbit,
    series: SeriesTable,
    exchange: String,
    behind: String,
}

impl Out {
    fn new() -> Option<Self> {
        let rabbit = rabbit()?;
        let (exchange, behind) = (rabbit.own("out"), rabbit.own("behind"));
        rabbit.exchange(&exchange);
        rabbit.queue(&behind, Some(&exchange), &[]);
        Some(Self { rabbit, series: SeriesTable::new(), exchange, behind })
    }

    fn sink(&self, kind: Kind, more: Value, durable: Option<Durable>) -> Box<dyn Sink> {
        let mut config = json!({ "url": self.rabbit.url, "exchange": self.exchange });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        open_sink("job", &config, kind, &self.series, durable).unwrap()
    }

    /// Publishes rows as epoch 1 and gives key, content type, headers as text, and body.
    fn publish(&self, rows: Rows, more: Value) -> Vec<(String, String, String, Vec<u8>)> {
        let (kind, count) = (rows.kind(), rows.len());
        let mut sink = self.sink(kind, more, None);
        sink.apply(sealed(1, rows)).unwrap();
        let report = sink.finish(Ending::Complete).unwrap();
        assert_eq!(report.rows, count as u64);
        let messages = self.rabbit.take(&self.behind, count);
        let message = |message: brokers::amqp::lapin::message::BasicGetMessage| {
            let properties = &message.properties;
            let headers = properties.headers().clone().unwrap_or_default();
            let header = |(name, value): (&_, &AMQPValue)| match value {
                AMQPValue::LongString(text) => format!("{name}={text}"),
                AMQPValue::LongLongInt(number) => format!("{name}={number}"),
                other => format!("{name}={other:?}"),
            };
            let headers: Vec<String> = headers.inner().iter().map(header).collect();
            let kind = properties.content_type().as_ref().map_or("", |kind| kind.as_str());
            assert_eq!(*properties.delivery_mode(), Some(2), "it outlives the broker");
            let key = message.routing_key.as_str().to_owned();
            (key, kind.to_owned(), headers.join(" "), message.data.clone())
        };
        messages.into_iter().map(message).collect()
    }

    fn candle(&self) -> Candle {
        let price = "1.1".parse().unwrap();
        let ohlc = Ohlc { open: price, high: price, low: price, close: price };
        Candle {
            series: self.series.intern("ib", "BRK.B").unwrap(),
            timeframe: "1m".parse().unwrap(),
            start: EventTime::from_ns(60_000_000_000),
            end: EventTime::from_ns(120_000_000_000),
            trading_date: 0,
            price: ohlc,
            ask: Ohlc::default(),
            volume: Default::default(),
            ticks: 1,
            first_time: EventTime::from_ns(60_000_000_000),
            last_time: EventTime::from_ns(60_000_000_000),
            first_sequence: 1,
            last_sequence: 1,
            revision: 0,
            flags: 0,
            basis: Basis::Bid,
            reason: Reason::Closed,
        }
    }
}

#[test]
fn candles_are_protobuf_or_the_json_of_charts() {
    let Some(out) = Out::new() else { return };
    let rows = || Rows::Candles(vec![out.candle()]);
    let (key, kind, headers, body) = out.publish(rows(), json!({})).remove(0);
    assert_eq!(key, "market.ib.BRK.B.candle.1m");
    assert_eq!((&*kind, &*headers), ("application/x-protobuf", "x-event-time-ns=60000000000"));
    assert_eq!(CandleMessage::decode(&body).unwrap().intern(&out.series).unwrap(), out.candle());
    let settings = json!({ "format": "json", "key": "ohlcv.{timeframe}.{instrument}" });
    let (key, kind, _, body) = out.publish(rows(), settings).remove(0);
    assert_eq!((&*key, &*kind), ("ohlcv.1m.BRK.B", "application/json"));
    let text = String::from_utf8(body).unwrap();
    assert_eq!(text, r#"{"o":1.1,"h":1.1,"l":1.1,"c":1.1,"tf":"1m","t":60}"#);
}

#[test]
fn payloads_go_out_as_they_came_in() {
    let Some(out) = Out::new() else { return };
    let bytes: Vec<u8> = (0..=255).rev().collect();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let payload = Payload {
        series: out.series.intern("mt4", "EURUSD").unwrap(),
        time: EventTime::from_ns(42),
        content_type: Some("application/odd".into()),
        traceparent: Some(trace.parse().unwrap()),
        bytes: bytes.clone(),
    };
    let (key, kind, headers, body) =
        out.publish(Rows::Payloads(vec![payload]), json!({})).remove(0);
    assert_eq!((&*key, &*kind), ("market.mt4.EURUSD.tick", "application/odd"));
    assert_eq!(headers, format!("traceparent={trace} x-event-time-ns=42"));
    assert_eq!(body, bytes);
}

#[test]
fn dead_letters_have_their_reason_in_headers() {
    let Some(out) = Out::new() else { return };
    let reject = Reject {
        component: "ticks".to_owned(),
        reason: "bad_name".to_owned(),
        detail: "the instrument: the name is empty".to_owned(),
        place: Some("queue q, key k".to_owned()),
        clock: EventTime::from_ns(1_000_000_000),
        tick: None,
        payload: b"{\"".to_vec(),
    };
    let (key, kind, headers, body) = out.publish(Rows::Rejects(vec![reject]), json!({})).remove(0);
    assert_eq!((&*key, &*kind), ("dead.ticks.bad_name", "application/json"));
    assert_eq!(
        headers,
        "x-component=ticks x-first-seen=1970-01-01T00:00:01Z x-job=job x-place=queue q, key k \
         x-reason=bad_name"
    );
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["detail"], "the instrument: the name is empty");
}

#[test]
fn ids_are_the_same_when_an_epoch_comes_again_and_others_when_the_job_starts_afresh() {
    let Some(out) = Out::new() else { return };
    let epoch = || {
        let names = ["B", "A", "A"];
        let tick = |(number, name): (usize, &&str)| {
            reference("mt4", name, number as u64).intern(&out.series).unwrap()
        };
        sealed(7, Rows::Ticks(names.iter().enumerate().map(tick).collect()))
    };
    let ids = || -> Vec<String> {
        let messages = out.rabbit.take(&out.behind, 3);
        let id = |properties: &brokers::amqp::lapin::BasicProperties| {
            properties.message_id().clone().unwrap().as_str().to_owned()
        };
        messages
            .iter()
            .map(|message| format!("{} {}", message.routing_key, id(&message.properties)))
            .collect()
    };
    let mut sink =
        out.sink(Kind::Ticks, json!({}), Some(Durable { generation: 1, restored: None }));
    sink.apply(epoch()).unwrap();
    let first = ids();
    let state = sink.checkpoint().unwrap();
    drop(sink);
    assert!(first[0].starts_with("market.mt4.A.tick job/part/") && first[0].ends_with("/7/0"));
    let restored = Some((6, state));
    let mut sink = out.sink(Kind::Ticks, json!({}), Some(Durable { generation: 2, restored }));
    sink.apply(epoch()).unwrap();
    assert_eq!(ids(), first);
    let mut sink = out.sink(Kind::Ticks, json!({}), None);
    sink.apply(epoch()).unwrap();
    assert_ne!(ids(), first, "epoch 7 of another start is another epoch");
}

#[test]
fn a_message_that_nobody_wants_ends_the_run_where_it_is_mandatory() {
    let Some(out) = Out::new() else { return };
    let nowhere = out.rabbit.own("nowhere");
    let tick = reference("mt4", "EURUSD", 1).intern(&out.series).unwrap();
    let rows = || sealed(1, Rows::Ticks(vec![tick]));
    let mut sink = out.sink(Kind::Ticks, json!({ "exchange": nowhere }), None);
    sink.apply(rows()).unwrap();
    let mandatory = json!({ "exchange": nowhere, "mandatory": true });
    let mut sink = out.sink(Kind::Ticks, mandatory, None);
    let said = sink.apply(rows()).unwrap_err().to_string();
    assert!(said.contains("no queue is bound for the key `market.mt4.EURUSD.tick`"), "{said}");
}

#[test]
fn without_confirms_nothing_is_promised_and_messages_arrive_all_the_same() {
    let Some(out) = Out::new() else { return };
    let definition = sinks::SINKS.iter().find(|sink| sink.name() == "amqp").unwrap();
    let config = |confirm| json!({ "url": "amqp://mq", "exchange": "x", "confirm": confirm });
    assert_eq!(definition.guarantee(&config(true), Kind::Ticks), Guarantee::AtLeastOnce);
    assert_eq!(definition.guarantee(&config(false), Kind::Ticks), Guarantee::BestEffort);
    let tick = |number| reference("mt4", "EURUSD", number).intern(&out.series).unwrap();
    let rows = Rows::Ticks((0..500).map(tick).collect());
    assert_eq!(out.publish(rows, json!({ "confirm": false })).len(), 500);
}

//! How fast the source `amqp` takes messages in, beside a bare lapin consumer that decodes nothing and
//! acknowledges as often, in the same run, from the same RabbitMQ (`TAPEFLOW_TEST_AMQP`).
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use benches::meter::Meter;
use brokers::amqp::lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use brokers::amqp::lapin::types::{AMQPValue, FieldTable};
use brokers::amqp::lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use brokers::runtime;
use dataflows::component::source::SourceContext;
use futures_util::StreamExt;
use proto::decimal::Price;
use proto::event_time::EventTime;
use proto::protobuf::{encode_tick, encode_tick_batch};
use proto::series::SeriesTable;
use proto::tick_message::TickRef;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error>>;

const PREFETCH: u16 = 10_000;
const ACK_EVERY: usize = 1_000;

fn main() -> Outcome<()> {
    let url = std::env::var("TAPEFLOW_TEST_AMQP")
        .unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2F".to_owned());
    let scale: usize = std::env::var("TAPEFLOW_SCALE").map_or(Ok(1), |scale| scale.parse())?;
    println!("{:<26} {:<8} {:>12} {:>12} {:>10}", "", "", "messages/s", "ticks/s", "CPU us/msg");
    for (kind, batch, messages) in [
        ("classic", 1, 100_000 * scale),
        ("quorum", 1, 100_000 * scale),
        ("classic", 100, 20_000 * scale),
    ] {
        for round in 0..2 {
            let queue = format!("bench.{}.{kind}.{batch}.{round}", std::process::id());
            for reader in [bare, source] {
                let (connection, channel) =
                    runtime::wait(fill(&url, &queue, kind, batch, messages))??;
                let (name, wall, cpu) = reader(&url, &queue, kind, batch, messages)?;
                let rate = messages as f64 / wall;
                let (label, ticks) = (format!("{kind}, {batch} in a message"), rate * batch as f64);
                let each = cpu * 1e6 / messages as f64;
                println!("{label:<26} {name:<8} {rate:>12.0} {ticks:>12.0} {each:>10.1}");
                runtime::wait(async {
                    channel
                        .queue_delete(queue.as_str().into(), QueueDeleteOptions::default())
                        .await?;
                    connection.close(200, "OK".into()).await
                })??;
            }
        }
    }
    Ok(())
}

type Opened = Result<(Connection, Channel), brokers::amqp::lapin::Error>;

async fn open(url: &str) -> Opened {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

async fn fill(url: &str, queue: &str, kind: &str, batch: usize, messages: usize) -> Opened {
    let (connection, channel) = open(url).await?;
    let mut arguments = FieldTable::default();
    if kind != "classic" {
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
    }
    let options = QueueDeclareOptions::durable();
    channel.queue_declare(queue.into(), options, arguments).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let properties = BasicProperties::default().with_content_type("application/x-protobuf".into());
    for number in 0..messages {
        let body = body(number, batch);
        let properties = properties.clone().with_message_id(number.to_string().into());
        let options = BasicPublishOptions::default();
        channel.basic_publish("".into(), queue.into(), options, &body, properties).await?;
        if number % 1_000 == 999 {
            channel.wait_for_confirms().await?;
        }
    }
    channel.wait_for_confirms().await?;
    Ok((connection, channel))
}

fn body(number: usize, batch: usize) -> Vec<u8> {
    let tick = |number: usize| TickRef {
        source: "mt4",
        instrument: ["EURUSD", "GBPUSD", "USDJPY", "XAUUSD"][number % 4],
        time: EventTime::from_ns(1_700_000_000_000_000_000 + number as i64 * 1_000_000),
        sequence: Some(number as u64),
        bid: Price::from_units(1_100_000_000 + number as i64),
        ask: Price::from_units(1_100_020_000 + number as i64),
        last: Price::ZERO,
        volume: None,
        traceparent: "",
        message_id: "",
    };
    let mut bytes = Vec::new();
    let written = match batch {
        1 => encode_tick(&tick(number), &mut bytes),
        _ => {
            let ticks: Vec<_> = (0..batch).map(|n| tick(number * batch + n)).collect();
            encode_tick_batch("mt4", &ticks, &mut bytes)
        }
    };
    debug_assert!(written.is_ok());
    bytes
}

type Read = Outcome<(&'static str, f64, f64)>;

fn bare(url: &str, queue: &str, _: &str, _: usize, messages: usize) -> Read {
    let meter = Meter::start();
    runtime::wait(async {
        let (connection, channel) = open(url).await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let none = FieldTable::default();
        let mut consumer = channel.basic_consume(queue.into(), "".into(), options, none).await?;
        for number in 1..=messages {
            let Some(delivery) = consumer.next().await else { break };
            let delivery = delivery?;
            if number % ACK_EVERY == 0 || number == messages {
                delivery.acker.ack(BasicAckOptions { multiple: true }).await?;
            }
        }
        connection.close(200, "OK".into()).await
    })??;
    let read = meter.read();
    Ok(("bare", read.wall, read.cpu))
}

fn source(url: &str, queue: &str, kind: &str, batch: usize, messages: usize) -> Read {
    let definition = sources::SOURCES.iter().find(|source| source.name() == "amqp");
    let definition = definition.ok_or("no source `amqp`")?;
    let format = if batch == 1 { "tick" } else { "tick_batch" };
    let config = json!({
        "url": url, "queue": queue, "queue_type": kind, "prefetch": PREFETCH, "format": format
    });
    let context = SourceContext {
        job: "bench".to_owned(),
        id: "ticks".to_owned(),
        root: ".".into(),
        series: SeriesTable::new(),
        range: None,
        health: std::sync::Arc::default(),
        is_healed: false,
        threads: 1,
    };
    let meter = Meter::start();
    let mut source = definition.open(&config, None, context)?;
    let (mut ticks, mut since, stop) = (0, 0, AtomicBool::new(false));
    let begun = Instant::now();
    while ticks < messages * batch && begun.elapsed().as_secs() < 300 {
        let Some(intake) = source.next(&stop)? else { break };
        ticks += intake.rows.len();
        since += intake.deliveries.len();
        if since >= ACK_EVERY || ticks == messages * batch {
            source.settle(&intake.position)?;
            since = 0;
        }
    }
    drop(source);
    let read = meter.read();
    assert_eq!(ticks, messages * batch, "all came");
    Ok(("amqp", read.wall, read.cpu))
}

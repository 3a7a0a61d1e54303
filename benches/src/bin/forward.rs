//! forward AMQP_URL QUEUE MQTT_HOST MQTT_PORT: the bare forwarder, the limit of a bridge.
//!
//! One client takes messages from a queue, another publishes them with QoS 0 under the routing key,
//! its dots turned into slashes; every 100 messages, and when nothing waits, it acknowledges. It has no
//! journal, no reconnection, no check of anything: what lies between the two clients is nothing.

use std::error::Error;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use rumqttc::NetworkOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::{AsyncClient, MqttOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const PREFETCH: u16 = 5_000;
const ACK_EVERY: u32 = 100;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, queue, host, port] = arguments.as_slice() else {
        return Err("expected AMQP_URL QUEUE MQTT_HOST MQTT_PORT".into());
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(forward(url, queue, host, port.parse()?))
}

async fn forward(url: &str, queue: &str, host: &str, port: u16) -> Outcome<()> {
    let mut options = MqttOptions::new(format!("forward-{}", std::process::id()), host, port);
    options.set_keep_alive(Duration::from_secs(30));
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    let (client, mut events) = AsyncClient::new(options, 1_024);
    tokio::spawn(async move { while events.poll().await.is_ok() {} });

    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let mut consumer = channel
        .basic_consume(
            queue.into(),
            "forward".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let mut unacked = 0;
    let mut last = None;
    loop {
        let next = match consumer.next().now_or_never() {
            Some(next) => next,
            None => {
                acknowledge(&channel, &mut last, &mut unacked).await?;
                consumer.next().await
            }
        };
        let Some(delivery) = next else { return Ok(()) };
        let mut delivery = delivery?;
        let topic = delivery.routing_key.as_str().replace('.', "/");
        let payload = std::mem::take(&mut delivery.data);
        client.publish(topic, QoS::AtMostOnce, false, payload).await?;
        unacked += 1;
        last = Some(delivery.delivery_tag);
        if unacked >= ACK_EVERY {
            acknowledge(&channel, &mut last, &mut unacked).await?;
        }
    }
}

async fn acknowledge(channel: &Channel, last: &mut Option<u64>, unacked: &mut u32) -> Outcome<()> {
    if let Some(tag) = last.take() {
        channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
        *unacked = 0;
    }
    Ok(())
}

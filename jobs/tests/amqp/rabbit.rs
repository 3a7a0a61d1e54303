//! A RabbitMQ with exchanges and queues of a test's own.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use brokers::amqp::lapin::message::BasicGetMessage;
use brokers::amqp::lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use brokers::amqp::lapin::types::{AMQPValue, FieldTable};
use brokers::amqp::lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind, Queue,
};
use brokers::runtime;
use proto::event_time::EventTime;
use proto::protobuf::encode_tick;
use proto::tick_message::TickRef;

use crate::link::Link;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to the broker, and what is to be deleted at the end.
pub(crate) struct Rabbit {
    pub(crate) url: String,
    /// Begins every name of this test.
    pub(crate) name: String,
    connection: Connection,
    pub(crate) channel: Channel,
    queues: Mutex<Vec<String>>,
    exchanges: Mutex<Vec<String>>,
}

/// Connects, or says that the test is skipped.
pub(crate) fn rabbit() -> Option<Rabbit> {
    static TESTS: AtomicU32 = AtomicU32::new(0);
    let url = std::env::var("TAPEFLOW_TEST_AMQP")
        .unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2F".to_owned());
    let number = TESTS.fetch_add(1, Ordering::Relaxed);
    let name = format!("test.{}.{number}", std::process::id());
    let opened = runtime::wait(async {
        let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok::<_, brokers::amqp::lapin::Error>((connection, channel))
    });
    match opened.unwrap() {
        Ok((connection, channel)) => Some(Rabbit {
            url,
            name,
            connection,
            channel,
            queues: Mutex::default(),
            exchanges: Mutex::default(),
        }),
        Err(error) => {
            let is_required = std::env::var_os("TAPEFLOW_REQUIRE_ALL").is_some();
            assert!(!is_required, "no RabbitMQ at TAPEFLOW_TEST_AMQP: {error}");
            eprintln!("SKIPPED: no RabbitMQ at TAPEFLOW_TEST_AMQP: {error}");
            None
        }
    }
}

impl Rabbit {
    /// A name of this test's own; a queue and an exchange called so are deleted at the end.
    pub(crate) fn own(&self, word: &str) -> String {
        let name = format!("{}.{word}", self.name);
        self.queues.lock().unwrap().push(name.clone());
        self.exchanges.lock().unwrap().push(name.clone());
        name
    }

    /// Declares a topic exchange.
    pub(crate) fn exchange(&self, name: &str) {
        let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let kind = ExchangeKind::Topic;
        let declare =
            self.channel.exchange_declare(name.into(), kind, options, FieldTable::default());
        runtime::wait(declare).unwrap().unwrap();
    }

    /// Declares a durable queue with arguments, and binds it to an exchange with every key.
    pub(crate) fn queue(
        &self,
        name: &str,
        exchange: Option<&str>,
        arguments: &[(&str, AMQPValue)],
    ) -> Queue {
        let arguments: BTreeMap<_, _> =
            arguments.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
        runtime::wait(async {
            let options = QueueDeclareOptions::durable();
            let queue =
                self.channel.queue_declare(name.into(), options, arguments.into()).await.unwrap();
            if let Some(exchange) = exchange {
                let (key, options) = ("#".into(), QueueBindOptions::default());
                let none = FieldTable::default();
                let bind =
                    self.channel.queue_bind(name.into(), exchange.into(), key, options, none);
                bind.await.unwrap();
            }
            queue
        })
        .unwrap()
    }

    /// Publishes messages, and waits until the broker has them.
    pub(crate) fn publish(&self, exchange: &str, messages: &[(String, BasicProperties, Vec<u8>)]) {
        runtime::wait(async {
            let mut confirms = Vec::new();
            for (key, properties, body) in messages {
                let (exchange, key) = (exchange.into(), key.as_str().into());
                let options = BasicPublishOptions::default();
                let properties = properties.clone();
                let sent =
                    self.channel.basic_publish(exchange, key, options, body, properties).await;
                confirms.push(sent.unwrap());
            }
            for confirm in confirms {
                assert!(confirm.await.unwrap().is_ack());
            }
        })
        .unwrap();
    }

    /// Publishes one message.
    pub(crate) fn publish_one(&self, exchange: &str, key: &str, kind: &str, body: &[u8]) {
        let properties = BasicProperties::default().with_content_type(kind.into());
        self.publish(exchange, &[(key.to_owned(), properties, body.to_vec())]);
    }

    /// Takes a message out of a queue and acknowledges it; none: it is empty.
    pub(crate) fn get(&self, queue: &str) -> Option<BasicGetMessage> {
        let options = BasicGetOptions::default();
        runtime::wait(async {
            let message = self.channel.basic_get(queue.into(), options).await.unwrap()?;
            message.ack(BasicAckOptions::default()).await.unwrap();
            Some(message)
        })
        .unwrap()
    }

    /// Takes so many messages out of a queue.
    pub(crate) fn take(&self, queue: &str, count: usize) -> Vec<BasicGetMessage> {
        let mut found = Vec::new();
        let begun = Instant::now();
        while found.len() < count {
            match self.get(queue) {
                Some(message) => found.push(message),
                None => {
                    let so_far = found.len();
                    assert!(begun.elapsed() < PATIENCE, "{so_far} of {count} messages came");
                    std::thread::yield_now();
                }
            }
        }
        found
    }

    /// Deletes a queue.
    pub(crate) fn delete_queue(&self, name: &str) {
        let delete = self.channel.queue_delete(name.into(), QueueDeleteOptions::default());
        runtime::wait(delete).unwrap().unwrap();
    }

    /// How many messages wait in a queue, not counting those on their way to a consumer.
    pub(crate) fn waiting(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let declare = self.channel.queue_declare(queue.into(), options, FieldTable::default());
        runtime::wait(declare).unwrap().unwrap().message_count()
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        let queues = std::mem::take(&mut *self.queues.lock().unwrap());
        let exchanges = std::mem::take(&mut *self.exchanges.lock().unwrap());
        let closed = runtime::wait(async {
            let channel = self.connection.create_channel().await?;
            for name in queues {
                channel.queue_delete(name.into(), QueueDeleteOptions::default()).await?;
            }
            for name in exchanges {
                channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await?;
            }
            self.connection.close(200, "OK".into()).await
        });
        if let Ok(Err(error)) = closed {
            eprintln!("could not clean up: {error}");
        }
    }
}

/// Has the broker evaluate Erlang (`rabbitmqctl eval`), if that is there and answers. One call for
/// all that is to be done: each takes seconds.
pub(crate) fn evaluate(expressions: &str) -> Option<String> {
    let output =
        std::process::Command::new("rabbitmqctl").args(["-q", "eval", expressions]).output();
    match output {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        other => {
            let is_required = std::env::var_os("TAPEFLOW_REQUIRE_ALL").is_some();
            assert!(!is_required, "rabbitmqctl eval {expressions}: {other:?}");
            eprintln!("SKIPPED: rabbitmqctl eval {expressions}: {other:?}");
            None
        }
    }
}

/// Closes the connections that are called so, as an operator does; gives how many, if it could.
pub(crate) fn close_connections(called: &str) -> Option<usize> {
    let closed = evaluate(&format!(
        "length([rabbit_networking:close_connection(P, \"a test\") || P <- \
         rabbit_networking:connections(), {{_, _, N}} <- [lists:keyfind(<<\"connection_name\">>, 1, \
         proplists:get_value(client_properties, rabbit_networking:connection_info(P, \
         [client_properties]), []))], N =:= <<\"{called}\">>])."
    ))?;
    Some(closed.trim().parse().unwrap())
}

/// A way to the broker that can be cut, and its address.
pub(crate) fn link(rabbit: &Rabbit) -> (Link, String) {
    let (user, place) = rabbit.url.rsplit_once('@').unwrap();
    let (place, vhost) = place.split_once('/').unwrap_or((place, "%2F"));
    let link = Link::to(place);
    let url = format!("{user}@127.0.0.1:{}/{vhost}", link.port);
    (link, url)
}

/// A tick in Protobuf, the `number`th of an instrument.
pub(crate) fn tick(source: &str, instrument: &str, number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_tick(&reference(source, instrument, number), &mut bytes).unwrap();
    bytes
}

/// The same, not yet encoded.
pub(crate) fn reference<'a>(source: &'a str, instrument: &'a str, number: u64) -> TickRef<'a> {
    TickRef {
        source,
        instrument,
        time: EventTime::from_ns(1_700_000_000_000_000_000 + number as i64 * 1_000_000),
        sequence: Some(number),
        bid: proto::decimal::Price::from_units(1_100_000_000 + number as i64),
        ask: proto::decimal::Price::from_units(1_100_020_000 + number as i64),
        last: proto::decimal::Price::ZERO,
        volume: None,
        traceparent: "",
        message_id: "",
    }
}

/// Ticks of three instruments in turn, as messages with ids.
pub(crate) fn ticks(numbers: std::ops::Range<u64>) -> Vec<(String, BasicProperties, Vec<u8>)> {
    let message = |number: u64| {
        let instrument = ["EURUSD", "GBPUSD", "BRK.B"][number as usize % 3];
        let properties = BasicProperties::default()
            .with_content_type("application/x-protobuf".into())
            .with_message_id(number.to_string().as_str().into());
        (format!("market.mt4.{instrument}.tick"), properties, tick("mt4", instrument, number))
    };
    numbers.map(message).collect()
}

//! bridge BINARIES [--rates 500,2000,10000] [--seconds N] [--flood N]: from RabbitMQ to MQTT.
//!
//! Publishes messages to a topic exchange at a rate, each with the time of its sending in front, and
//! receives them from an MQTT broker: once through the bare forwarder (`forward`), then through
//! `tapeflow run` with the job `bridge.yaml`, acknowledged on receipt, when published, and after the
//! journal. Prints p50, p99 and p99.9 in microseconds per rate, then the greatest rate: a queue with
//! N messages that wait, from the first to the last at the subscriber.
//!
//! Both brokers are on this machine, with their usual ports.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lapin::options::{
    BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use rumqttc::NetworkOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const AMQP: &str = "amqp://guest:guest@127.0.0.1:5672/%2f";
const MQTT: (&str, u16) = ("127.0.0.1", 1883);
const EXCHANGE: &str = "bench.ticks";
const QUEUE: &str = "bench.bridge";
const INSTRUMENTS: u64 = 1_000;
/// What a tick in Protobuf comes to.
const PAYLOAD_BYTES: usize = 58;

/// Who stands between the brokers.
#[derive(Debug, Clone, Copy)]
enum Contender {
    Forward,
    Tapeflow { ack: &'static str, is_durable: bool },
}

const CONTENDERS: [Contender; 4] = [
    Contender::Forward,
    Contender::Tapeflow { ack: "receive", is_durable: false },
    Contender::Tapeflow { ack: "applied", is_durable: false },
    Contender::Tapeflow { ack: "journal", is_durable: true },
];

impl Contender {
    fn name(self) -> String {
        match self {
            Self::Forward => "bare forwarder".to_owned(),
            Self::Tapeflow { ack, is_durable: false } => format!("tapeflow, ack: {ack}"),
            Self::Tapeflow { ack, .. } => format!("tapeflow, ack: {ack}, durable"),
        }
    }

    fn start(self, binaries: &Path, folder: &Path) -> Outcome<Child> {
        let mut command = match self {
            Self::Forward => {
                let mut command = Command::new(binaries.join("forward"));
                command.args([AMQP, QUEUE, MQTT.0, &MQTT.1.to_string()]);
                command
            }
            Self::Tapeflow { ack, is_durable } => {
                let job = folder.join("bridge.yaml");
                let text = include_str!("../../jobs/bridge.yaml")
                    .replace("ACK", ack)
                    .replace("DURABLE", &is_durable.to_string());
                std::fs::write(&job, text)?;
                let mut command = Command::new(binaries.join("tapeflow"));
                command.arg("run").arg(job).arg("--fresh").current_dir(folder);
                command
            }
        };
        let log = std::fs::File::create(folder.join("contender.log"))?;
        Ok(command.stdout(Stdio::null()).stderr(log).spawn()?)
    }
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let binaries = PathBuf::from(arguments.next().ok_or("expected the folder of the binaries")?);
    let (mut rates, mut seconds, mut flood) = (vec![500, 2_000, 10_000], 10, 200_000);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or("expected a value")?;
        match flag.as_str() {
            "--rates" => {
                rates = value.split(',').map(str::parse).collect::<Result<_, _>>()?;
            }
            "--seconds" => seconds = value.parse()?,
            "--flood" => flood = value.parse()?,
            _ => return Err(format!("unknown {flag}").into()),
        }
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(&binaries, &rates, seconds, flood))
}

async fn measure(binaries: &Path, rates: &[u64], seconds: u64, flood: u64) -> Outcome<()> {
    let started = Instant::now();
    let connection = Connection::connect(AMQP, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let seen = Seen::subscribe(started)?;
    println!("contender, rate: p50 p99 p99.9 us");
    for contender in CONTENDERS {
        for rate in rates {
            let mut run = Run::start(contender, binaries, &channel, &seen).await?;
            run.warm(started).await?;
            seen.take();
            publish_at(&channel, *rate, *rate * seconds, started).await?;
            let came = run.seen.wait_for(*rate * seconds, Duration::from_secs(20)).await;
            let mut latencies = seen.take();
            latencies.sort_unstable();
            let at = |share: f64| {
                let index = (latencies.len() as f64 * share) as usize;
                latencies.get(index.min(latencies.len().saturating_sub(1))).copied().unwrap_or(0)
            };
            let lost = if came { String::new() } else { format!(" ({} came)", latencies.len()) };
            println!(
                "{}, {rate}/s: {} {} {}{lost}",
                contender.name(),
                at(0.5),
                at(0.99),
                at(0.999)
            );
            run.stop(&channel).await?;
        }
    }
    for contender in CONTENDERS {
        topology(&channel).await?;
        publish_at(&channel, u64::MAX, flood, started).await?;
        seen.take();
        let mut run = Run::start_on(contender, binaries, &seen)?;
        let came = seen.wait_for(flood, Duration::from_secs(120)).await;
        let (first, last) = seen.span();
        let took = last.saturating_sub(first) as f64 / 1e6;
        let count = seen.take().len();
        println!(
            "{}, greatest: {:.0}/s{}",
            contender.name(),
            count as f64 / took,
            if came { String::new() } else { format!(" ({count} of {flood} came)") }
        );
        run.stop(&channel).await?;
    }
    Ok(())
}

async fn topology(channel: &Channel) -> Outcome<()> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let table = FieldTable::default;
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, options, table()).await?;
    channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), table()).await?;
    let options = QueueBindOptions::default();
    channel.queue_bind(QUEUE.into(), EXCHANGE.into(), "market.#".into(), options, table()).await?;
    Ok(())
}

/// A contender at work.
struct Run {
    child: Child,
    seen: Seen,
    _folder: tempfile::TempDir,
}

impl Run {
    async fn start(
        contender: Contender,
        binaries: &Path,
        channel: &Channel,
        seen: &Seen,
    ) -> Outcome<Self> {
        topology(channel).await?;
        Self::start_on(contender, binaries, seen)
    }

    fn start_on(contender: Contender, binaries: &Path, seen: &Seen) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let child = contender.start(binaries, folder.path())?;
        Ok(Self { child, seen: seen.clone(), _folder: folder })
    }

    /// Waits until messages come through.
    async fn warm(&mut self, started: Instant) -> Outcome<()> {
        let connection = Connection::connect(AMQP, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        for _ in 0..200 {
            publish_at(&channel, u64::MAX, 1, started).await?;
            sleep(Duration::from_millis(50)).await;
            if self.seen.count() > 20 {
                sleep(Duration::from_millis(300)).await;
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the contender ended: {status}").into());
            }
        }
        Err("nothing comes through".into())
    }

    async fn stop(&mut self, channel: &Channel) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
        Ok(())
    }
}

/// Publishes evenly, each message with the microsecond of its sending in front.
async fn publish_at(channel: &Channel, rate: u64, count: u64, started: Instant) -> Outcome<()> {
    // A turn every millisecond; what is due by then goes out.
    let mut turns = interval(Duration::from_millis(1));
    turns.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let begun = Instant::now();
    let mut sent = 0;
    while sent < count {
        let due = match rate {
            u64::MAX => count,
            rate => {
                turns.tick().await;
                (begun.elapsed().as_micros() as u64 * rate / 1_000_000).min(count)
            }
        };
        while sent < due {
            let mut payload = vec![0; PAYLOAD_BYTES];
            let now = started.elapsed().as_micros() as u64;
            payload[..8].copy_from_slice(&now.to_le_bytes());
            let key = format!("market.mt5.SYM{:04}.tick", sent % INSTRUMENTS);
            let confirm = channel
                .basic_publish(
                    EXCHANGE.into(),
                    key.as_str().into(),
                    BasicPublishOptions::default(),
                    &payload,
                    BasicProperties::default(),
                )
                .await?;
            drop(confirm);
            sent += 1;
        }
    }
    Ok(())
}

/// What the subscriber has seen: the latency of every message, in microseconds.
#[derive(Clone)]
struct Seen {
    latencies: Arc<Mutex<Vec<u64>>>,
    first: Arc<AtomicU64>,
    last: Arc<AtomicU64>,
}

impl Seen {
    fn subscribe(started: Instant) -> Outcome<Self> {
        let seen = Self { latencies: Arc::default(), first: Arc::default(), last: Arc::default() };
        let mut options = MqttOptions::new(format!("seen-{}", std::process::id()), MQTT.0, MQTT.1);
        options.set_keep_alive(Duration::from_secs(30));
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let (client, mut events) = AsyncClient::new(options, 64);
        let into = seen.clone();
        tokio::spawn(async move {
            while let Ok(event) = events.poll().await {
                let Event::Incoming(Packet::Publish(publish)) = event else { continue };
                let Some(stamp) = publish.payload.first_chunk() else { continue };
                let now = started.elapsed().as_micros() as u64;
                into.add(now, now.saturating_sub(u64::from_le_bytes(*stamp)));
            }
        });
        tokio::spawn(async move { client.subscribe("market/#", QoS::AtMostOnce).await });
        Ok(seen)
    }

    fn add(&self, now: u64, latency: u64) {
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        if latencies.is_empty() {
            self.first.store(now, Ordering::Relaxed);
        }
        self.last.store(now, Ordering::Relaxed);
        latencies.push(latency);
    }

    fn count(&self) -> u64 {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    fn span(&self) -> (u64, u64) {
        (self.first.load(Ordering::Relaxed), self.last.load(Ordering::Relaxed))
    }

    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.latencies.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn wait_for(&self, count: u64, most: Duration) -> bool {
        let all = async {
            while self.count() < count {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(most, all).await.is_ok()
    }
}

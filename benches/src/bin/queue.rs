//! queue BINARIES [--messages N] [--in-message K] [--rounds R]: from RabbitMQ into candles in
//! PostgreSQL, with journal and checkpoints.
//!
//! Fills a classic queue with N messages of K ticks each, then starts each `tapeflow` of BINARIES
//! (folders, parted by commas) in turn, R times, on a queue filled afresh, with the job `queue.yaml`:
//! a message is acknowledged when it is in the journal. Prints ticks a second from the first to the
//! last that was acknowledged, the epochs, and the CPU that tapeflow took.
//!
//! RabbitMQ and PostgreSQL are on this machine, with their usual ports.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use benches::meter::cpu_seconds_of;
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use proto::decimal::Price;
use proto::event_time::EventTime;
use proto::protobuf::{encode_tick, encode_tick_batch};
use proto::tick_message::TickRef;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const AMQP: &str = "amqp://guest:guest@127.0.0.1:5672/%2f";
const QUEUE: &str = "bench.queue";
const INSTRUMENTS: usize = 100;
/// 1,000 ticks a second of event time.
const APART_NS: i64 = 1_000_000;
const START_NS: i64 = 1_700_000_000_000_000_000;
const MOST: Duration = Duration::from_secs(300);

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let binaries = arguments.next().ok_or("expected folders of binaries, parted by commas")?;
    let (mut messages, mut in_message, mut rounds) = (400_000, 1, 1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or("expected a value")?.parse()?;
        match flag.as_str() {
            "--messages" => messages = value,
            "--in-message" => in_message = value,
            "--rounds" => rounds = value,
            _ => return Err(format!("unknown {flag}").into()),
        }
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    for _ in 0..rounds {
        for folder in binaries.split(',').map(Path::new) {
            let channel = runtime.block_on(fill(messages, in_message))?;
            let run = Run::start(folder, in_message)?;
            let ticks = (messages * in_message) as u64;
            let read = run.measure(ticks)?;
            let Figures { wall, cpu, epochs } = read;
            println!(
                "{}: {:.0} messages/s, {:.0} ticks/s, {:.2} s, {epochs} epochs, {:.2} us of CPU a message",
                folder.display(),
                messages as f64 / wall,
                ticks as f64 / wall,
                wall,
                cpu * 1e6 / messages as f64
            );
            drop(run);
            let options = QueueDeleteOptions::default();
            runtime.block_on(channel.queue_delete(QUEUE.into(), options))?;
        }
    }
    Ok(())
}

async fn fill(messages: usize, in_message: usize) -> Outcome<Channel> {
    let connection = Connection::connect(AMQP, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
    let table = FieldTable::default();
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), table).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let names: Vec<String> = (0..INSTRUMENTS).map(|n| format!("SYM{n:04}")).collect();
    for number in 0..messages {
        let body = body(&names, number, in_message)?;
        let properties = BasicProperties::default().with_message_id(number.to_string().into());
        let options = BasicPublishOptions::default();
        channel.basic_publish("".into(), QUEUE.into(), options, &body, properties).await?;
        if number % 1_000 == 999 {
            channel.wait_for_confirms().await?;
        }
    }
    channel.wait_for_confirms().await?;
    Ok(channel)
}

fn body(names: &[String], number: usize, in_message: usize) -> Outcome<Vec<u8>> {
    let tick = |number: usize| TickRef {
        source: "mt5",
        instrument: names.get(number % INSTRUMENTS).map_or("", String::as_str),
        time: EventTime::from_ns(START_NS + number as i64 * APART_NS),
        sequence: Some(number as u64),
        bid: Price::from_units(1_100_000_000 + (number % 977) as i64 * 10_000),
        ask: Price::from_units(1_100_020_000 + (number % 977) as i64 * 10_000),
        last: Price::ZERO,
        volume: None,
        traceparent: "",
        message_id: "",
    };
    let mut bytes = Vec::new();
    match in_message {
        1 => encode_tick(&tick(number), &mut bytes)?,
        _ => {
            let ticks: Vec<_> = (0..in_message).map(|n| tick(number * in_message + n)).collect();
            encode_tick_batch("mt5", &ticks, &mut bytes)?;
        }
    }
    Ok(bytes)
}

/// What was measured.
struct Figures {
    wall: f64,
    cpu: f64,
    epochs: u64,
}

/// A `tapeflow` at work; killed when it is dropped.
struct Run {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Run {
    fn start(binaries: &Path, in_message: usize) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let job = folder.path().join("queue.yaml");
        let format = if in_message == 1 { "tick" } else { "tick_batch" };
        let text = include_str!("../../jobs/queue.yaml")
            .replace("HTTP", &format!("127.0.0.1:{port}"))
            .replace("FORMAT", format);
        std::fs::write(&job, text)?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let tapeflow: PathBuf = std::path::absolute(binaries)?.join("tapeflow");
        let mut command = Command::new(tapeflow);
        command.arg("run").arg(job).arg("--fresh").current_dir(folder.path());
        let child = command.stdout(Stdio::null()).stderr(log).spawn()?;
        Ok(Self { child, port, folder })
    }

    /// From the first tick that is acknowledged to the last of so many.
    fn measure(&self, ticks: u64) -> Outcome<Figures> {
        let (started, pid) = (Instant::now(), self.child.id());
        let mut first: Option<(Instant, u64, u64, f64)> = None;
        while started.elapsed() < MOST {
            std::thread::sleep(Duration::from_millis(20));
            let Some((acked, epochs)) = self.look() else { continue };
            let now = Instant::now();
            match first {
                None if acked > 0 => first = Some((now, acked, epochs, cpu_seconds_of(pid))),
                Some((since, before, epochs_before, cpu)) if acked >= ticks => {
                    let share = ticks as f64 / (ticks - before) as f64;
                    return Ok(Figures {
                        wall: now.duration_since(since).as_secs_f64() * share,
                        cpu: (cpu_seconds_of(pid) - cpu) * share,
                        epochs: epochs - epochs_before,
                    });
                }
                _ => {}
            }
        }
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        Err(format!("not done after {} s: {log}", MOST.as_secs()).into())
    }

    /// How many ticks are acknowledged, and how many epochs there were.
    fn look(&self) -> Option<(u64, u64)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).ok()?;
        let value = |name: &str, label: &str| {
            let mut lines = page.lines();
            let line = lines.find(|line| line.contains(name) && line.contains(label))?;
            line.rsplit(' ').next()?.parse::<u64>().ok()
        };
        let taken = value("records_in_total{", "\"ticks\"")?;
        let unacked = value("unacked_records{", "\"ticks\"")?;
        Some((taken.saturating_sub(unacked), value("epochs_minted_total", "")?))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.child.kill().and_then(|()| self.child.wait()).is_err() {
            println!("tapeflow had ended by itself");
        }
    }
}

//! The client of `demo --live`: subscribes as any other would, and prints at a human pace.

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use brokers::mqtt::config::{Client, Protocol, Texts};
use brokers::mqtt::options::Settings;
use brokers::mqtt::subscriber::Subscriber;
use brokers::tls::TlsConfig;
use dataflows::component::health::Health;
use dataflows::fault::Fault;
use dataflows::job::variables::Secrets;

use super::board::{Board, Line};
use crate::cli::failure::Failure;

/// What it subscribes to.
pub(super) const TOPICS: [&str; 3] = ["market/+/+/tick", "market/+/+/ohlcv", "market/+/+/closed"];

/// A price and a running candle are printed so often.
const PACE: Duration = Duration::from_secs(1);

/// Messages at once.
const BATCH: usize = 1_024;

/// The connection, and what it has shown.
pub(super) struct Viewer {
    subscriber: Subscriber,
    /// What was seen.
    pub(super) board: Board,
    due: Instant,
    is_bold: bool,
}

impl Viewer {
    /// Connects and subscribes; does not wait for it.
    pub(super) fn open(url: &str) -> Result<Self, Fault> {
        let settings = Settings {
            place: "demo".to_owned(),
            job: "demo",
            id: "viewer",
            root: Path::new(""),
            url: &Texts::One(url.to_owned()),
            protocol: Protocol::V5,
            tls: &TlsConfig::default(),
            will: None,
            client: &Client::default(),
            qos: 1,
            wait_max: None,
            health: Arc::new(Health::default()),
        };
        let subscriber = Subscriber::open(&settings, &TOPICS.map(str::to_owned))?;
        let is_bold = std::io::stdout().is_terminal();
        Ok(Self { subscriber, board: Board::default(), due: Instant::now() + PACE, is_bold })
    }

    /// Takes what comes within a while and prints what is due; false when nobody reads any more.
    pub(super) fn look(&mut self, within: Duration) -> Result<bool, Failure> {
        let mut messages = Vec::new();
        self.subscriber
            .take(&mut messages, BATCH, within)
            .map_err(|fault| Failure::of(&fault, &Secrets::default()))?;
        let mut lines = Vec::new();
        for message in messages {
            let time = message.properties.time;
            let seen = self.board.take(&message.topic, &message.payload, time, message.received);
            match seen {
                Ok(line) => lines.extend(line),
                Err(why) => tracing::warn!(topic = message.topic, why, "not understood"),
            }
            self.subscriber.ack(message.receipt());
        }
        if Instant::now() >= self.due {
            self.due = Instant::now() + PACE;
            lines.extend(self.board.due());
        }
        self.print(&lines)
    }

    /// Goes on until the board is as it should be, but not for longer than `within`.
    pub(super) fn look_until(
        &mut self,
        within: Duration,
        is_so: impl Fn(&Board) -> bool,
    ) -> Result<(), Failure> {
        let began = Instant::now();
        while !is_so(&self.board) && began.elapsed() < within {
            self.look(Duration::from_millis(10))?;
        }
        Ok(())
    }

    fn print(&self, lines: &[Line]) -> Result<bool, Failure> {
        let mut text = String::new();
        for line in lines {
            let (on, off) =
                if self.is_bold && line.is_closed { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
            text.push_str(&format!("{on}{}{off}\n", line.text));
        }
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failure::Fault(format!("stdout: {error}"))),
        }
    }
}

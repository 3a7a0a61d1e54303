//! A link: a connection and a session on it, built anew whenever it was lost.
//!
//! It lives on the thread of a source or sink, which drives it by calls that wait a bounded time;
//! frames, heartbeats and reading ahead go on without that thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataflows::component::health::Health;
use dataflows::fault::Fault;
use lapin::options::QueueDeclareOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, ErrorKind};

use super::connect::Broker;
use super::refusal::{Failure, is_not_found, sort};
use crate::backoff::Backoff;
use crate::runtime;

/// Something that is under way on the runtime.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Makes a session on a new channel: declares what it needs, and begins to consume, say.
pub type Prepare<S> = Arc<dyn Fn(Channel) -> Pending<'static, lapin::Result<S>> + Send + Sync>;

/// So long connecting and declaring may take.
const OPEN_WITHIN: Duration = Duration::from_secs(15);
/// So long a good end of a connection may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// A connection with a session, or the way to the next one.
pub struct Link<S> {
    broker: Broker,
    prepare: Prepare<S>,
    state: State<S>,
    backoff: Backoff,
    generation: u64,
    health: Arc<Health>,
    /// A queue that is looked for before anything is declared.
    probed: Option<ShortString>,
}

/// What there was of a queue before it was declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It was not there.
    Nothing,
    /// It had so many messages.
    Messages(u32),
}

enum State<S> {
    Down { until: Instant },
    Opening(Pending<'static, Result<Up<S>, lapin::Error>>),
    Up(Box<Up<S>>),
}

struct Up<S> {
    connection: Connection,
    channel: Channel,
    session: S,
    found: Option<Found>,
}

impl<S> std::fmt::Debug for Link<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Link").field("broker", &self.broker).finish_non_exhaustive()
    }
}

impl<S: Send + 'static> Link<S> {
    /// Not connected yet; connections are counted upwards from behind `generation`.
    pub fn new(broker: Broker, prepare: Prepare<S>, generation: u64) -> Self {
        let state = State::Down { until: Instant::now() };
        let (backoff, health) = (Backoff::new(), Arc::default());
        Self { broker, prepare, state, backoff, generation, health, probed: None }
    }

    /// Looks for this queue whenever it connects, before it is declared.
    pub fn probe(&mut self, queue: ShortString) {
        self.probed = Some(queue);
    }

    /// What there was of the queue that is looked for, when the present connection was made.
    pub const fn found(&self) -> Option<Found> {
        match &self.state {
            State::Up(up) => up.found,
            _ => None,
        }
    }

    /// Says there how the connection stands, from now on.
    pub fn report_to(&mut self, health: Arc<Health>) {
        health.down("not connected yet");
        self.health = health;
    }

    /// Tries once to connect, so that a refusal shows before the run begins. A broker that is away
    /// is no refusal.
    ///
    /// # Errors
    /// When the broker refuses us.
    pub fn try_once(&mut self) -> Result<(), Fault> {
        self.up(OPEN_WITHIN).map(|_| ())
    }

    /// The number of the present connection, or of the last one. Delivery tags mean something within
    /// one connection only.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Where the broker is.
    pub const fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Gives the session, waiting for it so long; none: it is not there yet.
    ///
    /// # Errors
    /// When the broker refuses us.
    pub fn up(&mut self, within: Duration) -> Result<Option<&mut S>, Fault> {
        if let State::Down { until } = &self.state {
            let rest = until.saturating_duration_since(Instant::now());
            if !rest.is_zero() {
                std::thread::sleep(rest.min(within));
                if rest > within {
                    return Ok(None);
                }
            }
            self.state = State::Opening(self.open());
        }
        if let State::Opening(opening) = &mut self.state {
            let opened = runtime::wait(async { tokio::time::timeout(within, opening).await })?;
            match opened {
                Err(_) => return Ok(None),
                Ok(Ok(up)) => {
                    self.generation += 1;
                    let (broker, generation) = (&self.broker.address, self.generation);
                    tracing::info!(%broker, generation, name = self.broker.name, "connected");
                    self.health.up();
                    self.state = State::Up(Box::new(up));
                }
                Ok(Err(error)) => {
                    self.fail(&error, true)?;
                    return Ok(None);
                }
            }
        }
        match &mut self.state {
            State::Up(up) => Ok(Some(&mut up.session)),
            _ => Ok(None),
        }
    }

    /// The session, if it is there now.
    pub fn session(&mut self) -> Option<&mut S> {
        match &mut self.state {
            State::Up(up) => Some(&mut up.session),
            _ => None,
        }
    }

    /// Whether the session's channel is open, as far as is known.
    pub fn is_open(&self) -> bool {
        matches!(&self.state, State::Up(up) if up.channel.status().connected())
    }

    /// It works: the next loss is the first one again.
    pub const fn works(&mut self) {
        self.backoff.reset();
    }

    /// The session has failed: the next one is made after a while.
    ///
    /// # Errors
    /// When no waiting helps.
    pub fn lost(&mut self, error: &lapin::Error) -> Result<(), Fault> {
        self.fail(error, false)
    }

    fn fail(&mut self, error: &lapin::Error, is_new: bool) -> Result<(), Fault> {
        let wait = self.backoff.wait();
        let before =
            std::mem::replace(&mut self.state, State::Down { until: Instant::now() + wait });
        within_runtime(|| drop(before))?;
        match sort(error, &self.broker.address, is_new) {
            Failure::Refused(fault) => Err(fault),
            Failure::Lost(why) => {
                let (broker, failures) = (&self.broker.address, self.backoff.failures());
                let name = &self.broker.name;
                tracing::warn!(%broker, name, failures, ?wait, why, "no connection; trying again");
                self.health.down(why);
                self.health.retried();
                Ok(())
            }
        }
    }

    fn open(&self) -> Pending<'static, Result<Up<S>, lapin::Error>> {
        let (broker, prepare) = (self.broker.clone(), self.prepare.clone());
        let probed = self.probed.clone();
        Box::pin(async move {
            let opening = async {
                let connection = broker.connect().await?;
                let found = match probed {
                    Some(queue) => Some(find(&connection, queue).await?),
                    None => None,
                };
                let channel = connection.create_channel().await?;
                let session = prepare(channel.clone()).await?;
                Ok(Up { connection, channel, session, found })
            };
            match tokio::time::timeout(OPEN_WITHIN, opening).await {
                Ok(opened) => opened,
                Err(_) => {
                    let text = format!("no answer within {} s", OPEN_WITHIN.as_secs());
                    Err(std::io::Error::new(std::io::ErrorKind::TimedOut, text).into())
                }
            }
        })
    }

    /// Ends the connection in good order: what was acknowledged has arrived by then.
    pub fn close(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Down { until: Instant::now() });
        let State::Up(up) = state else { return };
        let Up { connection, channel, session, found: _ } = *up;
        let closing = async move {
            // The channel first: its frames go out in their order, those of the connection before.
            let closed = match channel.close(200, "OK".into()).await {
                Ok(()) => connection.close(200, "OK".into()).await,
                Err(error) => Err(error),
            };
            drop(session);
            closed
        };
        let closed = runtime::wait(async { tokio::time::timeout(CLOSE_WITHIN, closing).await });
        let why = match closed {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(_)) => "the broker does not answer".to_owned(),
            Err(fault) => fault.to_string(),
        };
        tracing::warn!(broker = %self.broker.address, why, "a connection was not closed in order");
    }
}

/// Looks for a queue, on a channel of its own: the broker closes that if there is none.
async fn find(connection: &Connection, queue: ShortString) -> lapin::Result<Found> {
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let found = channel.queue_declare(queue, options, FieldTable::default()).await;
    match found {
        Ok(queue) => {
            let messages = queue.message_count();
            channel.close(200, "OK".into()).await?;
            Ok(Found::Messages(messages))
        }
        Err(error) if is_not_found(&error) => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}

/// Drops of lapin's things may want the runtime around them.
fn within_runtime(run: impl FnOnce()) -> Result<(), Fault> {
    let handle = runtime::handle()?;
    let _guard = handle.enter();
    run();
    Ok(())
}

/// An error of our own in lapin's words.
pub(super) fn gone(text: &str) -> lapin::Error {
    ErrorKind::IOError(Arc::new(std::io::Error::other(text.to_owned()))).into()
}

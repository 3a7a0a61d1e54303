//! Messages of a queue or a stream, and their acknowledgement.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dataflows::component::health::Health;
use dataflows::component::source::Continuity;
use dataflows::fault::Fault;
use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Consumer};

use super::connect::Broker;
use super::link::{Found, Link, Pending, Prepare, gone};
use super::topology::{Argument, Topology, short};
use crate::runtime;

/// Where a stream is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The oldest message that it still has.
    First,
    /// The last chunk that was written.
    Last,
    /// What comes from now on.
    Next,
    /// This one.
    Offset(u64),
}

impl From {
    fn value(self) -> AMQPValue {
        match self {
            Self::First => AMQPValue::LongString("first".into()),
            Self::Last => AMQPValue::LongString("last".into()),
            Self::Next => AMQPValue::LongString("next".into()),
            Self::Offset(offset) => {
                AMQPValue::LongLongInt(i64::try_from(offset).unwrap_or(i64::MAX))
            }
        }
    }
}

/// How a queue is read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What is declared; it has the queue.
    pub topology: Topology,
    /// The queue.
    pub queue: String,
    /// So many messages may be on their way or unacknowledged.
    pub prefetch: u16,
    /// Of a stream: from where, the first time.
    pub from: Option<From>,
}

/// A consumer that comes back by itself.
#[derive(Debug)]
pub struct Incoming {
    link: Link<Subscription>,
    reading: Arc<Reading>,
    /// The connection of which it was told whether it goes on where the one before ended.
    told: u64,
    /// Of a stream: the next offset to read, plus one; 0: none was read yet.
    next: Arc<AtomicU64>,
    /// The last tag of this connection that was taken out.
    taken: u64,
    /// The last tag that was acknowledged, and one that waits for that to be done.
    acked: u64,
    due: u64,
}

struct Subscription {
    channel: Channel,
    consumer: Consumer,
    acking: Option<Pending<'static, lapin::Result<()>>>,
}

/// No more bytes than this are taken out at once.
const BYTES_MAX: usize = 8 << 20;

impl Incoming {
    /// Not connected yet; connections are counted upwards from behind `generation`.
    pub fn new(broker: Broker, reading: Reading, generation: u64) -> Self {
        let next = Arc::new(AtomicU64::new(0));
        let reading = Arc::new(reading);
        let (shared, offset) = (reading.clone(), next.clone());
        let prepare: Prepare<Subscription> = Arc::new(move |channel| {
            let (reading, offset) = (shared.clone(), offset.clone());
            Box::pin(async move { subscribe(channel, &reading, &offset).await })
        });
        let link = Link::new(broker, prepare, generation);
        let told = generation;
        Self { link, reading, next, told, taken: 0, acked: 0, due: 0 }
    }

    /// Says there how the connection stands; see [`Link::report_to`].
    pub fn report_to(&mut self, health: Arc<Health>) {
        self.link.report_to(health);
    }

    /// Tries once to connect; see [`Link::try_once`].
    ///
    /// # Errors
    /// When the broker refuses us.
    pub fn try_once(&mut self) -> Result<(), Fault> {
        self.link.try_once()
    }

    /// The number of the connection that the messages taken out last have come by.
    pub const fn generation(&self) -> u64 {
        self.link.generation()
    }

    /// Looks for the queue whenever it connects, so that [`Incoming::continuity`] can tell.
    pub fn watch_continuity(&mut self) {
        self.link.probe(short(&self.reading.queue));
    }

    /// Says once of every connection whether its queue still has all that was not acknowledged.
    ///
    /// A queue that is there has lost nothing, unless it drops by age or size: by its age anything
    /// may be gone, by its size only if it is full. What a policy of the broker's drops is not seen.
    pub fn continuity(&mut self) -> Option<Continuity> {
        let generation = self.link.generation();
        let found = self.link.found().filter(|_| self.told != generation)?;
        self.told = generation;
        let Found::Messages(messages) = found else { return Some(Continuity::Broken) };
        let arguments = self.reading.topology.queue.as_ref().map(|queue| &queue.arguments);
        let argument = |name| arguments.and_then(|arguments| arguments.get(name));
        let is_full = match argument("x-max-length") {
            Some(Argument::Number(most)) => i64::from(messages) >= *most,
            Some(_) => true,
            None => false,
        };
        let is_limited =
            ["x-message-ttl", "x-max-length-bytes"].iter().any(|n| argument(n).is_some());
        Some(if is_full || is_limited { Continuity::Broken } else { Continuity::Whole })
    }

    /// Takes out at most so many messages, all of one connection, waiting for the first one so
    /// long.
    ///
    /// What had been read ahead on a connection that is lost is left: it is delivered again, at its
    /// own place.
    ///
    /// # Errors
    /// When the broker refuses us.
    pub fn take(
        &mut self,
        most: usize,
        within: Duration,
        into: &mut Vec<Delivery>,
    ) -> Result<(), Fault> {
        into.clear();
        let generation = self.link.generation();
        if self.link.up(within)?.is_none() {
            return Ok(());
        }
        if self.link.generation() != generation {
            (self.taken, self.acked, self.due) = (0, 0, 0);
        }
        let Some(session) = self.link.session() else { return Ok(()) };
        match runtime::wait(session.read(most, within, into))? {
            Ok(()) => {}
            Err(error) => {
                into.clear();
                return self.link.lost(&error);
            }
        }
        if let Some(last) = into.last() {
            self.taken = last.delivery_tag;
            self.link.works();
        }
        self.go_on_acknowledging()
    }

    /// Of a stream: what was taken out before this offset has been handed on, and is not read again
    /// by the next connection.
    pub fn stands_at(&self, offset: u64) {
        self.next.store(offset.saturating_add(1), Ordering::Relaxed);
    }

    /// Acknowledges everything up to `tag` of the connection `generation`; tells whether that is
    /// the present one. A tag of another connection means nothing there, and is left: what it stood
    /// for is delivered again. Never waits for the broker.
    ///
    /// # Errors
    /// When the broker refuses us.
    pub fn acknowledge(&mut self, generation: u64, tag: u64) -> Result<bool, Fault> {
        if generation != self.link.generation() || tag > self.taken || !self.link.is_open() {
            return Ok(false);
        }
        self.due = self.due.max(tag);
        self.go_on_acknowledging()?;
        Ok(true)
    }

    /// One acknowledgement is under way at most; those that come meanwhile become one.
    fn go_on_acknowledging(&mut self) -> Result<(), Fault> {
        let Some(session) = self.link.session() else { return Ok(()) };
        let channel = session.channel.clone();
        let acking = &mut session.acking;
        let (acked, due) = (&mut self.acked, self.due);
        let outcome = runtime::wait(async move {
            if let Some(pending) = acking {
                match pending.now_or_never() {
                    None => return Ok(()),
                    Some(outcome) => {
                        *acking = None;
                        outcome?;
                    }
                }
            }
            if due > *acked {
                *acked = due;
                let options = BasicAckOptions { multiple: true };
                let mut pending: Pending<'static, _> =
                    Box::pin(async move { channel.basic_ack(due, options).await });
                match (&mut pending).now_or_never() {
                    None => *acking = Some(pending),
                    Some(outcome) => outcome?,
                }
            }
            Ok(())
        })?;
        outcome.or_else(|error| self.link.lost(&error))
    }

    /// Ends the connection in good order, after what is to be acknowledged.
    pub fn close(&mut self) {
        if let Some(session) = self.link.session()
            && let Some(pending) = session.acking.take()
        {
            let wait = async { tokio::time::timeout(Duration::from_secs(1), pending).await };
            if !matches!(runtime::wait(wait), Ok(Ok(Ok(())))) {
                tracing::warn!("the last acknowledgement was not sent; messages will come again");
            }
        }
        if self.go_on_acknowledging().is_ok() {
            self.link.close();
        }
    }
}

impl Subscription {
    async fn read(
        &mut self,
        most: usize,
        within: Duration,
        into: &mut Vec<Delivery>,
    ) -> lapin::Result<()> {
        let ended = || gone("the broker has ended the consumer; was the queue deleted?");
        let Ok(first) = tokio::time::timeout(within, self.consumer.next()).await else {
            return Ok(());
        };
        let first = first.ok_or_else(ended)??;
        if !self.channel.status().connected() {
            // What stands before the error was read ahead, and its tags are void.
            drop(first);
            while let Some(next) = self.consumer.next().await {
                drop(next?);
            }
            return Err(ended());
        }
        let mut bytes = first.data.len();
        into.push(first);
        while into.len() < most && bytes < BYTES_MAX {
            let Some(next) = self.consumer.next().now_or_never() else { break };
            let next = next.ok_or_else(ended)??;
            bytes += next.data.len();
            into.push(next);
        }
        Ok(())
    }
}

async fn subscribe(
    channel: Channel,
    reading: &Reading,
    next: &AtomicU64,
) -> lapin::Result<Subscription> {
    reading.topology.declare(&channel).await?;
    channel.basic_qos(reading.prefetch, BasicQosOptions::default()).await?;
    let mut arguments = FieldTable::default();
    if let Some(from) = reading.from {
        let from = match next.load(Ordering::Relaxed) {
            0 => from,
            next => From::Offset(next - 1),
        };
        arguments.insert(short("x-stream-offset"), from.value());
    }
    let (queue, tag) = (short(&reading.queue), short(""));
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(queue, tag, options, arguments).await?;
    Ok(Subscription { channel, consumer, acking: None })
}

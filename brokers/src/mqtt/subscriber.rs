//! What a source subscribes with: messages in the order in which they came, acknowledged when the
//! source says so.
//!
//! The connection's task reads ahead into a bounded queue. What must be acknowledged stays within
//! what may be under way, so the queue never overflows with it; of what need not be (QoS 0), the
//! newest is dropped, and counted, when the reader has not come for long: a connection that is not
//! polled would be given up by the broker, which loses more.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dataflows::fault::Fault;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::mqtt::connection::{Connection, Duty};
use crate::mqtt::message::Received;
use crate::mqtt::options::{Options, Settings, Use};
use crate::mqtt::refusal::Loss;
use crate::mqtt::wire::{Client, Connected, Event};
use crate::runtime;

/// How many messages are read ahead at least.
const AHEAD: usize = 4_096;

/// How much may be read ahead, in KiB; a message of any size counts as one at least.
const AHEAD_KIB: u32 = 64 << 10;

/// What a message takes of that.
fn size(message: &Received) -> u32 {
    let kib = message.payload.len().saturating_add(message.topic.len()) >> 10;
    u32::try_from(kib).unwrap_or(u32::MAX).saturating_add(1).min(AHEAD_KIB)
}

/// A connection with subscriptions.
#[derive(Debug)]
pub struct Subscriber {
    messages: mpsc::Receiver<Received>,
    shared: Arc<Shared>,
    connection: Option<Connection>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// What is left to be read ahead, in KiB.
    room: Semaphore,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// The connection that there is, by its generation.
    link: Option<(u64, Client)>,
    fault: Option<Fault>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What can be acknowledged: a message, as far as its connection knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    generation: u64,
    packet: u16,
    qos: u8,
}

impl Received {
    /// Gives what it is acknowledged by.
    pub const fn receipt(&self) -> Receipt {
        Receipt { generation: self.generation, packet: self.packet, qos: self.qos }
    }
}

impl Subscriber {
    /// Starts to connect and to subscribe to `topics`; does not wait for it.
    ///
    /// # Errors
    /// When the settings are no good, or files of certificates.
    pub fn open(settings: &Settings<'_>, topics: &[String]) -> Result<Self, Fault> {
        let options = Arc::new(Options::new(settings, Use::Subscribe)?);
        let ahead = usize::from(settings.client.in_flight).max(AHEAD);
        let (sender, messages) = mpsc::channel(ahead);
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            room: Semaphore::new(AHEAD_KIB as usize),
            dropped: AtomicU64::new(0),
        });
        let keep_alive: Duration = settings.client.keep_alive.into();
        let duty = Subscribing {
            shared: shared.clone(),
            to: sender,
            topics: topics.to_vec(),
            qos: settings.qos.min(1),
            patience: keep_alive / 2,
            is_patient: true,
            generation: 0,
            subscribed: BTreeSet::new(),
            broker: 0,
            waits: false,
        };
        let connection = Some(Connection::start(options, duty)?);
        Ok(Self { messages, shared, connection })
    }

    /// Takes up to `most` messages into `into`; waits up to `within` for the first one.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn take(
        &mut self,
        into: &mut Vec<Received>,
        most: usize,
        within: Duration,
    ) -> Result<(), Fault> {
        let mut count = 0;
        while count < most
            && let Ok(message) = self.messages.try_recv()
        {
            into.push(message);
            count += 1;
        }
        if count > 0 || most == 0 {
            return Ok(());
        }
        let messages = &mut self.messages;
        let waited =
            runtime::wait(async { timeout(within, messages.recv_many(into, most)).await })?;
        // Nothing, and that at once: the task has ended.
        if waited == Ok(0) || waited.is_err() {
            if let Some(fault) = self.shared.lock().fault.take() {
                return Err(fault);
            }
            if waited == Ok(0) {
                return Err(Fault::defect("mqtt", "the connection's task has ended"));
            }
        }
        Ok(())
    }

    /// Acknowledges a message. One whose connection is gone is left alone: the broker delivers it
    /// again, under another number.
    pub fn ack(&self, receipt: Receipt) {
        let state = self.shared.lock();
        let Some((_, client)) = state.link.as_ref().filter(|(g, _)| *g == receipt.generation)
        else {
            return;
        };
        if receipt.qos > 0 && client.ack(receipt.qos, receipt.packet).is_err() {
            tracing::debug!(receipt.packet, "not acknowledged: the connection is going down");
        }
    }

    /// How many messages of QoS 0 were dropped because nobody took them.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // Whoever waits for room must see that there will be none.
        self.messages.close();
        self.shared.room.close();
        if let Some(connection) = self.connection.take() {
            connection.finish();
        }
    }
}

/// The connection's side.
struct Subscribing {
    shared: Arc<Shared>,
    to: mpsc::Sender<Received>,
    topics: Vec<String>,
    qos: u8,
    /// How long it waits for room before it drops,
    patience: Duration,
    /// and whether it does: not again before there was room.
    is_patient: bool,
    generation: u64,
    /// The brokers that this process has subscribed at: at others it is not known what a session
    /// is subscribed to.
    subscribed: BTreeSet<usize>,
    broker: usize,
    /// The broker owes the answer to a subscription.
    waits: bool,
}

impl Subscribing {
    /// Puts a message into the queue, or drops it.
    async fn put(&mut self, message: Received) {
        // What must be acknowledged is never dropped, and the broker keeps it within bounds.
        let is_patient = self.is_patient || message.qos > 0;
        let patience = if message.qos > 0 { Duration::MAX } else { self.patience };
        let qos = message.qos;
        let is_put = match self.try_put(message) {
            None => true,
            Some(message) if is_patient => {
                let put = put(&self.shared.room, &self.to, message);
                timeout(patience, put).await.is_ok()
            }
            Some(_) => false,
        };
        if is_put {
            self.is_patient = true;
            return;
        }
        if self.is_patient {
            self.is_patient = false;
            tracing::warn!(topics = ?self.topics, qos, "nobody takes messages: the newest are dropped");
        }
        self.shared.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts a message into the queue; gives it back if there is no room.
    fn try_put(&self, message: Received) -> Option<Received> {
        let Ok(room) = self.shared.room.try_acquire_many(size(&message)) else {
            return Some(message);
        };
        match self.to.try_send(message) {
            Ok(()) => room.forget(),
            Err(TrySendError::Full(message)) => return Some(message),
            Err(TrySendError::Closed(_)) => {} // nobody wants it any more
        }
        None
    }

    fn check(&self, answers: Vec<Result<u8, Loss>>) -> Result<(), Loss> {
        for (answer, topic) in answers.into_iter().zip(&self.topics) {
            match answer {
                Err(Loss::Refused(why)) => return Err(Loss::Refused(format!("{topic}: {why}"))),
                Err(loss) => return Err(loss),
                Ok(qos) if qos < self.qos => {
                    let asked = self.qos;
                    return Err(Loss::Refused(format!(
                        "{topic}: the broker delivers with QoS {qos} at most, not {asked}; set \
                         `qos: {qos}`"
                    )));
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }
}

/// Waits for room, and puts a message into the queue.
async fn put(room: &Semaphore, to: &mpsc::Sender<Received>, message: Received) {
    let Ok(permit) = room.acquire_many(size(&message)).await else { return };
    if to.send(message).await.is_ok() {
        permit.forget();
    }
}

impl Duty for Subscribing {
    fn connected(
        &mut self,
        (broker, generation): (usize, u64),
        client: &Client,
        connected: Connected,
    ) -> Result<(), Loss> {
        (self.broker, self.generation) = (broker, generation);
        self.shared.lock().link = Some((generation, client.clone()));
        if connected.is_resumed && self.subscribed.contains(&broker) {
            return Ok(());
        }
        self.waits = true;
        client
            .subscribe(&self.topics, self.qos)
            .map_err(|_| Loss::Away("it could not be subscribed".to_owned()))
    }

    async fn event(&mut self, _: &Client, event: Event) -> Result<(), Loss> {
        match event {
            Event::Message(mut message) => {
                message.generation = self.generation;
                self.put(message).await;
            }
            Event::Subscribed(answers) => {
                self.waits = false;
                self.check(answers)?;
                self.subscribed.insert(self.broker);
                tracing::info!(topics = ?self.topics, "subscribed");
            }
            _ => {}
        }
        Ok(())
    }

    fn owed(&self) -> Option<u64> {
        self.waits.then_some(self.generation)
    }

    fn lost(&mut self) {
        self.waits = false;
        self.shared.lock().link = None;
    }

    fn failed(&mut self, fault: Fault) {
        self.shared.lock().fault = Some(fault);
    }
}

//! What a sink publishes with: a batch at a time, done when the broker has it.
//!
//! The sink's thread hands messages to the connection's client, never more than may wait; the
//! connection's task counts what was written (QoS 0) or acknowledged (QoS 1), in the order in
//! which it was handed over. When a connection is lost, what was not done by then is handed to the next
//! one again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dataflows::component::sink::Stop;
use dataflows::fault::Fault;

use crate::mqtt::connection::{Connection, Duty};
use crate::mqtt::message::Message;
use crate::mqtt::options::{Options, Settings, Use, WINDOW};
use crate::mqtt::refusal::Loss;
pub use crate::mqtt::wire::Manner;
use crate::mqtt::wire::{Client, Connected, Event};

/// The newest message of every topic, by topic.
pub type Retained = BTreeMap<Arc<str>, Message>;

/// How long a run that was asked to stop waits for a broker that does not move.
const GRACE: Duration = Duration::from_secs(5);

/// How often stop is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Published {
    /// Published.
    pub messages: u64,
    /// Their payloads, in bytes.
    pub bytes: u64,
    /// Not wanted any more when it was their turn.
    pub dropped: u64,
    /// Larger than the broker takes.
    pub too_large: u64,
}

/// A connection to publish on.
#[derive(Debug)]
pub struct Publisher {
    shared: Arc<Shared>,
    connection: Option<Connection>,
    manner: Manner,
    window: usize,
    place: String,
    /// See [`Publisher::keep_while_away`].
    keeps: bool,
    /// Of the batch under way, what was handed to the connection, in order,
    sent: Vec<usize>,
    /// and what was left out.
    left_out: Vec<(usize, LeftOut)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeftOut {
    NotWanted,
    TooLarge,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// What the sink's thread and the connection's task know in common.
#[derive(Debug, Default)]
struct State {
    link: Option<Link>,
    /// How many were handed over on this connection,
    queued: u64,
    /// and how many of these, from the first on without a gap, are done.
    done: u64,
    /// The sink's thread is woken when so many are done.
    wanted: Option<u64>,
    /// The connection before, and how many were done on it.
    ended: (u64, u64),
    fault: Option<Fault>,
    /// What is published again on every new connection.
    retained: Retained,
    /// That is under way on a new connection: a copy was made of it.
    is_greeting: bool,
    /// What was handed over and is not done, where it is to be retained.
    under_way: VecDeque<Message>,
}

/// A connection that is ready.
#[derive(Debug, Clone)]
struct Link {
    generation: u64,
    client: Client,
    packet_max: usize,
}

/// Room for the head of a packet and what stands beside the payload.
const HEAD: usize = 512;

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, but not for long.
    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, LOOK);
        waited.map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state)
    }
}

impl State {
    /// From now on this is what is retained on its topic.
    fn retain(&mut self, message: Message) {
        if message.payload.is_empty() {
            // An empty one takes away what was retained.
            self.retained.remove(&message.topic);
        } else {
            // A copy: what is shared would keep the whole batch.
            let payload = Bytes::copy_from_slice(&message.payload);
            self.retained.insert(message.topic.clone(), Message { payload, ..message });
        }
    }
}

impl Publisher {
    /// Starts to connect; does not wait for it. `retained` is published first on every connection.
    ///
    /// # Errors
    /// When the settings are no good, or files of certificates.
    pub fn open(
        settings: &Settings<'_>,
        manner: Manner,
        retained: Retained,
    ) -> Result<Self, Fault> {
        let options = Arc::new(Options::new(settings, Use::Publish)?);
        let shared = Arc::new(Shared {
            state: Mutex::new(State { retained, ..State::default() }),
            changed: Condvar::new(),
        });
        let window = match manner.qos {
            0 => WINDOW,
            _ => usize::from(settings.client.in_flight),
        };
        let duty = Publishing {
            shared: shared.clone(),
            manner,
            window: window as u64,
            greeting: VecDeque::new(),
            ready: None,
            generation: 0,
            order: VecDeque::new(),
        };
        let place = settings.place.clone();
        let connection = Some(Connection::start(options, duty)?);
        let (sent, left_out, keeps) = (Vec::new(), Vec::new(), false);
        Ok(Self { shared, connection, manner, window, place, keeps, sent, left_out })
    }

    /// While no broker is there, what is to be retained is kept for the next connection, which
    /// publishes it first: the newest of each topic, and nobody waits. For messages that need not be
    /// published each, and a caller that does not forget [`Publisher::retained`].
    pub const fn keep_while_away(&mut self) {
        self.keeps = true;
    }

    /// Publishes messages in their order, and returns when all are written (QoS 0) or acknowledged
    /// (QoS 1). Waits for a broker that is away, but not with what is not wanted any more.
    /// `is_wanted` is asked when it is a message's turn.
    ///
    /// # Errors
    /// When the broker refuses, or the run is to end before all are done.
    pub fn publish(
        &mut self,
        messages: &[Message],
        stop: &Stop,
        is_wanted: &dyn Fn(&Message) -> bool,
    ) -> Result<Published, Fault> {
        let mut published = Published::default();
        let mut next = 0;
        while let Some(message) = messages.get(next) {
            match self.link(message, (stop, is_wanted), &mut published)? {
                Some(link) => {
                    next = self.on(&link, messages, next, (stop, is_wanted), &mut published)?;
                }
                None => next += 1,
            }
        }
        Ok(published)
    }

    /// Waits for a connection; none: the message needs none, and is counted.
    fn link(
        &self,
        message: &Message,
        (stop, is_wanted): (&Stop, &dyn Fn(&Message) -> bool),
        published: &mut Published,
    ) -> Result<Option<Link>, Fault> {
        let since = Instant::now();
        let mut state = self.shared.lock();
        loop {
            if let Some(fault) = state.fault.take() {
                return Err(fault);
            }
            if let Some(link) = &state.link {
                return Ok(Some(link.clone()));
            }
            if !is_wanted(message) {
                published.dropped += 1;
                return Ok(None);
            }
            // The absence of a message cannot be published by the next connection.
            if self.keeps && !state.is_greeting && !message.payload.is_empty() {
                published.messages += 1;
                published.bytes += message.payload.len() as u64;
                state.retain(message.clone());
                return Ok(None);
            }
            look(stop, since)?;
            state = self.shared.wait(state);
        }
    }

    /// Publishes on one connection, from message `next` on, until all are done or the connection is
    /// lost; gives the first message that is not done.
    fn on(
        &mut self,
        link: &Link,
        messages: &[Message],
        next: usize,
        (stop, is_wanted): (&Stop, &dyn Fn(&Message) -> bool),
        published: &mut Published,
    ) -> Result<usize, Fault> {
        let shared = self.shared.clone();
        let mut turn = next;
        self.sent.clear();
        self.left_out.clear();
        let mut state = shared.lock();
        let base = state.queued;
        let mut moved = (state.done, Instant::now());
        loop {
            if let Some(fault) = state.fault.take() {
                return Err(fault);
            }
            let is_on = state.link.as_ref().is_some_and(|l| l.generation == link.generation);
            let done = match (is_on, state.ended) {
                (true, _) => state.done,
                (false, (generation, done)) if generation == link.generation => done,
                (false, _) => moved.0, // it was lost long ago
            };
            let done = usize::try_from(done.saturating_sub(base)).unwrap_or(usize::MAX);
            let done = done.min(self.sent.len());
            if !is_on || (turn == messages.len() && done == self.sent.len()) {
                return Ok(self.count(messages, done, turn, published));
            }
            if state.done > moved.0 {
                moved = (state.done, Instant::now());
            }
            let room = self.window.saturating_sub(self.sent.len() - done);
            if turn < messages.len() && room > 0 {
                drop(state);
                turn = self.hand_over(link, messages, turn, (room, is_wanted));
                state = shared.lock();
                continue;
            }
            look(stop, moved.1)?;
            let left = if turn < messages.len() { self.window / 2 } else { 0 };
            let wanted = base + (self.sent.len().saturating_sub(left)) as u64;
            if state.done < wanted {
                state.wanted = Some(wanted);
                state = shared.wait(state);
            }
        }
    }

    /// Counts what has become of the messages, the first `done` of those sent being done and `turn`
    /// the next to be handed over; gives the first that is not done.
    fn count(
        &self,
        messages: &[Message],
        done: usize,
        turn: usize,
        published: &mut Published,
    ) -> usize {
        let next = self.sent.get(done).copied().unwrap_or(turn);
        for message in self.sent.iter().take(done).filter_map(|at| messages.get(*at)) {
            published.messages += 1;
            published.bytes += message.payload.len() as u64;
        }
        for (_, why) in self.left_out.iter().filter(|(at, _)| *at < next) {
            match why {
                LeftOut::NotWanted => published.dropped += 1,
                LeftOut::TooLarge => published.too_large += 1,
            }
        }
        next
    }

    /// Hands over as many messages as there is room for; gives the one whose turn is next.
    fn hand_over(
        &mut self,
        link: &Link,
        messages: &[Message],
        mut turn: usize,
        (room, is_wanted): (usize, &dyn Fn(&Message) -> bool),
    ) -> usize {
        for _ in 0..room {
            let Some(message) = messages.get(turn) else { break };
            turn += 1;
            if !is_wanted(message) {
                self.left_out.push((turn - 1, LeftOut::NotWanted));
                continue;
            }
            if message.payload.len() + message.topic.len() + HEAD > link.packet_max {
                self.left_out.push((turn - 1, LeftOut::TooLarge));
                tracing::warn!(
                    place = self.place,
                    topic = &*message.topic,
                    bytes = message.payload.len(),
                    "a message is larger than the broker takes, and is left out"
                );
                continue;
            }
            {
                // Noted before it is handed over: the task may be done with it at once.
                let mut state = self.shared.lock();
                if state.link.as_ref().is_none_or(|l| l.generation != link.generation) {
                    return turn - 1;
                }
                state.queued += 1;
                if self.manner.retain {
                    state.under_way.push_back(message.clone());
                }
            }
            self.sent.push(turn - 1);
            if link.client.publish(message, self.manner).is_err() {
                break; // the connection is going down; what is next is seen when it has
            }
        }
        turn
    }

    /// Gives what is published again on every new connection.
    pub fn retained(&self) -> Retained {
        self.shared.lock().retained.clone()
    }

    /// Ends the connection in good order.
    pub fn finish(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.finish();
        }
    }
}

/// Gives up when the run is to end and nothing has moved since.
fn look(stop: &Stop, since: Instant) -> Result<(), Fault> {
    if stop.has_failed() || (stop.is_asked() && since.elapsed() > GRACE) {
        return Err(Fault::Interrupted);
    }
    Ok(())
}

/// The connection's side.
struct Publishing {
    shared: Arc<Shared>,
    manner: Manner,
    window: u64,
    /// What is retained and has not been handed to this connection yet.
    greeting: VecDeque<Message>,
    generation: u64,
    /// The connection, until it is the sink's.
    ready: Option<Link>,
    /// QoS 1: packets that were written, in order, and whether they were acknowledged.
    order: VecDeque<(u16, bool)>,
}

impl Publishing {
    /// Hands over what is retained, and then the connection to the sink.
    fn greet(&mut self, client: &Client) {
        if self.ready.is_none() {
            return;
        }
        let mut state = self.shared.lock();
        while state.queued - state.done < self.window
            && let Some(message) = self.greeting.pop_front()
        {
            state.queued += 1;
            state.under_way.push_back(message.clone());
            if client.publish(&message, self.manner).is_err() {
                return; // it is going down
            }
        }
        if self.greeting.is_empty() {
            state.is_greeting = false;
            state.link = self.ready.take();
            self.shared.changed.notify_all();
        }
    }

    /// The first so many of what is under way are done.
    fn done(&self, count: usize) {
        let mut state = self.shared.lock();
        let state = &mut *state;
        state.done += count as u64;
        if self.manner.retain {
            for _ in 0..count {
                let Some(message) = state.under_way.pop_front() else { break };
                state.retain(message);
            }
        }
        if state.wanted.is_some_and(|wanted| state.done >= wanted) {
            state.wanted = None;
            self.shared.changed.notify_all();
        }
    }
}

impl Duty for Publishing {
    fn connected(
        &mut self,
        (_, generation): (usize, u64),
        client: &Client,
        connected: Connected,
    ) -> Result<(), Loss> {
        self.generation = generation;
        let packet_max = connected.packet_max.and_then(|most| usize::try_from(most).ok());
        let packet_max = packet_max.unwrap_or(usize::MAX);
        self.ready = Some(Link { generation, client: client.clone(), packet_max });
        if self.manner.retain {
            let mut state = self.shared.lock();
            state.is_greeting = true;
            self.greeting = state.retained.values().cloned().collect();
        }
        self.greet(client);
        Ok(())
    }

    async fn event(&mut self, client: &Client, event: Event) -> Result<(), Loss> {
        match event {
            Event::Written(0) => self.done(1),
            Event::Written(packet) => self.order.push_back((packet, false)),
            Event::Taken(packet, None) => {
                let mut order = self.order.iter_mut();
                if let Some((_, is_done)) = order.find(|(known, _)| *known == packet) {
                    *is_done = true;
                }
                let count = self.order.iter().take_while(|(_, is_done)| *is_done).count();
                self.order.drain(..count);
                if count > 0 {
                    self.done(count);
                }
            }
            Event::Taken(_, Some(loss)) => return Err(loss),
            _ => {}
        }
        self.greet(client);
        Ok(())
    }

    fn owed(&self) -> Option<u64> {
        let state = self.shared.lock();
        (state.done < state.queued).then_some(state.done)
    }

    fn lost(&mut self) {
        self.order.clear();
        self.greeting.clear();
        self.ready = None;
        let mut state = self.shared.lock();
        state.link = None;
        state.is_greeting = false;
        state.ended = (self.generation, state.done);
        state.under_way.clear();
        (state.queued, state.done, state.wanted) = (0, 0, None);
        self.shared.changed.notify_all();
    }

    fn failed(&mut self, fault: Fault) {
        self.shared.lock().fault = Some(fault);
        self.shared.changed.notify_all();
    }
}

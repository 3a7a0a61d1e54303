//! The copier: signals joined with the followers as of their own time, and decided one by one.
//!
//! At one event time the order is: specifications, accounts, prices, the relation, how orders
//! ended, and last the signals, by sequence and id.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use dataflows::fault::Fault;
use proto::account::Account;
use proto::client_order_id::ClientOrderId;
use proto::decimal::Quantity;
use proto::decision::Decision;
use proto::event_time::EventTime;
use proto::follow::Follow;
use proto::order::Order;
use proto::series::KeyGroup;
use proto::specification::Specification;
use serde::{Deserialize, Serialize};

use crate::as_of::{Queue, Relation, Row, Turn};
use crate::calendar::Calendar;
use crate::copy::decide::{Case, decide};
use crate::copy::positions::{Book, Ended};
use crate::copy::signal::Signal;
use crate::copy::world::{Quote, World};

/// How many signals of a leader are remembered, so that one that comes again is copied once.
const REMEMBERED: usize = 4_096;

impl Row for Follow {
    const NAMESPACE: &'static str = "leader";

    fn key(&self) -> &Arc<str> {
        &self.leader
    }

    fn member(&self) -> &Arc<str> {
        &self.follower
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn is_present(&self) -> bool {
        self.settings.is_some()
    }
}

/// What a follower's venue tells of what was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// An order has ended.
    Ended(Ended),
    /// An order opened a position of this name.
    Opened(ClientOrderId, Arc<str>),
    /// The follower or a stop closed so much of a position, which may be what is left of another.
    Closed(Arc<str>, Option<Arc<str>>, Quantity),
}

/// Something that comes in.
#[derive(Debug, Clone)]
pub enum Input {
    /// How an instrument is traded.
    Specification(Specification),
    /// What an account is worth.
    Account(Arc<Account>),
    /// The last prices of (source, instrument).
    Quote(Arc<str>, Arc<str>, Quote),
    /// A row of the relation.
    Follow(Follow),
    /// What happened to an order of (leader, follower).
    Told(Arc<str>, Arc<str>, Told),
    /// What a leader did.
    Signal(Box<Signal>),
}

/// What has not become a decision, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Signals that had come before.
    pub signals: u64,
    /// Rows that were not newer than what is known.
    pub rows: u64,
}

/// The signals of a leader that came last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Recent {
    ids: VecDeque<Arc<str>>,
    known: BTreeSet<Arc<str>>,
}

impl Recent {
    fn is_new(&mut self, id: &Arc<str>) -> bool {
        if !self.known.insert(id.clone()) {
            return false;
        }
        self.ids.push_back(id.clone());
        if self.ids.len() > REMEMBERED
            && let Some(oldest) = self.ids.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// What is kept of each follower of a leader.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Own {
    book: Book,
    /// The follower's account in the world of this process.
    #[serde(skip)]
    account: Option<usize>,
}

/// The signals of a leader, as rows of a relation of one member each, so that they are kept by key
/// group with the rest.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Leader(Arc<str>);

impl Row for Leader {
    const NAMESPACE: &'static str = Follow::NAMESPACE;

    fn key(&self) -> &Arc<str> {
        &self.0
    }

    fn member(&self) -> &Arc<str> {
        &self.0
    }

    fn version(&self) -> u64 {
        0
    }

    fn is_present(&self) -> bool {
        true
    }
}

/// The machine.
#[derive(Debug)]
pub struct Copier {
    calendar: Option<Calendar>,
    is_tracked: bool,
    world: World,
    follows: Relation<Follow, Own>,
    recent: Relation<Leader, Recent>,
    queue: Queue<Input>,
}

impl Copier {
    /// Makes one that knows nothing. Without a calendar markets are always open; `is_tracked` says
    /// that it is told how orders end.
    pub fn new(calendar: Option<Calendar>, is_tracked: bool) -> Self {
        Self {
            calendar,
            is_tracked,
            world: World::default(),
            follows: Relation::default(),
            recent: Relation::default(),
            queue: Queue::default(),
        }
    }

    /// Takes something of the epoch under way that happened at `time`; `sequence` orders what one
    /// source tells of one time.
    pub fn push(&mut self, time: EventTime, sequence: u64, input: Input) {
        let (rank, sequence, name) = match &input {
            Input::Specification(row) => (0, sequence, row.instrument.clone()),
            Input::Account(row) => (1, sequence, row.account.clone()),
            Input::Quote(_, instrument, _) => (2, sequence, instrument.clone()),
            Input::Follow(row) => (3, row.version, row.follower.clone()),
            Input::Told(_, follower, _) => (4, sequence, follower.clone()),
            Input::Signal(signal) => (5, sequence, signal.id.clone()),
        };
        self.queue.push(Turn { time, rank, sequence, name }, input);
    }

    /// The epoch is over: decides its signals in order. `clock` is the job clock.
    pub fn seal(
        &mut self,
        clock: EventTime,
        decisions: &mut Vec<Decision>,
        orders: &mut Vec<Order>,
    ) -> Dropped {
        let mut dropped = Dropped::default();
        let is_market_open =
            self.calendar.as_ref().is_none_or(|calendar| calendar.in_session(clock));
        for input in self.queue.drain() {
            match input {
                Input::Specification(row) => self.world.set_specification(row),
                Input::Account(row) => self.world.set_account(row),
                Input::Quote(source, instrument, quote) => {
                    self.world.set_quote(&source, &instrument, quote);
                }
                Input::Follow(row) => {
                    let fresh = |_: &Follow| Own { book: Book::default(), account: None };
                    dropped.rows += u64::from(!self.follows.set(row, fresh));
                }
                Input::Told(leader, follower, told) => {
                    if let Some((_, own)) = self.follows.get(&leader, &follower) {
                        tell(&mut own.book, told);
                    }
                }
                Input::Signal(signal) => {
                    let is_new = {
                        self.recent.set(Leader(signal.leader.clone()), |_| Recent::default());
                        let recent = self.recent.get(&signal.leader, &signal.leader);
                        recent.is_none_or(|(_, recent)| recent.is_new(&signal.id))
                    };
                    if !is_new {
                        dropped.signals += 1;
                        continue;
                    }
                    let copies = Copies {
                        signal: &signal,
                        clock,
                        is_market_open,
                        is_tracked: self.is_tracked,
                    };
                    copies.make(&mut self.world, &mut self.follows, (decisions, orders));
                }
            }
        }
        dropped
    }

    /// Accounts, specifications and prices: every worker has all of them.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Takes a world over, before any input.
    pub fn set_world(&mut self, world: World) {
        self.world = world;
    }

    /// Appends what belongs to one key group: the relation, what followers have open, and which
    /// signals have come.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn snapshot(&self, group: KeyGroup, out: &mut Vec<u8>) -> Result<(), Fault> {
        let (mut follows, mut recent) = (Vec::new(), Vec::new());
        self.follows.snapshot(group, &mut follows)?;
        self.recent.snapshot(group, &mut recent)?;
        if follows.is_empty() && recent.is_empty() {
            return Ok(());
        }
        let bytes = postcard::to_allocvec(&(follows, recent))
            .map_err(|error| Fault::defect("a copier's encoding", error))?;
        out.extend_from_slice(&bytes);
        Ok(())
    }

    /// Takes over what [`Copier::snapshot`] wrote, whichever worker wrote it.
    ///
    /// # Errors
    /// When it is something else.
    pub fn restore(&mut self, group: KeyGroup, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        let (follows, recent): (Vec<u8>, Vec<u8>) = postcard::from_bytes(bytes)
            .map_err(|error| Fault::stop(format!("state of key group {group}"), error))?;
        self.follows.restore(group, &follows)?;
        self.recent.restore(group, &recent)
    }
}

fn tell(book: &mut Book, told: Told) {
    match told {
        Told::Ended(ended) => book.settle(ended),
        Told::Opened(opened_by, position_id) => book.learn(opened_by, &position_id),
        Told::Closed(position_id, parent_id, lots) => {
            book.reduce(&position_id, parent_id.as_ref(), lots);
        }
    }
}

/// One signal on its way to all followers.
struct Copies<'a> {
    signal: &'a Signal,
    clock: EventTime,
    is_market_open: bool,
    is_tracked: bool,
}

impl Copies<'_> {
    fn make(
        &self,
        world: &mut World,
        follows: &mut Relation<Follow, Own>,
        (decisions, orders): (&mut Vec<Decision>, &mut Vec<Order>),
    ) {
        // Looking an account up by its name costs as much as deciding: once per follower will do.
        for (follow, own) in follows.of(&self.signal.leader) {
            if own.account.is_none() {
                own.account = Some(world.number_of(&follow.follower));
            }
        }
        let world = &*world;
        let leader = world.account(&self.signal.leader).map(|account| &**account);
        for (follow, own) in follows.of(&self.signal.leader) {
            let Some(settings) = &follow.settings else { continue };
            let case = Case {
                signal: self.signal,
                clock: self.clock,
                is_market_open: self.is_market_open,
                is_tracked: self.is_tracked,
                world,
                leader,
                follow,
                settings,
                account: own.account.and_then(|number| world.numbered(number)),
            };
            decisions.push(decide(&case, &mut own.book, orders));
        }
    }
}

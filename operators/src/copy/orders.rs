//! Orders on their way to venues: what is sent, asked or waited for, as a machine on a given clock.
//!
//! 1. An order is sent under its client order id and never under another one.
//! 2. It is sent again only where it is certain that no venue has it ([`Answer::NotSent`]), and
//!    never once its state was `UNKNOWN`.
//! 3. Without an answer by the deadline, or with one that leaves open whether the order was
//!    executed, it is `UNKNOWN`. Only a query ends that. A venue that does not know the order is
//!    asked again until [`Patience::lost_after`] is over, since the order may still be on its way.
//! 4. In a lane (one leader and one follower) an order is sent when the one before has ended.
//! 5. What closes or changes a position is sent with no more lots than are open of it, and is
//!    refused without being sent where nothing is.
//! 6. A venue is called as often as its [`Rate`] allows, sends and questions together; questions go
//!    first, then the orders that have waited longest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::order::{Order, OrderKind, OrderState};
use serde::{Deserialize, Serialize};

use crate::copy::bucket::{Bucket, Rate};

/// How long is waited for what, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patience {
    /// From a call to its answer.
    pub answer: i64,
    /// Before an order is sent again; twice as long each further time.
    pub resend: i64,
    /// How often it is sent at most.
    pub sends_max: u32,
    /// Between two questions for an order, and before an acknowledged one is asked for.
    pub query: i64,
    /// How long after it became unknown a venue may not know an order before it counts as lost.
    pub lost_after: i64,
}

/// What is to be called now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The order is to be sent.
    Send(Box<Order>),
    /// The venue (`source`) is to be asked for the order of this client order id.
    Query {
        /// The venue.
        source: Arc<str>,
        /// The order.
        id: Arc<str>,
    },
}

/// What was done of an order, and at which average price.
pub type Done = Option<(Quantity, Price)>;

/// What a call, or a venue of its own accord, says of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The venue has it, and has done so much of it.
    Working(Done),
    /// Done in full, at this average price; a change of stops has none.
    Filled(Option<Price>),
    /// It will not be done, or no more of it than this.
    Refused(String, Done),
    /// It is certain that the venue has not got it: there was no connection, or the answer is one
    /// that is given before anything is done.
    NotSent,
    /// The call failed and says nothing of what became of the order.
    Unclear,
    /// To a question: the venue does not know it.
    NotFound,
}

/// Where an order belongs: leader and follower.
pub type LaneName = (Arc<str>, Arc<str>);

/// What is next for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// It waits for those before it.
    Waiting,
    /// It is to be sent as soon as the venue may be called.
    Due,
    /// It is to be asked for as soon as the venue may be called.
    Question,
    /// Until then it waits: for the time to be sent again, for an answer, for the next question.
    Until(EventTime, Next),
}

/// What happens when a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Next {
    Send,
    Unknown,
    Ask,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Job {
    order: Order,
    lane: LaneName,
    number: u64,
    sends: u32,
    stage: Stage,
    unknown_since: Option<EventTime>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Lane {
    queue: VecDeque<Arc<str>>,
    /// By the order that opened it, what is open of a position.
    open: BTreeMap<String, Quantity>,
}

/// All orders that have not ended, and the positions that they opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Orders {
    patience: Patience,
    rates: BTreeMap<String, Rate>,
    rate: Rate,
    jobs: BTreeMap<Arc<str>, Job>,
    lanes: BTreeMap<LaneName, Lane>,
    buckets: BTreeMap<String, Bucket>,
    /// What is to be called by venue: questions (false) first, then by age.
    due: BTreeMap<String, BTreeSet<(bool, u64, Arc<str>)>>,
    timers: BTreeSet<(EventTime, u64, Arc<str>)>,
    number: u64,
}

impl Orders {
    /// Makes one without orders. Venues that `rates` doesn't list have `rate`.
    pub fn new(patience: Patience, rate: Rate, rates: BTreeMap<String, Rate>) -> Self {
        Self {
            patience,
            rates,
            rate,
            jobs: BTreeMap::new(),
            lanes: BTreeMap::new(),
            buckets: BTreeMap::new(),
            due: BTreeMap::new(),
            timers: BTreeSet::new(),
            number: 0,
        }
    }

    /// Counts the orders that have not ended.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Tells whether all have ended.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Takes a new order to the end of its lane. One that is known already is left alone, so that a
    /// decision may be told twice.
    pub fn submit(&mut self, lane: LaneName, order: Order, changes: &mut Vec<Order>) {
        let id: Arc<str> = order.client_order_id.as_str().into();
        if order.state != OrderState::New || self.jobs.contains_key(&id) {
            return;
        }
        self.number += 1;
        let time = order.envelope.time;
        let stage = Stage::Waiting;
        let number = self.number;
        let job = Job { order, lane: lane.clone(), number, sends: 0, stage, unknown_since: None };
        self.jobs.insert(id.clone(), job);
        self.lanes.entry(lane.clone()).or_default().queue.push_back(id);
        self.start(&lane, time, changes);
    }

    /// Gives the calls that are due, as many as the venues' rates allow; every change of an order
    /// goes to `changes`.
    pub fn step(&mut self, clock: EventTime, changes: &mut Vec<Order>) -> Vec<Command> {
        while let Some((at, _, id)) = self.timers.first().cloned().filter(|timer| timer.0 <= clock)
        {
            let Some(Stage::Until(_, next)) = self.jobs.get(&id).map(|job| job.stage) else {
                self.timers.pop_first();
                continue;
            };
            match next {
                Next::Send => self.enter(&id, Stage::Due),
                Next::Ask => self.enter(&id, Stage::Question),
                Next::Unknown => self.lose_sight(&id, at, changes),
            }
        }
        let mut commands = Vec::new();
        let venues: Vec<String> = self.due.keys().cloned().collect();
        for venue in venues {
            let rate = *self.rates.get(&venue).unwrap_or(&self.rate);
            while let Some((is_send, _, id)) =
                self.due.get(&venue).and_then(BTreeSet::first).cloned()
            {
                let bucket = self.buckets.entry(venue.clone()).or_insert_with(|| Bucket::new(rate));
                if !bucket.take(clock) {
                    break;
                }
                commands.push(if is_send {
                    self.send(&id, clock, changes)
                } else {
                    let until = after(clock, self.patience.answer);
                    self.enter(&id, Stage::Until(until, Next::Ask));
                    Command::Query { source: venue.as_str().into(), id }
                });
            }
        }
        commands
    }

    /// Gives when [`Orders::step`] has something to do next, if it ever has.
    pub fn next(&self) -> Option<EventTime> {
        let calls = self.due.keys().filter_map(|venue| self.buckets.get(venue)).map(Bucket::next);
        calls.chain(self.timers.first().map(|timer| timer.0)).min()
    }

    /// Takes what a venue says of an order; what is said of one that has ended changes nothing.
    pub fn answer(&mut self, id: &str, answer: Answer, clock: EventTime, changes: &mut Vec<Order>) {
        let Some((id, job)) = self.jobs.get_key_value(id) else { return };
        let (id, state, sends) = (id.clone(), job.order.state, job.sends);
        if matches!(state, OrderState::New) {
            return;
        }
        match answer {
            Answer::Working(done) => {
                self.change(&id, OrderState::Acked, done, clock, changes);
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.unknown_since = None;
                }
                self.enter(&id, Stage::Until(after(clock, self.patience.query), Next::Ask));
            }
            Answer::Filled(price) => {
                let lots = job.order.lots;
                let done = price.map(|price| (lots, price));
                self.end(&id, OrderState::Filled, (done, None), clock, changes);
            }
            Answer::Refused(reason, done) => {
                self.end(&id, OrderState::Rejected, (done, Some(reason)), clock, changes);
            }
            Answer::NotSent if state == OrderState::Sent => {
                if sends < self.patience.sends_max {
                    let wait = self.patience.resend.saturating_mul(1 << (sends - 1).min(20));
                    self.enter(&id, Stage::Until(after(clock, wait), Next::Send));
                } else {
                    let reason = Some("unreachable".to_owned());
                    self.end(&id, OrderState::Rejected, (None, reason), clock, changes);
                }
            }
            // A question that did not get through is asked again.
            Answer::NotSent | Answer::Unclear if state != OrderState::Sent => {
                self.enter(&id, Stage::Until(after(clock, self.patience.query), Next::Ask));
            }
            Answer::NotSent | Answer::Unclear => self.lose_sight(&id, clock, changes),
            Answer::NotFound => self.not_found(&id, clock, changes),
        }
    }

    /// Learns that the follower itself, or a stop, has closed so much of what an order opened.
    pub fn reduce(&mut self, lane: &LaneName, opened_by: &str, lots: Quantity) {
        let Some(lane) = self.lanes.get_mut(lane) else { return };
        lane.close(opened_by, lots);
    }

    fn not_found(&mut self, id: &Arc<str>, clock: EventTime, changes: &mut Vec<Order>) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        // Of one that was acknowledged, too: the venue has contradicted itself.
        let since = *job.unknown_since.get_or_insert(clock);
        if clock < after(since, self.patience.lost_after) {
            self.enter(id, Stage::Until(after(clock, self.patience.query), Next::Ask));
        } else {
            let reason = Some("lost".to_owned());
            self.end(id, OrderState::Rejected, (None, reason), clock, changes);
        }
    }

    fn send(&mut self, id: &Arc<str>, clock: EventTime, changes: &mut Vec<Order>) -> Command {
        let until = after(clock, self.patience.answer);
        self.enter(id, Stage::Until(until, Next::Unknown));
        self.change(id, OrderState::Sent, None, clock, changes);
        let job = self.jobs.get_mut(id).map(|job| {
            job.sends += 1;
            job.order.clone()
        });
        // `due` names jobs only.
        job.map_or_else(
            || Command::Query { source: "".into(), id: id.clone() },
            |order| Command::Send(Box::new(order)),
        )
    }

    fn lose_sight(&mut self, id: &Arc<str>, clock: EventTime, changes: &mut Vec<Order>) {
        self.change(id, OrderState::Unknown, None, clock, changes);
        if let Some(job) = self.jobs.get_mut(id) {
            job.unknown_since.get_or_insert(clock);
        }
        self.enter(id, Stage::Question);
    }

    /// Changes the state, where that is a change, and tells it.
    fn change(
        &mut self,
        id: &str,
        state: OrderState,
        done: Done,
        clock: EventTime,
        changes: &mut Vec<Order>,
    ) {
        let Some(order) = self.jobs.get_mut(id).map(|job| &mut job.order) else { return };
        let filled =
            done.map_or(order.lots_filled, |(lots, _)| lots.clamp(order.lots_filled, order.lots));
        let is_more = filled > order.lots_filled;
        if !order.state.may_become(state) && !is_more {
            return;
        }
        if order.state.may_become(state) {
            order.state = state;
        }
        if is_more {
            order.lots_filled = filled;
            order.fill_price = done.map(|(_, price)| price);
        }
        order.envelope.time = clock;
        changes.push(order.clone());
    }

    /// Ends an order, notes what it opened or closed, and lets the next of its lane go.
    fn end(
        &mut self,
        id: &Arc<str>,
        state: OrderState,
        (done, reason): (Done, Option<String>),
        clock: EventTime,
        changes: &mut Vec<Order>,
    ) {
        self.enter(id, Stage::Waiting);
        let Some(mut job) = self.jobs.remove(id) else { return };
        let order = &mut job.order;
        order.state = state;
        order.reason = reason;
        order.envelope.time = clock;
        if let Some((lots, price)) = done {
            order.lots_filled = lots.clamp(order.lots_filled, order.lots);
            order.fill_price = Some(price).filter(|_| order.lots_filled > Quantity::ZERO);
        }
        if state == OrderState::Filled {
            order.lots_filled = order.lots;
        }
        if let Some(lane) = self.lanes.get_mut(&job.lane) {
            lane.note(order);
            if lane.queue.front() == Some(id) {
                lane.queue.pop_front();
            }
        }
        changes.push(job.order);
        self.start(&job.lane, clock, changes);
    }

    /// Lets the first of a lane go, and refuses what has nothing to close.
    fn start(&mut self, name: &LaneName, clock: EventTime, changes: &mut Vec<Order>) {
        while let Some(lane) = self.lanes.get(name) {
            let Some(id) = lane.queue.front().cloned() else {
                if lane.open.is_empty() {
                    self.lanes.remove(name);
                }
                return;
            };
            let Some(job) = self.jobs.get_mut(&id).filter(|job| job.stage == Stage::Waiting) else {
                return;
            };
            let order = &mut job.order;
            let Some(opened_by) = &order.opened_by else { return self.enter(&id, Stage::Due) };
            let open = lane.open.get(opened_by).copied().unwrap_or_default();
            if open > Quantity::ZERO {
                order.lots = order.lots.min(open);
                return self.enter(&id, Stage::Due);
            }
            order.state = OrderState::Rejected;
            order.reason = Some("nothing_open".to_owned());
            order.envelope.time = clock;
            changes.push(order.clone());
            self.jobs.remove(&id);
            if let Some(lane) = self.lanes.get_mut(name) {
                lane.queue.pop_front();
            }
        }
    }

    /// Brings an order to a stage, out of the sets of the one before and into those of the next.
    fn enter(&mut self, id: &Arc<str>, stage: Stage) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let before = std::mem::replace(&mut job.stage, stage);
        let (number, venue) = (job.number, &job.order.envelope.source);
        match before {
            Stage::Waiting => {}
            Stage::Until(at, _) => {
                self.timers.remove(&(at, number, id.clone()));
            }
            Stage::Due | Stage::Question => {
                let key = (before == Stage::Due, number, id.clone());
                if let Some(due) = self.due.get_mut(venue) {
                    due.remove(&key);
                    if due.is_empty() {
                        self.due.remove(venue);
                    }
                }
            }
        }
        match stage {
            Stage::Waiting => {}
            Stage::Until(at, _) => {
                self.timers.insert((at, number, id.clone()));
            }
            Stage::Due | Stage::Question => {
                let due = self.due.entry(venue.clone()).or_default();
                due.insert((stage == Stage::Due, number, id.clone()));
            }
        }
    }
}

impl Lane {
    /// Notes what an order that has ended opened or closed.
    fn note(&mut self, order: &Order) {
        let filled = order.lots_filled.units();
        match &order.opened_by {
            Some(opened_by) => self.close(opened_by, order.lots_filled),
            None if filled > 0 && order.kind == OrderKind::Market => {
                self.open.insert(order.client_order_id.clone(), order.lots_filled);
            }
            None => {}
        }
    }

    fn close(&mut self, opened_by: &str, lots: Quantity) {
        let Some(open) = self.open.get_mut(opened_by) else { return };
        *open = Quantity::from_units(open.units().saturating_sub(lots.units()));
        if *open <= Quantity::ZERO {
            self.open.remove(opened_by);
        }
    }
}

fn after(clock: EventTime, ns: i64) -> EventTime {
    EventTime::from_ns(clock.ns().saturating_add(ns))
}

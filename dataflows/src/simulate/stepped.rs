//! The engine, stepped by hand: the same coordinator, timely workers, journal, checkpoints and sinks
//! as in a real run, but each moves only when it is told to, one at a time.
//!
//! Whoever holds the steps decides the interleaving; dropping the engine between two of them is a
//! crash. `tapeflow test` steps it round robin, the simulation by a seed.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};
use proto::columns::Names;
use proto::event_time::EventTime;

use crate::clock::Clock;
use crate::component::sink::{Sink, SinkContext, SinkReport};
use crate::component::source::{Position, Source, SourceContext};
use crate::driver::apply::{self, Apply, Outlet};
use crate::driver::checkpointing::{Checkpointer, Parcel};
use crate::driver::durable::{self, Backing};
use crate::driver::feed::{Closing, Feed, Turn};
use crate::driver::intake::{self, Taken};
use crate::driver::journaling::{Keeper, Order};
use crate::driver::prepare::{Keepers, Keeping, Run};
use crate::driver::status::Status;
use crate::driver::worker::Step;
use crate::driver::{Options, Shared, wire};
use crate::fault::Fault;
use crate::job::plan::{Plan, SinkPlan, SourcePlan};
use crate::moment::Epoch;
use crate::simulate::crew::Turns;

/// Opens the sources and sinks of a stepped run, in place of their definitions.
pub trait World {
    /// Opens a source, by its number in the plan. Its `next` must not block: what has nothing now
    /// gives an empty intake.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn source(
        &self,
        number: usize,
        plan: &SourcePlan,
        behind: Option<Position>,
        context: SourceContext,
    ) -> Result<Box<dyn Source>, Fault>;
    /// Opens a sink, by its number in the plan.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn sink(
        &self,
        number: usize,
        plan: &SinkPlan,
        context: SinkContext,
    ) -> Result<Box<dyn Sink>, Fault>;
}

/// Outlets hold so much that a worker never waits for a sink, who might wait for its turn.
const OUTLETS: usize = 1 << 12;

/// One start of a job, from its opening to its end or its crash.
pub struct Stepped {
    shared: Arc<Shared>,
    feed: Option<Feed>,
    sources: Vec<Pump>,
    turns: Turns,
    sinks: Vec<(Option<Apply>, Receiver<Outlet>)>,
    keeper: Keeper,
    orders: Receiver<Order>,
    checkpointer: Checkpointer,
    parcels: Receiver<Parcel>,
    reports: Vec<SinkReport>,
}

struct Pump {
    source: Box<dyn Source>,
    names: Names,
    to: Option<Sender<Taken>>,
    waiting: Option<Taken>,
}

/// Who can be told to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A source hands something in, or acknowledges.
    Source(usize),
    /// The coordinator.
    Feed,
    /// A worker.
    Worker(usize),
    /// The journal takes an entry.
    Journal,
    /// The journal syncs.
    Sync,
    /// A sink applies an epoch.
    Sink(usize),
    /// The checkpoints take a part, or write.
    Checkpoints,
}

impl std::fmt::Debug for Stepped {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Stepped").field("epoch", &self.epoch()).finish_non_exhaustive()
    }
}

impl Stepped {
    /// Starts a durable run behind what the backing holds.
    ///
    /// # Errors
    /// When it cannot start.
    pub fn start(
        plan: &Plan,
        backing: Backing,
        clock: Arc<dyn Clock>,
        world: &dyn World,
        is_scripted: bool,
    ) -> Result<Self, Fault> {
        let options = Options::default();
        let opened = durable::open(plan, backing, false, false)?;
        let status = Arc::new(Status::new(plan));
        let (run, keepers) = Run::prepare(plan, options, Some(opened), status, clock)?;
        let Run { shared, resume, again } = run;
        let mut keepers = keepers;
        let last = keepers.last;
        let machines = wire::machines(&shared, &resume)?;
        let mut sources = Vec::new();
        let mut intakes = Vec::new();
        for (number, plan) in shared.plan.sources.iter().enumerate() {
            let behind = resume.sources.get(number).and_then(|source| source.position.clone());
            let source = world.source(number, plan, behind, shared.source_context(&plan.id))?;
            let (to, intake) = bounded(intake::WAITING);
            let names = Names::new(shared.series.clone());
            sources.push(Pump { source, names, to: Some(to), waiting: None });
            intakes.push(intake);
        }
        let mut open = |number: usize, plan: &SinkPlan, context: SinkContext| {
            world.sink(number, plan, context)
        };
        let opened = apply::open(&shared, &resume, last, &mut open)?;
        if let Err(fault) = keepers.begin(&shared) {
            apply::give_up(opened);
            return Err(fault);
        }
        let Keepers { threads: Some(keeping), .. } = keepers else {
            return Err(Fault::defect("a stepped run", "it is not durable"));
        };
        let Keeping { keeper, orders, checkpointer, parcels, .. } = keeping;
        let mut sinks = Vec::new();
        let mut outlets = Vec::new();
        for (number, sink) in opened.into_iter().enumerate() {
            let (outlet, receiver) = bounded(OUTLETS);
            outlets.push(outlet);
            sinks.push((Some(Apply::new(shared.clone(), number, sink)), receiver));
        }
        let (turns, crew) = Turns::start(&shared, machines, &outlets);
        drop(outlets);
        let mut feed = Feed::new(shared.clone(), intakes, crew, resume, again);
        feed.is_scripted = is_scripted;
        let (feed, reports) = (Some(feed), Vec::new());
        Ok(Self {
            shared,
            feed,
            sources,
            turns,
            sinks,
            keeper,
            orders,
            checkpointer,
            parcels,
            reports,
        })
    }

    /// Lists who can be told to move.
    pub fn actors(&self) -> Vec<Actor> {
        let sources = (0..self.sources.len()).map(Actor::Source);
        let workers = (0..self.shared.plan.run.workers).map(Actor::Worker);
        let sinks = (0..self.sinks.len()).map(Actor::Sink);
        let others = [Actor::Feed, Actor::Journal, Actor::Sync, Actor::Checkpoints];
        sources.chain(workers).chain(sinks).chain(others).collect()
    }

    /// Lets one move; tells whether it did anything.
    ///
    /// # Errors
    /// The fault that ends the run.
    pub fn turn(&mut self, actor: Actor) -> Result<bool, Fault> {
        let has_moved = match actor {
            Actor::Source(number) => self.source(number)?,
            Actor::Feed => self.feed()?,
            Actor::Worker(number) => self.turns.turn(number) == Step::Moved,
            Actor::Journal => self.journal()?,
            Actor::Sync => self.sync()?,
            Actor::Sink(number) => self.sink(number)?,
            Actor::Checkpoints => self.checkpoints()?,
        };
        match self.shared.status.take_failure() {
            Some(fault) => Err(fault),
            None => Ok(has_moved),
        }
    }

    /// Lets all move, one after the other, until nobody has anything to do.
    ///
    /// # Errors
    /// The fault that ends the run.
    pub fn settle(&mut self) -> Result<(), Fault> {
        // A worker that has not moved may have to be stepped once more for its peers' progress.
        let mut quiet = 0;
        while quiet < 4 {
            let mut has_moved = false;
            for actor in self.actors() {
                has_moved |= self.turn(actor)?;
            }
            quiet = if has_moved { 0 } else { quiet + 1 };
        }
        Ok(())
    }

    /// Tells whether the run has ended, in good order.
    pub fn is_over(&self) -> bool {
        self.feed.is_none() && self.sinks.iter().all(|(apply, _)| apply.is_none())
    }

    /// The last epoch that was minted.
    pub fn epoch(&self) -> Epoch {
        self.shared.status.epochs()
    }

    /// Asks the run to end in good order.
    pub fn stop(&self) {
        self.shared.options.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Of a scripted run: the epoch under way closes, at `clock`.
    pub fn close(&mut self, clock: EventTime, is_last: bool, is_cut: bool) {
        if let Some(feed) = &mut self.feed {
            feed.clock = clock.max(feed.clock);
            feed.closing = Some(Closing { is_last, is_end: is_last });
            feed.is_cut_asked |= is_cut;
        }
    }

    /// The job clock.
    pub fn clock(&self) -> EventTime {
        self.feed.as_ref().map_or(EventTime::MIN, |feed| feed.clock)
    }

    /// The greatest event time that any source has handed in.
    pub fn reached(&self) -> EventTime {
        let feed = self.feed.iter().flat_map(|feed| &feed.sources);
        feed.map(|source| source.reached).max().unwrap_or(EventTime::MIN)
    }

    fn source(&mut self, number: usize) -> Result<bool, Fault> {
        let shared = self.shared.clone();
        let Some(pump) = self.sources.get_mut(number) else { return Ok(false) };
        if pump.to.is_none() || shared.is_stopping() {
            pump.to = None;
            intake::settle(&shared, number, pump.source.as_mut())?;
            return Ok(false);
        }
        if pump.waiting.is_none() {
            match intake::turn(&shared, number, pump.source.as_mut(), None, &mut pump.names)? {
                Some(taken) => {
                    pump.waiting = (!taken.intake.is_empty()).then_some(taken);
                }
                None => {
                    pump.to = None;
                    return Ok(true);
                }
            }
        }
        let (Some(taken), Some(to)) = (pump.waiting.take(), &pump.to) else { return Ok(false) };
        match to.try_send(taken) {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(taken)) => {
                pump.waiting = Some(taken);
                Ok(false)
            }
            Err(TrySendError::Disconnected(_)) => {
                pump.to = None;
                Ok(false)
            }
        }
    }

    fn feed(&mut self) -> Result<bool, Fault> {
        let Some(feed) = &mut self.feed else { return Ok(false) };
        match feed.turn()? {
            Turn::Moved => Ok(true),
            Turn::Sources(..) | Turn::Gate(_) => Ok(false),
            Turn::Done => {
                if let Some(feed) = self.feed.take() {
                    feed.finish();
                }
                Ok(true)
            }
        }
    }

    fn journal(&mut self) -> Result<bool, Fault> {
        match self.orders.try_recv() {
            Ok(order) => self.keeper.take(order),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => Ok(false),
        }
    }

    fn sync(&mut self) -> Result<bool, Fault> {
        let has_work = self.keeper.unsynced() > 0;
        self.keeper.sync(&self.shared)?;
        Ok(has_work)
    }

    fn sink(&mut self, number: usize) -> Result<bool, Fault> {
        let Some((slot, outlets)) = self.sinks.get_mut(number) else { return Ok(false) };
        let Some(apply) = slot else { return Ok(false) };
        match outlets.try_recv() {
            Ok(outlet) => {
                apply.take(outlet);
                return Ok(true);
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                if apply.sealed().is_none() {
                    let Some(durability) = &self.shared.durability else { return Ok(false) };
                    let may_end = durability.checkpointed.get() >= apply.checkpointed;
                    if let Some(apply) = slot.take_if(|_| may_end) {
                        self.reports.push(apply.finish()?);
                    }
                    return Ok(may_end);
                }
            }
        }
        let may_apply = apply.may_apply();
        if may_apply {
            apply.apply()?;
        }
        Ok(may_apply)
    }

    fn checkpoints(&mut self) -> Result<bool, Fault> {
        let Some(durability) = &self.shared.durability else { return Ok(false) };
        let before = durability.checkpointed.get();
        self.checkpointer.write(&self.shared)?;
        if durability.checkpointed.get() > before {
            return Ok(true);
        }
        match self.parcels.try_recv() {
            Ok(Parcel::Part(epoch, part)) => {
                self.checkpointer.take(epoch, part)?;
                Ok(true)
            }
            Ok(Parcel::Stop) | Err(_) => Ok(false),
        }
    }
}

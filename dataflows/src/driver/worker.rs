//! The workers: threads that own a share of the key groups each and step the dataflow.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use timely::communication::WorkerGuards;
use timely::worker::Worker;

use crate::batch::Rows;
use crate::driver::apply::Outlet;
use crate::driver::wire::{Inlet, wire};
use crate::driver::{Shared, guarded};
use crate::fault::Fault;
use crate::machine::AnyMachine;
use crate::moment::Epoch;

/// A worker's share of an epoch.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) epoch: Epoch,
    /// (source, output, rows).
    pub(crate) rows: Vec<(usize, usize, Rows)>,
}

/// The coordinator's end: one bounded channel per worker.
pub(crate) struct Crew {
    senders: Vec<Sender<Share>>,
    threads: Arc<Vec<OnceLock<Thread>>>,
    /// None where somebody else steps the workers.
    guards: Option<WorkerGuards<()>>,
}

impl Crew {
    /// Makes the end of workers that somebody else steps.
    pub(crate) fn of(senders: Vec<Sender<Share>>) -> Self {
        Self { senders, threads: Arc::default(), guards: None }
    }

    /// Hands a worker its share and wakes it.
    pub(crate) fn send(&self, worker: usize, share: Share) -> bool {
        let sent = self.senders.get(worker).is_some_and(|sender| sender.send(share).is_ok());
        if let Some(thread) = self.threads.get(worker).and_then(OnceLock::get) {
            thread.unpark();
        }
        sent
    }

    /// Closes the input, lets the workers finish what is in flight, and waits for them.
    pub(crate) fn finish(self, shared: &Shared) {
        drop(self.senders);
        for thread in self.threads.iter().filter_map(OnceLock::get) {
            thread.unpark();
        }
        for result in self.guards.map_or_else(Vec::new, WorkerGuards::join) {
            if let Err(message) = result {
                shared.status.fail(Fault::defect("a worker", message));
            }
        }
    }
}

/// What a worker is given when it starts.
struct Kit {
    shares: Receiver<Share>,
    machines: Vec<AnyMachine>,
}

/// Starts the workers, each with its machines.
pub(crate) fn spawn(
    shared: &Arc<Shared>,
    machines: Vec<Vec<AnyMachine>>,
    outlets: Vec<Sender<Outlet>>,
) -> Result<Crew, Fault> {
    let workers = shared.plan.run.workers;
    let waiting = usize::try_from(shared.plan.run.epochs_in_flight_max).unwrap_or(64);
    let mut senders = Vec::new();
    let mut kits = Vec::new();
    for machines in machines {
        let (sender, shares) = bounded(waiting);
        senders.push(sender);
        kits.push(Mutex::new(Some(Kit { shares, machines })));
    }
    let threads: Arc<Vec<OnceLock<Thread>>> =
        Arc::new((0..workers).map(|_| OnceLock::new()).collect());
    let (run, registry) = (shared.clone(), threads.clone());
    let outlets: Mutex<Vec<Option<Vec<Sender<Outlet>>>>> =
        Mutex::new((0..workers).map(|_| Some(outlets.clone())).collect());
    let config =
        if workers == 1 { timely::Config::thread() } else { timely::Config::process(workers) };
    let guards = timely::execute(config, move |worker| {
        let index = worker.index();
        if let Some(slot) = registry.get(index) {
            // Set once: each worker has its own slot.
            drop(slot.set(std::thread::current()));
        }
        let take =
            |slot: &Mutex<Option<Kit>>| slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let kit = kits.get(index).and_then(take);
        let mut all = outlets.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.get_mut(index).and_then(Option::take);
        drop(all);
        let (Some(kit), Some(own)) = (kit, own) else { return };
        let outcome = guarded("a worker", || work(worker, &run, kit, own));
        if let Err(fault) = outcome {
            run.status.fail(fault);
        }
        for dataflow in worker.installed_dataflows() {
            worker.drop_dataflow(dataflow);
        }
    })
    .map_err(|error| Fault::stop("the workers", error))?;
    Ok(Crew { senders, threads, guards: Some(guards) })
}

fn work(worker: &mut Worker, shared: &Arc<Shared>, kit: Kit, outlets: Vec<Sender<Outlet>>) {
    let index = worker.index();
    let mut hand = Hand::new(worker, shared, index, kit.shares, kit.machines, &outlets);
    drop(outlets);
    while !shared.status.has_failed() {
        match hand.turn(worker) {
            Step::Moved => {}
            Step::Idle => {
                worker.step_or_park(Some(PARK_MAX));
            }
            Step::Over => return,
        }
    }
}

/// What a turn of a worker came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A share was taken.
    Moved,
    /// There is no share: step the dataflow, or wait.
    Idle,
    /// The input has ended and the dataflow with it.
    Over,
}

/// A worker's hold on its dataflow.
pub(crate) struct Hand {
    own: u32,
    shares: Receiver<Share>,
    /// None when the input has ended.
    inlets: Option<Vec<Vec<Inlet>>>,
}

impl Hand {
    /// Wires the dataflow of the worker with this number.
    pub(crate) fn new(
        worker: &mut Worker,
        shared: &Arc<Shared>,
        index: usize,
        shares: Receiver<Share>,
        machines: Vec<AnyMachine>,
        outlets: &[Sender<Outlet>],
    ) -> Self {
        let own = u32::try_from(index).unwrap_or(0);
        let mut inlets = worker.dataflow(|scope| wire(scope, shared, index, machines, outlets));
        for inlet in inlets.iter_mut().flatten() {
            inlet.advance_to(shared.base + 1);
        }
        Self { own, shares, inlets: Some(inlets) }
    }

    /// Takes the next share, if there is one.
    pub(crate) fn turn(&mut self, worker: &mut Worker) -> Step {
        let Some(inlets) = &mut self.inlets else {
            return if worker.has_dataflows() { Step::Idle } else { Step::Over };
        };
        match self.shares.try_recv() {
            Ok(share) => {
                for (source, output, rows) in share.rows {
                    if let Some(inlet) = inlets.get_mut(source).and_then(|row| row.get_mut(output))
                    {
                        inlet.send(self.own, rows);
                    }
                }
                for inlet in inlets.iter_mut().flatten() {
                    inlet.advance_to(share.epoch + 1);
                }
                worker.step();
                Step::Moved
            }
            Err(TryRecvError::Empty) => Step::Idle,
            Err(TryRecvError::Disconnected) => {
                self.inlets = None;
                Step::Moved
            }
        }
    }
}

/// The coordinator unparks a worker that has something to do; this bounds how long a failure
/// elsewhere goes unnoticed.
const PARK_MAX: Duration = Duration::from_millis(100);

//! Workers that take turns: real timely workers, each on a thread of its own, of which exactly one
//! moves at a time, when it is told to.

use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};
use timely::communication::WorkerGuards;

use crate::driver::apply::Outlet;
use crate::driver::worker::{Crew, Hand, Share, Step};
use crate::driver::{Shared, guarded};
use crate::fault::Fault;
use crate::machine::AnyMachine;

/// The workers, each waiting for its turn.
pub(super) struct Turns {
    batons: Vec<(Sender<()>, Receiver<Step>)>,
    guards: Option<WorkerGuards<()>>,
}

/// What a worker is given when it starts.
struct Kit {
    shares: Receiver<Share>,
    machines: Vec<AnyMachine>,
    outlets: Vec<Sender<Outlet>>,
    turns: Receiver<()>,
    done: Sender<Step>,
}

impl Turns {
    /// Starts the workers.
    pub(super) fn start(
        shared: &Arc<Shared>,
        machines: Vec<Vec<AnyMachine>>,
        outlets: &[Sender<Outlet>],
    ) -> Result<(Self, Crew), Fault> {
        let waiting = usize::try_from(shared.plan.run.epochs_in_flight_max).unwrap_or(64) + 1;
        let (mut senders, mut batons, mut kits) = (Vec::new(), Vec::new(), Vec::new());
        for machines in machines {
            let (sender, shares) = bounded(waiting);
            let (turn, turns) = bounded(0);
            let (done, dones) = bounded(0);
            senders.push(sender);
            batons.push((turn, dones));
            let outlets = outlets.to_vec();
            kits.push(Mutex::new(Some(Kit { shares, machines, outlets, turns, done })));
        }
        let config = timely::Config::process(batons.len());
        let run = shared.clone();
        let guards = timely::execute(config, move |worker| {
            let slot = kits.get(worker.index());
            let kit = slot.and_then(|k| k.lock().unwrap_or_else(PoisonError::into_inner).take());
            let Some(kit) = kit else { return };
            let outcome = guarded("a worker", || {
                let Kit { shares, machines, outlets, turns, done } = kit;
                let mut hand = Hand::new(worker, &run, shares, machines, &outlets);
                drop(outlets);
                while turns.recv().is_ok() {
                    let mut step = hand.turn(worker);
                    if step == Step::Idle && worker.step() {
                        step = Step::Moved;
                    }
                    if done.send(step).is_err() {
                        break;
                    }
                }
            });
            if let Err(fault) = outcome {
                run.status.fail(fault);
            }
            for dataflow in worker.installed_dataflows() {
                worker.drop_dataflow(dataflow);
            }
        })
        .map_err(|error| Fault::stop("the workers", error))?;
        Ok((Self { batons, guards: Some(guards) }, Crew::of(senders)))
    }

    /// Gives a worker its turn, and waits until it has done it.
    pub(super) fn turn(&self, worker: usize) -> Step {
        let Some((turn, done)) = self.batons.get(worker) else { return Step::Over };
        match turn.send(()) {
            Ok(()) => done.recv().unwrap_or(Step::Over),
            Err(_) => Step::Over,
        }
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.batons.clear();
        for result in self.guards.take().map_or_else(Vec::new, WorkerGuards::join) {
            if let Err(message) = result {
                tracing::error!(message, "a worker panicked");
            }
        }
    }
}

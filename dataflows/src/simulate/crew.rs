//! Workers that take turns: real timely workers, all on this thread, each moved when it is told to.
//!
//! The coordinator bounds every batch for the worker that owns it, so that workers of one process
//! never send each other records; here each is a timely worker of its own, and what they would
//! tell each other of their progress is put together where sinks seal epochs.

use std::sync::Arc;

use crossbeam_channel::{Sender, bounded};
use timely::WorkerConfig;
use timely::communication::Allocator;
use timely::communication::allocator::thread::Thread;
use timely::worker::Worker;

use crate::driver::Shared;
use crate::driver::apply::Outlet;
use crate::driver::worker::{Crew, Hand, Step};
use crate::machine::AnyMachine;

/// The workers, each waiting for its turn.
pub(super) struct Turns(Vec<(Worker, Hand)>);

impl Turns {
    /// Makes the workers.
    pub(super) fn start(
        shared: &Arc<Shared>,
        machines: Vec<Vec<AnyMachine>>,
        outlets: &[Sender<Outlet>],
    ) -> (Self, Crew) {
        let waiting = usize::try_from(shared.plan.run.epochs_in_flight_max).unwrap_or(64) + 1;
        let (mut senders, mut workers) = (Vec::new(), Vec::new());
        for (index, machines) in machines.into_iter().enumerate() {
            let (sender, shares) = bounded(waiting);
            senders.push(sender);
            let allocator = Allocator::Thread(Thread::default());
            let mut worker = Worker::new(WorkerConfig::default(), allocator, None);
            let hand = Hand::new(&mut worker, shared, index, shares, machines, outlets);
            workers.push((worker, hand));
        }
        (Self(workers), Crew::of(senders))
    }

    /// Gives a worker its turn.
    pub(super) fn turn(&mut self, number: usize) -> Step {
        let Some((worker, hand)) = self.0.get_mut(number) else { return Step::Over };
        match hand.turn(worker) {
            Step::Idle if worker.step() => Step::Moved,
            step => step,
        }
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        for (worker, _) in &mut self.0 {
            for dataflow in worker.installed_dataflows() {
                worker.drop_dataflow(dataflow);
            }
        }
    }
}

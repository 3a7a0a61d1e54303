//! Preparing a run: what its threads share, and the journal and checkpoints that go with it.

use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use proto::series::SeriesTable;

use crate::checkpoint::gather::Gather;
use crate::clock::Clock;
use crate::driver::again::Again;
use crate::driver::checkpointing::{self, Checkpointer, Parcel};
use crate::driver::durable::Opened;
use crate::driver::gate::Gate;
use crate::driver::journaling::{self, Keeper, Order};
use crate::driver::resume::{Resume, resume};
use crate::driver::settle::Settle;
use crate::driver::status::Status;
use crate::driver::wire::running;
use crate::driver::{Options, Shared};
use crate::fault::Fault;
use crate::job::plan::Plan;
use crate::moment::{Epoch, Moments};

/// A run that has not started: what its threads share, and where it goes on.
pub(crate) struct Run {
    pub(crate) shared: Arc<Shared>,
    pub(crate) resume: Resume,
    /// Of a durable run: the epochs of the journal that are minted again.
    pub(crate) again: Option<Again>,
}

/// The journal and the checkpoints of a durable run, before their threads are started.
pub(crate) struct Keepers {
    /// The last epoch that journal and checkpoint have.
    pub(crate) last: Epoch,
    pub(crate) threads: Option<Keeping>,
}

/// What the two threads of a durable run do, and what they are told by.
pub(crate) struct Keeping {
    pub(crate) keeper: Keeper,
    pub(crate) orders: Receiver<Order>,
    pub(crate) checkpointer: Checkpointer,
    pub(crate) parcels: Receiver<Parcel>,
    /// Kept until the run has ended: what it holds keeps other processes out.
    lock: Option<Arc<std::fs::File>>,
}

/// The running threads.
pub(crate) struct Kept {
    threads: Option<(JoinHandle<()>, JoinHandle<()>)>,
    _lock: Option<Arc<std::fs::File>>,
}

impl Run {
    pub(crate) fn prepare(
        plan: &Plan,
        options: Options,
        opened: Option<Opened>,
        status: Arc<Status>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Keepers), Fault> {
        let mut shared = Shared {
            plan: plan.clone(),
            options,
            series: SeriesTable::new(),
            moments: Moments::new(),
            gate: Gate::new(plan.sinks.len(), 0),
            status,
            clock,
            is_event_clock: plan.run.clock.is_event_time(&plan.sources),
            base: 0,
            settle: Settle::new(plan.sources.iter().map(|s| s.ack.effective(opened.is_some()))),
            durability: None,
            had: plan.sources.iter().map(|_| OnceLock::new()).collect(),
        };
        let is_resumed = opened.as_ref().is_some_and(|opened| opened.last() > 0);
        shared.status.set_series(&shared.series, is_resumed);
        let Some(opened) = opened else {
            let owners = crate::driver::resume::owners(plan);
            let resume = resume(plan, &owners, None, (false, None))?;
            let run = Self { shared: Arc::new(shared), resume, again: None };
            return Ok((run, Keepers { last: 0, threads: None }));
        };
        // Epochs in flight bound the orders; the parts of two checkpoints can be under way, the
        // one that was due and the last.
        let (orders_in, orders) = bounded(room(plan.run.epochs_in_flight_max));
        let parts = plan.operators.len() * plan.run.workers + plan.sinks.len() + 1;
        let (parcels_in, parcels): (Sender<Parcel>, _) = bounded(4 * parts);
        let durability = opened.share(shared.options.is_recording, orders_in, parcels_in);
        shared.base = opened.resume.base;
        shared.gate = Gate::new(plan.sinks.len(), shared.base);
        shared.status.restored(shared.base, opened.resume.clock.unwrap_or_default());
        let last = opened.last();
        let again = Again::new(opened.tail.entries(), last);
        let gather = Gather::new(running(plan), plan.run.workers, plan.sinks.len());
        let keep = plan.state.checkpoints_kept;
        let checkpointer = Checkpointer::new(gather, opened.checkpoints, keep);
        let keeper = Keeper::new(opened.journal);
        shared.durability = Some(durability);
        let run = Self { shared: Arc::new(shared), resume: opened.resume, again: Some(again) };
        let lock = opened.lock;
        let threads = Some(Keeping { keeper, orders, checkpointer, parcels, lock });
        Ok((run, Keepers { last, threads }))
    }
}

fn room(epochs: u64) -> usize {
    usize::try_from(epochs).unwrap_or(usize::MAX).saturating_add(16).min(1 << 16)
}

impl Keepers {
    /// Says that all sinks are open, and may be handed epochs from now on.
    pub(crate) fn begin(&mut self, shared: &Shared) -> Result<(), Fault> {
        let Some(keeping) = &mut self.threads else { return Ok(()) };
        keeping.checkpointer.begin(&running(&shared.plan), self.last.saturating_add(1))
    }

    pub(crate) fn spawn(self, shared: &Arc<Shared>) -> Result<Kept, Fault> {
        let Some(keeping) = self.threads else { return Ok(Kept { threads: None, _lock: None }) };
        let Keeping { keeper, orders, checkpointer, parcels, lock } = keeping;
        let journal = journaling::spawn(shared, keeper, orders)?;
        let checkpoints = checkpointing::spawn(shared, checkpointer, parcels)?;
        Ok(Kept { threads: Some((journal, checkpoints)), _lock: lock })
    }
}

impl Kept {
    /// Waits until both have done what they were told.
    pub(crate) fn join(self, shared: &Shared) {
        let (Some(durability), Some((journal, checkpoints))) = (&shared.durability, self.threads)
        else {
            return;
        };
        // A thread that has ended already takes no message, and is joined all the same.
        drop(durability.parcels.send(Parcel::Stop));
        let checkpoints = checkpoints.join();
        drop(durability.orders.send(Order::Stop));
        if checkpoints.and(journal.join()).is_err() {
            shared.status.fail(Fault::defect("journal and checkpoints", "a thread panicked"));
        }
    }
}

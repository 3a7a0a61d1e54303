//! The checkpoints' thread: gathers the parts of a checkpoint and writes it when it is whole.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::Receiver;

use crate::checkpoint::gather::{Gather, Part, Whole};
use crate::checkpoint::write::Writer;
use crate::driver::journaling::Order;
use crate::driver::{Shared, guarded};
use crate::fault::Fault;
use crate::job::promise::Ack;
use crate::moment::Epoch;

/// What the checkpoints' thread is told.
#[derive(Debug)]
pub(crate) enum Parcel {
    /// A part of the checkpoint after an epoch.
    Part(Epoch, Part),
    /// Nothing more will come.
    Stop,
}

/// Gathers and writes checkpoints.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    gather: Gather,
    writer: Writer,
    keep: usize,
    /// Whole, but not written yet.
    whole: Vec<Whole>,
}

impl Checkpointer {
    pub(crate) fn new(gather: Gather, writer: Writer, keep: usize) -> Self {
        Self { gather, writer, keep, whole: Vec::new() }
    }

    /// Says that the start has begun; see [`Writer::begin`].
    pub(crate) fn begin(&mut self, runs: &[bool], journal: Epoch) -> Result<(), Fault> {
        self.writer.begin(runs, journal)
    }

    /// Takes a part; gives the epoch of the checkpoint that is whole by it.
    pub(crate) fn take(&mut self, epoch: Epoch, part: Part) -> Result<Option<Epoch>, Fault> {
        let whole = self.gather.add(epoch, part)?;
        let whole_epoch = whole.as_ref().map(|whole| whole.epoch);
        self.whole.extend(whole);
        Ok(whole_epoch)
    }

    /// Writes the checkpoints that are whole and whose epochs the journal has.
    pub(crate) fn write(&mut self, shared: &Shared) -> Result<(), Fault> {
        let Some(durability) = &shared.durability else { return Ok(()) };
        while self.whole.first().is_some_and(|w| w.epoch <= durability.journaled.get()) {
            let whole = self.whole.remove(0);
            shared.check_lease()?;
            let manifest = self.writer.write(&whole, self.keep)?;
            tracing::debug!(epoch = whole.epoch, bytes = manifest.bytes(), "checkpoint");
            let now = shared.clock.monotonic();
            let begun = durability.cuts.forget(whole.epoch).unwrap_or(now);
            let took = now.saturating_sub(begun);
            shared.status.count_checkpoint(manifest.bytes(), shared.clock.wall(), took);
            durability.checkpointed.set(whole.epoch);
            shared.settle.release(Ack::Checkpoint, whole.epoch);
            let pruned = self.writer.prune(self.keep)?;
            if let Some(oldest) = pruned.kept.last().filter(|_| !durability.keeps_all) {
                // A journal that has ended needs to forget nothing.
                drop(durability.orders.send(Order::Forget(oldest + 1)));
            }
        }
        Ok(())
    }
}

/// Starts the thread.
pub(crate) fn spawn(
    shared: &Arc<Shared>,
    mut checkpointer: Checkpointer,
    parcels: Receiver<Parcel>,
) -> Result<JoinHandle<()>, Fault> {
    let run = shared.clone();
    let body = move || {
        let outcome = guarded("the checkpoints", || work(&run, &mut checkpointer, &parcels));
        if let Err(fault) = outcome.and_then(|outcome| outcome) {
            run.status.count_failed_checkpoint();
            run.status.fail(fault);
        }
    };
    thread::Builder::new()
        .name("checkpoints".to_owned())
        .spawn(body)
        .map_err(|error| Fault::stop("a thread for the checkpoints", error))
}

fn work(
    shared: &Shared,
    checkpointer: &mut Checkpointer,
    parcels: &Receiver<Parcel>,
) -> Result<(), Fault> {
    let Some(durability) = &shared.durability else { return Ok(()) };
    while let Ok(Parcel::Part(epoch, part)) = parcels.recv() {
        if shared.status.has_failed() {
            continue; // what is not whole by now never will be
        }
        if let Some(epoch) = checkpointer.take(epoch, part)? {
            durability.journaled.wait_for(epoch, || shared.status.has_failed());
            checkpointer.write(shared)?;
        }
    }
    Ok(())
}

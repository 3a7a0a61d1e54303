//! The journal's thread: writes down what the coordinator mints, many epochs with one sync.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::driver::{Shared, guarded};
use crate::fault::Fault;
use crate::job::promise::Ack;
use crate::journal::{Entry, Writer};
use crate::moment::Epoch;

/// What the journal's thread is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// An epoch was minted.
    Entry(Entry),
    /// Epochs below this one are of no use any more.
    Forget(Epoch),
    /// Nothing more will come.
    Stop,
}

/// Writes entries, and tells when they are durable.
#[derive(Debug)]
pub(crate) struct Keeper {
    writer: Writer,
    unsynced: u64,
}

impl Keeper {
    pub(crate) fn new(writer: Writer) -> Self {
        Self { writer, unsynced: 0 }
    }

    /// Takes an order; false: it was the last one.
    pub(crate) fn take(&mut self, order: Order) -> Result<bool, Fault> {
        match order {
            Order::Entry(entry) => {
                self.writer.append(&entry)?;
                self.unsynced += 1;
            }
            Order::Forget(epoch) => {
                self.writer.forget_below(epoch)?;
            }
            Order::Stop => return Ok(false),
        }
        Ok(true)
    }

    /// How many entries wait for a sync.
    pub(crate) fn unsynced(&self) -> u64 {
        self.unsynced
    }

    /// How many bytes wait for a sync.
    pub(crate) fn pending(&self) -> u64 {
        self.writer.pending()
    }

    /// Makes everything durable that was taken, and lets go what waits for that.
    pub(crate) fn sync(&mut self, shared: &Shared) -> Result<(), Fault> {
        let Some(durability) = &shared.durability else { return Ok(()) };
        if self.unsynced == 0 {
            return Ok(());
        }
        shared.check_lease()?;
        let epoch = self.writer.sync()?;
        self.unsynced = 0;
        durability.journaled.set(epoch);
        shared.settle.release(Ack::Journal, epoch);
        shared.release_applied();
        Ok(())
    }
}

/// Starts the thread.
pub(crate) fn spawn(
    shared: &Arc<Shared>,
    keeper: Keeper,
    orders: Receiver<Order>,
) -> Result<JoinHandle<()>, Fault> {
    let run = shared.clone();
    let body = move || {
        let outcome = guarded("the journal", || keep(&run, keeper, &orders));
        if let Err(fault) = outcome.and_then(|outcome| outcome) {
            run.status.fail(fault);
        }
    };
    thread::Builder::new()
        .name("journal".to_owned())
        .spawn(body)
        .map_err(|error| Fault::stop("a thread for the journal", error))
}

/// At most one sync in every `sync_every`, and at once where none was lately; sooner where the
/// coordinator soon has to wait for it.
fn keep(shared: &Shared, mut keeper: Keeper, orders: &Receiver<Order>) -> Result<(), Fault> {
    let every = shared.plan.state.sync_every;
    let many = shared.plan.run.epochs_in_flight_max.div_ceil(2);
    let mut synced: Option<Duration> = None;
    while let Ok(order) = orders.recv() {
        let mut goes_on = keeper.take(order)?;
        let due = synced.map_or(Duration::ZERO, |synced| synced + every);
        while goes_on && keeper.unsynced() < many {
            let wait = due.saturating_sub(shared.clock.monotonic());
            match orders.recv_timeout(wait) {
                Ok(order) => goes_on = keeper.take(order)?,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => goes_on = false,
            }
        }
        let (bytes, begun) = (keeper.pending(), shared.clock.monotonic());
        keeper.sync(shared)?;
        let now = shared.clock.monotonic();
        if bytes > 0 {
            shared.status.count_sync(bytes, now.saturating_sub(begun));
        }
        synced = Some(now);
        if !goes_on {
            break;
        }
    }
    Ok(())
}

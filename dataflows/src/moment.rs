//! Epochs and moments: what the engine knows about time when an epoch closes.
//!
//! A [`Moment`] is an input of the job like its records: the coordinator puts it on the epoch, a
//! replay reads it back. Operators learn the time from nowhere else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use proto::event_time::EventTime;
use proto::series::FeedId;

/// The engine's time: a micro-batch, numbered from 1 by the coordinator.
pub type Epoch = u64;

/// The readings that belong to one epoch; the same on every worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Which epoch.
    pub epoch: Epoch,
    /// The job clock when it closed: wall clock live, event time in a backfill. Never goes back.
    pub clock: EventTime,
    /// Per feed, the greatest event time up to and with this epoch; feeds not listed are at
    /// [`EventTime::MIN`].
    pub watermarks: Vec<EventTime>,
    /// No more input will come: the last epoch of a bounded run.
    pub is_last: bool,
}

impl Moment {
    /// Gives how far `feed` has come.
    pub fn watermark(&self, feed: FeedId) -> EventTime {
        self.watermarks.get(feed.index()).copied().unwrap_or(EventTime::MIN)
    }
}

/// The moments of the epochs in flight, shared by the coordinator and the workers of a process.
///
/// The coordinator records an epoch's moment before any worker's frontier can pass the epoch, and
/// forgets it when every sink has applied the epoch.
#[derive(Debug, Clone, Default)]
pub struct Moments(Arc<Mutex<BTreeMap<Epoch, Arc<Moment>>>>);

impl Moments {
    /// Makes an empty record.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records the moment of an epoch, and gives it.
    pub fn record(&self, moment: Moment) -> Arc<Moment> {
        let moment = Arc::new(moment);
        let mut moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        moments.insert(moment.epoch, moment.clone());
        moment
    }

    /// Gives the moment of `epoch`, unless it is yet to come or long gone.
    pub fn get(&self, epoch: Epoch) -> Option<Arc<Moment>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&epoch).cloned()
    }

    /// Forgets all epochs below `epoch`.
    pub fn forget_below(&self, epoch: Epoch) {
        let mut moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *moments = moments.split_off(&epoch);
    }
}

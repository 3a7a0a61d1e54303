//! Counts rejects that say the same, so that each is written, and each once.

use std::collections::BTreeMap;

use proto::columns::Names;
use proto::event_time::EventTime;
use proto::reject::Reject;
use serde::{Deserialize, Serialize};

use super::reject_id::reject_id;

/// How often rejects that say the same have come at one reading of the clock. Part of what a
/// checkpoint holds: the ids of rejects after it depend on it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Occurrences {
    clock: EventTime,
    counts: BTreeMap<u128, u64>,
}

impl Occurrences {
    /// Gives the id of a reject that came next.
    pub(super) fn id(&mut self, reject: &Reject, names: &Names) -> u128 {
        if self.clock != reject.clock {
            self.clock = reject.clock;
            self.counts.clear();
        }
        let count = self.counts.entry(reject_id(reject, names, 0)).or_default();
        *count += 1;
        reject_id(reject, names, *count - 1)
    }
}

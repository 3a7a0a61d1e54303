//! A reject: a record that a component could not accept, with the reason, for the dead-letter port.

use serde::{Deserialize, Serialize};

use crate::event_time::EventTime;
use crate::record::MESSAGE_BYTES_MAX;
use crate::series::SeriesId;
use crate::tick::Tick;

/// One record that was not accepted. Nothing is dropped without one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// The id of the component in the job.
    pub component: String,
    /// A short word to count by: `late`, `bad_price`, `malformed`.
    pub reason: String,
    /// What was found and what was expected.
    pub detail: String,
    /// Where the record stood (`ticks.csv:17`), where it came from a file.
    pub place: Option<String>,
    /// The job clock when it was rejected.
    pub clock: EventTime,
    /// The tick, where the record could be read that far.
    pub tick: Option<Tick>,
    /// The record's bytes, where it could not be decoded; at most [`PAYLOAD_BYTES_MAX`].
    pub payload: Vec<u8>,
}

/// How much of an undecodable record is kept, in bytes: a whole message, so that it can be sent
/// again.
pub const PAYLOAD_BYTES_MAX: usize = MESSAGE_BYTES_MAX;

/// How much is kept of one that still stands in a file, is one of very many, or is not sent again:
/// enough to see what it is.
pub const EXCERPT_BYTES_MAX: usize = 4_096;

impl Reject {
    /// Which series it belongs to, if that is known.
    pub fn series(&self) -> Option<SeriesId> {
        self.tick.map(|tick| tick.series)
    }
}

//! What the silence of a series means: that nothing is traded, that the market is closed, or that
//! its feed is dead.

use serde::{Deserialize, Serialize};

use crate::event_time::EventTime;
use crate::series::SeriesId;

/// How it stands with a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Activity {
    /// Ticks come.
    Live,
    /// The market is open and its feed delivers, but nothing of this series.
    Quiet,
    /// The market is closed.
    Closed,
    /// The market is open and the feed delivers nothing at all.
    Dead,
}

impl Activity {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Live, Self::Quiet, Self::Closed, Self::Dead];

    /// The word in tables and messages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Quiet => "quiet",
            Self::Closed => "closed",
            Self::Dead => "dead",
        }
    }
}

/// From `clock` on it stands so with a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedStatus {
    /// The series.
    pub series: SeriesId,
    /// The job clock when it was noticed.
    pub clock: EventTime,
    /// How it stands.
    pub status: Activity,
    /// The greatest event time of its ticks.
    pub last: EventTime,
    /// The greatest event time of all ticks of its feed.
    pub feed_last: EventTime,
}

//! Records of copy trading on an edge: with the series by which they are shared out to workers.
//!
//! A record about a leader's followers belongs to the series (`leader`, the leader's name), so that
//! all of them meet on one worker; an account to (`account`, its name); a specification to its own.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::decision::Decision;
use crate::event_time::EventTime;
use crate::follow::Follow;
use crate::order::Order;
use crate::record::Record;
use crate::series::{NameError, SeriesId, SeriesTable};
use crate::specification::Specification;
use crate::trade_signal::TradeSignal;

/// The first name of series of leaders.
pub const LEADER: &str = "leader";

/// The first name of series of accounts.
pub const ACCOUNT: &str = "account";

/// A record and its series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyed<T> {
    /// By what it is shared out.
    pub series: SeriesId,
    /// What it says.
    pub record: T,
}

/// A record that knows its series by name, and the others that are about the same.
pub trait Shared: Record + Ord {
    /// The names of its series.
    fn names(&self) -> (&str, &str);
    /// When what it says happened.
    fn time(&self) -> EventTime;
    /// Compares what the records are about, and nothing else.
    fn compare_identity(&self, other: &Self) -> Ordering;
    /// Compares which is the newer of two that are about the same.
    fn compare_age(&self, other: &Self) -> Ordering {
        self.time().cmp(&other.time())
    }
}

impl<T: Shared> Keyed<T> {
    /// Puts a record on an edge.
    ///
    /// # Errors
    /// When its series cannot have that name.
    pub fn new(record: T, table: &SeriesTable) -> Result<Self, NameError> {
        let (source, instrument) = record.names();
        Ok(Self { series: table.intern(source, instrument)?, record })
    }

    /// The order in which rows are shown: by time, by what they are about, then by all they say.
    pub fn compare(&self, other: &Self) -> Ordering {
        let (left, right) = (&self.record, &other.record);
        (left.time().cmp(&right.time()))
            .then_with(|| left.compare_identity(right))
            .then_with(|| left.compare_age(right))
            .then_with(|| left.cmp(right))
    }
}

/// Leaves of each thing only the newest record, in the order of what they are about.
pub fn newest<T: Shared>(rows: &mut Vec<Keyed<T>>) {
    rows.sort_by(|left, right| {
        let (left, right) = (&left.record, &right.record);
        let about = left.compare_identity(right);
        // The newest first: it is the one that stays.
        about.then_with(|| right.compare_age(left)).then_with(|| right.cmp(left))
    });
    rows.dedup_by(|later, kept| later.record.compare_identity(&kept.record).is_eq());
}

impl Shared for TradeSignal {
    fn names(&self) -> (&str, &str) {
        (LEADER, &self.leader)
    }

    fn time(&self) -> EventTime {
        self.envelope.time
    }

    fn compare_identity(&self, other: &Self) -> Ordering {
        self.envelope.message_id.cmp(&other.envelope.message_id)
    }
}

impl Shared for Follow {
    fn names(&self) -> (&str, &str) {
        (LEADER, &self.leader)
    }

    fn time(&self) -> EventTime {
        self.time
    }

    fn compare_identity(&self, other: &Self) -> Ordering {
        (&self.leader, &self.follower).cmp(&(&other.leader, &other.follower))
    }

    fn compare_age(&self, other: &Self) -> Ordering {
        self.version.cmp(&other.version)
    }
}

impl Shared for Account {
    fn names(&self) -> (&str, &str) {
        (ACCOUNT, &self.account)
    }

    fn time(&self) -> EventTime {
        self.time
    }

    fn compare_identity(&self, other: &Self) -> Ordering {
        self.account.cmp(&other.account)
    }
}

impl Shared for Specification {
    fn names(&self) -> (&str, &str) {
        (&self.source, &self.instrument)
    }

    fn time(&self) -> EventTime {
        self.time
    }

    fn compare_identity(&self, other: &Self) -> Ordering {
        (&self.source, &self.instrument).cmp(&(&other.source, &other.instrument))
    }
}

impl Shared for Decision {
    fn names(&self) -> (&str, &str) {
        (LEADER, &self.leader)
    }

    fn time(&self) -> EventTime {
        self.time
    }

    fn compare_identity(&self, other: &Self) -> Ordering {
        (&self.signal_id, &self.follower).cmp(&(&other.signal_id, &other.follower))
    }
}

impl Shared for Order {
    /// An order of one's own belongs to its account.
    fn names(&self) -> (&str, &str) {
        self.leader.as_deref().map_or((ACCOUNT, &self.account), |leader| (LEADER, leader))
    }

    fn time(&self) -> EventTime {
        self.envelope.time
    }

    fn compare_identity(&self, other: &Self) -> Ordering {
        self.client_order_id.cmp(&other.client_order_id)
    }

    /// At one time, by how far it has come.
    fn compare_age(&self, other: &Self) -> Ordering {
        let progress = |order: &Self| (order.envelope.time, order.state.rank(), order.lots_filled);
        progress(self).cmp(&progress(other))
    }
}

//! Batches: the unit that moves along an edge, a run of records bound for one worker.

use proto::candle::Candle;
use proto::reject::Reject;
use proto::tick::Tick;
use serde::{Deserialize, Serialize};

use crate::kind::Kind;

/// Records of one kind, in the order in which they were made, bound for one worker.
///
/// Moving a batch costs the same whatever its length: timely sees one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch<T> {
    /// The worker that owns the records' key groups.
    pub worker: u32,
    /// The records.
    pub rows: Vec<T>,
}

/// Rows of any kind: what sources hand in and sinks are handed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// Ticks.
    Ticks(Vec<Tick>),
    /// Candles.
    Candles(Vec<Candle>),
    /// Rejects.
    Rejects(Vec<Reject>),
}

impl Rows {
    /// Makes an empty run of `kind`.
    pub const fn empty(kind: Kind) -> Self {
        match kind {
            Kind::Ticks => Self::Ticks(Vec::new()),
            Kind::Candles => Self::Candles(Vec::new()),
            Kind::Rejects => Self::Rejects(Vec::new()),
        }
    }

    /// Tells what they are.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Ticks(_) => Kind::Ticks,
            Self::Candles(_) => Kind::Candles,
            Self::Rejects(_) => Kind::Rejects,
        }
    }

    /// Counts them.
    pub const fn len(&self) -> usize {
        match self {
            Self::Ticks(rows) => rows.len(),
            Self::Candles(rows) => rows.len(),
            Self::Rejects(rows) => rows.len(),
        }
    }

    /// Keeps the rows for which `kept` says so, by their number.
    pub fn keep(&mut self, kept: &[bool]) {
        let mut kept = kept.iter().copied();
        let mut is_kept = || kept.next().unwrap_or(true);
        match self {
            Self::Ticks(rows) => rows.retain(|_| is_kept()),
            Self::Candles(rows) => rows.retain(|_| is_kept()),
            Self::Rejects(rows) => rows.retain(|_| is_kept()),
        }
    }

    /// Cuts off the rows from `at` on, and gives them.
    pub fn split_off(&mut self, at: usize) -> Self {
        match self {
            Self::Ticks(rows) => Self::Ticks(rows.split_off(at.min(rows.len()))),
            Self::Candles(rows) => Self::Candles(rows.split_off(at.min(rows.len()))),
            Self::Rejects(rows) => Self::Rejects(rows.split_off(at.min(rows.len()))),
        }
    }

    /// Tells whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A record type with its [`Kind`] and its way in and out of [`Rows`].
pub trait Record: timely::ExchangeData + std::fmt::Debug {
    /// The kind of edge that carries it.
    const KIND: Kind;
    /// Wraps rows.
    fn wrap(rows: Vec<Self>) -> Rows;
    /// Unwraps rows, if they are of this type.
    fn unwrap(rows: Rows) -> Option<Vec<Self>>;
}

macro_rules! record {
    ($type:ty, $kind:ident) => {
        impl Record for $type {
            const KIND: Kind = Kind::$kind;
            fn wrap(rows: Vec<Self>) -> Rows {
                Rows::$kind(rows)
            }
            fn unwrap(rows: Rows) -> Option<Vec<Self>> {
                if let Rows::$kind(rows) = rows { Some(rows) } else { None }
            }
        }
    };
}

record!(Tick, Ticks);
record!(Candle, Candles);
record!(Reject, Rejects);

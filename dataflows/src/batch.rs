//! Batches: the unit that moves along an edge, a run of records bound for one worker.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use proto::candle::{Candle, Reason};
use proto::columns::Names;
use proto::event_time::EventTime;
use proto::feed_status::FeedStatus;
use proto::payload::Payload;
use proto::reject::Reject;
use proto::row::{
    Values, candle_values, payload_values, reject_values, status_values, tick_values,
};
use proto::series::SeriesId;
use proto::tick::Tick;
use serde::{Deserialize, Serialize};

use crate::kind::{Kind, each_kind};
use crate::order;

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

macro_rules! rows {
    ($($kind:ident: $type:ty,)*) => {
        /// Rows of any kind: what sources hand in and sinks are handed.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Rows {
            $(
                #[doc = concat!("Of [`", stringify!($type), "`].")]
                $kind(Vec<$type>),
            )*
        }

        impl Rows {
            /// Makes an empty run of `kind`.
            pub const fn empty(kind: Kind) -> Self {
                match kind {
                    $(Kind::$kind => Self::$kind(Vec::new()),)*
                }
            }

            /// Tells what they are.
            pub const fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)*
                }
            }

            /// Counts them.
            pub const fn len(&self) -> usize {
                match self {
                    $(Self::$kind(rows) => rows.len(),)*
                }
            }

            /// Keeps the rows for which `kept` says so, by their number.
            pub fn keep(&mut self, kept: &[bool]) {
                let mut kept = kept.iter().copied();
                let mut is_kept = || kept.next().unwrap_or(true);
                match self {
                    $(Self::$kind(rows) => rows.retain(|_| is_kept()),)*
                }
            }

            /// Cuts off the rows from `at` on, and gives them.
            pub fn split_off(&mut self, at: usize) -> Self {
                match self {
                    $(Self::$kind(rows) => Self::$kind(rows.split_off(at.min(rows.len()))),)*
                }
            }

            /// Appends rows of the same kind; others are given back.
            ///
            /// # Errors
            /// Gives back what is of another kind.
            pub fn append(&mut self, more: Self) -> Result<(), Self> {
                match (self, more) {
                    $((Self::$kind(rows), Self::$kind(mut more)) => rows.append(&mut more),)*
                    (_, other) => return Err(other),
                }
                Ok(())
            }

            /// Calls `visit` with every row's series.
            pub fn for_each_series(&self, mut visit: impl FnMut(Option<SeriesId>)) {
                match self {
                    $(Self::$kind(rows) => rows.iter().for_each(|row| visit(row.series())),)*
                }
            }

            /// Calls `visit` with every row's event time, where it has one.
            pub fn for_each_time(&self, mut visit: impl FnMut(EventTime)) {
                match self {
                    $(Self::$kind(rows) => {
                        rows.iter().filter_map(Record::event_time).for_each(&mut visit);
                    })*
                }
            }

            /// Gives the rows' values, in the order of their kind's columns.
            pub fn values(&self, names: &Names) -> Vec<Values> {
                match self {
                    $(Self::$kind(rows) => <$type>::values(rows, names),)*
                }
            }

            /// Puts the rows into their canonical order: by the names of their series, then as
            /// [`Record::compare`] says.
            pub fn sort(&mut self, names: &Names) {
                match self {
                    $(Self::$kind(rows) => rows.sort_by(|left, right| {
                        order::series(left.series(), right.series(), names)
                            .then_with(|| left.compare(right))
                    }),)*
                }
            }
        }
    };
}

each_kind!(rows);

impl Rows {
    /// Tells whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Used-up buffers, for whoever fills the next one: a page that is fresh from the system costs more
/// than what is written into it.
///
/// One per kind of record for the whole process, because buffers are filled at one end of the graph
/// and used up at the other. What a buffer held is gone, so nothing passes from one run to another.
#[derive(Debug)]
pub struct Spare<T>(Mutex<Kept<T>>);

#[derive(Debug)]
struct Kept<T> {
    /// The one used up last is the last.
    buffers: VecDeque<Vec<T>>,
    bytes: usize,
}

/// Buffers with less room are not worth keeping.
const SPARE_ROWS_MIN: usize = 64;

/// So many bytes of buffers are kept at most, per kind of record: what a day of candles takes.
const SPARE_BYTES: usize = 96 << 20;

impl<T> Spare<T> {
    const fn new() -> Self {
        Self(Mutex::new(Kept { buffers: VecDeque::new(), bytes: 0 }))
    }

    /// Gives an empty buffer with room for so many rows and not twice as many: the one used up last,
    /// since it is the likeliest to be in the cache still; else a new one.
    pub fn take(&self, room: usize) -> Vec<T> {
        if room < SPARE_ROWS_MIN {
            return Vec::with_capacity(room);
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |rows: &Vec<T>| (room..room * 2).contains(&rows.capacity());
        let found = kept.buffers.iter().rposition(fits);
        let found = found.and_then(|place| kept.buffers.remove(place));
        if let Some(rows) = found {
            kept.bytes -= rows.capacity() * size_of::<T>();
            return rows;
        }
        drop(kept);
        Vec::with_capacity(room)
    }

    /// Takes a buffer back; those kept longest give way where they come to too many bytes.
    pub fn give(&self, mut rows: Vec<T>) {
        if rows.capacity() < SPARE_ROWS_MIN {
            return;
        }
        rows.clear();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += rows.capacity() * size_of::<T>();
        kept.buffers.push_back(rows);
        while kept.bytes > SPARE_BYTES
            && let Some(oldest) = kept.buffers.pop_front()
        {
            kept.bytes -= oldest.capacity() * size_of::<T>();
        }
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
    /// Buffers of such records to be filled again.
    fn spare() -> &'static Spare<Self>;
    /// Its series, if that is known.
    fn series(&self) -> Option<SeriesId>;
    /// When what it says happened: of a candle that is closed the end of its window, of an open
    /// one its last tick; of a reject nothing is known.
    fn event_time(&self) -> Option<EventTime>;
    /// Compares it with another of its series: by time, then by all that it says.
    fn compare(&self, other: &Self) -> Ordering;
    /// Gives the values of rows, in the order of the kind's columns.
    fn values(rows: &[Self], names: &Names) -> Vec<Values>;
}

macro_rules! record {
    ($type:ty, $kind:ident, $series:expr, $time:expr, $compare:path, $values:path) => {
        impl Record for $type {
            const KIND: Kind = Kind::$kind;
            fn wrap(rows: Vec<Self>) -> Rows {
                Rows::$kind(rows)
            }
            fn unwrap(rows: Rows) -> Option<Vec<Self>> {
                if let Rows::$kind(rows) = rows { Some(rows) } else { None }
            }
            fn spare() -> &'static Spare<Self> {
                static SPARE: Spare<$type> = Spare::new();
                &SPARE
            }
            fn series(&self) -> Option<SeriesId> {
                let series: fn(&Self) -> Option<SeriesId> = $series;
                series(self)
            }
            fn event_time(&self) -> Option<EventTime> {
                let time: fn(&Self) -> Option<EventTime> = $time;
                time(self)
            }
            fn compare(&self, other: &Self) -> Ordering {
                $compare(self, other)
            }
            fn values(rows: &[Self], names: &Names) -> Vec<Values> {
                $values(rows, names)
            }
        }
    };
}

fn candle_time(candle: &Candle) -> Option<EventTime> {
    Some(if candle.reason == Reason::Open { candle.last_time } else { candle.end })
}

record!(Tick, Ticks, |tick| Some(tick.series), |tick| Some(tick.time), order::ticks, tick_values);
record!(Candle, Candles, |candle| Some(candle.series), candle_time, order::candles, candle_values);
record!(Reject, Rejects, Reject::series, |_| None, order::rejects, reject_values);
record!(
    Payload,
    Payloads,
    |payload| Some(payload.series),
    |payload| Some(payload.time),
    order::payloads,
    payload_values
);
record!(
    FeedStatus,
    Statuses,
    |status| Some(status.series),
    |status| Some(status.clock),
    order::statuses,
    status_values
);

#[cfg(test)]
mod tests {
    use super::{SPARE_BYTES, Spare};

    #[test]
    fn a_used_up_buffer_comes_back_empty_to_whom_it_is_large_enough_for() {
        let spare = Spare::new();
        spare.give(vec![7_u64; 1_000]);
        assert!(spare.take(2_000).capacity() >= 2_000);
        assert!(spare.take(100).capacity() < 1_000);
        let rows = spare.take(900);
        assert!(rows.is_empty() && (1_000..2_000).contains(&rows.capacity()));
        assert!(spare.take(900).capacity() < 1_000);
    }

    #[test]
    fn no_more_is_kept_than_may_be() {
        let spare = Spare::new();
        let rows = SPARE_BYTES / 8 / 4;
        for _ in 0..6 {
            spare.give(Vec::<u64>::with_capacity(rows));
        }
        spare.give(Vec::with_capacity(8));
        assert_eq!(spare.0.lock().unwrap().buffers.len(), 4);
    }
}

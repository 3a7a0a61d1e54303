//! What the archive must know of a kind of record: its order, its identity, its columns.

use std::cmp::Ordering;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use dataflows::batch::{Record, Rows};
use proto::candle::Candle;
use proto::columns::{self, Detail, LayoutError, Names};
use proto::event_time::EventTime;
use proto::reject::Reject;
use proto::series::SeriesTable;
use proto::tick::Tick;
use proto::timeframe::Timeframe;

use super::PartitionBy;
use crate::order;
use crate::replace::revised;

/// A kind of record that the archive stores.
///
/// Rows of one series, timeframe and time form a *group*: only within a group can rows be the same.
pub(super) trait Stored: Record + Clone {
    /// The name of a partition's file.
    const FILE: &'static str;
    /// The folders, unless the job says otherwise.
    const PARTITION: &'static [PartitionBy];
    /// What decides the day, and whether the row lies in a range.
    fn time(&self) -> EventTime;
    fn timeframe(&self) -> Option<Timeframe> {
        None
    }
    /// Takes off what is not stored, so that a row compares with itself read back.
    fn trim(&mut self, detail: Detail);
    /// The order within a series; total over all that is stored.
    fn order(&self, other: &Self) -> Ordering;
    /// Tells whether this row stands before `other`, of the same series, and they cannot be the
    /// same row: quicker than `order`.
    fn is_before(&self, other: &Self) -> bool;
    /// Makes one of rows of a group that are the same. They come in order and stay so.
    fn settle(group: &mut Vec<Self>);
    /// Adds a settled group to what an earlier run has of it.
    fn merge(old: Vec<Self>, new: Vec<Self>) -> Vec<Self>;
    /// Puts a settled group in the place of what was there.
    fn replace(_old: Vec<Self>, new: Vec<Self>) -> Vec<Self> {
        new
    }
    fn schema(detail: Detail) -> SchemaRef;
    fn to_batch(
        runs: &[&[Self]],
        names: &Names,
        detail: Detail,
    ) -> Result<RecordBatch, LayoutError>;
    fn of_batch(batch: &RecordBatch, table: &SeriesTable) -> Result<Vec<Self>, LayoutError>;
    fn of_rows(rows: Rows) -> Option<Vec<Self>> {
        Self::unwrap(rows)
    }
}

const fn micros(time: EventTime) -> EventTime {
    EventTime::from_ns(time.ns().div_euclid(1_000) * 1_000)
}

impl Stored for Candle {
    const FILE: &'static str = "candles.parquet";
    const PARTITION: &'static [PartitionBy] = &[PartitionBy::Timeframe, PartitionBy::Day];

    fn time(&self) -> EventTime {
        self.start
    }

    fn timeframe(&self) -> Option<Timeframe> {
        Some(self.timeframe)
    }

    fn trim(&mut self, detail: Detail) {
        match detail {
            Detail::Full => {
                self.first_time = micros(self.first_time);
                self.last_time = micros(self.last_time);
            }
            Detail::Prices => columns::leave_out_origin(self),
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        order::candles(self, other)
    }

    fn is_before(&self, other: &Self) -> bool {
        (self.timeframe, self.start) < (other.timeframe, other.start)
    }

    fn settle(group: &mut Vec<Self>) {
        group.drain(..group.len().saturating_sub(1)); // the last has the greatest revision
    }

    fn merge(old: Vec<Self>, new: Vec<Self>) -> Vec<Self> {
        match (old.first(), new.first()) {
            (Some(before), Some(after)) if before.revision > after.revision => old,
            (_, None) => old,
            _ => new,
        }
    }

    fn replace(old: Vec<Self>, mut new: Vec<Self>) -> Vec<Self> {
        if let (Some(before), Some(after)) = (old.first(), new.first_mut()) {
            *after = revised(before, after);
        }
        new
    }

    fn schema(detail: Detail) -> SchemaRef {
        columns::candle_schema(detail)
    }

    fn to_batch(
        runs: &[&[Self]],
        names: &Names,
        detail: Detail,
    ) -> Result<RecordBatch, LayoutError> {
        columns::candles_to_batch(runs, names, detail)
    }

    fn of_batch(batch: &RecordBatch, table: &SeriesTable) -> Result<Vec<Self>, LayoutError> {
        columns::candles_of_batch(batch, table)
    }
}

impl Stored for Tick {
    const FILE: &'static str = "ticks.parquet";
    const PARTITION: &'static [PartitionBy] =
        &[PartitionBy::Day, PartitionBy::Source, PartitionBy::Instrument];

    fn time(&self) -> EventTime {
        self.time
    }

    fn trim(&mut self, _: Detail) {
        self.watermark = EventTime::MIN;
        self.flags &= Self::HAS_VOLUME | Self::HAS_SEQUENCE;
    }

    fn order(&self, other: &Self) -> Ordering {
        order::ticks(self, other)
    }

    fn is_before(&self, other: &Self) -> bool {
        (self.time, self.sequence) < (other.time, other.sequence)
    }

    fn settle(group: &mut Vec<Self>) {
        // The first of those with one sequence stays; ticks without one all stay.
        group.dedup_by(|later, earlier| {
            later.has(Self::HAS_SEQUENCE)
                && earlier.has(Self::HAS_SEQUENCE)
                && later.sequence == earlier.sequence
        });
    }

    fn merge(mut old: Vec<Self>, mut new: Vec<Self>) -> Vec<Self> {
        if old.is_empty() {
            return new;
        }
        // Sequences of ticks without identity count arrivals of one run, so they say nothing here.
        for tick in &new {
            let same = old.iter().position(|other| {
                match (tick.has(Self::HAS_SEQUENCE), other.has(Self::HAS_SEQUENCE)) {
                    (true, true) => tick.sequence == other.sequence,
                    (false, false) => order::tick_content(tick) == order::tick_content(other),
                    _ => false,
                }
            });
            if let Some(same) = same {
                old.remove(same);
            }
        }
        new.append(&mut old);
        new.sort_by(Self::order);
        new
    }

    fn schema(_: Detail) -> SchemaRef {
        columns::tick_schema()
    }

    fn to_batch(runs: &[&[Self]], names: &Names, _: Detail) -> Result<RecordBatch, LayoutError> {
        columns::ticks_to_batch(runs, names)
    }

    fn of_batch(batch: &RecordBatch, table: &SeriesTable) -> Result<Vec<Self>, LayoutError> {
        columns::ticks_of_batch(batch, table)
    }
}

impl Stored for Reject {
    const FILE: &'static str = "rejects.parquet";
    const PARTITION: &'static [PartitionBy] = &[PartitionBy::Day];

    fn time(&self) -> EventTime {
        self.clock
    }

    fn trim(&mut self, detail: Detail) {
        self.clock = micros(self.clock);
        self.tick.iter_mut().for_each(|tick| tick.trim(detail));
    }

    fn order(&self, other: &Self) -> Ordering {
        order::rejects(self, other)
    }

    fn is_before(&self, other: &Self) -> bool {
        self.clock < other.clock || self.order(other) == Ordering::Less
    }

    fn settle(_group: &mut Vec<Self>) {}

    fn merge(mut old: Vec<Self>, mut new: Vec<Self>) -> Vec<Self> {
        // Equal rejects are there as often as in that run which has most of them.
        for reject in &new {
            if let Some(same) = old.iter().position(|other| other == reject) {
                old.remove(same);
            }
        }
        new.append(&mut old);
        new.sort_by(Self::order);
        new
    }

    /// A backfill's rejects are added: when a reject was made says nothing of when its record
    /// happened.
    fn replace(old: Vec<Self>, new: Vec<Self>) -> Vec<Self> {
        Self::merge(old, new)
    }

    fn schema(_: Detail) -> SchemaRef {
        columns::reject_schema()
    }

    fn to_batch(runs: &[&[Self]], names: &Names, _: Detail) -> Result<RecordBatch, LayoutError> {
        columns::rejects_to_batch(runs, names)
    }

    fn of_batch(batch: &RecordBatch, table: &SeriesTable) -> Result<Vec<Self>, LayoutError> {
        columns::rejects_of_batch(batch, table)
    }
}

//! Partitions of a run that are not whole yet, and which series share one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proto::columns::Names;
use proto::event_time::EventTime;

use super::PartitionBy;
use super::buffer::Buffer;
use super::layout::{self, DAY_NS};
use super::stored::Stored;
use crate::period::Period;

/// What tells partitions of this run apart: day, seconds of the timeframe, group of series.
pub(super) type Number = (i64, u32, u32);

/// A partition with the rows that wait.
#[derive(Debug)]
pub(super) struct Partition<R> {
    pub(super) number: Number,
    /// Its file, below the dataset.
    pub(super) place: Arc<Path>,
    /// Temporary files that rows went to when they took too much memory.
    pub(super) runs: Vec<PathBuf>,
    pub(super) buffer: Buffer<R>,
    /// The job clock from which on it is whole.
    pub(super) due: i64,
}

impl<R: Stored> Partition<R> {
    /// Tells whether no row waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.buffer.len() == 0 && self.runs.is_empty()
    }
}

/// A partition is whole some time after its day and the last candle that starts on it have ended,
/// or after a row has come that late.
pub(super) fn due<R: Stored>(number: Number, row: &R, clock: EventTime, after: Period) -> i64 {
    let end = number.0.saturating_add(1).saturating_mul(DAY_NS);
    let end = end.saturating_add(row.timeframe().map_or(0, |frame| frame.ns()));
    end.max(clock.ns()).saturating_add(after.ns())
}

/// Series that share a folder.
#[derive(Debug, Default)]
pub(super) struct Groups {
    names: Vec<[Option<String>; 2]>,
    sizes: Vec<usize>,
    numbers: BTreeMap<[Option<String>; 2], usize>,
    /// Group and place within it, by the number of the series plus one; the first is for none.
    of_series: Vec<(usize, usize)>,
}

impl Groups {
    /// Adds the series that `names` knows by now.
    pub(super) fn extend(&mut self, by: &[PartitionBy], names: &Names) {
        while self.of_series.len() <= names.all().len() {
            let series = self.of_series.len().checked_sub(1);
            let series = series.and_then(|index| names.all().get(index));
            let parts = layout::names(by, series.map(|series| &**series));
            let next = self.names.len();
            let group = *self.numbers.entry(parts.clone()).or_insert(next);
            if group == next {
                self.names.push(parts);
                self.sizes.push(0);
            }
            self.of_series.push((group, self.sizes[group]));
            self.sizes[group] += 1;
        }
    }

    /// Gives the group of a row's series, and the place of the series in it.
    #[inline]
    pub(super) fn of<R: Stored>(&self, row: &R) -> (usize, usize) {
        let index = row.series().map_or(0, |series| series.index() + 1);
        self.of_series.get(index).copied().unwrap_or_default()
    }

    /// Gives the source and instrument that a group's folder names.
    pub(super) fn names(&self, group: u32) -> [Option<String>; 2] {
        self.names.get(group as usize).cloned().unwrap_or_default()
    }
}

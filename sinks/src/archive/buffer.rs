//! The rows of a partition that is not whole yet, kept apart by series.
//!
//! Rows of a series come in order, so that putting series one after the other by name sorts the
//! partition; only a series that came out of order is sorted by comparison.

use proto::columns::Names;
use proto::series::SeriesId;

use super::stored::Stored;
use crate::order;

/// Rows by series.
#[derive(Debug)]
pub(super) struct Buffer<R> {
    /// By the number of the series within the partition's group.
    series: Vec<Vec<R>>,
    rows: usize,
}

impl<R: Stored> Buffer<R> {
    pub(super) const fn new() -> Self {
        Self { series: Vec::new(), rows: 0 }
    }

    pub(super) fn push(&mut self, slot: usize, row: R) {
        if slot >= self.series.len() {
            self.series.resize_with(slot + 1, Vec::new);
        }
        self.series[slot].push(row);
        self.rows += 1;
    }

    pub(super) const fn len(&self) -> usize {
        self.rows
    }

    /// Puts the series in the order of their names, each sorted, and tells whether no two rows
    /// can be the same.
    pub(super) fn sorted(self, names: &Names) -> Sorted<R> {
        let mut series: Vec<Vec<R>> =
            self.series.into_iter().filter(|rows| !rows.is_empty()).collect();
        let first = |rows: &Vec<R>| -> Option<SeriesId> { rows.first().and_then(R::series) };
        series.sort_by(|left, right| order::series(first(left), first(right), names));
        let mut is_distinct = true;
        for rows in &mut series {
            if !rows.is_sorted_by(R::is_before) {
                rows.sort_by(R::order);
                is_distinct = false;
            }
        }
        Sorted { series, is_distinct }
    }
}

/// Rows in the order of the file.
#[derive(Debug)]
pub(super) struct Sorted<R> {
    pub(super) series: Vec<Vec<R>>,
    /// No two rows can be the same.
    pub(super) is_distinct: bool,
}

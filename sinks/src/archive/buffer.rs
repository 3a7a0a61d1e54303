//! The rows of a partition that is not whole yet, kept apart by series.
//!
//! Rows of a series come in order, so that putting series one after the other by name sorts the
//! partition; only a series that came out of order is sorted by comparison.

use dataflows::batch::Record;
use proto::columns::{Detail, Names};
use proto::series::SeriesId;

use super::stored::Stored;
use crate::order;

/// Rows by series.
#[derive(Debug)]
pub(super) struct Buffer<R> {
    /// By the number of the series within the partition's group.
    series: Vec<Chunks<R>>,
    rows: usize,
}

/// A series' rows in pieces: a piece that is full stays where it is, so that growing copies nothing.
#[derive(Debug)]
struct Chunks<R> {
    full: Vec<Vec<R>>,
    last: Vec<R>,
    /// Pieces and rows of the piece behind them that were there when the buffer was marked.
    marked: (usize, usize),
}

/// The first piece of a series holds so many rows, the next twice as many, up to the second.
const CHUNK_ROWS: [usize; 2] = [8, 512];

impl<R: Record> Chunks<R> {
    const fn new() -> Self {
        Self { full: Vec::new(), last: Vec::new(), marked: (0, 0) }
    }

    /// Adds a row, and gives it where it stands now.
    fn push(&mut self, row: R) -> &mut R {
        if self.last.len() == self.last.capacity() {
            let [least, most] = CHUNK_ROWS;
            let next = R::spare().take((self.last.capacity() * 2).clamp(least, most));
            let full = std::mem::replace(&mut self.last, next);
            if !full.is_empty() {
                self.full.push(full);
            }
        }
        self.last.push_mut(row)
    }

    fn first(&self) -> Option<&R> {
        self.full.first().unwrap_or(&self.last).first()
    }

    fn fresh(&self) -> impl Iterator<Item = &[R]> {
        let (pieces, rows) = self.marked;
        let all = self.full.iter().chain(std::iter::once(&self.last)).skip(pieces);
        let skipped = std::iter::once(rows).chain(std::iter::repeat(0));
        all.zip(skipped).map(|(piece, skipped)| piece.get(skipped..).unwrap_or_default())
    }

    fn into_pieces(self) -> Vec<Vec<R>> {
        let mut pieces = self.full;
        pieces.push(self.last);
        pieces
    }
}

impl<R: Stored> Buffer<R> {
    pub(super) const fn new() -> Self {
        Self { series: Vec::new(), rows: 0 }
    }

    pub(super) fn push(&mut self, slot: usize, row: R, detail: Detail) {
        if slot >= self.series.len() {
            self.series.resize_with(slot + 1, Chunks::new);
        }
        self.series[slot].push(row).trim(detail);
        self.rows += 1;
    }

    /// Gives the rows that came since the last [`Self::mark`], in pieces of one series each.
    pub(super) fn fresh(&self) -> impl Iterator<Item = &[R]> {
        self.series.iter().flat_map(Chunks::fresh).filter(|piece| !piece.is_empty())
    }

    /// Remembers that the rows so far are known.
    pub(super) fn mark(&mut self) {
        for rows in &mut self.series {
            rows.marked = (rows.full.len(), rows.last.len());
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.rows
    }

    /// Puts the series in the order of their names, each sorted, and tells whether no two rows
    /// can be the same.
    pub(super) fn sorted(self, names: &Names) -> Sorted<R> {
        let mut series: Vec<Chunks<R>> =
            self.series.into_iter().filter(|rows| rows.first().is_some()).collect();
        let first = |rows: &Chunks<R>| -> Option<SeriesId> { rows.first().and_then(R::series) };
        series.sort_by(|left, right| order::series(first(left), first(right), names));
        let mut sorted = Sorted { pieces: Vec::new(), is_distinct: true };
        for rows in series {
            let mut pieces = rows.into_pieces();
            if !pieces.iter().flatten().is_sorted_by(|left, right| left.is_before(right)) {
                let mut rows: Vec<R> = pieces.into_iter().flatten().collect();
                rows.sort_by(R::order);
                pieces = vec![rows];
                sorted.is_distinct = false;
            }
            sorted.pieces.append(&mut pieces);
        }
        sorted
    }
}

/// Rows in the order of the file.
#[derive(Debug)]
pub(super) struct Sorted<R> {
    pub(super) pieces: Vec<Vec<R>>,
    /// No two rows can be the same.
    pub(super) is_distinct: bool,
}

//! Supply: what a source has handed in, cut where the journal says that an epoch was cut.
//!
//! A source that is read again gives the same records in the same order, but not in the same
//! batches; rows and rejects are counted apart, since they go to different ports.

use std::collections::VecDeque;

use proto::reject::Reject;

use crate::batch::Rows;
use crate::component::source::{Intake, Position};

/// The records of one source that no epoch has yet.
#[derive(Debug, Default)]
pub(crate) struct Supply {
    rows: VecDeque<Rows>,
    rejects: VecDeque<Reject>,
    row_count: usize,
    /// Where the source stands behind all of it.
    position: Option<Position>,
}

impl Supply {
    /// Adds what the source has handed in.
    pub(crate) fn add(&mut self, intake: Intake) {
        self.row_count += intake.rows.len();
        if !intake.rows.is_empty() {
            self.rows.push_back(intake.rows);
        }
        self.rejects.extend(intake.rejects);
        self.position = Some(intake.position);
    }

    /// Tells whether so much is there.
    pub(crate) fn has(&self, rows: usize, rejects: usize) -> bool {
        self.row_count >= rows && self.rejects.len() >= rejects
    }

    /// Takes so many rows, in as many runs as they came in, and so many rejects.
    pub(crate) fn take(&mut self, rows: usize, rejects: usize) -> (Vec<Rows>, Vec<Reject>) {
        let mut runs = Vec::new();
        let mut left = rows;
        while left > 0 {
            let Some(mut run) = self.rows.pop_front() else { break };
            if run.len() > left {
                let rest = run.split_off(left);
                self.rows.push_front(rest);
            }
            left -= run.len();
            runs.push(run);
        }
        self.row_count -= rows - left;
        let rejects = self.rejects.drain(..rejects.min(self.rejects.len())).collect();
        (runs, rejects)
    }

    /// Takes all that is left: it has not been in any epoch. None if nothing is.
    pub(crate) fn rest(&mut self) -> Option<(Vec<Rows>, Vec<Reject>, Position)> {
        let position = self.position.take()?;
        if self.row_count == 0 && self.rejects.is_empty() {
            return None;
        }
        let (runs, rejects) = self.take(self.row_count, self.rejects.len());
        Some((runs, rejects, position))
    }
}

#[cfg(test)]
mod tests {
    use proto::tick::Tick;

    use super::Supply;
    use crate::batch::Rows;
    use crate::component::source::{Intake, Position};

    fn intake(sequences: std::ops::Range<u64>) -> Intake {
        let tick = |sequence| Tick { sequence, ..Tick::default() };
        Intake {
            rows: Rows::Ticks(sequences.map(tick).collect()),
            rejects: Vec::new(),
            position: Position(vec![1]),
            deliveries: Vec::new(),
        }
    }

    #[test]
    fn what_comes_in_other_batches_is_cut_at_the_same_places() {
        let mut supply = Supply::default();
        supply.add(intake(0..5));
        supply.add(intake(5..6));
        supply.add(intake(6..10));
        let mut seen = Vec::new();
        for count in [3, 0, 4, 1] {
            assert!(supply.has(count, 0));
            let (runs, _) = supply.take(count, 0);
            let ticks = runs.into_iter().flat_map(|run| match run {
                Rows::Ticks(ticks) => ticks,
                _ => Vec::new(),
            });
            let before = seen.len();
            seen.extend(ticks.map(|tick| tick.sequence));
            assert_eq!(seen.len(), before + count);
        }
        assert_eq!(seen, (0..8).collect::<Vec<u64>>());
        assert!(!supply.has(3, 0));
        let (runs, _, _) = supply.rest().unwrap();
        assert_eq!(runs.iter().map(Rows::len).sum::<usize>(), 2);
        assert!(supply.rest().is_none());
    }
}

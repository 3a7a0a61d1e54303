//! Hop 5, Seal: puts together what the workers sent to a sink, and lets an epoch go when no worker
//! can add to it any more.

use std::collections::BTreeMap;

use crate::batch::Rows;
use crate::moment::Epoch;

/// Collects the rows of the epochs in flight of one sink.
#[derive(Debug)]
pub struct Seal {
    /// Per worker: the least epoch that may still come from it.
    frontiers: Vec<Epoch>,
    pending: BTreeMap<Epoch, Vec<(usize, Rows)>>,
    next: Epoch,
}

impl Seal {
    /// Starts behind `base`: 0 before the first epoch.
    pub fn new(workers: usize, base: Epoch) -> Self {
        Self { frontiers: vec![0; workers], pending: BTreeMap::new(), next: base + 1 }
    }

    /// Takes rows of an epoch from a worker.
    pub fn add(&mut self, worker: usize, epoch: Epoch, rows: Rows) {
        self.pending.entry(epoch).or_default().push((worker, rows));
    }

    /// A worker will send nothing below `frontier` any more.
    pub fn advance(&mut self, worker: usize, frontier: Epoch) {
        if let Some(slot) = self.frontiers.get_mut(worker) {
            *slot = frontier.max(*slot);
        }
    }

    /// Gives the next epoch that can change no more, up to and with `minted`: its runs in the order
    /// of the workers, each worker's in its own order.
    pub fn next(&mut self, minted: Epoch) -> Option<(Epoch, Vec<Rows>)> {
        let sealed_below = self.frontiers.iter().copied().min().unwrap_or(0);
        if self.next >= sealed_below || self.next > minted {
            return None;
        }
        let epoch = self.next;
        self.next += 1;
        let mut runs = self.pending.remove(&epoch).unwrap_or_default();
        runs.sort_by_key(|(worker, _)| *worker);
        Some((epoch, runs.into_iter().map(|(_, rows)| rows).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::Seal;
    use crate::batch::Rows;

    #[test]
    fn an_epoch_waits_for_every_worker_and_keeps_their_order() {
        let mut seal = Seal::new(2, 0);
        seal.add(1, 1, Rows::Candles(Vec::new()));
        seal.add(0, 1, Rows::Ticks(Vec::new()));
        seal.advance(0, 3);
        assert!(seal.next(2).is_none());
        seal.advance(1, 2);
        let (epoch, runs) = seal.next(2).unwrap();
        assert_eq!((epoch, runs.len()), (1, 2));
        assert!(matches!(runs[0], Rows::Ticks(_)));
        assert!(seal.next(2).is_none());
    }

    #[test]
    fn epochs_without_rows_are_sealed_too_but_none_that_was_not_minted() {
        let mut seal = Seal::new(1, 0);
        seal.advance(0, u64::MAX);
        assert_eq!(seal.next(2).unwrap().0, 1);
        assert_eq!(seal.next(2).unwrap().0, 2);
        assert!(seal.next(2).is_none());
    }
}

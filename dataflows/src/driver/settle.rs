//! Hop 7, Settle: which position of a source may be acknowledged.
//!
//! The coordinator notes where each source stood when an epoch closed. What makes the epoch durable
//! (the journal, or a checkpoint, as the source's `ack` says) releases the position, and the
//! source's own thread acknowledges it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::component::source::Position;
use crate::job::promise::Ack;
use crate::moment::Epoch;

/// The positions of all sources that wait to be acknowledged.
#[derive(Debug)]
pub(crate) struct Settle {
    sources: Vec<(Ack, Mutex<Waiting>)>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Epochs upwards; as many at most as are in flight or lie between two checkpoints.
    positions: VecDeque<(Epoch, Position, u64)>,
    due: Option<Due>,
}

/// What a source has to acknowledge.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// Everything up to here.
    pub(crate) position: Position,
    /// How many records that is.
    pub(crate) records: u64,
}

impl Waiting {
    fn release(&mut self, position: Position, records: u64) {
        let before = self.due.take().map_or(0, |due| due.records);
        self.due = Some(Due { position, records: before + records });
    }
}

impl Settle {
    /// Nothing waits; each source with its `ack`.
    pub(crate) fn new(acks: impl Iterator<Item = Ack>) -> Self {
        Self { sources: acks.map(|ack| (ack, Mutex::default())).collect() }
    }

    /// Tells whether any source is acknowledged by it.
    pub(crate) fn waits_for(&self, by: Ack) -> bool {
        self.sources.iter().any(|(ack, _)| *ack == by)
    }

    /// A source stood at `position` when `epoch` closed, so many records further than before.
    pub(crate) fn note(&self, source: usize, epoch: Epoch, position: Position, records: u64) {
        let Some((ack, waiting)) = self.sources.get(source) else { return };
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if *ack == Ack::Receive {
            waiting.release(position, records);
            return;
        }
        match waiting.positions.back_mut() {
            Some((last, there, count)) if *last == epoch => {
                *there = position;
                *count += records;
            }
            _ => waiting.positions.push_back((epoch, position, records)),
        }
    }

    /// What `by` makes durable is durable up to and with `epoch`.
    pub(crate) fn release(&self, by: Ack, epoch: Epoch) {
        for (_, waiting) in self.sources.iter().filter(|(ack, _)| *ack == by) {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            while waiting.positions.front().is_some_and(|(noted, ..)| *noted <= epoch) {
                if let Some((_, position, records)) = waiting.positions.pop_front() {
                    waiting.release(position, records);
                }
            }
        }
    }

    /// Takes what a source has to acknowledge, if there is a new position.
    pub(crate) fn take(&self, source: usize) -> Option<Due> {
        let (_, waiting) = self.sources.get(source)?;
        waiting.lock().unwrap_or_else(PoisonError::into_inner).due.take()
    }
}

#[cfg(test)]
mod tests {
    use super::{Due, Settle};
    use crate::component::source::Position;
    use crate::job::promise::Ack;

    fn at(number: u8) -> Position {
        Position(vec![number])
    }

    fn due(number: u8, records: u64) -> Option<Due> {
        Some(Due { position: at(number), records })
    }

    #[test]
    fn a_source_is_acknowledged_by_what_it_chose_and_no_further() {
        let settle = Settle::new([Ack::Journal, Ack::Checkpoint, Ack::Receive].into_iter());
        for source in 0..3 {
            for epoch in 1..=3 {
                settle.note(source, epoch, at(u8::try_from(epoch).unwrap()), 10);
            }
        }
        settle.release(Ack::Journal, 2);
        assert_eq!([0, 1, 2].map(|s| settle.take(s)), [due(2, 20), None, due(3, 30)]);
        assert_eq!(settle.take(0), None, "once");
        settle.release(Ack::Checkpoint, 1);
        assert_eq!(settle.take(1), due(1, 10));
    }
}

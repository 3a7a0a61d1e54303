//! Gathering: the parts of a checkpoint come from many threads; it is whole when all are there.

use std::collections::BTreeMap;

use proto::event_time::EventTime;
use proto::series::{KEY_GROUPS, KeyGroup};

use crate::component::source::Position;
use crate::fault::Fault;
use crate::moment::Epoch;

/// What one thread has to say about the checkpoint of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The coordinator: what the engine itself has to remember.
    Engine(Engine),
    /// A worker: the state of one operator's key groups that the worker owns.
    Operator {
        /// The operator's number in the plan.
        operator: usize,
        /// The worker.
        worker: usize,
        /// The version of the layout.
        version: u16,
        /// The groups that have a state, ascending.
        groups: Vec<(KeyGroup, Vec<u8>)>,
    },
    /// A sink, which has made durable what it owes.
    Sink {
        /// The sink's number in the plan.
        sink: usize,
        /// What it needs beside that.
        state: Vec<u8>,
    },
}

/// What the engine itself remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Engine {
    /// The job clock.
    pub clock: EventTime,
    /// All input had been read.
    pub is_last: bool,
    /// How far every feed had come, by its name, sorted.
    pub feeds: Vec<(String, EventTime)>,
    /// By source: where it stood.
    pub sources: Vec<SourceMark>,
}

/// Where a source stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceMark {
    /// The position; none before its first record.
    pub position: Option<Position>,
    /// The greatest event time that it had handed in.
    pub reached: EventTime,
    /// The messages that it had delivered lately: encoded ids.
    pub seen: Vec<u8>,
    /// Of one that is healed: what it had handed in lately.
    pub seam: Vec<u8>,
}

/// Everything that belongs to one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// The epoch after which it was taken.
    pub epoch: Epoch,
    /// The engine's own.
    pub engine: Engine,
    /// By operator: the version and the groups that have a state, ascending; none for operators
    /// that nothing reads.
    pub operators: Vec<Option<(u16, BTreeMap<KeyGroup, Vec<u8>>)>>,
    /// By sink.
    pub sinks: Vec<Vec<u8>>,
}

/// Collects the parts of the checkpoints under way.
#[derive(Debug)]
pub struct Gather {
    /// By operator: whether it runs.
    operators: Vec<bool>,
    workers: usize,
    sinks: usize,
    under_way: BTreeMap<Epoch, Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    engine: Option<Engine>,
    operators: BTreeMap<(usize, usize), (u16, Vec<(KeyGroup, Vec<u8>)>)>,
    sinks: BTreeMap<usize, Vec<u8>>,
}

impl Gather {
    /// Expects parts of these operators (those that run) on so many workers, and of so many sinks.
    pub fn new(operators: Vec<bool>, workers: usize, sinks: usize) -> Self {
        Self { operators, workers, sinks, under_way: BTreeMap::new() }
    }

    /// Takes a part; gives the checkpoint if it is whole by that. Checkpoints become whole in the
    /// order of their epochs, since every thread sends its parts in that order.
    ///
    /// # Errors
    /// When a part comes twice, or from where none is expected.
    pub fn add(&mut self, epoch: Epoch, part: Part) -> Result<Option<Whole>, Fault> {
        let parts = self.under_way.entry(epoch).or_default();
        let is_new = match part {
            Part::Engine(engine) => parts.engine.replace(engine).is_none(),
            Part::Operator { operator, worker, version, groups } => {
                let is_expected = self.operators.get(operator).copied().unwrap_or(false)
                    && worker < self.workers
                    && groups.iter().all(|(group, _)| *group < KEY_GROUPS);
                let slot = (operator, worker);
                is_expected && parts.operators.insert(slot, (version, groups)).is_none()
            }
            Part::Sink { sink, state } => {
                sink < self.sinks && parts.sinks.insert(sink, state).is_none()
            }
        };
        if !is_new {
            return Err(Fault::defect("gathering a checkpoint", "a part that was not expected"));
        }
        let running = self.operators.iter().filter(|runs| **runs).count();
        let is_whole = parts.engine.is_some()
            && parts.operators.len() == running * self.workers
            && parts.sinks.len() == self.sinks;
        if !is_whole {
            return Ok(None);
        }
        let Some(parts) = self.under_way.remove(&epoch) else { return Ok(None) };
        self.put_together(epoch, parts).map(Some)
    }

    fn put_together(&self, epoch: Epoch, parts: Parts) -> Result<Whole, Fault> {
        let mut operators: Vec<Option<(u16, BTreeMap<KeyGroup, Vec<u8>>)>> =
            self.operators.iter().map(|_| None).collect();
        for ((operator, _), (version, groups)) in parts.operators {
            let Some(slot) = operators.get_mut(operator) else { continue };
            let (known, all) = slot.get_or_insert_with(|| (version, BTreeMap::new()));
            let count = all.len() + groups.len();
            all.extend(groups);
            if *known != version || all.len() != count {
                let message = "workers disagree about a version or a key group's owner";
                return Err(Fault::defect("gathering a checkpoint", message));
            }
        }
        let engine = parts.engine.unwrap_or_default();
        Ok(Whole { epoch, engine, operators, sinks: parts.sinks.into_values().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::{Engine, Gather, Part};

    fn operator(operator: usize, worker: usize, group: u16) -> Part {
        Part::Operator { operator, worker, version: 1, groups: vec![(group, vec![1])] }
    }

    #[test]
    fn a_checkpoint_is_whole_only_with_the_last_part_whatever_the_order() {
        let parts = || {
            vec![
                Part::Engine(Engine::default()),
                operator(0, 0, 3),
                operator(0, 1, 200),
                Part::Sink { sink: 0, state: vec![9] },
            ]
        };
        for first in 0..4 {
            let mut gather = Gather::new(vec![true, false], 2, 1);
            let mut order = parts();
            order.rotate_left(first);
            let last = order.pop().unwrap();
            for part in order {
                assert_eq!(gather.add(7, part).unwrap(), None);
            }
            let whole = gather.add(7, last).unwrap().unwrap();
            assert_eq!(whole.operators[0].as_ref().unwrap().1.len(), 2);
            assert!(whole.operators[1].is_none());
        }
    }

    #[test]
    fn what_comes_twice_or_from_nowhere_is_a_defect() {
        let mut gather = Gather::new(vec![true], 1, 1);
        gather.add(1, operator(0, 0, 1)).unwrap();
        assert!(gather.add(1, operator(0, 0, 1)).is_err());
        assert!(gather.add(1, operator(1, 0, 1)).is_err());
        assert!(gather.add(1, operator(0, 1, 1)).is_err());
        assert!(gather.add(1, Part::Sink { sink: 1, state: Vec::new() }).is_err());
    }

    #[test]
    fn two_checkpoints_may_be_under_way() {
        let mut gather = Gather::new(vec![], 1, 0);
        assert_eq!(gather.add(2, Part::Engine(Engine::default())).unwrap().unwrap().epoch, 2);
        assert_eq!(gather.add(5, Part::Engine(Engine::default())).unwrap().unwrap().epoch, 5);
    }
}

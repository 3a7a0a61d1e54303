//! The messages that a queue has delivered lately: how a redelivery is known.

use std::collections::VecDeque;

use hashbrown::HashSet;

use crate::fault::Fault;

/// So many names are remembered for each source. A broker redelivers what was not acknowledged, and
/// lets at most 65,535 messages of a channel be so.
const NAMES_MAX: usize = 1 << 17;

/// Names of messages, in the order of their delivery.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    order: VecDeque<u128>,
    names: HashSet<u128>,
}

impl Seen {
    /// Tells whether a message is new, and remembers it. One without a name always is.
    pub(crate) fn is_new(&mut self, name: Option<u128>) -> bool {
        let Some(name) = name else { return true };
        if !self.names.insert(name) {
            return false;
        }
        self.order.push_back(name);
        if self.order.len() > NAMES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
        true
    }

    /// Writes them down for a checkpoint: 16 bytes each, the oldest first.
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.order.iter().flat_map(|name| name.to_le_bytes()).collect()
    }

    /// Reads what [`Seen::encode`] wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let (names, rest) = bytes.as_chunks::<16>();
        if !rest.is_empty() {
            return Err(Fault::defect("the messages seen", "half a name"));
        }
        let mut seen = Self::default();
        for name in names {
            seen.is_new(Some(u128::from_le_bytes(*name)));
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::{NAMES_MAX, Seen};

    #[test]
    fn a_name_is_new_once_also_after_a_restart() {
        let mut seen = Seen::default();
        assert!(seen.is_new(Some(7)));
        assert!(!seen.is_new(Some(7)));
        assert!(seen.is_new(None) && seen.is_new(None));
        let mut again = Seen::decode(&seen.encode()).unwrap();
        assert!(!again.is_new(Some(7)));
        assert!(again.is_new(Some(8)));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_go_first() {
        let mut seen = Seen::default();
        let names = NAMES_MAX as u128;
        for name in 0..=names {
            assert!(seen.is_new(Some(name)));
        }
        assert_eq!(seen.order.len(), NAMES_MAX);
        assert!(!seen.is_new(Some(names)));
        assert!(seen.is_new(Some(0)), "the oldest was forgotten");
    }
}

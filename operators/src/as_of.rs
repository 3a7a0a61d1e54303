//! An as-of join: events against a relation that changes, each event with the rows as of its own
//! place in the order of things, and never again.
//!
//! The order is fixed and whole: epochs one after the other; within an epoch event time; at one time
//! first what changes the world, then what looks at it ([`Turn::rank`]); then sequence, then name.
//! So a change and an event of the same time meet: the event sees the change. What comes in a later
//! epoch is later, whatever time it bears, and changes nothing that was emitted.
//!
//! Within an epoch neither the order of arrival nor the cut into batches matters. Across epochs a
//! run repeats because its epochs do (the journal has them). Where epochs are cut along event time,
//! the cut does not matter either.
//!
//! It is written by hand rather than with a half join on a differential arrangement, which does the
//! same at a third of the speed, since a member's own state (what a follower has open) stands beside
//! its row and changes with every event.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataflows::fault::Fault;
use proto::event_time::EventTime;
use proto::series::{KeyGroup, key_group};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A row of a relation: at most one for each key and member.
pub trait Row: Clone + Serialize + DeserializeOwned {
    /// The first name of the key's series; with the key it makes the key group.
    const NAMESPACE: &'static str;
    /// What events are joined by.
    fn key(&self) -> &Arc<str>;
    /// Who the row is about.
    fn member(&self) -> &Arc<str>;
    /// Counts the changes of this row; of two the greater one holds.
    fn version(&self) -> u64;
    /// The member is of the relation; a row that says no deletes.
    fn is_present(&self) -> bool;
}

/// What a row is kept with.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry<R, S> {
    version: u64,
    present: Option<(R, S)>,
}

type Members<R, S> = BTreeMap<Arc<str>, Entry<R, S>>;

/// The relation, arranged by key, with a state of one's own for each member. Of what was deleted
/// the version stays, so that an older row that comes late does not bring it back.
#[derive(Debug, Clone)]
pub struct Relation<R, S> {
    keys: BTreeMap<Arc<str>, Members<R, S>>,
}

impl<R, S> Default for Relation<R, S> {
    fn default() -> Self {
        Self { keys: BTreeMap::new() }
    }
}

impl<R: Row, S> Relation<R, S> {
    /// Takes a row in the place of the one before, whose state stays; a new member's state is made
    /// by `fresh`. A row that is not newer changes nothing, and false is told.
    pub fn set(&mut self, row: R, fresh: impl FnOnce(&R) -> S) -> bool {
        let members = self.keys.entry(row.key().clone()).or_default();
        let version = row.version();
        let entry = members.entry(row.member().clone());
        let entry = match entry {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(Entry { version, present: None })
            }
            std::collections::btree_map::Entry::Occupied(place) => {
                let entry = place.into_mut();
                if version <= entry.version {
                    return false;
                }
                entry.version = version;
                entry
            }
        };
        let before = entry.present.take();
        if row.is_present() {
            let state = before.map_or_else(|| fresh(&row), |(_, state)| state);
            entry.present = Some((row, state));
        }
        true
    }

    /// Gives the rows of a key with their states, by the names of the members.
    pub fn of(&mut self, key: &str) -> impl Iterator<Item = (&R, &mut S)> {
        let members = self.keys.get_mut(key).into_iter().flat_map(BTreeMap::values_mut);
        members.filter_map(|entry| entry.present.as_mut()).map(|(row, state)| (&*row, state))
    }

    /// Gives the row of a member with its state.
    pub fn get(&mut self, key: &str, member: &str) -> Option<(&R, &mut S)> {
        let (row, state) = self.keys.get_mut(key)?.get_mut(member)?.present.as_mut()?;
        Some((row, state))
    }
}

impl<R: Row, S: Serialize + DeserializeOwned> Relation<R, S> {
    /// Appends what belongs to one key group; nothing if that is nothing.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn snapshot(&self, group: KeyGroup, out: &mut Vec<u8>) -> Result<(), Fault> {
        let is_of_group = |key: &&Arc<str>| key_group(R::NAMESPACE, key) == group;
        let keys: Vec<(&Arc<str>, &Members<R, S>)> = self
            .keys
            .keys()
            .filter(is_of_group)
            .filter_map(|key| self.keys.get_key_value(key))
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        let bytes = postcard::to_allocvec(&keys)
            .map_err(|error| Fault::defect("a relation's encoding", error))?;
        out.extend_from_slice(&bytes);
        Ok(())
    }

    /// Takes over what [`Relation::snapshot`] wrote of one key group.
    ///
    /// # Errors
    /// When it is something else, or belongs to another group.
    pub fn restore(&mut self, group: KeyGroup, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        let refused = |message: String| Fault::stop(format!("state of key group {group}"), message);
        let keys: Vec<(Arc<str>, Members<R, S>)> =
            postcard::from_bytes(bytes).map_err(|error| refused(error.to_string()))?;
        for (key, members) in keys {
            if key_group(R::NAMESPACE, &key) != group {
                return Err(refused(format!("{key} belongs to another group")));
            }
            self.keys.insert(key, members);
        }
        Ok(())
    }
}

/// The place of something within its epoch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// When it happened.
    pub time: EventTime,
    /// What comes first at one time: changes have lower ranks than what looks at them.
    pub rank: u8,
    /// The source's number, the row's version.
    pub sequence: u64,
    /// What tells apart those that are equal so far.
    pub name: Arc<str>,
}

/// What has come of the epoch under way.
#[derive(Debug, Clone)]
pub struct Queue<I> {
    items: Vec<(Turn, I)>,
}

impl<I> Default for Queue<I> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

impl<I> Queue<I> {
    /// Adds something; when does not matter.
    pub fn push(&mut self, turn: Turn, item: I) {
        self.items.push((turn, item));
    }

    /// Gives all, in order: the epoch is over. Items with equal turns stay as they came.
    pub fn drain(&mut self) -> impl Iterator<Item = I> {
        let mut items = std::mem::take(&mut self.items);
        items.sort_by(|(left, _), (right, _)| left.cmp(right));
        items.into_iter().map(|(_, item)| item)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proto::event_time::EventTime;
    use proto::series::{KEY_GROUPS, key_group};
    use serde::{Deserialize, Serialize};

    use super::{Queue, Relation, Row, Turn};

    #[derive(Debug, Clone, Serialize, Deserialize)]
    struct Edge(Arc<str>, Arc<str>, u64, bool);

    impl Row for Edge {
        const NAMESPACE: &'static str = "leader";
        fn key(&self) -> &Arc<str> {
            &self.0
        }
        fn member(&self) -> &Arc<str> {
            &self.1
        }
        fn version(&self) -> u64 {
            self.2
        }
        fn is_present(&self) -> bool {
            self.3
        }
    }

    enum Item {
        Change(Edge),
        Event(&'static str),
    }

    fn edge(member: &str, version: u64, is_present: bool) -> Item {
        Item::Change(Edge("anna".into(), member.into(), version, is_present))
    }

    fn turn(time: i64, item: &Item) -> Turn {
        let (rank, sequence) = match item {
            Item::Change(edge) => (0, edge.2),
            Item::Event(_) => (1, 0),
        };
        Turn { time: EventTime::from_ns(time), rank, sequence, name: "".into() }
    }

    /// Gives who each event meets.
    fn join(epochs: Vec<Vec<(i64, Item)>>) -> Vec<(&'static str, String)> {
        let (mut relation, mut queue) = (Relation::<Edge, ()>::default(), Queue::default());
        let mut met = Vec::new();
        for epoch in epochs {
            epoch.into_iter().for_each(|(time, item)| queue.push(turn(time, &item), item));
            for item in queue.drain() {
                match item {
                    Item::Change(edge) => {
                        relation.set(edge, |_| ());
                    }
                    Item::Event(name) => {
                        let members = relation.of("anna").map(|(edge, _)| edge.1.to_string());
                        met.push((name, members.collect::<Vec<_>>().join(" ")));
                    }
                }
            }
        }
        met
    }

    #[test]
    fn an_event_meets_the_rows_of_its_time_and_later_changes_make_nothing_new() {
        let met = join(vec![
            vec![(1, edge("bert", 1, true)), (1, edge("carl", 1, true)), (5, Item::Event("first"))],
            vec![
                (6, edge("carl", 2, false)),
                (7, edge("dora", 1, true)),
                (8, Item::Event("second")),
            ],
        ]);
        assert_eq!(met, [("first", "bert carl".to_owned()), ("second", "bert dora".to_owned())]);
    }

    #[test]
    fn within_an_epoch_time_decides_and_at_one_time_the_change_comes_first() {
        let met = join(vec![vec![
            (8, Item::Event("after")),
            (7, Item::Event("with")),
            (6, Item::Event("before")),
            (7, edge("bert", 1, true)),
            (8, edge("bert", 2, false)),
        ]]);
        let bert = "bert".to_owned();
        assert_eq!(met, [("before", String::new()), ("with", bert), ("after", String::new())]);
    }

    #[test]
    fn a_later_epoch_is_later_whatever_time_it_bears() {
        let met = join(vec![vec![(7, Item::Event("seen"))], vec![(1, edge("bert", 1, true))]]);
        assert_eq!(met, [("seen", String::new())]);
    }

    #[test]
    fn an_older_row_that_comes_late_changes_nothing_even_after_a_deletion() {
        let mut relation = Relation::<Edge, u32>::default();
        let mut set = |version, is_present| {
            relation.set(Edge("anna".into(), "bert".into(), version, is_present), |_| 7)
        };
        assert!(set(3, true) && !set(3, true) && !set(2, false) && set(4, false));
        assert!(!set(3, true));
        assert!(relation.get("anna", "bert").is_none());
    }

    #[test]
    fn the_state_of_a_member_outlives_its_row_s_changes_but_not_its_end() {
        let mut relation = Relation::<Edge, u32>::default();
        let row = |version, is_present| Edge("anna".into(), "bert".into(), version, is_present);
        relation.set(row(1, true), |_| 1);
        *relation.get("anna", "bert").unwrap().1 = 5;
        relation.set(row(2, true), |_| 1);
        assert_eq!(*relation.get("anna", "bert").unwrap().1, 5);
        relation.set(row(3, false), |_| 1);
        relation.set(row(4, true), |_| 1);
        assert_eq!(*relation.get("anna", "bert").unwrap().1, 1);
    }

    #[test]
    fn a_snapshot_by_key_group_comes_back_and_is_refused_elsewhere() {
        let mut relation = Relation::<Edge, u32>::default();
        for (key, member) in [("anna", "bert"), ("anna", "carl"), ("emil", "bert"), ("zoe", "bert")]
        {
            relation.set(Edge(key.into(), member.into(), 1, true), |_| 9);
        }
        relation.set(Edge("anna".into(), "carl".into(), 2, false), |_| 0);
        let mut other = Relation::<Edge, u32>::default();
        for group in 0..KEY_GROUPS {
            let mut bytes = Vec::new();
            relation.snapshot(group, &mut bytes).unwrap();
            other.restore(group, &bytes).unwrap();
            if group == key_group("leader", "anna") {
                assert!(other.restore(group ^ 1, &bytes).is_err());
                assert!(other.restore(group, &bytes[1..]).is_err());
            }
        }
        assert_eq!(format!("{relation:?}"), format!("{other:?}"));
    }
}

//! Keyed state: one value per series, indexed by its dense number, snapshotted by key group.

use std::sync::Arc;

use proto::series::{KeyGroup, Series, SeriesId, SeriesTable};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fault::Fault;

/// One `S` per series that was met. Lookup is an index into a vector; iteration for anything that
/// is written goes by name, through [`Keyed::names`].
#[derive(Debug)]
pub struct Keyed<S> {
    table: SeriesTable,
    series: Vec<Arc<Series>>,
    states: Vec<Option<S>>,
}

impl<S> Keyed<S> {
    /// Makes an empty state over the run's series.
    pub fn new(table: SeriesTable) -> Self {
        Self { table, series: Vec::new(), states: Vec::new() }
    }

    /// Gives the state of `id`, if there is one.
    pub fn get(&self, id: SeriesId) -> Option<&S> {
        self.states.get(id.index())?.as_ref()
    }

    /// Gives the state of `id`, if there is one.
    #[inline]
    pub fn get_mut(&mut self, id: SeriesId) -> Option<&mut S> {
        self.states.get_mut(id.index())?.as_mut()
    }

    /// Puts a state in place and gives it back.
    pub fn insert(&mut self, id: SeriesId, state: S) -> &mut S {
        if self.states.len() <= id.index() {
            self.states.resize_with(id.index() + 1, || None);
        }
        // The vector was just made long enough.
        #[expect(clippy::indexing_slicing, reason = "resized above")]
        self.states[id.index()].insert(state)
    }

    /// Forgets the state of `id`.
    pub fn remove(&mut self, id: SeriesId) -> Option<S> {
        self.states.get_mut(id.index())?.take()
    }

    /// Tells what is known of `id`; asks the shared table at most once per series.
    pub fn series(&mut self, id: SeriesId) -> Option<&Arc<Series>> {
        if self.series.len() <= id.index() {
            self.table.refresh(&mut self.series);
        }
        self.series.get(id.index())
    }

    /// Counts the states.
    pub fn len(&self) -> usize {
        self.states.iter().flatten().count()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.states.iter().all(Option::is_none)
    }

    /// Visits every state in the order of the numbers: for work whose order cannot be seen.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (SeriesId, &mut S)> {
        self.states.iter_mut().enumerate().filter_map(|(index, state)| {
            Some((SeriesId(u32::try_from(index).ok()?), state.as_mut()?))
        })
    }
}

impl<S: Serialize + DeserializeOwned> Keyed<S> {
    /// Appends the states of one key group, by name and sorted by it.
    ///
    /// # Errors
    /// When a state cannot be encoded.
    pub fn snapshot(&self, group: KeyGroup, out: &mut Vec<u8>) -> Result<(), Fault> {
        // Called once for every key group: the names are copied only where some are not known yet.
        let mut refreshed = Vec::new();
        if self.series.len() < self.states.len() {
            self.table.refresh(&mut refreshed);
        }
        let known = if refreshed.is_empty() { &self.series } else { &refreshed };
        let mut entries: Vec<(&str, &str, &S)> = known
            .iter()
            .zip(&self.states)
            .filter(|(series, _)| series.group == group)
            .filter_map(|(series, state)| {
                Some((&*series.source, &*series.instrument, state.as_ref()?))
            })
            .collect();
        if entries.is_empty() {
            return Ok(());
        }
        entries.sort_unstable_by_key(|(source, instrument, _)| (*source, *instrument));
        let bytes = postcard::to_allocvec(&entries)
            .map_err(|error| Fault::defect("a state's encoding", error))?;
        out.extend_from_slice(&bytes);
        Ok(())
    }

    /// Takes over the states of one key group.
    ///
    /// # Errors
    /// When the bytes are not what [`Keyed::snapshot`] wrote, or belong to another group.
    pub fn restore(&mut self, group: KeyGroup, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        let refused = |message: String| Fault::stop(format!("state of key group {group}"), message);
        let entries: Vec<(String, String, S)> =
            postcard::from_bytes(bytes).map_err(|error| refused(error.to_string()))?;
        for (source, instrument, state) in entries {
            if proto::series::key_group(&source, &instrument) != group {
                return Err(refused(format!("{source} {instrument} belongs to another group")));
            }
            let id = self
                .table
                .intern(&source, &instrument)
                .map_err(|error| refused(error.to_string()))?;
            self.insert(id, state);
        }
        Ok(())
    }
}

//! A store in memory: what was put stays, whatever crashes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::fault::Fault;
use crate::store::Store;

/// A [`Store`] whose clones share the objects.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    /// How many more changes succeed; none: all.
    left: Option<u64>,
}

impl MemoryStore {
    /// Makes an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets so many more changes succeed and then none, until [`MemoryStore::revive`].
    pub fn die_after(&self, changes: u64) {
        self.with(|state| state.left = Some(changes));
    }

    /// Lets changes succeed again.
    pub fn revive(&self) {
        self.with(|state| state.left = None);
    }

    /// Writes over an object: for tests that damage objects on purpose.
    pub fn overwrite(&self, name: &str, bytes: Vec<u8>) {
        self.with(|state| state.objects.insert(name.to_owned(), bytes));
    }

    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn change(&mut self, name: &str) -> Result<(), Fault> {
        match &mut self.left {
            Some(0) => Err(Fault::stop(name, "the process died here")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Store for MemoryStore {
    fn put_new(&self, name: &str, bytes: Vec<u8>) -> Result<bool, Fault> {
        self.with(|state| {
            state.change(name)?;
            let is_new = !state.objects.contains_key(name);
            if is_new {
                state.objects.insert(name.to_owned(), bytes);
            }
            Ok(is_new)
        })
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.with(|state| state.objects.get(name).cloned()))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, Fault> {
        let is_in = |name: &&String| name.strip_prefix(folder).is_some_and(|n| n.starts_with('/'));
        Ok(self.with(|state| state.objects.keys().filter(is_in).cloned().collect()))
    }

    fn remove(&self, name: &str) -> Result<(), Fault> {
        self.with(|state| {
            state.change(name)?;
            state.objects.remove(name);
            Ok(())
        })
    }

    fn place(&self, name: &str) -> String {
        format!("memory/{name}")
    }
}

//! A disk in memory that loses and tears what was not synced, as a power failure does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Append, Disk};
use crate::fault::Fault;

/// A [`Disk`] whose [`crash`](MemoryDisk::crash) is a power failure. Clones share the files.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

type Shared = Arc<Mutex<Contents>>;

#[derive(Debug, Default)]
struct State {
    /// What a reader sees.
    names: BTreeMap<String, Shared>,
    /// What is there after a crash: the names at the last sync of the folder.
    durable: BTreeMap<String, Shared>,
    /// Counts crashes: files that were opened before the last one cannot be written to any more.
    crashes: u64,
    /// How many more operations that change something succeed; none: all.
    left: Option<u64>,
}

#[derive(Debug, Default)]
struct Contents {
    bytes: Vec<u8>,
    /// How many of the bytes are durable.
    synced: usize,
}

impl State {
    /// Counts an operation that changes something, or tells that no more succeed.
    fn change(&mut self, place: &str) -> Result<(), Fault> {
        match &mut self.left {
            Some(0) => Err(Fault::stop(place, "the process is dead")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How large the parts are in which a disk writes.
const SECTOR: usize = 512;

impl MemoryDisk {
    /// Makes an empty folder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fails the power: names since the last sync of the folder are forgotten or not, at random
    /// and each by itself; of the bytes appended since a file's last sync a random part stays:
    /// a prefix, maybe with garbage behind it, maybe with sectors that never arrived within it.
    /// Files that are open cannot be written to any more.
    ///
    /// `random(n)` gives a number below `n`.
    pub fn crash(&self, random: &mut impl FnMut(u64) -> u64) {
        let mut state = lock(&self.0);
        state.crashes += 1;
        state.left = None;
        let mut all: Vec<String> =
            state.names.keys().chain(state.durable.keys()).cloned().collect();
        all.sort_unstable();
        all.dedup();
        for name in all {
            let (now, then) = (state.names.get(&name), state.durable.get(&name));
            let is_same = match (now, then) {
                (Some(now), Some(then)) => Arc::ptr_eq(now, then),
                (None, None) => true,
                _ => false,
            };
            if !is_same && random(2) == 0 {
                match then.cloned() {
                    Some(file) => state.names.insert(name, file),
                    None => state.names.remove(&name),
                };
            }
        }
        for file in state.names.values() {
            tear(&mut lock(file), random);
        }
        state.durable = state.names.clone();
    }

    /// Lets `operations` more appends, syncs, creations, cuts and removals succeed and then none,
    /// until the [crash](MemoryDisk::crash) or [`MemoryDisk::revive`]: a process that dies between
    /// any two of them. Half of the append at which it dies still arrives.
    pub fn die_after(&self, operations: u64) {
        lock(&self.0).left = Some(operations);
    }

    /// Lets operations succeed again: another process takes over, and the power never failed.
    pub fn revive(&self) {
        lock(&self.0).left = None;
    }

    /// Writes over a file, durably: for tests that damage files on purpose.
    pub fn overwrite(&self, name: &str, bytes: Vec<u8>) {
        let mut state = lock(&self.0);
        let synced = bytes.len();
        let file = Arc::new(Mutex::new(Contents { bytes, synced }));
        state.names.insert(name.to_owned(), file.clone());
        state.durable.insert(name.to_owned(), file);
    }

    /// Makes a copy that shares nothing with this one, everything in it durable.
    pub fn duplicate(&self) -> Self {
        let copy = Self::new();
        for (name, file) in &lock(&self.0).names {
            copy.overwrite(name, lock(file).bytes.clone());
        }
        copy
    }

    fn file(&self, name: &str) -> Result<Shared, Fault> {
        let file = lock(&self.0).names.get(name).cloned();
        file.ok_or_else(|| Fault::stop(self.place(name), "there is no such file"))
    }

    fn writer(&self, name: &str, file: Shared) -> Box<dyn Append> {
        let crashes = lock(&self.0).crashes;
        Box::new(MemoryFile { disk: self.clone(), name: name.to_owned(), file, crashes })
    }
}

/// Lets a random part of what was not synced get lost.
fn tear(file: &mut Contents, random: &mut impl FnMut(u64) -> u64) {
    let unsynced = file.bytes.len() - file.synced;
    let kept = file.synced + random(unsynced as u64 + 1) as usize;
    let end = file.bytes.len();
    match random(3) {
        0 => file.bytes.truncate(kept),
        1 => {
            for byte in file.bytes.iter_mut().take(end).skip(kept) {
                *byte = random(256) as u8;
            }
        }
        _ => {
            let synced = file.synced;
            let sectors = file.bytes.chunks_mut(SECTOR).enumerate();
            for (number, sector) in sectors.skip(synced / SECTOR) {
                if random(2) == 0 {
                    sector.iter_mut().skip(synced.saturating_sub(number * SECTOR)).for_each(
                        |byte| {
                            *byte = 0;
                        },
                    );
                }
            }
        }
    }
    file.synced = file.bytes.len();
}

impl Disk for MemoryDisk {
    fn list(&self) -> Result<Vec<String>, Fault> {
        Ok(lock(&self.0).names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, Fault> {
        Ok(lock(&*self.file(name)?).bytes.clone())
    }

    fn create(&self, name: &str) -> Result<Box<dyn Append>, Fault> {
        let file = Shared::default();
        let mut state = lock(&self.0);
        state.change(&self.place(name))?;
        if state.names.contains_key(name) {
            return Err(Fault::stop(self.place(name), "cannot create it: it exists already"));
        }
        state.names.insert(name.to_owned(), file.clone());
        drop(state);
        Ok(self.writer(name, file))
    }

    fn reopen(&self, name: &str) -> Result<Box<dyn Append>, Fault> {
        let file = self.file(name)?;
        Ok(self.writer(name, file))
    }

    fn truncate(&self, name: &str, length: u64) -> Result<(), Fault> {
        let file = self.file(name)?;
        lock(&self.0).change(&self.place(name))?;
        let mut file = lock(&file);
        file.bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        file.synced = file.bytes.len();
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), Fault> {
        let mut state = lock(&self.0);
        state.change(&self.place(name))?;
        let removed = state.names.remove(name);
        removed.map(|_| ()).ok_or_else(|| Fault::stop(self.place(name), "there is no such file"))
    }

    fn detach(&self, name: &str) -> Result<(), Fault> {
        lock(&self.0).change(&self.place(name))?;
        let bytes = self.read(name)?;
        self.overwrite(name, bytes);
        Ok(())
    }

    fn sync_folder(&self) -> Result<(), Fault> {
        let mut state = lock(&self.0);
        state.change(&self.place(""))?;
        state.durable = state.names.clone();
        Ok(())
    }

    fn place(&self, name: &str) -> String {
        format!("memory/{name}")
    }
}

#[derive(Debug)]
struct MemoryFile {
    disk: MemoryDisk,
    name: String,
    file: Shared,
    crashes: u64,
}

impl MemoryFile {
    fn check(&self) -> Result<(), Fault> {
        if lock(&self.disk.0).crashes == self.crashes {
            return Ok(());
        }
        Err(Fault::stop(self.disk.place(&self.name), "the disk has crashed since it was opened"))
    }
}

impl Append for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.check()?;
        let changed = lock(&self.disk.0).change(&self.disk.place(&self.name));
        let arrived = if changed.is_ok() { bytes.len() } else { bytes.len() / 2 };
        lock(&self.file).bytes.extend(bytes.iter().take(arrived));
        changed
    }

    fn sync(&mut self) -> Result<(), Fault> {
        self.check()?;
        lock(&self.disk.0).change(&self.disk.place(&self.name))?;
        let mut file = lock(&self.file);
        file.synced = file.bytes.len();
        Ok(())
    }
}

//! The log of a job's starts and checkpoints: one record an object, numbered without a gap.
//!
//! 1. A record is created under the number after the last one, if nobody else has: so two writers
//!    that both believe to be the only one cannot both succeed.
//! 2. A start gets the generation after the greatest that the log has seen.
//! 3. A checkpoint is written only behind the record that its writer wrote last; if another start
//!    stands there, the writer has been replaced and ends.
//! 4. Records below a start that begins afresh, or below a checkpoint that is kept, may be removed;
//!    the last one never is.

use serde::{Deserialize, Serialize};

use crate::checkpoint::FORMAT;
use crate::checkpoint::manifest::checksum;
use crate::component::sink::Generation;
use crate::fault::Fault;
use crate::moment::Epoch;
use crate::store::Store;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`FORMAT`].
    pub format: u32,
    /// The job's name.
    pub job: String,
    /// Its number: what its name says, too.
    pub number: u64,
    /// Which start of the job wrote it.
    pub generation: Generation,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What a record tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// The job was started, and goes on from what is below.
    Start,
    /// The job was started from nothing: what is below is of no meaning any more.
    Fresh,
    /// A checkpoint is whole.
    Checkpoint {
        /// The epoch after which it was taken.
        epoch: Epoch,
        /// Its manifest.
        manifest: String,
        /// The manifest's checksum.
        checksum: String,
    },
}

/// So often a new start reads a log that grows under its hands.
const CLAIMS_MAX: usize = 100;

/// The log as it was read, and the place of the next record.
#[derive(Debug, Clone)]
pub struct Log {
    job: String,
    /// By number, upwards; a record that cannot be read is an error that names it.
    records: Vec<(u64, Result<Record, String>)>,
    next: u64,
}

impl Log {
    /// Reads the log of `job`.
    ///
    /// # Errors
    /// When the store cannot be read. Records that are broken are kept as errors.
    pub fn read(store: &dyn Store, job: &str) -> Result<Self, Fault> {
        let mut records = Vec::new();
        let mut next = 1;
        for name in store.list("records")? {
            let Some(number) = number_of(&name) else { continue };
            let Some(bytes) = store.get(&name)? else { continue };
            next = next.max(number + 1);
            let record =
                parse(&bytes, job, number).map_err(|why| format!("{}: {why}", store.place(&name)));
            records.push((number, record));
        }
        Ok(Self { job: job.to_owned(), records, next })
    }

    /// The job whose log it is.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// The records, oldest first: number, and the record or what is wrong with it.
    pub fn records(&self) -> &[(u64, Result<Record, String>)] {
        &self.records
    }

    /// The greatest generation that was met.
    pub fn generation(&self) -> Generation {
        let known = self.records.iter().filter_map(|(_, record)| record.as_ref().ok());
        // A start whose record cannot be read has a generation, too: each took at most one more.
        let unread = self.records.iter().filter(|(_, record)| record.is_err()).count() as u64;
        known.map(|record| record.generation).max().unwrap_or(0) + unread
    }

    /// The checkpoints that a start may go on from, newest first: number, epoch, manifest's name
    /// and checksum. Those of writers that had been replaced when they wrote are left out.
    pub fn checkpoints(&self) -> Vec<(u64, Epoch, &str, &str)> {
        let mut found = Vec::new();
        let mut newest = Generation::MAX;
        for (number, record) in self.records.iter().rev() {
            let Ok(record) = record else { continue };
            if record.generation > newest {
                continue;
            }
            newest = record.generation;
            match &record.event {
                Event::Start => {}
                Event::Fresh => break,
                Event::Checkpoint { epoch, manifest, checksum } => {
                    found.push((*number, *epoch, manifest.as_str(), checksum.as_str()));
                }
            }
        }
        found
    }

    /// The records that cannot be read, as (number, what is wrong).
    pub fn broken(&self) -> impl Iterator<Item = (u64, &str)> {
        self.records.iter().filter_map(|(number, record)| {
            Some((*number, record.as_ref().err().map(String::as_str)?))
        })
    }

    /// Claims the job for a new start: writes its record behind all others, and gives the log up
    /// to it with the start's generation. A writer that is to be replaced may add checkpoints
    /// meanwhile; the log is then read again, so that the new start wins in the end.
    ///
    /// # Errors
    /// When the store fails, or the log grows faster than it can be read.
    pub fn claim(store: &dyn Store, job: &str, event: &Event) -> Result<(Self, Generation), Fault> {
        for _ in 0..CLAIMS_MAX {
            let mut log = Self::read(store, job)?;
            let generation = log.generation() + 1;
            if log.put(store, generation, event.clone())? {
                return Ok((log, generation));
            }
        }
        Err(Fault::stop(
            store.place("records"),
            format!("another start of job {job} writes here all the time; stop it first"),
        ))
    }

    /// Writes the next record.
    ///
    /// # Errors
    /// When another writer has written it: this one was replaced.
    pub fn append(
        &mut self,
        store: &dyn Store,
        generation: Generation,
        event: Event,
    ) -> Result<(), Fault> {
        if self.put(store, generation, event)? {
            return Ok(());
        }
        Err(Fault::stop(
            store.place(&Self::name_of(self.next)),
            format!(
                "another start of job {} has written here since; this one (generation \
                 {generation}) ends. Only one process may run a job",
                self.job
            ),
        ))
    }

    /// Writes the next record, unless another writer has.
    fn put(
        &mut self,
        store: &dyn Store,
        generation: Generation,
        event: Event,
    ) -> Result<bool, Fault> {
        let (job, number) = (self.job.clone(), self.next);
        let record = Record { format: FORMAT, job, number, generation, event };
        let is_new = store.put_new(&Self::name_of(number), encode(&record)?)?;
        if is_new {
            self.records.push((number, Ok(record)));
            self.next += 1;
        }
        Ok(is_new)
    }

    /// Gives the name of a record in the store.
    pub fn name_of(number: u64) -> String {
        format!("records/{number:020}.json")
    }

    /// Forgets a record, and removes it.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&mut self, store: &dyn Store, number: u64) -> Result<(), Fault> {
        if number + 1 == self.next {
            return Ok(()); // the last one says where the log goes on
        }
        store.remove(&Self::name_of(number))?;
        self.records.retain(|(other, _)| *other != number);
        Ok(())
    }
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("records/")?.strip_suffix(".json")?.parse().ok()
}

/// A record as JSON, and under it the checksum of that line.
fn encode(record: &Record) -> Result<Vec<u8>, Fault> {
    let line = serde_json::to_string(record).map_err(|error| Fault::defect("a record", error))?;
    Ok(format!("{line}\n{}\n", checksum(line.as_bytes())).into_bytes())
}

fn parse(bytes: &[u8], job: &str, number: u64) -> Result<Record, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is no text".to_owned())?;
    let mut lines = text.lines();
    let line = lines.next().unwrap_or_default();
    if lines.next() != Some(checksum(line.as_bytes()).as_str()) || !text.ends_with('\n') {
        return Err("is damaged: its checksum does not fit".to_owned());
    }
    let record: Record =
        serde_json::from_str(line).map_err(|error| format!("cannot be understood: {error}"))?;
    if record.format != FORMAT {
        return Err(format!("has format {}; this tapeflow knows {FORMAT}", record.format));
    }
    if record.job != job {
        return Err(format!("belongs to job {}, not {job}", record.job));
    }
    if record.number != number {
        return Err(format!("is record {}: the files were exchanged", record.number));
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::{Event, Log};
    use crate::fault::Fault;
    use crate::simulate::store::MemoryStore;
    use crate::store::Store;

    const JOB: &str = "job";

    fn checkpoint(epoch: u64) -> Event {
        Event::Checkpoint { epoch, manifest: String::new(), checksum: String::new() }
    }

    /// A store in which the old writer adds a checkpoint just before the new start's record.
    #[derive(Debug)]
    struct Overtaken {
        store: MemoryStore,
        old: std::sync::Mutex<(Log, u64)>,
        is_done: AtomicBool,
    }

    impl Store for Overtaken {
        fn put_new(&self, name: &str, bytes: Vec<u8>) -> Result<bool, Fault> {
            if !self.is_done.swap(true, Ordering::Relaxed) {
                let mut old = self.old.lock().unwrap();
                let generation = old.1;
                old.0.append(&self.store, generation, checkpoint(9)).unwrap();
            }
            self.store.put_new(name, bytes)
        }
        fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
            self.store.get(name)
        }
        fn list(&self, folder: &str) -> Result<Vec<String>, Fault> {
            self.store.list(folder)
        }
        fn remove(&self, name: &str) -> Result<(), Fault> {
            self.store.remove(name)
        }
        fn place(&self, name: &str) -> String {
            self.store.place(name)
        }
    }

    #[test]
    fn a_new_start_wins_over_a_writer_that_goes_on_and_sees_what_it_wrote() {
        let store = MemoryStore::new();
        let old = Log::claim(&store, JOB, &Event::Start).unwrap();
        let store = Overtaken { store, old: old.into(), is_done: AtomicBool::new(false) };
        let (log, generation) = Log::claim(&store, JOB, &Event::Start).unwrap();
        assert_eq!((generation, log.records().len()), (2, 3));
        assert_eq!(log.checkpoints().first().map(|found| found.1), Some(9));
        let mut old = store.old.lock().unwrap();
        let refused = old.0.append(&store.store, 1, checkpoint(10)).unwrap_err().to_string();
        assert!(refused.contains("another start of job job has written here since"), "{refused}");
    }
}

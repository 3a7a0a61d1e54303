//! The log of a job's starts and checkpoints: one record an object, numbered without a gap.
//!
//! 1. A record is created under the number after the last one, if nobody else has: so two writers
//!    that both believe to be the only one cannot both succeed.
//! 2. A start gets the generation after the greatest that the log has seen.
//! 3. A checkpoint is written only behind the record that its writer wrote last; if another start
//!    stands there, the writer has been replaced and ends.
//! 4. Every record says which one is the first that still counts: those below may be removed, and
//!    one that stands there again was written by a writer that had been replaced. From the first
//!    one up to the last there is no gap, so that a record that is missing is noticed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::checkpoint::manifest::{Owners, checksum};
use crate::component::sink::Generation;
use crate::fault::Fault;
use crate::moment::Epoch;
use crate::store::Store;

/// The version of records that is written here.
pub const FORMAT: u32 = 2;

/// The versions that can be read: 1 did not say which record is the first.
const READABLE: std::ops::RangeInclusive<u32> = 1..=FORMAT;

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
    /// The number of the first record that counts: those below are of no meaning any more. 0: the
    /// writer did not know (format 1).
    #[serde(default)]
    pub first: u64,
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
    /// That start has opened its sinks: from here on they may have been handed epochs.
    Begun {
        /// What the components were; of operators those that run.
        components: Owners,
        /// The epoch with which its part of the journal begins: what its first segment is called by.
        journal: Epoch,
    },
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
    /// Checkpoints were removed by hand: only those from the first record on are kept.
    Trim,
}

/// So often a new start reads a log that grows under its hands.
const CLAIMS_MAX: usize = 100;

/// The log as it was read, and the place of the next record.
#[derive(Debug, Clone)]
pub struct Log {
    job: String,
    /// By number, upwards; a record that cannot be read is an error that names it.
    records: Vec<(u64, Result<Record, String>)>,
    /// Below the first one that counts, but there: their removal was broken off, or a writer that
    /// had been replaced wrote them where they had been removed.
    stale: Vec<u64>,
    first: u64,
    next: u64,
}

impl Log {
    /// Reads the log of `job`.
    ///
    /// # Errors
    /// When the store cannot be read. Records that are broken are kept as errors.
    pub fn read(store: &dyn Store, job: &str) -> Result<Self, Fault> {
        let mut found = BTreeMap::new();
        for name in store.list("records")? {
            let Some(number) = number_of(&name) else { continue };
            let Some(bytes) = store.get(&name)? else { continue };
            let record =
                parse(&bytes, job, number).map_err(|why| format!("{}: {why}", store.place(&name)));
            found.insert(number, record);
        }
        let next = found.keys().last().map_or(1, |last| last + 1);
        let newest = found.values().rev().find_map(|record| record.as_ref().ok());
        let (known, lowest) = (newest.map_or(0, |newest| newest.first), found.keys().next());
        let first = if known > 0 { known } else { lowest.copied().unwrap_or(1) };
        let mut log =
            Self { job: job.to_owned(), records: Vec::new(), stale: Vec::new(), first, next };
        log.stale.extend(found.keys().copied().filter(|number| *number < first));
        for number in first..next {
            let missing = || {
                let place = store.place(&Self::name_of(number));
                format!("{place}: the record is missing; there are others before and behind it")
            };
            match found.remove(&number) {
                Some(record) => log.records.push((number, record)),
                // Format 1 took records out of the middle.
                None if known > 0 => log.records.push((number, Err(missing()))),
                None => {}
            }
        }
        Ok(log)
    }

    /// The job whose log it is.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// The records, oldest first: number, and the record or what is wrong with it.
    pub fn records(&self) -> &[(u64, Result<Record, String>)] {
        &self.records
    }

    /// The number of the first record that counts.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The number of the next record.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// The first record that counts when only the newest `keep` checkpoints do.
    pub fn first_of(&self, keep: usize) -> u64 {
        let oldest = self.checkpoints().get(keep.saturating_sub(1)).map(|(number, ..)| *number);
        oldest.unwrap_or(self.first).max(self.first)
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
                Event::Start | Event::Begun { .. } | Event::Trim => {}
                Event::Fresh => break,
                Event::Checkpoint { epoch, manifest, checksum } => {
                    found.push((*number, *epoch, manifest.as_str(), checksum.as_str()));
                }
            }
        }
        found
    }

    /// Tells of the starts since the job was last started from nothing whether any has begun, and
    /// what the components of the newest one were, if that is known.
    pub fn begun(&self) -> (bool, Option<&Owners>) {
        let mut has_begun = false;
        for (_, record) in self.records.iter().rev() {
            // One that cannot be read may have said so.
            let Ok(record) = record else {
                has_begun = true;
                continue;
            };
            match &record.event {
                Event::Begun { components, .. } => return (true, Some(components)),
                Event::Checkpoint { .. } => has_begun = true,
                // Format 1 did not say when a start has begun.
                Event::Start => has_begun |= record.format == 1,
                Event::Fresh => return (has_begun || record.format == 1, None),
                Event::Trim => {}
            }
        }
        (has_begun, None)
    }

    /// The newest segment of the journal that a start is known to have begun with an epoch up to
    /// `epoch`, by its first epoch.
    pub fn segment(&self, epoch: Epoch) -> Option<Epoch> {
        let known = self.records.iter().rev().filter_map(|(_, record)| record.as_ref().ok());
        let begun = known.filter_map(|record| match record.event {
            Event::Begun { journal, .. } => Some(journal),
            _ => None,
        });
        begun.into_iter().find(|first| *first <= epoch)
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
            let first = if *event == Event::Fresh { log.next } else { log.first };
            if log.put(store, generation, first, event.clone())? {
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
        self.append_from(store, generation, self.first, event)
    }

    /// Writes a checkpoint's record, after which so many checkpoints count.
    ///
    /// # Errors
    /// As those of [`Log::append`].
    pub fn append_checkpoint(
        &mut self,
        store: &dyn Store,
        generation: Generation,
        keep: usize,
        event: Event,
    ) -> Result<(), Fault> {
        let first = if keep > 1 { self.first_of(keep - 1) } else { self.next };
        self.append_from(store, generation, first, event)
    }

    fn append_from(
        &mut self,
        store: &dyn Store,
        generation: Generation,
        first: u64,
        event: Event,
    ) -> Result<(), Fault> {
        if self.put(store, generation, first, event)? {
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

    /// Says that only the newest `keep` checkpoints are kept, by a record; none if that was so.
    /// A process that writes to the log meanwhile is replaced by that.
    ///
    /// # Errors
    /// When the store fails, or another writer writes.
    pub fn trim(&mut self, store: &dyn Store, keep: usize) -> Result<(), Fault> {
        let first = self.first_of(keep);
        if first == self.first {
            return Ok(());
        }
        self.append_from(store, self.generation(), first, Event::Trim)
    }

    /// Writes the next record, unless another writer has.
    fn put(
        &mut self,
        store: &dyn Store,
        generation: Generation,
        first: u64,
        event: Event,
    ) -> Result<bool, Fault> {
        let (job, number) = (self.job.clone(), self.next);
        let record = Record { format: FORMAT, job, number, generation, first, event };
        let name = Self::name_of(number);
        if !store.put_new(&name, encode(&record)?)? {
            return Ok(false);
        }
        // The number may have been free because others have gone far beyond it and removed what
        // they wrote there. The last record is never removed, so that they are seen now.
        if store.list("records")?.last().is_some_and(|last| *last > name) {
            store.remove(&name)?;
            return Ok(false);
        }
        self.stale
            .extend(self.records.extract_if(.., |(number, _)| *number < first).map(|(n, _)| n));
        self.records.push((number, Ok(record)));
        self.first = first;
        self.next += 1;
        Ok(true)
    }

    /// Gives the name of a record in the store.
    pub fn name_of(number: u64) -> String {
        format!("records/{number:020}.json")
    }

    /// The names of the records that are there and do not count.
    pub fn stale(&self) -> impl Iterator<Item = String> {
        self.stale.iter().map(|number| Self::name_of(*number))
    }

    /// Removes the records that do not count.
    ///
    /// # Errors
    /// When one cannot be removed; calling it again goes on.
    pub fn sweep(&mut self, store: &dyn Store) -> Result<(), Fault> {
        while let Some(number) = self.stale.first() {
            store.remove(&Self::name_of(*number))?;
            self.stale.remove(0);
        }
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
    if !READABLE.contains(&record.format) {
        let (least, most) = (READABLE.start(), READABLE.end());
        return Err(format!("has format {}; this tapeflow knows {least} to {most}", record.format));
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
mod tests;

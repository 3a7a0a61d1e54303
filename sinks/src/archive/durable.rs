//! What an archive of a durable run keeps beside its data: which rows are published, and in the
//! spool those that are not.
//!
//! A row that comes again after a crash is known by its partition and epoch: what came up to the
//! epoch at which the partition was published last is in the partition's file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dataflows::component::sink::{Durable, Generation, SinkContext};
use dataflows::fault::Fault;
use dataflows::moment::Epoch;
use proto::columns::Names;
use proto::event_time::EventTime;
use serde::{Deserialize, Serialize};

use super::files;
use super::ledger::{self, Ledger};
use super::partition::{Number, Partition};
use super::publish::Publication;
use super::spool::{Kept, Listed, Published, Spool};
use super::stored::Stored;

/// What a checkpoint holds of the sink.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    version: u8,
    epoch: Epoch,
    clock: i64,
    spool: Vec<Listed>,
    /// Partitions that are not published yet: place and due.
    open: Vec<(String, i64)>,
    /// The checkpoints up to this one that a run can go on from. Version 1 did not have them.
    kept: Kept,
}

const SAVED_VERSION: u8 = 2;

/// What version 1 held.
#[derive(Debug, Serialize, Deserialize)]
struct SavedOnce {
    version: u8,
    epoch: Epoch,
    clock: i64,
    spool: Vec<Listed>,
    open: Vec<(String, i64)>,
}

/// What the checkpoint says of the rows in the spool.
#[derive(Debug)]
pub(super) struct Restored {
    pub(super) clock: EventTime,
    /// Place and due of the partitions that were not published.
    pub(super) open: BTreeMap<PathBuf, i64>,
}

/// The progress of a durable run in a dataset.
#[derive(Debug)]
pub(super) struct Progress<R> {
    generation: Generation,
    /// The folder of the note and the spool, below the dataset.
    folder: PathBuf,
    /// The epoch of the checkpoint that the run goes on from.
    pub(super) base: Epoch,
    /// The last epoch at which anything was published when the run began.
    pub(super) replayed_to: Epoch,
    pub(super) published: Published,
    /// Of partitions whose rows come again.
    known: BTreeMap<Number, Epoch>,
    pub(super) spool: Spool<R>,
    /// For tests: how many steps of a decision are done before the process dies.
    pub(super) steps_max: usize,
}

impl<R: Stored> Progress<R> {
    /// Takes the dataset over from the starts before. Temporary files are left as they are.
    pub(super) fn open(
        root: &Path,
        context: &SinkContext,
        durable: &Durable,
    ) -> Result<(Self, Restored), Fault> {
        let folder = ledger::folder(&context.job, &context.id);
        let there = root.join(&folder);
        let found = Ledger::guard(&there, durable.generation)?;
        let (base, saved) = match &durable.restored {
            None => (0, None),
            Some((epoch, bytes)) if *epoch == 0 && bytes.is_empty() => (0, None),
            Some((epoch, bytes)) => (*epoch, Some(restore(&context.id, bytes)?)),
        };
        let mut ledger = match found {
            Some(ledger) if durable.restored.is_some() => ledger,
            None if saved.is_some() => return Err(ledger::gone(&there)),
            _ => Ledger { version: ledger::VERSION, ..Ledger::default() },
        };
        if base < ledger.oldest {
            return Err(ledger::too_old(&there, base, ledger.oldest));
        }
        ledger.generation = durable.generation;
        files::make_folder(&there)?;
        ledger.write(&there)?;
        files::sync_folders(std::iter::once(there.as_path()), root)?;
        let from_nothing = || Kept::from([(base, BTreeSet::new())]);
        let (spool, kept, restored) = match saved {
            None => {
                let restored = Restored { clock: EventTime::MIN, open: BTreeMap::new() };
                (Vec::new(), from_nothing(), restored)
            }
            Some(saved) => {
                let open = saved.open.into_iter().map(|(place, due)| (place.into(), due));
                let clock = EventTime::from_ns(saved.clock);
                (saved.spool, saved.kept, Restored { clock, open: open.collect() })
            }
        };
        let spool = Spool::open(there, durable.generation, spool, kept)?;
        let published = ledger.published.into_iter().map(|(place, epoch)| (place.into(), epoch));
        let progress = Self {
            generation: durable.generation,
            folder,
            base,
            replayed_to: ledger.epoch,
            published: published.collect(),
            known: BTreeMap::new(),
            spool,
            steps_max: usize::MAX,
        };
        Ok((progress, restored))
    }

    /// Gives the last epoch that is durable here.
    pub(super) fn applied(&self) -> Epoch {
        self.base.max(self.replayed_to)
    }

    /// Tells whether a partition's row of an epoch is in its file already.
    pub(super) fn is_published(
        &mut self,
        number: Number,
        epoch: Epoch,
        place: impl FnOnce() -> PathBuf,
    ) -> bool {
        let published = &self.published;
        let until = self
            .known
            .entry(number)
            .or_insert_with(|| published.get(place().as_path()).copied().unwrap_or(0));
        epoch <= *until
    }

    /// Notes that a partition is published at an epoch.
    pub(super) fn publish(&mut self, number: Number, place: Arc<Path>, epoch: Epoch) {
        self.known.remove(&number);
        self.published.insert(place, epoch);
    }

    /// Gives what is to be noted together with what is put in place at an epoch.
    pub(super) fn publication(&self, epoch: Epoch) -> Publication {
        let published = self.published.iter().map(|(place, epoch)| (place.to_path_buf(), *epoch));
        let ledger = Ledger {
            version: ledger::VERSION,
            generation: self.generation,
            epoch,
            oldest: self.spool.oldest(),
            published: published.collect(),
        };
        Publication { folder: self.folder.clone(), ledger, steps_max: self.steps_max }
    }

    /// Adds the rows of a partition that are not in the spool yet; they must be written before
    /// anything is published.
    pub(super) fn spool(
        &mut self,
        partition: &mut Partition<R>,
        epoch: Epoch,
        names: &mut Names,
    ) -> Result<(), Fault> {
        for rows in partition.buffer.fresh() {
            self.spool.add(&partition.place, rows, epoch, names)?;
        }
        partition.buffer.mark();
        Ok(())
    }

    /// Makes the rows of open partitions durable; all that was published must be in place.
    pub(super) fn checkpoint(
        &mut self,
        epoch: Epoch,
        clock: EventTime,
        open: &mut [Partition<R>],
        names: &mut Names,
    ) -> Result<Vec<u8>, Fault> {
        for partition in open.iter_mut() {
            self.spool(partition, epoch, names)?;
        }
        self.spool.write(epoch, names)?;
        let spool = self.spool.checkpoint(epoch, &self.published)?;
        let oldest = self.spool.oldest();
        let spooled = &self.spool;
        self.published.retain(|place, epoch| *epoch >= oldest || spooled.holds(place));
        let open = open.iter().filter(|partition| !partition.is_empty());
        let open = open.map(|partition| (partition.place.display().to_string(), partition.due));
        let saved = Saved {
            version: SAVED_VERSION,
            epoch,
            clock: clock.ns(),
            spool,
            open: open.collect(),
            kept: self.spool.kept().clone(),
        };
        postcard::to_allocvec(&saved).map_err(|error| Fault::defect("sinks::archive", error))
    }
}

fn restore(id: &str, bytes: &[u8]) -> Result<Saved, Fault> {
    let saved = match bytes.first() {
        Some(1) => postcard::from_bytes::<SavedOnce>(bytes).ok().map(|saved| {
            let SavedOnce { version, epoch, clock, spool, open } = saved;
            let names = spool.iter().map(|file| file.name.clone()).collect();
            Saved { version, epoch, clock, spool, open, kept: Kept::from([(epoch, names)]) }
        }),
        Some(&SAVED_VERSION) => postcard::from_bytes::<Saved>(bytes).ok(),
        _ => None,
    };
    saved.ok_or_else(|| {
        Fault::stop(
            format!("sinks.{id}"),
            "the checkpoint does not hold what this tapeflow's archives write; use the tapeflow \
             that wrote it, or start the job with `--fresh`",
        )
    })
}

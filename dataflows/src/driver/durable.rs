//! Opening what a durable run keeps: claim the job, find where it goes on, match it with the plan.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::Sender;
use proto::event_time::EventTime;

use crate::checkpoint::gather::Part;
use crate::checkpoint::log::{Event, Log};
use crate::checkpoint::read::{Restored, newest};
use crate::checkpoint::write::Writer;
use crate::component::sink::Generation;
use crate::crash;
use crate::disk::{Disk, Folder};
use crate::driver::Resumed;
use crate::driver::checkpointing::Parcel;
use crate::driver::journaling::Order;
use crate::driver::mark::{Cuts, Mark};
use crate::driver::resume::{Resume, resume};
use crate::fault::Fault;
use crate::job::plan::Plan;
use crate::journal::{self, Header, Tail};
use crate::moment::Epoch;
use crate::store::{Objects, Store};

/// Whether a run survives being killed, and what it goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// Without journal and checkpoints: a backfill, a measurement.
    Forgetful,
    /// As the job file says; from where the job stood, if it has been run before.
    #[default]
    Resume,
    /// As the job file says, from nothing: what is kept of runs before is removed.
    Fresh,
}

/// What a durable run keeps itself in.
#[derive(Debug, Clone)]
pub struct Backing {
    /// The journal's folder.
    pub disk: Arc<dyn Disk>,
    /// The checkpoints.
    pub store: Arc<dyn Store>,
    /// A file that asks for a checkpoint by being there.
    pub request: Option<PathBuf>,
    /// Held as long as the run lives; none: a lease keeps others out.
    pub lock: Option<Arc<File>>,
}

impl Backing {
    /// Opens what the plan names, and keeps other processes of this machine out; but not with a
    /// lease, which takes the job away from a process that hangs and would hold a lock for ever.
    ///
    /// # Errors
    /// When it cannot be made, or another process runs the job.
    pub fn open(
        plan: &Plan,
        root: &Path,
        is_leased: bool,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Fault> {
        let folder = root.join(plan.state.folder(&plan.name));
        let lock = if is_leased { None } else { Some(Arc::new(lock(&folder, &plan.name)?)) };
        let store = Self::store(plan, root, variable)?;
        let disk = Folder::open(folder.join("journal"))?;
        let request = Some(folder.join("checkpoint.request"));
        Ok(Self { disk: Arc::new(disk), store, request, lock })
    }

    /// Opens a journal and checkpoints in a folder of their own: a recording of `job`.
    ///
    /// # Errors
    /// When they cannot be made, or another process writes there.
    pub fn at(folder: &Path, job: &str) -> Result<Self, Fault> {
        let lock = lock(folder, job)?;
        let store = Objects::folder(&folder.join("checkpoints"))?;
        let disk = Folder::open(folder.join("journal"))?;
        Ok(Self {
            disk: Arc::new(disk),
            store: Arc::new(store),
            request: None,
            lock: Some(Arc::new(lock)),
        })
    }

    /// Opens the checkpoints that the plan names, without keeping anybody out.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub fn store(
        plan: &Plan,
        root: &Path,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Arc<dyn Store>, Fault> {
        let store = match &plan.state.checkpoints {
            Some(url) => {
                let url = format!("{}/{}", url.trim_end_matches('/'), plan.name);
                Objects::open(&url, root, variable)?
            }
            None => Objects::folder(&root.join(plan.state.folder(&plan.name)).join("checkpoints"))?,
        };
        Ok(Arc::new(store))
    }
}

/// Tells whether a process of this machine has a folder of a job's state.
///
/// # Errors
/// When its lock cannot be looked at.
pub fn is_held(folder: &Path) -> Result<bool, Fault> {
    let path = &folder.join("lock");
    let file = match File::options().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Fault::file(path, error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(fs::TryLockError::WouldBlock) => Ok(true),
        Err(fs::TryLockError::Error(error)) => Err(Fault::file(path, error)),
    }
}

/// Makes the folder of a job's state, and keeps other processes of this machine out of it as long
/// as the file is open.
///
/// # Errors
/// When it cannot be made, or another process has it.
pub fn lock(folder: &Path, job: &str) -> Result<File, Fault> {
    fs::create_dir_all(folder).map_err(|error| {
        Fault::file(folder, format!("the folder cannot be made: {error}; choose another"))
    })?;
    let path = &folder.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|error| Fault::file(path, error))?;
    file.try_lock().map_err(|error| match error {
        fs::TryLockError::WouldBlock => Fault::file(
            path,
            format!("another process runs job {job}; wait until it has ended, or stop it"),
        ),
        fs::TryLockError::Error(error) => Fault::file(path, error),
    })?;
    Ok(file)
}

/// What the threads of a durable run share.
#[derive(Debug)]
pub(crate) struct Durability {
    pub(crate) generation: Generation,
    pub(crate) resumed: Resumed,
    /// The journal has it.
    pub(crate) journaled: Mark,
    /// A checkpoint covers it.
    pub(crate) checkpointed: Mark,
    pub(crate) cuts: Cuts,
    pub(crate) orders: Sender<Order>,
    pub(crate) parcels: Sender<Parcel>,
    pub(crate) request: Option<PathBuf>,
    /// The journal is never trimmed: it is a recording.
    pub(crate) keeps_all: bool,
}

impl Durability {
    /// Sends a part of the checkpoint after `epoch`.
    pub(crate) fn part(&self, epoch: Epoch, part: Part) {
        // A thread that has ended has failed, and with it the run.
        drop(self.parcels.send(Parcel::Part(epoch, part)));
    }
}

/// Where a durable run goes on, and with what.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) generation: Generation,
    pub(crate) resume: Resume,
    pub(crate) tail: Tail,
    pub(crate) journal: journal::Writer,
    pub(crate) checkpoints: Writer,
    pub(crate) request: Option<PathBuf>,
    /// Kept until the run has ended.
    pub(crate) lock: Option<Arc<File>>,
}

/// Claims the job for this start, and finds out where it goes on.
///
/// `is_leased`: the process that had the job before may sleep, and wake up in the middle of anything.
pub(crate) fn open(
    plan: &Plan,
    backing: Backing,
    is_fresh: bool,
    is_leased: bool,
) -> Result<Opened, Fault> {
    let Backing { disk, store, request, lock } = backing;
    let owners = crate::driver::resume::owners(plan);
    if is_fresh {
        // Emptied first: behind the record the journal of before would pass for that of this life.
        journal::clear(&disk)?;
    }
    crash::point("recovery.before_start");
    let event = if is_fresh { Event::Fresh } else { Event::Start };
    let (mut log, generation) = Log::claim(store.as_ref(), &plan.name, &event)?;
    if is_fresh {
        // What is below its record must not be taken for this life's, should that be damaged.
        log.sweep(store.as_ref())?;
    }
    // From here on nobody else adds to what is read.
    if is_leased {
        journal::detach(&disk)?;
    }
    let restored = if is_fresh { None } else { find(&log, store.as_ref())? };
    let manifest = restored.as_ref().map(|restored| restored.manifest.clone());
    let resume = resume(plan, &owners, restored, log.begun())?;
    if resume.is_bootstrap {
        drop(log);
        return open(plan, Backing { disk, store, request, lock }, true, is_leased);
    }
    let known = log.segment(resume.base.saturating_add(1));
    if let Some(gone) = journal::missing(disk.as_ref(), resume.base, known)? {
        tracing::error!("{gone}; restore it");
    }
    let tail = journal::recover(&disk, &plan.name, resume.base)?;
    for warning in &tail.warnings {
        tracing::warn!("{warning}");
    }
    let header = Header {
        job: plan.name.clone(),
        generation,
        sources: plan.sources.iter().map(|source| source.id.clone()).collect(),
    };
    let journal = journal::Writer::behind(disk, header, &tail, plan.state.segment_bytes);
    let mut checkpoints = Writer::new(store, log, plan.name.clone(), generation, owners);
    if let Some(manifest) = &manifest {
        checkpoints.know(manifest);
    }
    crash::point("recovery.after_restore");
    Ok(Opened { generation, resume, tail, journal, checkpoints, request, lock })
}

/// Finds the newest checkpoint that is good; what is damaged is named.
fn find(log: &Log, store: &dyn Store) -> Result<Option<Restored>, Fault> {
    let (restored, warnings) = newest(store, log)?;
    for warning in &warnings {
        tracing::error!("{warning}; it is not used, an earlier checkpoint is looked for");
    }
    Ok(restored)
}

impl Opened {
    /// Makes what the threads share.
    pub(crate) fn share(
        &self,
        keeps_all: bool,
        orders: Sender<Order>,
        parcels: Sender<Parcel>,
    ) -> Durability {
        Durability {
            generation: self.generation,
            resumed: Resumed {
                generation: self.generation,
                checkpoint: self.resume.base,
                journal: self.last(),
            },
            journaled: Mark::new(self.last()),
            checkpointed: Mark::new(self.resume.base),
            cuts: Cuts::default(),
            orders,
            parcels,
            request: self.request.clone(),
            keeps_all,
        }
    }

    /// The last epoch that the journal or the checkpoint has.
    pub(crate) fn last(&self) -> Epoch {
        self.tail.last.unwrap_or(0).max(self.resume.base)
    }
}

/// The least time there is: what nothing has reached yet.
pub(crate) const NEVER: EventTime = EventTime::MIN;

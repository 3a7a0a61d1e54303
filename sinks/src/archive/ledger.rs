//! What a durable run notes in the dataset: which start of the job writes, and what is published.
//!
//! Every decision to publish carries the note as it is afterwards, so that the files and the note
//! change together: rows that come again after a crash are known by it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dataflows::component::sink::Generation;
use dataflows::fault::Fault;
use dataflows::moment::Epoch;
use serde::{Deserialize, Serialize};

use super::files;

/// The note of one job and sink.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ledger {
    pub(super) version: u32,
    /// The start of the job that writes.
    pub(super) generation: Generation,
    /// The last epoch at which anything was published.
    pub(super) epoch: Epoch,
    /// What was published before this epoch is not told below: no run goes on from before it.
    pub(super) oldest: Epoch,
    /// By the place of a partition's file: its rows up to with this epoch are in the file.
    pub(super) published: BTreeMap<PathBuf, Epoch>,
}

pub(super) const VERSION: u32 = 1;

/// The name of the note in the folder of the job and sink.
const NAME: &str = "progress.json";

/// The folder below the dataset in which a job's sink keeps what is not data. Readers leave out
/// what starts with a dot.
pub(super) fn folder(job: &str, sink: &str) -> PathBuf {
    let part = super::layout::encoded;
    Path::new(".tapeflow").join(part(job)).join(part(sink))
}

impl Ledger {
    /// Reads the note in `folder`, if there is one.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, Fault> {
        let path = folder.join(NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Fault::file(&path, error)),
        };
        let ledger: Option<Self> = serde_json::from_slice(&bytes).ok();
        let ledger = ledger.filter(|ledger| ledger.version == VERSION);
        ledger.map(Some).ok_or_else(|| {
            Fault::file(
                &path,
                "is damaged or was written by a newer tapeflow; use that, or remove the file and \
                 start the job with `--fresh`",
            )
        })
    }

    /// Puts the note in the place of the one that is there.
    pub(super) fn write(&self, folder: &Path) -> Result<(), Fault> {
        let bytes = serde_json::to_vec(self)
            .map_err(|error| Fault::defect("sinks::archive::ledger", error))?;
        files::replace(&folder.join(NAME), &bytes)
    }

    /// Refuses to go on if a newer start than `ours` has come; gives the note.
    pub(super) fn guard(folder: &Path, ours: Generation) -> Result<Option<Self>, Fault> {
        let ledger = Self::read(folder)?;
        match &ledger {
            Some(there) if there.generation > ours => Err(Fault::file(
                &folder.join(NAME),
                format!(
                    "a newer start of this job (generation {}) writes this dataset; this one \
                     (generation {ours}) ends. If no other start runs, the job's state is older \
                     than the dataset: bring it back, or remove this file and start the job with \
                     `--fresh`",
                    there.generation
                ),
            )),
            _ => Ok(ledger),
        }
    }
}

/// What is said when the checkpoint knows of files that the dataset does not.
pub(super) fn gone(folder: &Path) -> Fault {
    Fault::file(
        &folder.join(NAME),
        "is gone, and the job's checkpoint goes on from it: what the job had written is gone, or \
         this is another dataset. Bring it back, or start the job with `--fresh`",
    )
}

/// What is said when the job has fallen back further than the note tells.
pub(super) fn too_old(folder: &Path, epoch: Epoch, oldest: Epoch) -> Fault {
    Fault::file(
        &folder.join(NAME),
        format!(
            "tells what was published from epoch {oldest} on, and the job goes on from the \
             checkpoint at epoch {epoch}: bring the job's newer checkpoints back, or start it \
             with `--fresh`"
        ),
    )
}

//! A partition's rows to its file: beside its place first, then renamed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dataflows::component::sink::Generation;
use dataflows::crash;
use dataflows::fault::Fault;
use proto::columns::{Detail, Names};

use super::buffer::Buffer;
use super::encode::Encoder;
use super::files;
use super::ledger::Ledger;
use super::merge::{FileRun, Mode, Run, merge};
use super::stored::Stored;
use super::swap::{self, Journal};

/// Rows of one partition: some may have gone to temporary files already.
#[derive(Debug)]
pub(super) struct Contents<R> {
    pub(super) runs: Vec<PathBuf>,
    pub(super) buffer: Buffer<R>,
    pub(super) detail: Detail,
}

/// Writes `contents`, together with what `old` holds, to the file `to`; gives rows and bytes.
/// Where that fails nothing of `to` remains.
pub(super) fn write<R: Stored>(
    contents: Contents<R>,
    old: Option<&Path>,
    mode: Mode<'_>,
    to: &Path,
    names: &mut Names,
) -> Result<(u64, u64), Fault> {
    let written = try_write(contents, old, mode, to, names);
    if written.is_err()
        && let Err(error) = files::remove(to)
    {
        tracing::warn!(%error, "a temporary file remains");
    }
    written
}

fn try_write<R: Stored>(
    contents: Contents<R>,
    old: Option<&Path>,
    mode: Mode<'_>,
    to: &Path,
    names: &mut Names,
) -> Result<(u64, u64), Fault> {
    let detail = contents.detail;
    let old = old.map(|old| FileRun::open(old, detail)).transpose()?;
    let mut encoder = Encoder::create(to, detail)?;
    let sorted = contents.buffer.sorted(names);
    if old.is_none() && contents.runs.is_empty() && sorted.is_distinct {
        let slices: Vec<&[R]> = sorted.pieces.iter().map(Vec::as_slice).collect();
        encoder.extend(&slices, names)?;
        sorted.pieces.into_iter().for_each(|piece| R::spare().give(piece));
    } else {
        let mut runs = vec![Run::memory(sorted)];
        for path in &contents.runs {
            runs.push(Run::File(Box::new(FileRun::open(path, detail)?)));
        }
        let old = old.map(|old| Run::File(Box::new(old)));
        merge(old, runs, mode, &mut encoder, names)?;
    }
    crash::point("archive.before_footer");
    let written = encoder.finish(names);
    crash::point("archive.after_footer");
    written
}

/// Files that are written but not in their places yet.
///
/// All of them are synced, then renamed, then their folders are synced: a disk takes many of
/// each together in about the time of one.
#[derive(Debug)]
pub(super) struct Pending {
    /// Of a durable run.
    start: Option<Generation>,
    /// Temporary file by place.
    renames: BTreeMap<PathBuf, PathBuf>,
    /// Temporary files that the written ones were made of.
    runs: Vec<PathBuf>,
}

/// What a durable run notes when it publishes.
#[derive(Debug)]
pub(super) struct Publication {
    /// The folder of the note, below the dataset.
    pub(super) folder: PathBuf,
    /// The note afterwards.
    pub(super) ledger: Ledger,
    /// For tests: how many steps are done before the process dies.
    pub(super) steps_max: usize,
}

/// So many files at most wait for their places.
pub(super) const PENDING_MAX: usize = 1_024;

impl Pending {
    pub(super) const fn new(start: Option<Generation>) -> Self {
        Self { start, renames: BTreeMap::new(), runs: Vec::new() }
    }

    /// Writes a partition's file anew, with what an earlier run has left in it.
    pub(super) fn write<R: Stored>(
        &mut self,
        contents: Contents<R>,
        path: PathBuf,
        root: &Path,
        names: &mut Names,
    ) -> Result<(u64, u64), Fault> {
        if self.renames.contains_key(&path) || self.renames.len() >= PENDING_MAX {
            self.publish(root)?;
        }
        if let Some(folder) = path.parent() {
            files::make_folder(folder)?;
        }
        let runs = contents.runs.clone();
        let temporary = files::temporary(&path, self.start, 0);
        let old = path.exists().then_some(path.as_path());
        let written = write(contents, old, Mode::Merge, &temporary, names)?;
        self.runs.extend(runs);
        self.renames.insert(path, temporary);
        Ok(written)
    }

    /// Puts all files in their places, for good.
    pub(super) fn publish(&mut self, root: &Path) -> Result<(), Fault> {
        let renames = std::mem::take(&mut self.renames);
        renames.values().try_for_each(|from| files::sync_file(from))?;
        for (to, from) in &renames {
            crash::point("archive.before_rename");
            files::rename(from, to)?;
            crash::point("archive.after_rename");
        }
        if !renames.is_empty() {
            files::sync_folders(renames.keys().map(PathBuf::as_path), root)?;
        }
        self.runs.drain(..).try_for_each(|run| files::remove(&run))
    }

    /// Puts all files in their places together with the note of it, whatever is killed.
    pub(super) fn decide(&mut self, root: &Path, publication: Publication) -> Result<(), Fault> {
        let Publication { folder, ledger, steps_max } = publication;
        let renames = std::mem::take(&mut self.renames);
        if renames.is_empty() {
            return Ok(());
        }
        renames.values().try_for_each(|from| files::sync_file(from))?;
        files::sync_folders(renames.values().map(PathBuf::as_path), root)?;
        let (note, ours) = (root.join(&folder), ledger.generation);
        Ledger::guard(&note, ours)?;
        let below = |path: PathBuf| path.strip_prefix(root).map(Path::to_owned).unwrap_or(path);
        let renames = renames.into_iter().map(|(to, from)| (below(from), below(to))).collect();
        if let Some(steps) = steps_max.checked_sub(1) {
            crash::point("archive.before_decide");
            swap::decide(&Journal::publication(renames, folder, ledger), root)?;
            crash::point("archive.after_decide");
            let steps = if steps_max == usize::MAX { steps_max } else { steps };
            if !swap::roll_forward(root, steps)? {
                Ledger::guard(&note, ours)?; // a newer start came in between
            }
        }
        if steps_max < usize::MAX {
            return Err(Fault::stop("a test", "the process has died"));
        }
        self.runs.drain(..).try_for_each(|run| files::remove(&run))
    }
}

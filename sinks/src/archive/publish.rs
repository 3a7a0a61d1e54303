//! A partition's rows to its file: beside its place first, then renamed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dataflows::fault::Fault;
use proto::columns::{Detail, Names};

use super::buffer::Buffer;
use super::encode::Encoder;
use super::files;
use super::merge::{FileRun, Mode, Run, merge};
use super::stored::Stored;

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
    encoder.finish(names)
}

/// Files that are written but not in their places yet.
///
/// All of them are synced, then renamed, then their folders are synced: a disk takes many of
/// each together in about the time of one.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Temporary file by place.
    renames: BTreeMap<PathBuf, PathBuf>,
    /// Temporary files that the written ones were made of.
    runs: Vec<PathBuf>,
}

/// So many files at most wait for their places.
const PENDING_MAX: usize = 1_024;

impl Pending {
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
        let temporary = files::temporary(&path, 0);
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
        renames.iter().try_for_each(|(to, from)| files::rename(from, to))?;
        if !renames.is_empty() {
            files::sync_folders(renames.keys().map(PathBuf::as_path), root)?;
        }
        self.runs.drain(..).try_for_each(|run| files::remove(&run))
    }
}

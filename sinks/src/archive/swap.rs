//! Decisions: all files of a backfill, or of what a durable run publishes at once, take their
//! places, or none.
//!
//! 1. Every file is written beside its place and synced.
//! 2. A list of all renames and removals is written, synced and renamed to [`JOURNAL`]: from here
//!    on it is decided.
//! 3. The list is worked off. A step that was done before is no error.
//! 4. Of a durable run, the note of what is published is written anew.
//! 5. The list is removed.
//!
//! A process killed before 2 leaves temporary files, which the next one removes; one killed later
//! leaves the list, which the next one works off before anything else.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use dataflows::component::source::Range;
use dataflows::crash;
use dataflows::fault::Fault;
use proto::columns::{Detail, Names};
use serde::{Deserialize, Serialize};

use super::PartitionBy;
use super::buffer::Buffer;
use super::files::{self, Dataset};
use super::layout::{day_of, key_of};
use super::ledger::Ledger;
use super::merge::Mode;
use super::publish::{Contents, write};
use super::stored::Stored;
use super::writer::Written;

/// The list's name; readers leave out what starts with `_`.
const JOURNAL: &str = "_tapeflow_replace.json";

/// What is to be done, as paths below the dataset.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    version: u32,
    renames: Vec<(PathBuf, PathBuf)>,
    removals: Vec<PathBuf>,
    /// What a durable run notes with it, and in which folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<(PathBuf, Ledger)>,
}

impl Journal {
    /// Makes a list of renames that a durable run publishes by, as paths below the dataset.
    pub(super) fn publication(
        renames: Vec<(PathBuf, PathBuf)>,
        folder: PathBuf,
        ledger: Ledger,
    ) -> Self {
        Self { version: 1, renames, removals: Vec::new(), note: Some((folder, ledger)) }
    }
}

/// A replacement that is ready to be staged.
pub(super) struct Swap<'a> {
    pub(super) dataset: &'a Dataset,
    pub(super) by: &'a [PartitionBy],
    pub(super) range: &'a Range,
    pub(super) detail: Detail,
}

impl Swap<'_> {
    /// Step 1: writes the files that the range's partitions become of `staged` (temporary files
    /// by partition) and of what is there.
    pub(super) fn stage<R: Stored>(
        &self,
        staged: BTreeMap<PathBuf, Vec<PathBuf>>,
        names: &mut Names,
    ) -> Result<(Journal, Written), Fault> {
        let mut partitions = staged;
        for path in self.dataset.find(&|name| name == R::FILE)? {
            if self.touches(&path) {
                partitions.entry(path).or_default();
            }
        }
        let root = &self.dataset.root;
        let (mut journal, mut written) =
            (Journal { version: 1, ..Journal::default() }, Written::default());
        let below = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_owned();
        for (path, runs) in partitions {
            let is_new = !path.exists();
            let (from, rows, bytes) = match runs.as_slice() {
                [run] if is_new => {
                    let bytes = fs::metadata(run).map_err(|error| Fault::file(run, error))?.len();
                    (run.clone(), rows_of(run)?, bytes)
                }
                _ => {
                    let temporary = files::temporary(&path, None, 0);
                    let contents = Contents::<R> {
                        runs: runs.clone(),
                        buffer: Buffer::new(),
                        detail: self.detail,
                    };
                    let old = (!is_new).then_some(path.as_path());
                    let (rows, bytes) =
                        write(contents, old, Mode::Replace(self.range), &temporary, names)?;
                    for run in &runs {
                        files::remove(run)?;
                    }
                    (temporary, rows, bytes)
                }
            };
            if rows == 0 {
                files::remove(&from)?;
                journal.removals.push(below(&path));
                continue;
            }
            written.rows += rows;
            written.bytes += bytes;
            written.files += 1;
            journal.renames.push((below(&from), below(&path)));
        }
        let staged = || journal.renames.iter().map(|(from, _)| root.join(from));
        staged().try_for_each(|from| files::sync_file(&from))?;
        let staged: Vec<PathBuf> = staged().collect();
        files::sync_folders(staged.iter().map(PathBuf::as_path), root)?;
        Ok((journal, written))
    }

    /// Tells whether a file can hold rows of the range.
    fn touches(&self, path: &Path) -> bool {
        let folder = path.parent().and_then(|folder| folder.strip_prefix(&self.dataset.root).ok());
        let Some(key) = folder.and_then(|folder| key_of(self.by, folder)) else { return false };
        let days = day_of(self.range.from)..=day_of(self.range.to);
        let instruments = &self.range.instruments;
        days.contains(&key.day)
            && (instruments.is_empty()
                || key.instrument.is_none_or(|name| instruments.contains(&name)))
    }
}

fn rows_of(path: &Path) -> Result<u64, Fault> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let file = fs::File::open(path).map_err(|error| Fault::file(path, error))?;
    let reader = SerializedFileReader::new(file).map_err(|error| Fault::file(path, error))?;
    Ok(u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0))
}

/// Step 2: decides.
pub(super) fn decide(journal: &Journal, root: &Path) -> Result<(), Fault> {
    let text = serde_json::to_vec_pretty(journal)
        .map_err(|error| Fault::defect("sinks::archive", error))?;
    files::replace(&root.join(JOURNAL), &text)
}

/// Tells whether something is decided but not worked off, so that its temporary files count.
pub(super) fn is_decided(root: &Path) -> bool {
    root.join(JOURNAL).exists()
}

/// Steps 3 to 5: works off a list, if there is one. `steps_max` is for tests: it is where the
/// process dies.
pub(super) fn roll_forward(root: &Path, steps_max: usize) -> Result<bool, Fault> {
    let path = root.join(JOURNAL);
    files::remove(&root.join(format!("{JOURNAL}{}", files::TEMPORARY)))?;
    if !path.exists() {
        return Ok(false);
    }
    let text = fs::read(&path).map_err(|error| Fault::file(&path, error))?;
    let damaged = |message: String| {
        Fault::file(&path, format!("{message}; files were being replaced: restore the dataset"))
    };
    let journal: Journal =
        serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    let under = |path: &Path| -> Result<PathBuf, Fault> {
        let is_below = path.components().all(|part| matches!(part, Component::Normal(_)));
        if is_below {
            Ok(root.join(path))
        } else {
            Err(damaged(format!("{} lies outside the dataset", path.display())))
        }
    };
    if let Some((folder, ledger)) = &journal.note
        && Ledger::read(&under(folder)?)?.is_some_and(|is| is.generation > ledger.generation)
    {
        // Decided by a start that had been replaced: what it read is not what is there.
        files::remove(&path)?;
        return Ok(false);
    }
    let mut steps = 0..steps_max;
    for (from, to) in &journal.renames {
        let (from, to) = (under(from)?, under(to)?);
        if steps.next().is_none() {
            return Ok(true);
        }
        if from.exists() {
            crash::point("archive.before_rename");
            files::rename(&from, &to)?;
            crash::point("archive.after_rename");
        } else if !to.exists() {
            return Err(damaged(format!("{} is gone", from.display())));
        }
    }
    for gone in &journal.removals {
        let gone = under(gone)?;
        if steps.next().is_none() {
            return Ok(true);
        }
        files::remove(&gone)?;
    }
    let changed = journal.renames.iter().map(|(_, to)| to).chain(&journal.removals);
    let changed: Vec<PathBuf> = changed.map(|path| root.join(path)).collect();
    files::sync_folders(changed.iter().map(PathBuf::as_path), root)?;
    if let Some((folder, ledger)) = &journal.note {
        if steps.next().is_none() {
            return Ok(true);
        }
        ledger.write(&under(folder)?)?;
    }
    if steps.next().is_some() {
        files::remove(&path)?;
        files::sync_folder(root)?;
    }
    Ok(true)
}

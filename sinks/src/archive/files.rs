//! The file system under a dataset: one writer at a time, renames that last, no leftovers.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use dataflows::component::sink::Generation;
use dataflows::fault::Fault;

/// The folder of a dataset, held against other writers until it is dropped.
#[derive(Debug)]
pub(super) struct Dataset {
    pub(super) root: PathBuf,
    /// The lock ends with the handle, so also with a process that is killed.
    _lock: File,
}

/// What a file that is not whole ends with. Readers of `*.parquet` do not see it, and the dot
/// before hides it from those who read all files.
pub(super) const TEMPORARY: &str = ".tmp";

impl Dataset {
    /// Opens the folder, makes it if it is not there, and keeps other writers out.
    pub(super) fn open(root: &Path) -> Result<Self, Fault> {
        fs::create_dir_all(root).map_err(|error| {
            Fault::file(root, format!("the folder cannot be made: {error}; choose another"))
        })?;
        let lock = File::open(root).map_err(|error| Fault::file(root, error))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => Fault::file(
                root,
                "another run writes this dataset; wait until it is done, or name another folder",
            ),
            fs::TryLockError::Error(error) => Fault::file(root, error),
        })?;
        Ok(Self { root: root.to_owned(), _lock: lock })
    }

    /// Removes temporary files whose name begins with `file`: of all runs, or of one start.
    pub(super) fn sweep(&self, file: &str) -> Result<usize, Fault> {
        let mut removed = 0;
        for path in self.find(&|name| is_temporary(name, file))? {
            fs::remove_file(&path).map_err(|error| Fault::file(&path, error))?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Lists the files whose name fits, in order.
    pub(super) fn find(&self, fits: &dyn Fn(&str) -> bool) -> Result<Vec<PathBuf>, Fault> {
        let mut found = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).map_err(|error| Fault::file(&folder, error))?;
            for entry in entries {
                let entry = entry.map_err(|error| Fault::file(&folder, error))?;
                let kind = entry.file_type().map_err(|error| Fault::file(&entry.path(), error))?;
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() && entry.file_name().to_str().is_some_and(fits) {
                    found.push(entry.path());
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

/// The temporary name beside `path`: `.candles.parquet.1.tmp`, of a durable run
/// `.candles.parquet.g7-1.tmp`, so that a start that was replaced does not write into files of the
/// newer one.
pub(super) fn temporary(path: &Path, start: Option<Generation>, number: u64) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    let start = start.map(|generation| format!("g{generation}-")).unwrap_or_default();
    name.push(format!(".{start}{number}{TEMPORARY}"));
    path.with_file_name(name)
}

fn is_temporary(name: &str, file: &str) -> bool {
    name.strip_prefix('.').is_some_and(|name| name.starts_with(file) && name.ends_with(TEMPORARY))
}

/// Makes a folder.
pub(super) fn make_folder(folder: &Path) -> Result<(), Fault> {
    fs::create_dir_all(folder).map_err(|error| {
        Fault::file(folder, format!("the folder cannot be made: {error}; check its permissions"))
    })
}

/// Renames; lasts after [`sync_folders`].
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), Fault> {
    fs::rename(from, to).map_err(|error| {
        Fault::file(to, format!("cannot be put in place: {error}; check its permissions"))
    })
}

/// Waits until the disk has a file's bytes. Many files one after the other cost little more than
/// one, so that files are written first and synced together.
pub(super) fn sync_file(path: &Path) -> Result<(), Fault> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| {
        Fault::file(path, format!("did not reach the disk: {error}; check the disk's space"))
    })
}

/// Waits until the disk has what was made and renamed in the folders of `paths` and in those
/// above them, up to `root`.
pub(super) fn sync_folders<'a>(
    paths: impl Iterator<Item = &'a Path>,
    root: &Path,
) -> Result<(), Fault> {
    let mut folders = BTreeSet::from([root]);
    for path in paths {
        folders.extend(path.ancestors().skip(1).take_while(|above| above.starts_with(root)));
    }
    folders.into_iter().rev().filter(|folder| folder.is_dir()).try_for_each(sync_folder)
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> Result<(), Fault> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Fault::file(path, error)),
        _ => Ok(()),
    }
}

/// Waits until the disk has what was made, renamed and removed in a folder.
pub(super) fn sync_folder(folder: &Path) -> Result<(), Fault> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| Fault::file(folder, error))
}

/// Puts a small file in place, whole or not at all, for good. Its folder must be there.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY);
    let temporary = PathBuf::from(temporary);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| Fault::file(&temporary, error))?;
    rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

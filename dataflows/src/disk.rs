//! The few file operations that the journal needs, as an interface, so that a simulation can lose
//! and tear what was not synced.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::fault::Fault;

/// One flat folder of files that only ever grow at their ends.
pub trait Disk: Send + Sync + Debug {
    /// Gives the names of the files, sorted.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn list(&self) -> Result<Vec<String>, Fault>;
    /// Gives a file's bytes.
    ///
    /// # Errors
    /// When it is missing or cannot be read.
    fn read(&self, name: &str) -> Result<Vec<u8>, Fault>;
    /// Creates an empty file; its name is durable after [`Disk::sync_folder`].
    ///
    /// # Errors
    /// When it exists already, or cannot be created.
    fn create(&self, name: &str) -> Result<Box<dyn Append>, Fault>;
    /// Opens a file that exists, to append behind its end.
    ///
    /// # Errors
    /// When it is missing, or cannot be opened.
    fn reopen(&self, name: &str) -> Result<Box<dyn Append>, Fault>;
    /// Cuts a file to its first `length` bytes and makes all of them durable.
    ///
    /// # Errors
    /// When it cannot be cut or synced.
    fn truncate(&self, name: &str, length: u64) -> Result<(), Fault>;
    /// Removes a file; that it is gone is durable after [`Disk::sync_folder`].
    ///
    /// # Errors
    /// When it cannot be removed.
    fn remove(&self, name: &str) -> Result<(), Fault>;
    /// Puts a copy in a file's place, durably: whoever has the file open from before writes to
    /// nothing that is ever read.
    ///
    /// # Errors
    /// When it cannot be copied or replaced.
    fn detach(&self, name: &str) -> Result<(), Fault>;
    /// Makes durable which names there are.
    ///
    /// # Errors
    /// When it cannot; never to be tried again.
    fn sync_folder(&self) -> Result<(), Fault>;
    /// Gives the whole path of a file, for messages.
    fn place(&self, name: &str) -> String;
}

/// A file that is written to.
pub trait Append: Send + Debug {
    /// Adds bytes at the end. After an error an unknown part of them may be there.
    ///
    /// # Errors
    /// When they cannot be written.
    fn append(&mut self, bytes: &[u8]) -> Result<(), Fault>;
    /// Makes durable what was appended.
    ///
    /// # Errors
    /// When it cannot. The file is then in doubt and not to be written to any more: a second
    /// try would report success for bytes that the system has dropped already.
    fn sync(&mut self) -> Result<(), Fault>;
}

/// The real [`Disk`]: a folder of the file system.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Opens a folder; makes it, durably, where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Fault> {
        let path = path.into();
        let missing: Vec<&Path> = path
            .ancestors()
            .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
            .collect();
        std::fs::create_dir_all(&path).map_err(|error| cannot(&path, "make the folder", error))?;
        for made in missing {
            let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
            sync_path(parent.unwrap_or(Path::new(".")))?;
        }
        Ok(Self(path))
    }
}

fn cannot(path: &Path, what: &str, error: std::io::Error) -> Fault {
    Fault::file(path, format_args!("cannot {what}: {error}"))
}

/// Makes a folder's names, or a file's bytes, durable.
fn sync_path(path: &Path) -> Result<(), Fault> {
    let file = File::open(path).map_err(|error| cannot(path, "open it", error))?;
    file.sync_all().map_err(|error| cannot(path, "make it durable", error))
}

impl Disk for Folder {
    fn list(&self) -> Result<Vec<String>, Fault> {
        let cannot = |error| cannot(&self.0, "list the folder", error);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.0).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            if entry.file_type().map_err(cannot)?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, Fault> {
        let path = self.0.join(name);
        std::fs::read(&path).map_err(|error| cannot(&path, "read it", error))
    }

    fn create(&self, name: &str) -> Result<Box<dyn Append>, Fault> {
        let path = self.0.join(name);
        let file = OpenOptions::new().append(true).create_new(true).open(&path);
        let file = file.map_err(|error| cannot(&path, "create it", error))?;
        Ok(Box::new(AppendFile { path, file }))
    }

    fn reopen(&self, name: &str) -> Result<Box<dyn Append>, Fault> {
        let path = self.0.join(name);
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.map_err(|error| cannot(&path, "open it", error))?;
        Ok(Box::new(AppendFile { path, file }))
    }

    fn truncate(&self, name: &str, length: u64) -> Result<(), Fault> {
        let path = self.0.join(name);
        let file = OpenOptions::new().write(true).open(&path);
        let file = file.map_err(|error| cannot(&path, "open it", error))?;
        file.set_len(length).map_err(|error| cannot(&path, "cut it", error))?;
        file.sync_all().map_err(|error| cannot(&path, "make it durable", error))
    }

    fn remove(&self, name: &str) -> Result<(), Fault> {
        let path = self.0.join(name);
        std::fs::remove_file(&path).map_err(|error| cannot(&path, "remove it", error))
    }

    fn detach(&self, name: &str) -> Result<(), Fault> {
        let (path, copy) = (self.0.join(name), self.0.join("copy.tmp"));
        std::fs::copy(&path, &copy).map_err(|error| cannot(&path, "copy it", error))?;
        sync_path(&copy)?;
        std::fs::rename(&copy, &path).map_err(|error| cannot(&path, "replace it", error))?;
        self.sync_folder()
    }

    fn sync_folder(&self) -> Result<(), Fault> {
        sync_path(&self.0)
    }

    fn place(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

#[derive(Debug)]
struct AppendFile {
    path: PathBuf,
    file: File,
}

impl Append for AppendFile {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.file.write_all(bytes).map_err(|error| cannot(&self.path, "write to it", error))
    }

    fn sync(&mut self) -> Result<(), Fault> {
        self.file.sync_data().map_err(|error| cannot(&self.path, "make it durable", error))
    }
}

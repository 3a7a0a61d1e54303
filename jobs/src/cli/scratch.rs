//! A folder for results that nobody keeps, and a job whose sinks write nowhere else.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use dataflows::job::plan::Plan;
use serde_json::Value;

use crate::cli::Session;
use crate::cli::count::Count;
use crate::cli::failure::Failure;

/// A folder that goes when this goes, unless it is kept.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    is_kept: bool,
}

static MADE: AtomicU32 = AtomicU32::new(0);

impl Scratch {
    /// Makes a folder among the temporary ones.
    pub(crate) fn new(what: &str, is_kept: bool) -> Result<Self, Failure> {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("tapeflow-{what}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Of a process that had the same number and was killed.
        if path.exists() {
            fs::remove_dir_all(&path).map_err(|error| refused(&path, &error))?;
        }
        fs::create_dir_all(&path).map_err(|error| refused(&path, &error))?;
        Ok(Self { path, is_kept })
    }

    /// Takes a folder that is named, and has to be empty; it is kept.
    pub(crate) fn at(path: &Path) -> Result<Self, Failure> {
        let is_used = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        if is_used {
            let path = path.display();
            return Err(Failure::Usage(format!(
                "{path}: results go into an empty folder, and there is something in this one"
            )));
        }
        fs::create_dir_all(path).map_err(|error| refused(path, &error))?;
        Ok(Self { path: path.to_owned(), is_kept: true })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Tells whether it outlives the process.
    pub(crate) const fn is_kept(&self) -> bool {
        self.is_kept
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!("{}: cannot be removed: {error}", self.path.display());
        }
    }
}

fn refused(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Fault(format!("{}: {error}", path.display()))
}

/// Brings everything that a job writes below the folder that its relative paths start at. Sinks
/// that cannot be kept in a folder only count.
pub(crate) fn enclose(plan: &mut Plan, session: &Session) {
    for sink in &mut plan.sinks {
        match sink.definition.within(&sink.config, &sink.id) {
            Some(config) => sink.config = config,
            None => {
                let kind = sink.definition.name();
                session.say(&format!("sink {}: a {kind} is only counted, not written to", sink.id));
                sink.definition = &Count;
                sink.config = Value::Null;
            }
        }
    }
}

//! Faults, sorted by remedy: the engine looks at the variant and at nothing else.

use std::path::Path;

/// What went wrong in a component, and by that what is to be done.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The job file is wrong; nothing has run. Exit code 2.
    #[error("{path}: {message}")]
    Job {
        /// The place in the job: `sources.ticks.path`.
        path: String,
        /// What was found, what was expected.
        message: String,
    },
    /// Something outside is missing, full, broken or refuses us; the run ends, what is not whole
    /// is taken back. Exit code 1.
    #[error("{place}: {message}")]
    Stop {
        /// The file, the address, the component.
        place: String,
        /// What was found, what was expected, what to do.
        message: String,
    },
    /// A promise of the engine's own is broken: a defect, named so that it can be reported.
    #[error("internal error in {place}: {message}")]
    Defect {
        /// The part of the engine.
        place: String,
        /// What was found.
        message: String,
    },
    /// The user asked the run to end. Exit code 130.
    #[error("interrupted")]
    Interrupted,
}

impl Fault {
    /// Makes a [`Fault::Job`].
    pub fn job(path: impl Into<String>, message: impl ToString) -> Self {
        Self::Job { path: path.into(), message: message.to_string() }
    }

    /// Makes a [`Fault::Stop`].
    pub fn stop(place: impl Into<String>, message: impl ToString) -> Self {
        Self::Stop { place: place.into(), message: message.to_string() }
    }

    /// Makes a [`Fault::Stop`] about a file.
    pub fn file(path: &Path, error: impl ToString) -> Self {
        Self::stop(path.display().to_string(), error)
    }

    /// Makes a [`Fault::Defect`].
    pub fn defect(place: impl Into<String>, message: impl ToString) -> Self {
        Self::Defect { place: place.into(), message: message.to_string() }
    }
}

//! Finding, reading and checking the job that a verb was given.

use std::path::{Path, PathBuf};

use dataflows::job::lint;
use dataflows::job::plan::Plan;
use dataflows::job::suggest::nearest;

use crate::catalog::CATALOG;
use crate::cli::failure::Failure;
use crate::shipped;

/// A larger file is no job.
const BYTES_MAX: u64 = 1 << 20;

/// The argument that names a job.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct JobArgument {
    /// A job file, or the name of a job that ships (`tapeflow components --jobs` lists them)
    pub(crate) job: PathBuf,
}

impl JobArgument {
    /// Reads and checks the job; warnings are logged.
    pub(crate) fn load(&self) -> Result<Plan, Failure> {
        let (file, text) = self.text()?;
        check(&text, &file)
    }

    /// Gives the job's file and text.
    pub(crate) fn text(&self) -> Result<(PathBuf, String), Failure> {
        if let Some(job) = self.job.to_str().and_then(shipped::find)
            && !self.job.is_file()
        {
            return Ok((PathBuf::from(job.file), job.text.to_owned()));
        }
        let refused = |error: &dyn std::fmt::Display| {
            let names: Vec<&str> = shipped::SHIPPED.iter().map(|job| job.name).collect();
            let shown = self.job.display().to_string();
            let hint = nearest(&shown, names.iter().copied());
            let hint = hint.map_or_else(String::new, |name| format!("; did you mean {name}?"));
            Failure::Usage(format!(
                "{shown}: {error}; expected a job file or one of {}{hint}",
                names.join(", ")
            ))
        };
        let size = std::fs::metadata(&self.job).map_err(|error| refused(&error))?.len();
        if size > BYTES_MAX {
            return Err(refused(&format_args!("{size} bytes are too many for a job file")));
        }
        let text = std::fs::read_to_string(&self.job).map_err(|error| refused(&error))?;
        Ok((self.job.clone(), text))
    }
}

/// Checks the text of a job file against the catalog and the environment.
pub(crate) fn check(text: &str, file: &Path) -> Result<Plan, Failure> {
    let environment = |name: &str| std::env::var(name).ok();
    let plan = lint::check(text, file, &CATALOG, &environment).map_err(Failure::Mistakes)?;
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    Ok(plan)
}

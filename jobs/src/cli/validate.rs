//! `tapeflow validate`: every mistake of a job file at once.

use clap::Args;
use dataflows::job::mistake::Mistakes;

use crate::cli::failure::{Failure, complain, print};
use crate::cli::load::JobArgument;

/// Check a job file and report every mistake at once.
#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// Job files, or names of jobs that ship
    #[arg(required = true)]
    jobs: Vec<std::path::PathBuf>,
}

impl Validate {
    pub(crate) fn call(self) -> Result<(), Failure> {
        let mut mistakes = Vec::new();
        let mut unread = Vec::new();
        for job in self.jobs {
            match (JobArgument { job: job.clone() }).load() {
                Ok(plan) => {
                    let parts = plan.sources.len() + plan.operators.len() + plan.sinks.len();
                    print(&format!("{}: ok ({}, {parts} components)\n", job.display(), plan.name))?;
                    for sink in &plan.sinks {
                        print(&format!("  {}: {}\n", sink.id, sink.guarantee.name()))?;
                    }
                }
                Err(Failure::Mistakes(found)) => mistakes.extend(found.0),
                Err(Failure::Usage(message)) => unread.push(message),
                Err(other) => return Err(other),
            }
        }
        let unread = unread.join("\nerror: ");
        match (mistakes.is_empty(), unread.is_empty()) {
            (true, true) => return Ok(()),
            (true, false) => return Err(Failure::Usage(unread)),
            (false, true) => {}
            (false, false) => complain(&format!("error: {unread}")),
        }
        Err(Failure::Mistakes(Mistakes(mistakes)))
    }
}

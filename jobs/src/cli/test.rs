//! `tapeflow test`: the tests that stand in job files.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use dataflows::simulate::script;

use crate::catalog::CATALOG;
use crate::cli::failure::{Failure, print};
use crate::cli::load::JobArgument;

/// Run the tests that stand in job files, in a simulated world: no service, no file is written
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The job files, or the names of shipped jobs
    #[arg(required = true)]
    jobs: Vec<PathBuf>,
    /// Only tests whose name contains this
    #[arg(long)]
    filter: Option<String>,
}

impl Test {
    pub(crate) fn call(self) -> Result<(), Failure> {
        let root = std::env::current_dir()
            .map_err(|error| Failure::Fault(format!("the current folder: {error}")))?;
        let (mut passed, mut failed) = (0, 0);
        for job in self.jobs {
            let plan = JobArgument { job }.load()?;
            let file = plan.file.display().to_string();
            if plan.tests.is_empty() {
                print(&format!("{file}: there are no tests\n"))?;
            }
            let is_wanted =
                |name: &str| self.filter.as_ref().is_none_or(|part| name.contains(part.as_str()));
            for test in plan.tests.iter().filter(|test| is_wanted(&test.name)) {
                let started = Instant::now();
                let outcome = script::run(&plan, test, &CATALOG, &root);
                let took = started.elapsed().as_millis();
                match outcome {
                    Ok(()) => {
                        passed += 1;
                        print(&format!("ok      {}: {} ({took} ms)\n", plan.name, test.name))?;
                    }
                    Err(failure) => {
                        failed += 1;
                        let script::Failure { line, column, message } = failure;
                        let message = plan.secrets.redact(&message);
                        print(&format!(
                            "FAILED  {}: {}\n{file}:{line}:{column}: {message}\n",
                            plan.name, test.name
                        ))?;
                    }
                }
            }
        }
        print(&format!("{passed} passed, {failed} failed\n"))?;
        if failed == 0 { Ok(()) } else { Err(Failure::Fault(format!("{failed} tests failed"))) }
    }
}

//! `tapeflow checkpoint`: what a job goes on from after a crash.

mod change;
mod show;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use dataflows::checkpoint::log::Log;
use dataflows::driver::durable::Backing;
use dataflows::fault::Fault;
use dataflows::job::plan::Plan;
use dataflows::store::Store;
use serde_json::Value;

use crate::cli::Session;
use crate::cli::drive::root_of;
use crate::cli::failure::Failure;
use crate::cli::load::JobArgument;
use crate::cli::report::Output;

/// List, show, verify, ask for or remove the checkpoints of a job.
#[derive(Debug, Args)]
pub(crate) struct Checkpoint {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the checkpoints, newest first, and whether each is good
    List(Of),
    /// Show what a checkpoint consists of
    Show {
        #[command(flatten)]
        of: Of,
        /// Its epoch [default: the newest one]
        epoch: Option<u64>,
    },
    /// Read every checkpoint and the journal, and name everything that is damaged; changes nothing
    Verify(Of),
    /// Ask the process that runs the job for a checkpoint, and wait for it
    Trigger(Of),
    /// Remove checkpoints that are not kept, and what no checkpoint names
    Gc {
        #[command(flatten)]
        of: Of,
        /// How many are kept [default: what the job says]
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
        keep: Option<u16>,
        /// Say what would be removed; remove nothing
        #[arg(long)]
        dry_run: bool,
        /// Remove without a further question
        #[arg(long)]
        yes: bool,
    },
}

/// Of which job, and how the answer looks.
#[derive(Debug, Args)]
struct Of {
    #[command(flatten)]
    job: JobArgument,
    /// Where relative paths of the job start [default: the current folder]
    #[arg(long)]
    root: Option<PathBuf>,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

impl Checkpoint {
    pub(crate) fn call(self, session: &Session) -> Result<(), Failure> {
        match self.action {
            Action::List(of) => show::list(&Kept::of(&of)?, of.output),
            Action::Show { of, epoch } => show::show(&Kept::of(&of)?, epoch, of.output),
            Action::Verify(of) => verify::verify(&Kept::of(&of)?, of.output, session),
            Action::Trigger(of) => change::trigger(&Kept::of(&of)?, of.output, session),
            Action::Gc { of, keep, dry_run, yes } => {
                if !dry_run && !yes {
                    return Err(Failure::Usage(
                        "this removes checkpoints for good; say --yes, or --dry-run to see which"
                            .to_owned(),
                    ));
                }
                let kept = Kept::of(&of)?;
                let keep = keep.map_or(kept.plan.state.checkpoints_kept, usize::from);
                change::gc(&kept, keep, dry_run, of.output)
            }
        }
    }
}

/// What a job keeps.
struct Kept {
    plan: Plan,
    /// The folder of its state.
    folder: PathBuf,
    store: Arc<dyn Store>,
}

impl Kept {
    fn of(of: &Of) -> Result<Self, Failure> {
        let plan = of.job.load()?;
        let root = root_of(of.root.as_deref())?;
        let folder = root.join(plan.state.folder(&plan.name));
        if plan.state.checkpoints.is_none() && !folder.join("checkpoints").is_dir() {
            let (name, folder) = (&plan.name, folder.display());
            let text = format!(
                "job {name} has no checkpoints in {folder}; run it first, or say --root where it \
                 was run"
            );
            return Err(Failure::Fault(plan.secrets.redact(&text)));
        }
        let variable = |name: &str| std::env::var(name).ok();
        let store = Backing::store(&plan, &root, &variable)
            .map_err(|fault| Failure::of(&fault, &plan.secrets))?;
        Ok(Self { plan, folder, store })
    }

    fn log(&self) -> Result<Log, Failure> {
        Log::read(self.store.as_ref(), &self.plan.name).map_err(|fault| self.failed(&fault))
    }

    fn failed(&self, fault: &Fault) -> Failure {
        Failure::of(fault, &self.plan.secrets)
    }
}

/// Writes an answer as JSON.
fn json(value: &Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::Fault(format!("the answer: {error}")))?;
    crate::cli::failure::print(&format!("{text}\n"))
}

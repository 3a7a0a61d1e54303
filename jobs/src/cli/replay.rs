//! `tapeflow replay`: a job over a recording, into a folder of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use dataflows::disk::{Disk, Folder};
use dataflows::driver::durable::Start;
use dataflows::driver::replay::Pace;
use dataflows::job::plan::Plan;
use dataflows::journal::{Tail, look};
use proto::decimal::parse_units;

use crate::cli::Session;
use crate::cli::compare;
use crate::cli::drive::Drive;
use crate::cli::failure::{Failure, print};
use crate::cli::load::JobArgument;
use crate::cli::record::Label;
use crate::cli::report::{Output, summarise};
use crate::cli::scratch::{Scratch, enclose};

/// Run a job over a recording: the same epochs, the same clock, the same order, no source.
///
/// Everything that the job writes goes below one folder, tables as SQLite. With --expect the
/// results are compared with those of another replay.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    job: JobArgument,
    /// The folder of the recording
    #[arg(long)]
    recording: PathBuf,
    /// An empty folder for the results [default: a temporary one, which is removed]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Keep the temporary folder, and say where it is
    #[arg(long, conflicts_with = "out")]
    keep: bool,
    /// Worker threads, instead of what the job says
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// How fast: `max`, or multiples of the recorded time (1, 0.5, 60)
    #[arg(long, default_value = "max", value_parser = pace)]
    speed: Pace,
    /// The results of another replay, which these have to be equal to
    #[arg(long)]
    expect: Option<PathBuf>,
    /// How the summary looks
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

fn pace(text: &str) -> Result<Pace, String> {
    if text == "max" {
        return Ok(Pace::MAX);
    }
    let thousandths = parse_units(text, 3).ok().filter(|units| *units > 0);
    let thousandths = thousandths.ok_or("expected `max` or a number such as 1, 0.5 or 60")?;
    Ok(Pace::of(thousandths.unsigned_abs().saturating_mul(1_000_000)))
}

impl Replay {
    pub(crate) fn call(self, session: &Session) -> Result<(), Failure> {
        let mut plan = self.job.load()?;
        if let Some(workers) = self.workers {
            plan.run.workers = usize::from(workers);
        }
        if let Some(expect) = self.expect.as_ref().filter(|expect| !expect.is_dir()) {
            let expect = expect.display();
            return Err(Failure::Usage(format!("--expect {expect}: there is no such folder")));
        }
        let tail = open(&self.recording, &plan, session)?;
        enclose(&mut plan, session);
        let out = match &self.out {
            Some(out) => Scratch::at(out)?,
            None => Scratch::new("replay", self.keep)?,
        };
        let (last, started) = (tail.last.unwrap_or(0), Instant::now());
        let drive = Drive {
            root: Some(out.path().to_owned()),
            start: Start::Forgetful,
            recording: Some((tail, self.speed)),
            ..Drive::default()
        };
        let mut report = drive.run(&plan, session)?;
        if !report.complete && report.epochs == last {
            session.say("the recording was interrupted: windows that were open stay so");
            report.complete = true;
        }
        summarise(report, started.elapsed(), self.output, &plan.secrets, session)?;
        if out.is_kept() {
            session.say(&format!("results: {}", out.path().display()));
        }
        let Some(expect) = &self.expect else { return Ok(()) };
        let text = compare::folders(out.path(), expect, session)?;
        match self.output {
            Output::Table => print(&format!("{text}\n")),
            Output::Json => Ok(session.say(&text)),
        }
    }
}

/// Opens a recording for a plan, and checks that their sources fit.
fn open(folder: &Path, plan: &Plan, session: &Session) -> Result<Tail, Failure> {
    let Some(label) = Label::read(folder)? else {
        let folder = folder.display();
        return Err(Failure::Usage(format!(
            "{folder}: is no recording; expected a folder that `tapeflow record` has made"
        )));
    };
    for (id, _) in &label.sources {
        if !plan.sources.iter().any(|own| own.id == *id) {
            return Err(Failure::Usage(format!(
                "the recording has a source `{id}`, which job {} has not",
                plan.name
            )));
        }
    }
    for own in &plan.sources {
        if !label.sources.iter().any(|(id, _)| *id == own.id) {
            session.say(&format!("source {}: not in the recording, gives nothing", own.id));
        }
    }
    let failed = |fault| Failure::of(&fault, &plan.secrets);
    let disk: Arc<dyn Disk> = Arc::new(Folder::open(folder.join("journal")).map_err(failed)?);
    let tail = look(&disk, &label.job, 0).map_err(failed)?;
    for warning in &tail.warnings {
        session.say(&format!("{warning} (it is left out; nothing was changed)"));
    }
    if tail.last.is_none() {
        return Err(Failure::Fault(format!("{}: the recording is empty", folder.display())));
    }
    Ok(tail)
}

//! `tapeflow record`: everything that a job's sources give, kept in a journal of its own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use dataflows::driver::durable::{Backing, Start};
use dataflows::job::plan::Plan;
use serde_json::{Value, json};

use crate::cli::Session;
use crate::cli::drive::Drive;
use crate::cli::failure::Failure;
use crate::cli::load::JobArgument;
use crate::cli::report::{Output, summarise};

/// Keep everything that a job's sources give, so that it can be replayed.
///
/// No operator runs and no sink is written to. A queue is read as the job itself would read it: what
/// is recorded is acknowledged, so give the recording a queue of its own where the job runs, too.
#[derive(Debug, Args)]
pub(crate) struct Record {
    #[command(flatten)]
    job: JobArgument,
    /// The folder of the recording
    #[arg(long)]
    recording: PathBuf,
    /// Go on with a recording that was interrupted
    #[arg(long = "continue")]
    goes_on: bool,
    /// Stop in good order after so long (30s, 10m, 2h)
    #[arg(long = "for", value_name = "DURATION")]
    lasts: Option<dataflows::duration::Duration>,
    /// Where relative paths of the job start [default: the current folder]
    #[arg(long)]
    root: Option<PathBuf>,
    /// How the summary looks
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What a recording says of itself, in `recording.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    /// The job whose sources were read.
    pub(crate) job: String,
    /// The ids of the sources, and their types.
    pub(crate) sources: Vec<(String, String)>,
}

/// The name of `recording.json` until it is whole.
const TEMPORARY: &str = ".recording.json.tmp";

/// The version of what a recording says of itself.
const FORMAT: u64 = 1;

impl Label {
    fn of(plan: &Plan) -> Self {
        let sources = plan.sources.iter();
        let sources = sources.map(|s| (s.id.clone(), s.definition.name().to_owned())).collect();
        Self { job: plan.name.clone(), sources }
    }

    fn parse(value: &Value) -> Option<Self> {
        let text = |value: &Value, key: &str| Some(value.get(key)?.as_str()?.to_owned());
        let sources = value.get("sources")?.as_array()?.iter();
        let sources = sources.map(|source| Some((text(source, "id")?, text(source, "type")?)));
        Some(Self { job: text(value, "job")?, sources: sources.collect::<Option<_>>()? })
    }

    fn file(folder: &Path) -> PathBuf {
        folder.join("recording.json")
    }

    /// Reads what a folder says of itself; none if it is no recording.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, Failure> {
        let file = Self::file(folder);
        let refused = |why: String| Failure::Fault(format!("{}: {why}", file.display()));
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refused(error.to_string())),
        };
        let value: Value =
            serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
        let format = value.get("format").and_then(Value::as_u64);
        if format != Some(FORMAT) {
            let found = format.map_or("none".to_owned(), |format| format.to_string());
            return Err(refused(format!("has format {found}; this tapeflow knows {FORMAT}")));
        }
        let label = Self::parse(&value);
        label.map(Some).ok_or_else(|| refused("is not what a recording says of itself".to_owned()))
    }

    fn write(&self, folder: &Path) -> Result<(), Failure> {
        let file = Self::file(folder);
        let refused =
            |error: &dyn std::fmt::Display| Failure::Fault(format!("{}: {error}", file.display()));
        fs::create_dir_all(folder).map_err(|error| refused(&error))?;
        let sources = self.sources.iter().map(|(id, kind)| json!({ "id": id, "type": kind }));
        let value = json!({
            "format": FORMAT,
            "job": self.job,
            "version": env!("CARGO_PKG_VERSION"),
            "sources": sources.collect::<Vec<Value>>(),
        });
        let text = serde_json::to_string_pretty(&value).map_err(|error| refused(&error))?;
        // Whole or not there: a recording that was killed can be gone on with.
        let temporary = folder.join(TEMPORARY);
        let written = fs::File::create(&temporary).and_then(|mut out| {
            out.write_all(format!("{text}\n").as_bytes())?;
            out.sync_all()?;
            fs::rename(&temporary, &file)?;
            fs::File::open(folder)?.sync_all()
        });
        written.map_err(|error| refused(&error))
    }
}

impl Record {
    pub(crate) fn call(self, session: &Session) -> Result<(), Failure> {
        let mut plan = self.job.load()?;
        plan.operators.clear();
        plan.sinks.clear();
        self.claim(&plan)?;
        let backing = Backing::at(&self.recording, &plan.name)
            .map_err(|fault| Failure::of(&fault, &plan.secrets))?;
        let drive = Drive {
            root: self.root.clone(),
            start: Start::Resume,
            backing: Some(backing),
            is_recording: true,
            ..Drive::default()
        };
        let started = Instant::now();
        let alarm = self.lasts.map(|lasts| Alarm::set(lasts, session));
        let mut report = drive.run(&plan, session)?;
        // That the time is up is what was asked for.
        report.complete |= alarm.as_ref().is_some_and(Alarm::has_rung);
        summarise(report, started.elapsed(), self.output, &plan.secrets, session)
    }

    /// Makes the folder a recording of this job.
    fn claim(&self, plan: &Plan) -> Result<(), Failure> {
        let (folder, place) = (&self.recording, self.recording.display());
        let own = Label::of(plan);
        match Label::read(folder)? {
            None if self.goes_on => Err(Failure::Usage(format!(
                "{place}: there is no recording to go on with; leave out --continue"
            ))),
            None => {
                let is_used = fs::read_dir(folder)
                    .is_ok_and(|mut e| e.any(|e| e.map_or(true, |e| e.file_name() != TEMPORARY)));
                if is_used {
                    return Err(Failure::Usage(format!(
                        "{place}: a recording goes into a folder of its own; name a new one"
                    )));
                }
                own.write(folder)
            }
            Some(_) if !self.goes_on => Err(Failure::Usage(format!(
                "{place}: there is a recording already; go on with it by --continue, or name \
                 another folder"
            ))),
            Some(label) if (&label.job, &label.sources) != (&own.job, &own.sources) => {
                Err(Failure::Usage(format!(
                    "{place}: is a recording of other sources than those of job {}; name another \
                     folder",
                    plan.name
                )))
            }
            Some(_) => Ok(()),
        }
    }
}

/// Stops the run in good order when the time is up.
struct Alarm {
    has_rung: Arc<AtomicBool>,
}

impl Alarm {
    fn set(lasts: dataflows::duration::Duration, session: &Session) -> Self {
        let (stop, has_rung) = (session.stop.clone(), Arc::new(AtomicBool::new(false)));
        let rung = has_rung.clone();
        let lasts = Duration::from_nanos(lasts.ns().unsigned_abs());
        // Ends with the process: a run that ends sooner does not wait for it.
        thread::spawn(move || {
            thread::sleep(lasts);
            if !stop.load(Ordering::SeqCst) {
                rung.store(true, Ordering::SeqCst);
                stop.store(true, Ordering::SeqCst);
            }
        });
        Self { has_rung }
    }

    fn has_rung(&self) -> bool {
        self.has_rung.load(Ordering::SeqCst)
    }
}

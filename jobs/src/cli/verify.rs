//! `tapeflow verify`: a job's tables against what its input gives when all of it is read again.

mod server;

use std::path::{Path, PathBuf};

use clap::Args;
use dataflows::checkpoint::log::Log;
use dataflows::checkpoint::read::newest;
use dataflows::component::source::Promise;
use dataflows::driver::durable::{Backing, Start};
use dataflows::duration::Duration;
use dataflows::job::plan::{ClockSource, Plan, SinkPlan};
use dataflows::kind::Kind;
use proto::event_time::EventTime;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::cli::Session;
use crate::cli::compare::Told;
use crate::cli::compare::tables::{Look, Side, compare, open};
use crate::cli::drive::{Drive, root_of};
use crate::cli::failure::{Failure, print};
use crate::cli::load::JobArgument;
use crate::cli::report::Output;
use crate::cli::reread::rewrite;
use crate::cli::scratch::{Scratch, enclose};

/// Prove that a job's tables are what its input gives.
///
/// Reads the sources again where they can be, else the job's own archive of ticks, runs the job's
/// operators in a temporary folder, and compares every table row by row. Changes nothing. The
/// tables of a job that is not at its end are compared as far as they can change no more.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    job: JobArgument,
    /// Worker threads, instead of what the job says
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// Where relative paths of the job start [default: the current folder]
    #[arg(long)]
    root: Option<PathBuf>,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// How far the tables have to be equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// To their end.
    All,
    /// What lies before this moment.
    Before(EventTime),
}

impl Verify {
    pub(crate) fn call(self, session: &Session) -> Result<(), Failure> {
        let job = self.job.load()?;
        let root = root_of(self.root.as_deref())?;
        let reach = reach(&job, &root, session)?;
        let (mut plan, is_reread) = derivation(&job, session)?;
        if let Some(workers) = self.workers {
            plan.run.workers = usize::from(workers);
        }
        let scratch = Scratch::new("verify", false)?;
        let enough = match reach {
            Reach::Before(moment) => Some(moment),
            Reach::All => None,
        };
        let derived = derive(&plan, [&root, scratch.path()], enough, session)?;
        let reach = match reach {
            // The archive has whole days only: behind its last tick nothing can be said.
            _ if is_reread => before(reach, derived.unwrap_or(EventTime::MIN)),
            reach => reach,
        };
        let reach = match reach {
            Reach::Before(moment) => {
                Reach::Before(EventTime::from_ns(moment.ns().saturating_sub(margin(&plan))))
            }
            Reach::All => Reach::All,
        };
        if let Reach::Before(moment) = reach {
            session
                .say(&format!("compared: what lies before {moment}; later rows can still change"));
        }
        let mut told = Told::default();
        for sink in &plan.sinks {
            let of = Of { job: &job, root: &root, scratch: scratch.path(), reach, is_reread };
            of.table(sink, &mut told, session)?;
        }
        let text = told.end(false).map_err(|failure| match failure {
            Failure::Differs(text) => Failure::Differs(job.secrets.redact(&text)),
            other => other,
        })?;
        match self.output {
            Output::Table => print(&format!("{text}\n")),
            Output::Json => print(&format!("{}\n", json!({ "identical": true, "what": text }))),
        }
    }
}

fn before(reach: Reach, moment: EventTime) -> Reach {
    match reach {
        Reach::Before(other) => Reach::Before(other.min(moment)),
        Reach::All => Reach::Before(moment),
    }
}

/// How far the job has come, as its newest checkpoint says.
fn reach(job: &Plan, root: &Path, session: &Session) -> Result<Reach, Failure> {
    let folder = root.join(job.state.folder(&job.name)).join("checkpoints");
    let restored = if job.state.checkpoints.is_some() || folder.is_dir() {
        let failed = |fault| Failure::of(&fault, &job.secrets);
        let variable = |name: &str| std::env::var(name).ok();
        let store = Backing::store(job, root, &variable).map_err(failed)?;
        let log = Log::read(store.as_ref(), &job.name).map_err(failed)?;
        newest(store.as_ref(), &log).map_err(failed)?.0
    } else {
        None
    };
    let Some(restored) = restored else {
        session.say("the job has no checkpoint: it is taken to have been run to its end");
        return Ok(Reach::All);
    };
    let manifest = restored.manifest;
    if manifest.is_last {
        return Ok(Reach::All);
    }
    let least = manifest.feeds.iter().map(|(_, reached)| *reached).min().unwrap_or(i64::MIN);
    session
        .say(&format!("the job is not at its end; its checkpoint is of epoch {}", manifest.epoch));
    Ok(Reach::Before(EventTime::from_ns(least)))
}

/// Gives the job whose tables are to be the same, and whether archives stand for its sources.
fn derivation(job: &Plan, session: &Session) -> Result<(Plan, bool), Failure> {
    let is_again = |source: &dataflows::job::plan::SourcePlan| {
        let (definition, config) = (source.definition, &source.config);
        definition.promise(config) == Promise::Replays && definition.is_bounded(config)
    };
    let is_reread = !job.sources.iter().all(is_again);
    let mut plan = if is_reread { rewrite(job)?.0 } else { job.clone() };
    plan.sinks.retain(|sink| sink.definition.name() == "table");
    if plan.sinks.is_empty() {
        return Err(Failure::Usage(format!("job {} has no table that can be verified", job.name)));
    }
    if is_reread {
        session.say("the sources cannot be read again: the job's archive of ticks is");
    }
    plan.run.clock = ClockSource::Event;
    Ok((plan, is_reread))
}

/// Runs the job into a folder of its own, until every feed has come to `enough`; gives how far the
/// job clock came.
fn derive(
    plan: &Plan,
    [root, scratch]: [&Path; 2],
    enough: Option<EventTime>,
    session: &Session,
) -> Result<Option<EventTime>, Failure> {
    let mut plan = plan.clone();
    enclose(&mut plan, session);
    for sink in &mut plan.sinks {
        // Sources are read where the job reads them, so only sinks start at the folder.
        let (file, _) = place(&sink.config, &sink.id, scratch);
        if let Some(config) = sink.config.as_object_mut() {
            config.insert("url".to_owned(), json!(format!("sqlite:{}", file.display())));
        }
    }
    let (root, start) = (Some(root.to_owned()), Start::Forgetful);
    let driven = Drive { root, start, enough, ..Drive::default() }.go(&plan, session)?;
    if driven.report.complete { Ok(driven.clock) } else { Err(Failure::Interrupted) }
}

/// The database file and the table of a table sink on SQLite.
fn place(config: &Value, id: &str, root: &Path) -> (PathBuf, String) {
    let text = |key: &str| config.get(key).and_then(Value::as_str);
    let url = text("url").unwrap_or_default();
    let path = url.strip_prefix("sqlite:").unwrap_or(url);
    (root.join(path.strip_prefix("//").unwrap_or(path)), text("table").unwrap_or(id).to_owned())
}

/// How long after its end a window can still change, in nanoseconds.
fn margin(plan: &Plan) -> i64 {
    let of = |config: &Value, key: &str, default: Duration| {
        let own = config.get(key).and_then(Value::as_str).and_then(|text| text.parse().ok());
        own.unwrap_or(default).ns()
    };
    let windows = plan.operators.iter().filter(|operator| operator.definition.name() == "ohlcv");
    let margins = windows.map(|operator| {
        let config = &operator.config;
        of(config, "lateness", Duration::from_seconds(2))
            .saturating_add(of(config, "idle", Duration::from_seconds(5)))
            .saturating_add(of(config, "revise_within", Duration::from_seconds(3_600)))
    });
    margins.max().unwrap_or(0)
}

/// What is compared with what.
struct Of<'a> {
    job: &'a Plan,
    root: &'a Path,
    scratch: &'a Path,
    reach: Reach,
    is_reread: bool,
}

impl Of<'_> {
    /// Compares the job's table of a sink with the derived one.
    fn table(&self, sink: &SinkPlan, told: &mut Told, session: &Session) -> Result<(), Failure> {
        let Some(look) = self.look(sink.kind) else {
            session
                .say(&format!("sink {}: rejects are compared when the job is at its end", sink.id));
            return Ok(());
        };
        let Some(config) = sink.definition.within(&sink.config, &sink.id) else { return Ok(()) };
        let (file, derived) = place(&config, &sink.id, self.scratch);
        let expected = open(&file)?;
        let is_here = sink.config.get("url").and_then(Value::as_str);
        let is_here = is_here.is_some_and(|url| url.starts_with("sqlite:"));
        let (found, table): (Connection, String) = if is_here {
            let (file, table) = place(&sink.config, &sink.id, self.root);
            if !file.is_file() {
                let text =
                    format!("{}: there is no such database; run the job first", file.display());
                return Err(Failure::Fault(self.job.secrets.redact(&text)));
            }
            (open(&file)?, table)
        } else {
            server::copy(self.job, sink, self.root, self.scratch, session)?
        };
        let here = Side { connection: &found, table: &table };
        let there = Side { connection: &expected, table: &derived };
        compare(&format!("table {}", sink.id), [here, there], &look, told)
    }

    /// Says which rows and columns are compared; none: nothing can be.
    fn look(&self, kind: Kind) -> Option<Look> {
        // How a row came to be is not the same where its ticks came in another order.
        let leave_out =
            if self.is_reread { vec!["revision", "reason", "flags"] } else { Vec::new() };
        let Reach::Before(moment) = self.reach else {
            return Some(Look { filter: None, leave_out });
        };
        let text = moment.to_string();
        let second = text.get(..19).unwrap_or("0000").to_owned();
        let filter = match kind {
            Kind::Candles => format!("\"end\" <= '{second}Z'"),
            Kind::Ticks => format!("\"time\" < '{second}'"),
            Kind::Rejects | Kind::Payloads | Kind::Statuses => return None,
        };
        Some(Look { filter: Some(filter), leave_out })
    }
}

//! `tapeflow backfill`: a range of the past, computed anew by the job's own operators from its
//! archive, and swapped in all or nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use dataflows::component::source::Range;
use dataflows::job::plan::{Origin, Plan, SourcePlan};
use dataflows::kind::Kind;
use proto::event_time::EventTime;
use proto::timeframe::Timeframe;
use serde_json::{Value, json};

use crate::catalog::CATALOG;
use crate::cli::Session;
use crate::cli::drive::Drive;
use crate::cli::failure::{Failure, complain};
use crate::cli::load::JobArgument;
use crate::cli::report::{Output, summarise};

/// Compute a range anew from the archive and replace it, all or nothing.
///
/// Reads the job's own tick archive (or the source itself, where it is an archive or a file), runs
/// the job's operators at full speed, and replaces the candles whose window starts in the range, in
/// tables and archives. Safe to repeat and to interrupt.
#[derive(Debug, Args)]
pub(crate) struct Backfill {
    #[command(flatten)]
    job: JobArgument,
    /// First moment of the range (2024-03-10 or 2024-03-10T17:00:00Z; UTC unless it says otherwise)
    #[arg(long)]
    from: EventTime,
    /// First moment after the range
    #[arg(long)]
    to: EventTime,
    /// Only these instruments
    #[arg(long = "instrument")]
    instruments: Vec<String>,
    /// Say what would be read and replaced; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Worker threads, instead of what the job says
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// Where relative paths of the job start [default: the current folder]
    #[arg(long)]
    root: Option<PathBuf>,
    /// How the summary looks
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

impl Backfill {
    pub(crate) fn call(self, session: &Session) -> Result<(), Failure> {
        if self.from >= self.to {
            let (from, to) = (self.from, self.to);
            return Err(Failure::Usage(format!("--from {from} is not before --to {to}")));
        }
        let mut plan = self.job.load()?;
        if let Some(workers) = self.workers {
            plan.run.workers = usize::from(workers);
        }
        let (plan, notes) = rewrite(&plan)?;
        let replace = Range { from: self.from, to: self.to, instruments: self.instruments.clone() };
        let read = widen(&replace, longest_window(&plan));
        for note in &notes {
            complain(note);
        }
        complain(&format!(
            "reading [{}, {}), replacing [{}, {})",
            read.from, read.to, self.from, self.to
        ));
        let plan = if self.dry_run { counting(plan) } else { plan };
        let started = Instant::now();
        let drive = Drive { root: self.root, range: Some((replace, read)) };
        let report = drive.run(&plan, session)?;
        if self.dry_run {
            complain("dry run: nothing was changed; these rows would have been written:");
        }
        summarise(&report, started.elapsed(), self.output)
    }
}

/// Turns a job into its backfill: sources become archives, sinks that cannot replace a range are
/// left out. Gives the plan and what is to be said about it.
fn rewrite(plan: &Plan) -> Result<(Plan, Vec<String>), Failure> {
    let mut plan = plan.clone();
    let mut notes = Vec::new();
    let mut archives = BTreeSet::new();
    let mut sources = Vec::new();
    for source in &plan.sources {
        let archive = tick_archive(&plan, &source.id);
        if let Some((sink, path)) = archive {
            notes.push(format!("source {}: ticks from the archive {path}", source.id));
            archives.insert(sink);
            sources.push(archive_source(source, &path)?);
        } else if source.definition.is_bounded(&source.config) {
            notes.push(format!("source {}: read as the job says", source.id));
            sources.push(source.clone());
        } else {
            return Err(Failure::Usage(format!(
                "sources.{}: a {} cannot be read again; give the job a sink `type: archive` with \
                 its ticks as input",
                source.id,
                source.definition.name()
            )));
        }
    }
    plan.sources = sources;
    plan.sinks.retain(|sink| {
        let takes_part = sink.kind != Kind::Rejects
            && sink.definition.replaces()
            && !archives.contains(&sink.id);
        let what = if takes_part { "its range is replaced" } else { "takes no part" };
        notes.push(format!("sink {}: {what}", sink.id));
        takes_part
    });
    if plan.sinks.is_empty() {
        return Err(Failure::Usage(
            "the job has no sink whose range can be replaced; expected a table or an archive of \
             candles"
                .to_owned(),
        ));
    }
    Ok((plan, notes))
}

/// Finds the archive sink that keeps the ticks of `source`, and its path.
fn tick_archive(plan: &Plan, source: &str) -> Option<(String, String)> {
    let mut reached: BTreeSet<&str> = BTreeSet::from([source]);
    let touches = |reached: &BTreeSet<&str>, origins: &[Origin]| {
        origins.iter().any(|origin| reached.contains(origin.id.as_str()))
    };
    for operator in plan.operators.iter().filter(|operator| operator.kind == Kind::Ticks) {
        if operator.output_kinds().first() == Some(&Kind::Ticks)
            && touches(&reached, &operator.inputs)
        {
            reached.insert(&operator.id);
        }
    }
    let sink = plan.sinks.iter().find(|sink| {
        sink.definition.name() == "archive"
            && sink.kind == Kind::Ticks
            && touches(&reached, &sink.inputs)
    })?;
    Some((sink.id.clone(), sink.config.get("path")?.as_str()?.to_owned()))
}

fn archive_source(source: &SourcePlan, path: &str) -> Result<SourcePlan, Failure> {
    let definition = CATALOG
        .source("archive")
        .ok_or_else(|| Failure::Fault("the catalog has no source `archive`".to_owned()))?;
    Ok(SourcePlan { id: source.id.clone(), definition, config: json!({ "path": path }) })
}

/// Replaces every sink by one that only counts.
fn counting(mut plan: Plan) -> Plan {
    for sink in &mut plan.sinks {
        sink.definition = &crate::cli::count::Count;
        sink.config = Value::Null;
    }
    plan
}

/// The longest window of any operator, in nanoseconds.
fn longest_window(plan: &Plan) -> i64 {
    let frames = plan.operators.iter().flat_map(|operator| {
        let frames = operator.config.get("timeframes").and_then(Value::as_array);
        let texts = frames.into_iter().flatten().filter_map(Value::as_str);
        let named = texts.filter_map(|text| text.parse::<Timeframe>().ok());
        // Without a list an operator that makes candles has its default, which goes up to a day.
        let default =
            (frames.is_none() && operator.definition.name() == "ohlcv").then_some(Timeframe::DAY);
        named.chain(default).collect::<Vec<_>>()
    });
    frames.map(Timeframe::ns).max().unwrap_or(0)
}

/// What has to be read for `range`: a window before it, so that what came before is known, and a
/// window behind it, so that windows that start within it are whole (an hour more on both sides for
/// days that daylight saving makes longer).
fn widen(range: &Range, window: i64) -> Range {
    let margin = if window == 0 { 0 } else { window.saturating_add(3_600_000_000_000) };
    Range {
        from: EventTime::from_ns(range.from.ns().saturating_sub(margin)),
        to: EventTime::from_ns(range.to.ns().saturating_add(margin)),
        instruments: range.instruments.clone(),
    }
}

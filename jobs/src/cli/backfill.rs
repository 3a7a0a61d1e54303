//! `tapeflow backfill`: a range of the past, computed anew by the job's own operators from its
//! archive, and swapped in all or nothing.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use dataflows::component::source::Range;
use dataflows::driver::durable::Start;
use dataflows::job::plan::Plan;
use proto::event_time::EventTime;
use proto::timeframe::Timeframe;
use serde_json::Value;

use crate::cli::Session;
use crate::cli::drive::Drive;
use crate::cli::failure::Failure;
use crate::cli::load::JobArgument;
use crate::cli::report::{Output, summarise};
use crate::cli::reread::rewrite;

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
        let (read, enough) = widen(&replace, longest_window(&plan));
        for note in &notes {
            session.say(note);
        }
        session
            .say(&format!("reading from {} on, replacing [{}, {})", read.from, self.from, self.to));
        let plan = if self.dry_run { counting(plan) } else { plan };
        let started = Instant::now();
        let drive = Drive {
            root: self.root,
            range: Some((replace, read)),
            enough: Some(enough),
            start: Start::Forgetful,
            ..Drive::default()
        };
        let report = drive.run(&plan, session)?;
        if !report.complete {
            session.say("nothing was replaced; the same command begins anew");
        }
        if self.dry_run {
            session.say("dry run: nothing was changed; these rows would have been written:");
        }
        summarise(report, started.elapsed(), self.output, &plan.secrets, session)
    }
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

/// How long a market can be closed: a weekend between holidays.
const CLOSED: i64 = 5 * 86_400_000_000_000;

/// What has to be read for `range`: a window before it, so that what came before is known, and a
/// window behind it, so that windows that start within it are whole (an hour more on both sides for
/// days that daylight saving makes longer). Behind that it goes on over days without a market until
/// every feed has shown a tick; gives the range, and the moment from which on that is enough.
fn widen(range: &Range, window: i64) -> (Range, EventTime) {
    let margin = if window == 0 { 0 } else { window.saturating_add(3_600_000_000_000) };
    let enough = range.to.ns().saturating_add(margin);
    let read = Range {
        from: EventTime::from_ns(range.from.ns().saturating_sub(margin)),
        to: EventTime::from_ns(enough.saturating_add(CLOSED)),
        instruments: range.instruments.clone(),
    };
    (read, EventTime::from_ns(enough))
}

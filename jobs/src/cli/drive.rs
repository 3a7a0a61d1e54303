//! Running a plan with progress on a terminal: what `run`, `demo`, `import` and `backfill` share.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use dataflows::component::source::Range;
use dataflows::driver::durable::Start;
use dataflows::driver::status::Status;
use dataflows::driver::{Options, RunReport, run};
use dataflows::fault::Fault;
use dataflows::job::plan::Plan;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use proto::event_time::EventTime;

use crate::cli::Session;
use crate::cli::failure::Failure;

/// What a run is given beside its plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drive {
    /// Where relative paths of the job start; none: the folder that `tapeflow` was called in.
    pub(crate) root: Option<PathBuf>,
    /// A backfill: the range that it replaces, and what it reads for it.
    pub(crate) range: Option<(Range, Range)>,
    /// With a range: when every feed has come so far, the rest need not be read.
    pub(crate) enough: Option<EventTime>,
    /// Whether the run survives being killed, and what it goes on from.
    pub(crate) start: Start,
}

impl Drive {
    /// Runs the plan to its end.
    pub(crate) fn run(self, plan: &Plan, session: &Session) -> Result<RunReport, Failure> {
        let root = match self.root {
            Some(root) => root,
            None => std::env::current_dir()
                .map_err(|error| Failure::Fault(format!("the current folder: {error}")))?,
        };
        let (range, read) = self.range.unzip();
        let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (enough, stop) = (self.enough, session.stop.clone());
        let (start, is_recording) = (self.start, false);
        let variable = |name: &str| std::env::var(name).ok();
        let options =
            Options { root, range, read, enough, stop, threads, start, is_recording, variable };
        let status = Arc::new(Status::new(plan));
        let outcome = thread::scope(|scope| {
            let worker = scope.spawn(|| run(plan, options, status.clone()));
            // A console's rows and a bar would write over one another.
            let prints = plan.sinks.iter().any(|sink| sink.definition.name() == "console");
            if session.progress && !prints {
                draw(&status, || worker.is_finished());
            }
            worker.join().unwrap_or_else(|_| Err(Fault::defect("the run", "a panic")))
        });
        outcome.map_err(|fault| Failure::of(&fault, &plan.secrets))
    }
}

/// Draws progress until the run has ended.
fn draw(status: &Status, is_over: impl Fn() -> bool) {
    let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
    let known = ProgressStyle::with_template("{bar:32} {percent:>3} %  {elapsed}  {msg}");
    let unknown = ProgressStyle::with_template("{spinner}  {elapsed}  {msg}");
    if let (Ok(known), Ok(unknown)) = (known, unknown) {
        bar.set_style(unknown);
        while !is_over() {
            if let Some(permille) = status.permille() {
                bar.set_style(known.clone());
                bar.set_position(permille.into());
            }
            bar.set_message(line(status));
            bar.tick();
            thread::park_timeout(Duration::from_millis(100));
        }
    }
    bar.finish_and_clear();
}

fn line(status: &Status) -> String {
    let clock = status.clock().map_or_else(String::new, |clock| {
        let text = clock.to_string();
        format!("  job clock {}", text.get(..19).unwrap_or(&text))
    });
    let sinks: Vec<String> = status
        .sink_counts()
        .iter()
        .map(|(id, rows)| format!("{id} {}", HumanCount(*rows)))
        .collect();
    format!("{} records in, {}{clock}", HumanCount(status.records()), sinks.join(", "))
}

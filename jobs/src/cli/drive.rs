//! Running a plan with progress on a terminal: what `run`, `demo`, `import` and `backfill` share.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use dataflows::component::source::Range;
use dataflows::driver::durable::{Backing, Start};
use dataflows::driver::reading::Reading;
use dataflows::driver::replay::{Pace, replay};
use dataflows::driver::status::Status;
use dataflows::driver::{Options, RunReport, run, run_in};
use dataflows::fault::Fault;
use dataflows::job::plan::Plan;
use dataflows::journal::Tail;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use proto::event_time::EventTime;

use crate::cli::Session;
use crate::cli::failure::{Failure, complain};
use crate::lease::Keeper;
use crate::watch::server::Server;

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
    /// Where it keeps itself, if that is not what the job says.
    pub(crate) backing: Option<Backing>,
    /// Where processes wait for one another: whether this one waits.
    pub(crate) lease: Option<bool>,
    /// Whether it keeps the records of every source.
    pub(crate) is_recording: bool,
    /// A recording in the place of the sources, and how fast it goes.
    pub(crate) recording: Option<(Tail, Pace)>,
    /// Where metrics and health are served.
    pub(crate) http: Option<SocketAddr>,
    /// A run that was asked to stop has so long for it; none: as long as it takes.
    pub(crate) drain_within: Option<Duration>,
}

/// What came of a run.
pub(crate) struct Driven {
    pub(crate) report: RunReport,
    /// The job clock of its last epoch.
    pub(crate) clock: Option<EventTime>,
}

/// Gives the folder that relative paths of a job start at.
pub(crate) fn root_of(root: Option<&Path>) -> Result<PathBuf, Failure> {
    match root {
        Some(root) => Ok(root.to_owned()),
        None => std::env::current_dir()
            .map_err(|error| Failure::Fault(format!("the current folder: {error}"))),
    }
}

impl Drive {
    /// Runs the plan to its end.
    pub(crate) fn run(self, plan: &Plan, session: &Session) -> Result<RunReport, Failure> {
        Ok(self.go(plan, session)?.report)
    }

    /// Runs the plan to its end; tells how far the job clock came, too.
    pub(crate) fn go(self, plan: &Plan, session: &Session) -> Result<Driven, Failure> {
        let root = root_of(self.root.as_deref())?;
        let (range, read) = self.range.unzip();
        let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (enough, stop) = (self.enough, session.stop.clone());
        let (start, is_recording) = (self.start, self.is_recording);
        let (backing, recording) = (self.backing, self.recording);
        let variable = |name: &str| std::env::var(name).ok();
        let status = Arc::new(Status::new(plan));
        let http = self.http.map(|address| watch(address, plan, &status, session)).transpose()?;
        let keeper = match (&plan.run.lease, self.lease) {
            (Some(config), Some(waits)) => Some(
                Keeper::take(config, &plan.name, waits, &stop)
                    .map_err(|fault| Failure::of(&fault, &plan.secrets))?,
            ),
            _ => None,
        };
        let options = Options {
            root,
            range,
            read,
            enough,
            stop,
            threads,
            start,
            is_recording,
            lease: keeper.as_ref().map(Keeper::lease),
            variable,
        };
        let limit = self.drain_within.map(|within| limit(within, &session.stop, &status));
        let outcome = thread::scope(|scope| {
            let worker = scope.spawn(|| match (backing, &recording) {
                (_, Some((tail, pace))) => replay(plan, options, tail, *pace, status.clone()),
                (Some(own), None) => run_in(plan, options, Some(own), status.clone()),
                (None, None) => run(plan, options, status.clone()),
            });
            // A console's rows and a bar would write over one another.
            let prints = plan.sinks.iter().any(|sink| sink.definition.name() == "console");
            if session.progress && !prints {
                draw(&status, || worker.is_finished());
            }
            worker.join().unwrap_or_else(|_| Err(Fault::defect("the run", "a panic")))
        });
        drop((limit, http)); // answers until the last sink has closed
        let report = outcome.map_err(|fault| Failure::of(&fault, &plan.secrets))?;
        Ok(Driven { report, clock: status.clock() })
    }
}

/// Ends the process when the run was asked to stop and has not ended `within` so long; until what
/// this gives is dropped. What hangs then is a disk, a database or a broker; a process that is
/// killed by its supervisor a little later would be no better off.
fn limit(within: Duration, stop: &Arc<AtomicBool>, status: &Arc<Status>) -> Sender<()> {
    let (running, ended) = channel();
    let (stop, status) = (stop.clone(), status.clone());
    thread::spawn(move || {
        let mut asked: Option<Instant> = None;
        // Until the sender is gone.
        while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            if !stop.load(Ordering::Relaxed) {
                continue;
            }
            if asked.get_or_insert_with(Instant::now).elapsed() >= within {
                complain(&late(within, &status.reading()));
                std::process::exit(1);
            }
        }
    });
    running
}

/// Says that stopping took too long, and who has not applied what was read.
fn late(within: Duration, reading: &Reading) -> String {
    let behind = reading.sinks.iter().filter(|sink| sink.epoch < reading.epochs);
    let behind: Vec<String> = behind.map(|sink| format!("sinks.{}", sink.id)).collect();
    let who = match behind.as_slice() {
        [] => String::new(),
        behind => format!("; {} had not applied all that was read", behind.join(", ")),
    };
    format!(
        "error: stopping took longer than {} s (run.drain){who}. A durable job goes on from its \
         journal with the next start",
        within.as_secs()
    )
}

/// How often it is looked whether the run was asked to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Starts serving metrics and health.
fn watch(
    address: SocketAddr,
    plan: &Plan,
    status: &Arc<Status>,
    session: &Session,
) -> Result<Server, Failure> {
    let server = Server::start(address, &plan.name, status.clone(), &plan.secrets);
    let server = server.map_err(|error| {
        Failure::Fault(format!(
            "metrics and health cannot be served at {address}: {error}; give another --http"
        ))
    })?;
    session.say(&format!("metrics and health: http://{}", server.address));
    Ok(server)
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

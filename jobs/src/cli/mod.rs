//! The command line: one file per verb.
//!
//! Data goes to stdout; logs, progress and errors to stderr. Exit codes: 0 done, 1 failed, 2 the
//! command or the job file is wrong, 3 a comparison found a difference, 130 interrupted.

mod backfill;
mod checkpoint;
mod compare;
mod components;
mod count;
mod demo;
mod dlq;
mod drive;
mod failure;
mod graph;
mod import;
mod load;
mod logging;
mod query;
mod record;
mod replay;
mod report;
mod reread;
mod run;
mod schema;
mod scratch;
mod simulate;
mod test;
mod validate;
mod verify;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use failure::Failure;

/// Stream processing for a trading platform: a job file in, exact candles out.
#[derive(Debug, Parser)]
#[command(name = "tapeflow", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// What every verb takes.
#[derive(Debug, Args)]
struct Global {
    /// How logs on stderr look
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, env = "TAPEFLOW_LOG_FORMAT")]
    log_format: LogFormat,
    /// More logs; twice for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Errors only: no progress, no summary
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the shipped candles job on simulated ticks: no service, no network
    Demo(demo::Demo),
    /// Run a job until its input ends or it is interrupted
    Run(run::Run),
    /// Check a job file and report every mistake at once
    Validate(validate::Validate),
    /// Run the tests that stand in job files
    Test(test::Test),
    /// Draw a job: Mermaid, DOT or SVG
    Graph(graph::Graph),
    /// Compute a range anew from the archive and replace it, all or nothing
    Backfill(backfill::Backfill),
    /// List, show, verify, ask for or remove the checkpoints of a job
    Checkpoint(checkpoint::Checkpoint),
    /// List, show, replay or drop what a job could not accept
    Dlq(dlq::Dlq),
    /// Keep everything that a job's sources give, so that it can be replayed
    Record(record::Record),
    /// Run a job over a recording: the same epochs, the same clock, no source
    Replay(replay::Replay),
    /// Prove that a job's tables are what its input gives
    Verify(verify::Verify),
    /// Publish the ticks of a simulated market to RabbitMQ, as a gateway does
    Simulate(simulate::Simulate),
    /// Bring foreign tick files into the archive
    Import(import::Import),
    /// Ask a job's tables and archives in SQL
    Query(query::Query),
    /// List the components, or explain one
    Components(components::Components),
    /// Print the JSON Schema of the job file, for editors
    Schema(schema::Schema),
    /// Print shell completions
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

/// The whole program; the exit code is its result.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors: clap prints them on stdout.
            let code = if error.use_stderr() { 2 } else { 0 };
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    logging::start(&cli.global);
    #[cfg(debug_assertions)]
    if let Err(message) = arm_crash_point() {
        failure::complain(&format!("error: TAPEFLOW_CRASH: {message}"));
        return ExitCode::from(2);
    }
    let session = Session::new(&cli.global);
    match cli.verb.call(&session) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

/// Lets a test end the process as a crash would: `TAPEFLOW_CRASH=table.before_commit:3` aborts it
/// when it comes to that point for the third time. Release builds know nothing of it.
#[cfg(debug_assertions)]
fn arm_crash_point() -> Result<(), String> {
    let Ok(wanted) = std::env::var("TAPEFLOW_CRASH") else { return Ok(()) };
    let (point, count) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    let count = count.parse().map_err(|_| format!("`{count}` is no number of meetings"))?;
    dataflows::crash::arm(point, count)
}

/// What the verbs share.
#[derive(Debug)]
struct Session {
    /// Set by the first Ctrl-C or SIGTERM; the second one ends the process at once.
    stop: Arc<AtomicBool>,
    /// Progress may be drawn.
    progress: bool,
    /// Only errors are told.
    quiet: bool,
}

impl Session {
    fn new(global: &Global) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        let handler = ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            tracing::warn!("stopping in good order; once more to stop at once");
        });
        if let Err(error) = handler {
            tracing::warn!(%error, "interrupts end the process at once");
        }
        let quiet = global.quiet;
        Self { stop, progress: !quiet && std::io::stderr().is_terminal(), quiet }
    }

    /// Says on stderr what is no error.
    fn say(&self, text: &str) {
        if !self.quiet {
            failure::inform(text);
        }
    }
}

impl Verb {
    fn call(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Demo(verb) => verb.call(session),
            Self::Run(verb) => verb.call(session),
            Self::Validate(verb) => verb.call(),
            Self::Test(verb) => verb.call(),
            Self::Graph(verb) => verb.call(),
            Self::Backfill(verb) => verb.call(session),
            Self::Checkpoint(verb) => verb.call(session),
            Self::Dlq(verb) => verb.call(session),
            Self::Record(verb) => verb.call(session),
            Self::Replay(verb) => verb.call(session),
            Self::Verify(verb) => verb.call(session),
            Self::Simulate(verb) => verb.call(session),
            Self::Import(verb) => verb.call(session),
            Self::Query(verb) => verb.call(session),
            Self::Components(verb) => verb.call(),
            Self::Schema(verb) => verb.call(),
            Self::Completions { shell } => {
                let mut text = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "tapeflow", &mut text);
                failure::print(&String::from_utf8_lossy(&text))
            }
        }
    }
}

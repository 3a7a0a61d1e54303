//! How a verb fails: what is printed on stderr, and the exit code.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use dataflows::clock::wall;
use dataflows::fault::Fault;
use dataflows::job::mistake::Mistakes;
use dataflows::job::variables::Secrets;
use serde_json::json;

/// Why a verb did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The job file is wrong.
    Mistakes(Mistakes),
    /// The command is wrong, in a way that clap cannot see.
    Usage(String),
    /// Something failed on the way.
    Fault(String),
    /// A comparison found a difference; the text says which.
    Differs(String),
    /// The user asked to stop.
    Interrupted,
}

impl Failure {
    /// Turns a fault of a run into a failure, with secrets taken out.
    pub(crate) fn of(fault: &Fault, secrets: &Secrets) -> Self {
        let text = secrets.redact(&fault.to_string());
        match fault {
            Fault::Job { .. } => Self::Usage(text),
            Fault::Interrupted => Self::Interrupted,
            Fault::Stop { .. } | Fault::Defect { .. } => Self::Fault(text),
        }
    }

    /// Prints it and gives the exit code.
    pub(crate) fn tell(&self) -> ExitCode {
        match self {
            Self::Mistakes(mistakes) => {
                let count = mistakes.0.len();
                let noun = if count == 1 { "mistake" } else { "mistakes" };
                complain(&format!("{mistakes}\n\n{count} {noun}"));
                ExitCode::from(2)
            }
            Self::Usage(text) => {
                complain(&format!("error: {text}"));
                ExitCode::from(2)
            }
            Self::Fault(text) => {
                complain(&format!("error: {text}"));
                ExitCode::from(1)
            }
            Self::Differs(text) => {
                complain(text);
                ExitCode::from(3)
            }
            Self::Interrupted => {
                complain("interrupted: nothing is half-written");
                ExitCode::from(130)
            }
        }
    }
}

/// With `--log-format json` everything on stderr is a line of JSON, not the logs alone.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// From now on everything on stderr is a line of JSON.
pub(crate) fn speak_json() {
    IS_JSON.store(true, Ordering::Relaxed);
}

/// Prints what went wrong to stderr.
pub(crate) fn complain(text: &str) {
    tell("ERROR", text);
}

/// Prints what is no error to stderr.
pub(crate) fn inform(text: &str) {
    tell("INFO", text);
}

/// There is nowhere to report that stderr is gone.
fn tell(level: &str, text: &str) {
    let line = if IS_JSON.load(Ordering::Relaxed) {
        let (timestamp, fields) = (wall().to_string(), json!({ "message": text.trim_start() }));
        let target = "tapeflow";
        json!({ "timestamp": timestamp, "level": level, "fields": fields, "target": target })
            .to_string()
    } else {
        text.to_owned()
    };
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// Prints data to stdout; a reader that has gone away is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Fault(format!("stdout: {error}")))
        }
        _ => Ok(()),
    }
}

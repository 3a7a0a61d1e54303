//! Logs: on stderr, as text or JSON lines.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::failure::{complain, speak_json};
use crate::cli::{Global, LogFormat};

/// Starts logging; `TAPEFLOW_LOG` overrides `-v` and `-q` with a filter such as `dataflows=debug`.
pub(crate) fn start(global: &Global) {
    if global.log_format == LogFormat::Json {
        speak_json();
    }
    // What lapin says of a channel that the broker closed we say ourselves, where it matters.
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error,lapin=off",
        (false, 0) => "warn,lapin=off",
        (false, 1) => "info,lapin=off",
        (false, _) => "debug",
    };
    let filter = match std::env::var("TAPEFLOW_LOG") {
        Ok(wanted) => EnvFilter::try_new(&wanted).unwrap_or_else(|error| {
            complain(&format!("TAPEFLOW_LOG is left out of account: {error}"));
            EnvFilter::new(level)
        }),
        Err(_) => EnvFilter::new(level),
    };
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start (in tests) finds the first one in place.
    let started = match global.log_format {
        LogFormat::Text => logs.with_ansi(colour).with_target(false).try_init(),
        LogFormat::Json => logs.json().try_init(),
    };
    drop(started);
}

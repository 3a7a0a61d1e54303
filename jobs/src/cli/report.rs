//! The summary after a run: readable on stderr, or as JSON on stdout.

use std::time::Duration;

use clap::ValueEnum;
use dataflows::driver::RunReport;
use dataflows::job::variables::Secrets;
use indicatif::{HumanBytes, HumanCount};

use crate::cli::Session;
use crate::cli::failure::{Failure, print};

/// How the summary looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Output {
    /// Readable, on stderr.
    #[default]
    Table,
    /// One JSON object, on stdout.
    Json,
}

/// Prints the summary of a run, with secrets taken out, and makes an interrupted one a failure.
pub(crate) fn summarise(
    mut report: RunReport,
    took: Duration,
    output: Output,
    secrets: &Secrets,
    session: &Session,
) -> Result<(), Failure> {
    for place in report.sinks.iter_mut().flat_map(|(_, sink)| &mut sink.places) {
        *place = secrets.redact(place);
    }
    match output {
        Output::Table => session.say(&readable(&report, took)),
        Output::Json => {
            let text = serde_json::to_string(&report)
                .map_err(|error| Failure::Fault(format!("the summary: {error}")))?;
            print(&format!("{text}\n"))?;
        }
    }
    if report.complete { Ok(()) } else { Err(Failure::Interrupted) }
}

fn readable(report: &RunReport, took: Duration) -> String {
    let mut text = String::new();
    let records: u64 = report.sources.iter().map(|source| source.records).sum();
    let seconds = took.as_secs_f64();
    let rate = if seconds > 0.0 { records as f64 / seconds } else { 0.0 };
    let mut line = |line: String| text.push_str(&format!("{}\n", line.trim_end()));
    for source in &report.sources {
        let rejects = match source.rejects {
            0 => String::new(),
            count => format!(", {} could not be decoded", HumanCount(count)),
        };
        line(format!(
            "  {:<22} {:>13} records in{rejects}",
            source.id,
            HumanCount(source.records).to_string()
        ));
    }
    for (name, count) in report.outputs.iter().filter(|(_, count)| *count > 0) {
        line(format!("  {name:<22} {:>13}", HumanCount(*count).to_string()));
    }
    for (id, sink) in &report.sinks {
        let places = match sink.places.as_slice() {
            [] => String::new(),
            [only] => only.clone(),
            [first, .., last] => format!("{first} … {last} ({} places)", sink.places.len()),
        };
        let bytes = sink.bytes.map_or_else(String::new, |bytes| format!(", {}", HumanBytes(bytes)));
        line(format!(
            "  {id:<22} {:>13} rows written{bytes}  {places}",
            HumanCount(sink.rows).to_string()
        ));
    }
    if has_nothing_new(report) {
        line("  nothing new since the job was run to its end before".to_owned());
    }
    line(format!("  {seconds:.2} s, {} records a second", HumanCount(rate as u64)));
    text.truncate(text.trim_end().len());
    text
}

/// Tells whether a durable job had been run to its end before, and nothing has come since.
fn has_nothing_new(report: &RunReport) -> bool {
    let stood = report.resumed.as_ref().map(|resumed| resumed.checkpoint.max(resumed.journal));
    report.complete && stood.is_some_and(|stood| stood > 0 && stood == report.epochs)
}

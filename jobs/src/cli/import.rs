//! `tapeflow import`: foreign tick files into the archive, through the `file` source.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use dataflows::job::mistake::Mistake;
use serde_json::{Map, Value, json};

use crate::cli::Session;
use dataflows::driver::durable::Start;

use crate::cli::drive::Drive;
use crate::cli::failure::Failure;
use crate::cli::load::check;
use crate::cli::report::{Output, summarise};

/// Bring foreign tick files into the archive.
///
/// CSV, JSON, JSON lines and Parquet, told apart by their names. What cannot be read as a tick goes
/// to a file beside the archive, with its place and the reason; each import writes it anew.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Files, or patterns such as `ticks/*.csv`
    #[arg(required = true)]
    files: Vec<String>,
    /// The archive: a folder of Parquet files by day, source and instrument
    #[arg(long, default_value = "tapeflow-data/ticks")]
    to: String,
    /// The source, where the files do not say it
    #[arg(long)]
    source: Option<String>,
    /// The instrument, where the files do not say it
    #[arg(long)]
    instrument: Option<String>,
    /// Which of our fields is which column of theirs: `time=ts,bid=Bid` (names, or numbers from 0)
    #[arg(long, value_delimiter = ',', value_parser = pair)]
    columns: Vec<(String, String)>,
    /// Time zone of times that do not say theirs: an IANA name or an offset
    #[arg(long)]
    time_zone: Option<String>,
    /// Further settings of the `file` source: `delimiter=;` (`tapeflow components file` lists them)
    #[arg(long = "set", value_parser = pair)]
    settings: Vec<(String, String)>,
    /// How the summary looks
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// A number where the text is one, else the text.
fn scalar(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from),
    }
}

/// Nobody has written the job's text: its mistakes are told by their paths, not their lines.
fn by_path(failure: Failure) -> Failure {
    let Failure::Mistakes(found) = failure else { return failure };
    let tell = |mistake: &Mistake| {
        let path = mistake.path.trim_start_matches("sources.files.");
        let hint = mistake.hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"));
        format!("{path}: {}{hint}", mistake.message)
    };
    Failure::Usage(found.0.iter().map(tell).collect::<Vec<_>>().join("\nerror: "))
}

impl Import {
    pub(crate) fn call(self, session: &Session) -> Result<(), Failure> {
        let job = self.job();
        let text = serde_json::to_string_pretty(&job)
            .map_err(|error| Failure::Fault(format!("the import's job: {error}")))?;
        // JSON is YAML: the import is an ordinary job and is checked like one.
        let plan = check(&text, &PathBuf::from("import")).map_err(by_path)?;
        let started = Instant::now();
        let report = Drive { start: Start::Forgetful, ..Drive::default() }.run(&plan, session)?;
        summarise(report, started.elapsed(), self.output, &plan.secrets, session)
    }

    fn job(&self) -> Value {
        let mut source = Map::new();
        source.insert("type".to_owned(), json!("file"));
        source.insert("path".to_owned(), json!(self.files));
        let constants = [
            ("source", &self.source),
            ("instrument", &self.instrument),
            ("time_zone", &self.time_zone),
        ];
        for (key, value) in constants {
            if let Some(value) = value {
                source.insert(key.to_owned(), json!(value));
            }
        }
        if !self.columns.is_empty() {
            let columns: Map<String, Value> =
                self.columns.iter().map(|(ours, theirs)| (ours.clone(), scalar(theirs))).collect();
            source.insert("columns".to_owned(), Value::Object(columns));
        }
        source.extend(self.settings.iter().map(|(key, value)| (key.clone(), scalar(value))));
        let rejects = format!("{}-rejects.jsonl", self.to.trim_end_matches('/'));
        json!({
            "job": "import",
            "sources": { "files": source },
            "operators": { "clean": { "type": "clean", "input": "files" } },
            "sinks": {
                "archive": { "type": "archive", "input": "clean", "path": self.to },
                "rejects": {
                    "type": "file",
                    "input": ["files.dead", "clean.dead"],
                    "path": rejects,
                },
            },
        })
    }
}

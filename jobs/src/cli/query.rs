//! `tapeflow query`: SQL over a job's tables and archives.

use std::path::PathBuf;

use clap::Args;

use crate::cli::Session;
use crate::cli::failure::Failure;
use crate::cli::load::JobArgument;
use crate::query;

/// Ask a job's tables and archives in SQL.
///
/// Tables and Parquet archives go by the ids of their sinks in the job.
#[derive(Debug, Args)]
pub(crate) struct Query {
    #[command(flatten)]
    job: JobArgument,
    /// One statement that reads; without it, what can be asked is listed
    sql: Option<String>,
    /// How the result looks
    #[arg(long, value_enum, default_value_t = query::Format::Table)]
    output: query::Format,
    /// Write it into this file instead of stdout (needed for parquet)
    #[arg(long)]
    file: Option<PathBuf>,
    /// Parquet files to ask beside the job's: `name=path/or/pattern`
    #[arg(long = "parquet", value_name = "NAME=PATH")]
    parquet: Vec<String>,
    /// Where relative paths of the job start [default: the current folder]
    #[arg(long)]
    root: Option<PathBuf>,
}

//! `tapeflow query`: SQL over a job's tables and archives.

use std::path::PathBuf;

use clap::Args;

use crate::cli::Session;
use crate::cli::failure::{Failure, print};
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

impl Query {
    pub(crate) fn call(self, session: &Session) -> Result<(), Failure> {
        let plan = self.job.load()?;
        let root = match &self.root {
            Some(root) => root.clone(),
            None => std::env::current_dir()
                .map_err(|error| Failure::Fault(format!("the current folder: {error}")))?,
        };
        let refused = |fault| Failure::of(&fault, &plan.secrets);
        let mut tables = query::tables_of(&plan, &root).map_err(refused)?;
        for named in &self.parquet {
            let (name, path) = named
                .split_once('=')
                .ok_or_else(|| Failure::Usage(format!("--parquet {named}: expected NAME=PATH")))?;
            tables.push(query::Table::parquet(name, path, &root));
        }
        let Some(sql) = &self.sql else {
            let line = |table: &query::Table| {
                format!("{:<20} {:<9} {}\n", table.name(), table.kind(), table.place())
            };
            return print(&plan.secrets.redact(&tables.iter().map(line).collect::<String>()));
        };
        let mut stdout = std::io::stdout().lock();
        let file = self.file.as_deref();
        query::run(&tables, sql, self.output, &mut stdout, file, &session.stop).map_err(refused)?;
        Ok(())
    }
}

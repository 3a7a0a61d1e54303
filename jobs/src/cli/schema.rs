//! `tapeflow schema`: the JSON Schema of the job file.

use clap::Args;
use dataflows::job::schema::schema;

use crate::catalog::CATALOG;
use crate::cli::failure::{Failure, print};

/// Print the JSON Schema of the job file, for editors.
#[derive(Debug, Args)]
pub(crate) struct Schema {}

impl Schema {
    pub(crate) fn call(self) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(&schema(&CATALOG))
            .map_err(|error| Failure::Fault(format!("the schema: {error}")))?;
        print(&format!("{text}\n"))
    }
}

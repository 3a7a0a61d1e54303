//! `tapeflow graph`: a job as a picture.

use clap::{Args, ValueEnum};
use dataflows::job::graph;

use crate::cli::failure::{Failure, print};
use crate::cli::load::JobArgument;

/// Draw a job: Mermaid, DOT or SVG.
#[derive(Debug, Args)]
pub(crate) struct Graph {
    #[command(flatten)]
    job: JobArgument,
    /// What to draw with
    #[arg(long, value_enum, default_value_t = Format::Mermaid)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Mermaid, which Markdown viewers render
    Mermaid,
    /// Graphviz
    Dot,
    /// A picture by itself
    Svg,
}

impl Graph {
    pub(crate) fn call(self) -> Result<(), Failure> {
        let plan = self.job.load()?;
        let text = match self.format {
            Format::Mermaid => graph::mermaid::draw(&plan),
            Format::Dot => graph::dot::draw(&plan),
            Format::Svg => graph::svg::draw(&plan),
        };
        print(&text)
    }
}

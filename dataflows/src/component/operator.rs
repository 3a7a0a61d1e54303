//! The seam of operators.

use proto::series::SeriesTable;
use serde_json::Value;

use crate::component::source::Range;
use crate::component::{Definition, Output};
use crate::fault::Fault;
use crate::kind::Kind;
use crate::machine::AnyMachine;

/// What the engine tells an operator when it is built, once on every worker.
#[derive(Debug, Clone)]
pub struct OperatorContext {
    /// The id of the component in the job.
    pub id: String,
    /// Where relative paths (a calendar file) start.
    pub root: std::path::PathBuf,
    /// Names and numbers.
    pub series: SeriesTable,
    /// What its input carries.
    pub kind: Kind,
    /// Only results within this range are wanted: a backfill.
    pub range: Option<Range>,
    /// Per output, in the order of the numbers, whether anything reads it: what nobody reads need
    /// not be made. An output beyond the end of the list counts as read.
    pub used_outputs: Vec<bool>,
}

/// What a job may say about an operator: a pure function of its inputs, without clock, I/O or
/// chance.
pub trait OperatorDefinition: Definition {
    /// The kinds that its input may carry.
    fn takes(&self) -> &'static [Kind];
    /// Its outputs, in the order of the numbers that its machine emits to.
    fn outputs(&self) -> &'static [Output];
    /// Builds the machine of one worker.
    ///
    /// # Errors
    /// When the configuration (or a file that it names) does not allow it.
    fn build(&self, config: &Value, context: OperatorContext) -> Result<AnyMachine, Fault>;
}

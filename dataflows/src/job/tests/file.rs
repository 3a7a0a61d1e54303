//! What the key `tests` of a job file may look like. Steps are told apart by their keys in
//! [`super::check`]; here stands which keys there are.

use schemars::JsonSchema;
use serde_json::{Map, Value};

use crate::duration::Duration;

/// A test of the job: what is fed, what happens, what is expected.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used; the tree knows the places")]
pub(crate) struct TestFile {
    /// What it shows, in words; unique in the job.
    #[schemars(length(min = 1, max = 200))]
    name: String,
    /// Worker threads to start with.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 256))]
    workers: usize,
    /// What happens, one after the other.
    #[schemars(length(min = 1))]
    steps: Vec<StepFile>,
}

const fn one() -> usize {
    1
}

/// One step: `feed`, `epoch`, `advance`, `clock`, `checkpoint`, `crash`, `restart`, `end` or
/// `expect`, with what belongs to it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used; the tree knows the places")]
pub(crate) struct StepFile {
    /// The id of a source, which hands in `records` or those of a `file`. The epoch stays open.
    feed: Option<String>,
    /// With `feed`: records, each with the keys of its kind.
    records: Option<Vec<Map<String, Value>>>,
    /// With `feed`: a file of records.
    file: Option<String>,
    /// With `file`: how to read it, the configuration of the source `file`.
    with: Option<Map<String, Value>>,
    /// The epoch under way closes.
    epoch: Option<Nothing>,
    /// The job clock moves on by so much, and the epoch under way closes.
    advance: Option<Duration>,
    /// The job clock moves on to this time, and the epoch under way closes.
    clock: Option<String>,
    /// A checkpoint is taken.
    checkpoint: Option<Nothing>,
    /// The job dies as if it were killed: what was not durable is gone. It starts again.
    crash: Option<Nothing>,
    /// The job ends in good order, and starts again.
    restart: Option<RestartFile>,
    /// The input ends.
    end: Option<Nothing>,
    /// A port (`id`, `id.port`) of a source or operator, or the id of a sink: what came there since
    /// the last step that looked at it has to be `rows`.
    expect: Option<String>,
    /// With `expect`: the rows, in the order of their names and times. Only the keys that are
    /// given are compared; `[]`: nothing came.
    rows: Option<Vec<Map<String, Value>>>,
    /// With `expect`: the rows may stand in any order.
    unordered: Option<bool>,
}

/// Nothing more to say: `{}`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Nothing {}

/// How the job starts again.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used; the tree knows the places")]
struct RestartFile {
    /// Worker threads; as many as before if it is not given.
    #[schemars(range(min = 1, max = 256))]
    workers: Option<usize>,
}

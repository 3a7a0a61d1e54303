//! A tap: a sink's definition for a port that a test looks at.

use schemars::Schema;
use serde_json::Value;

use crate::component::Definition;
use crate::component::sink::{Guarantee, Sink, SinkContext, SinkDefinition};
use crate::fault::Fault;
use crate::kind::Kind;

/// The definition; who looks opens it.
pub(super) static TAP: Tap = Tap;

/// A sink in no catalog.
#[derive(Debug)]
pub(super) struct Tap;

impl Definition for Tap {
    fn name(&self) -> &'static str {
        "tap"
    }

    fn summary(&self) -> &'static str {
        "A port that a test looks at."
    }

    fn config(&self) -> Schema {
        Schema::default()
    }

    fn check(&self, _: &Value) -> Vec<(String, String)> {
        Vec::new()
    }
}

impl SinkDefinition for Tap {
    fn takes(&self) -> &'static [Kind] {
        Kind::ALL
    }

    fn guarantee(&self, _: &Value, _: Kind) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn open(&self, _: &Value, _: SinkContext) -> Result<Box<dyn Sink>, Fault> {
        Err(Fault::defect("a tap", "it was opened by its definition"))
    }
}

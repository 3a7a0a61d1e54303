//! A sink that only counts: what `--dry-run` puts in the place of every sink.

use dataflows::batch::Rows;
use dataflows::component::Definition;
use dataflows::component::sink::{
    Ending, Guarantee, Sealed, Sink, SinkContext, SinkDefinition, SinkReport,
};
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::moment::Epoch;
use serde_json::Value;

/// Counts rows; writes nothing. No job can name it.
#[derive(Debug)]
pub(crate) struct Count;

impl Definition for Count {
    fn name(&self) -> &'static str {
        "count"
    }
    fn summary(&self) -> &'static str {
        "Counts rows."
    }
    fn config(&self) -> schemars::Schema {
        schemars::Schema::default()
    }
    fn check(&self, _: &Value) -> Vec<(String, String)> {
        Vec::new()
    }
}

impl SinkDefinition for Count {
    fn takes(&self) -> &'static [Kind] {
        Kind::ALL
    }

    fn within(&self, config: &Value, _: &str) -> Option<Value> {
        Some(config.clone())
    }
    fn guarantee(&self, _: &Value, _: Kind) -> Guarantee {
        Guarantee::AtLeastOnce
    }
    fn replaces(&self) -> bool {
        true
    }
    fn open(&self, _: &Value, _: SinkContext) -> Result<Box<dyn Sink>, Fault> {
        Ok(Box::new(Counting(0)))
    }
}

struct Counting(u64);

impl Sink for Counting {
    fn applied(&mut self) -> Result<Option<Epoch>, Fault> {
        Ok(None)
    }
    fn apply(&mut self, sealed: Sealed) -> Result<(), Fault> {
        self.0 += sealed.runs.iter().map(|rows| Rows::len(rows) as u64).sum::<u64>();
        Ok(())
    }
    fn checkpoint(&mut self) -> Result<Vec<u8>, Fault> {
        Ok(Vec::new())
    }

    fn finish(&mut self, _: Ending) -> Result<SinkReport, Fault> {
        Ok(SinkReport { rows: self.0, ..SinkReport::default() })
    }
}

//! The catalog: every component that a job may name, handed to the engine by the front door.

use crate::component::Definition;
use crate::component::operator::OperatorDefinition;
use crate::component::sink::SinkDefinition;
use crate::component::source::SourceDefinition;

/// Three tables, one per room; each lists its components alphabetically.
#[derive(Debug, Clone, Copy)]
pub struct Catalog {
    /// What may stand under `sources:`.
    pub sources: &'static [&'static dyn SourceDefinition],
    /// What may stand under `operators:`.
    pub operators: &'static [&'static dyn OperatorDefinition],
    /// What may stand under `sinks:`.
    pub sinks: &'static [&'static dyn SinkDefinition],
}

impl Catalog {
    /// Finds a source by its word.
    pub fn source(&self, name: &str) -> Option<&'static dyn SourceDefinition> {
        self.sources.iter().copied().find(|definition| definition.name() == name)
    }

    /// Finds an operator by its word.
    pub fn operator(&self, name: &str) -> Option<&'static dyn OperatorDefinition> {
        self.operators.iter().copied().find(|definition| definition.name() == name)
    }

    /// Finds a sink by its word.
    pub fn sink(&self, name: &str) -> Option<&'static dyn SinkDefinition> {
        self.sinks.iter().copied().find(|definition| definition.name() == name)
    }

    /// Lists all, room by room: (room, definition).
    pub fn all(&self) -> Vec<(&'static str, &'static dyn Definition)> {
        let sources = self.sources.iter().map(|d| ("sources", *d as &dyn Definition));
        let operators = self.operators.iter().map(|d| ("operators", *d as &dyn Definition));
        let sinks = self.sinks.iter().map(|d| ("sinks", *d as &dyn Definition));
        sources.chain(operators).chain(sinks).collect()
    }
}

//! The catalog: one row per room.

use dataflows::catalog::Catalog;

/// Every component that a job may name.
pub const CATALOG: Catalog =
    Catalog { sources: sources::SOURCES, operators: operators::OPERATORS, sinks: sinks::SINKS };

//! What transforms streams: pure state machines, each over the records of one kind.
//!
//! An operator is one file or folder here: its configuration (which is its documentation), its
//! definition and its machine. It sees records, epochs and clock readings; it has no clock, no I/O
//! and no chance, and nothing it emits depends on how records were batched or shared out to workers.

pub mod calendar;
pub mod duration;
pub mod ohlcv;

use dataflows::component::operator::OperatorDefinition;

/// Every operator, alphabetically: what `type:` may say under `operators:`.
pub const OPERATORS: &[&dyn OperatorDefinition] = &[&ohlcv::Ohlcv];

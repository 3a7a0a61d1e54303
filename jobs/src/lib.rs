//! The front door: shipped jobs, catalog, command line.

pub mod query;

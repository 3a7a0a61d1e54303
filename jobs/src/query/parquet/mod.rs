//! Parquet datasets as tables: which files, which columns, which parts of them a query needs.

pub(super) mod cells;
pub(super) mod dataset;
pub(super) mod files;
pub(super) mod prune;
pub(super) mod scan;
pub(super) mod time_text;
pub(super) mod vtab;

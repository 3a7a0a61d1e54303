//! Layout of records in Arrow and Parquet: one place for files read, files written and queries.

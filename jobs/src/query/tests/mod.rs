//! Tests of the query engine, end to end.

//! What it costs: the real paths, measured beside a plain loop, the physical limit and peers, in one
//! run, as ratios.
//!
//! `cargo bench -p benches` runs what needs nothing else; `benches/compare.py` times whole processes
//! against DuckDB and Polars. Figures and how they were made: `docs/benchmarks.md`.

pub mod components;
pub mod market;
pub mod meter;

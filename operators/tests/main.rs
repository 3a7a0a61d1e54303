//! Promises of the operators, held against independent models and real data.

mod calendars;
mod naive;
mod oracles;
mod property;
mod real;
mod semantics;
mod support;

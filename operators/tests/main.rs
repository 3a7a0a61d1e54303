//! Promises of the operators, held against independent models and real data.

mod naive;
mod oracles;
mod property;
mod real;
mod support;

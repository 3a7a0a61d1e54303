//! Promises of the operators, held against independent models and real data.

mod naive;
mod property;
mod support;

//! The job file: what a user says ([`read`]), what is wrong with it ([`lint`]), and what it comes
//! to ([`plan`]).

mod conform;
mod edges;
pub mod graph;
pub mod heal;
pub mod lint;
pub mod mistake;
mod part;
pub mod plan;
pub mod promise;
pub mod read;
mod recheck;
pub mod reference;
pub mod run;
pub mod schema;
pub mod state;
pub mod suggest;
pub mod tests;
mod tree;
pub mod variables;
mod words;

//! The job file: what a user says ([`read`]), what is wrong with it ([`lint`]), and what it comes
//! to ([`plan`]).

pub mod plan;

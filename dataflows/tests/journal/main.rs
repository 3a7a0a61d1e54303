//! What is promised of the journal: what was reported durable comes back, nothing else does, and
//! damage is named.

mod basics;
mod common;
mod crashes;
mod damage;
mod files;

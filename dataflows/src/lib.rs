//! The engine: it reads a job file, checks it, wires it into a timely dataflow and drives it.
//!
//! It owns time (epochs and the job clock), the seams that components implement, keyed state and
//! the way of a record through the seven hops. It knows no component by name: the catalog is
//! handed to it by the front door.

pub mod batch;
pub mod catalog;
pub mod checkpoint;
pub mod clock;
pub mod codec;
pub mod component;
pub mod crash;
pub mod disk;
pub mod driver;
pub mod duration;
pub mod fault;
pub mod job;
pub mod journal;
pub mod kind;
pub mod lease;
pub mod machine;
pub mod moment;
pub mod order;
pub mod port;
pub mod simulate;
pub mod state;
pub mod store;
pub mod verdict;

//! Stand-ins for the world, with which a test can make happen what hardly ever happens: a disk that
//! tears, a clock that is moved, workers that take turns, and the engine stepped by hand.

pub mod clock;
pub mod disk;
pub mod script;
pub mod stepped;
pub mod store;

mod crew;
mod tap;

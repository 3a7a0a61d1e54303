//! Stand-ins for the world, with which a test can make happen what hardly ever happens.

pub mod disk;

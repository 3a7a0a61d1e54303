//! Copy trading without timely, clock or I/O: what a leader's signal becomes for each follower,
//! and how an order is brought to a venue. docs/copy-trading.md has the rules and their sources.

pub mod allocate;
pub mod bucket;
pub mod copier;
pub mod decide;
pub mod limits;
pub mod orders;
pub mod positions;
pub mod proportion;
pub mod signal;
pub mod stops;
pub mod world;

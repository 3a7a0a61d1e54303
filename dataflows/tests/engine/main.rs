//! The engine driven through fake components: what reaches a sink, and how a run ends.

mod driver;
mod fakes;

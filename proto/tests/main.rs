//! What holds for every record and every codec: one binary, because linking is slow.

mod examples;
mod golden;
mod malformed;
mod python;
mod round_trip;
mod strategies;

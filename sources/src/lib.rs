//! What brings records in: one file or folder per source, one row per source in [`SOURCES`].
//!
//! A source turns what it reads into checked [`proto::tick::Tick`]s in an order of its own, and
//! what it cannot read into rejects; it never waits without looking at `stop`, never holds more
//! than a bounded amount, and tells after each handful where it stands, so that it can be opened
//! again behind that point.

pub mod amqp;
pub mod archive;
pub mod columns;
pub mod file;
pub mod mqtt;
pub mod paths;
pub mod simulator;
#[cfg(test)]
mod testing;
pub mod time_zone;

use dataflows::component::Output;
use dataflows::component::source::SourceDefinition;
use dataflows::kind::Kind;

/// All sources, by name.
pub const SOURCES: &[&dyn SourceDefinition] =
    &[&amqp::Amqp, &archive::Archive, &file::File, &mqtt::Mqtt, &simulator::Simulator];

/// What every source of ticks gives.
const OUTPUTS: &[Output] = &[
    Output { name: "ticks", kind: Some(Kind::Ticks), about: "The ticks, in the source's order." },
    Output {
        name: "dead",
        kind: Some(Kind::Rejects),
        about: "Records that could not be read as ticks, each with its place and the reason.",
    },
];

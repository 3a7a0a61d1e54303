//! What takes records out: tables (SQLite and PostgreSQL), the Parquet archive, brokers, files and
//! the console.
//!
//! A sink is handed whole epochs and makes them durable; it decides nothing that a job computes.
//! It knows the engine's seams and `proto`, and neither sources nor operators.

pub mod amqp;
pub mod archive;
pub mod console;
pub mod file;
mod lines;
pub mod mqtt;
mod period;
mod replace;
pub mod table;
mod within;

use dataflows::component::sink::SinkDefinition;
use dataflows::order;

/// Every sink that a job may name, in the order of the alphabet.
pub const SINKS: &[&dyn SinkDefinition] =
    &[&amqp::Amqp, &archive::Archive, &console::Console, &file::File, &mqtt::Mqtt, &table::Table];

//! The shipped live jobs on real brokers and a real database, with independent clients on both sides.
//!
//! Needs RabbitMQ, Mosquitto and PostgreSQL on this machine, the real ticks, and a Python with
//! `pika`, `paho-mqtt`, `protobuf` and `duckdb`; without them it is skipped, and says so.

#[cfg(test)]
mod killed;
#[cfg(test)]
mod real_ticks;
#[cfg(test)]
mod support;

//! The shipped live jobs on real brokers and a real database, with independent clients on both sides.
//!
//! Needs RabbitMQ, Mosquitto and PostgreSQL on this machine, the real ticks, and a Python with
//! `pika`, `paho-mqtt`, `protobuf` and `duckdb`; without them it is skipped, and says so. What is
//! killed are servers of the tests' own.

#[cfg(test)]
mod faults;
#[cfg(test)]
mod killed;
#[cfg(test)]
#[path = "../common/link.rs"]
mod link;
#[cfg(test)]
mod links;
#[cfg(test)]
#[expect(dead_code, reason = "other tests configure it in more ways")]
#[path = "../common/mosquitto.rs"]
mod mosquitto;
#[cfg(test)]
mod names;
#[cfg(test)]
mod postgresql;
#[cfg(test)]
mod rabbitmq;
#[cfg(test)]
mod real_ticks;
#[cfg(test)]
mod stopped;
#[cfg(test)]
mod support;

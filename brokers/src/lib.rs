//! Brokers: what a source and a sink of the same broker share, so that neither has to know the
//! other. Connections that come back by themselves, TLS, topologies, topics, and the one runtime that all of
//! them live on.
//!
//! It knows no component and decides nothing about records: a connection that was lost, and chance
//! in how long to wait for the next one, never change what a job computes.

pub mod amqp;
pub mod backoff;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod identity;
pub mod key;
pub mod mqtt;
pub mod runtime;
pub mod tls;
pub mod topic;

//! MQTT 3.1.1 and 5 over TCP, TLS and WebSocket: connections that come back by themselves, at the
//! next broker of a list, under a stable client id.
//!
//! [`publisher`] and [`subscriber`] are what a sink and a source hold. Both live on a
//! connection's task ([`connection`]) that does nothing but poll; a connection that is lost is
//! thrown away with all its state and built anew under the next *generation*, so that no packet
//! id of one connection is ever used on another, and no defect of a client outlives it.

pub mod broker;
pub mod config;
pub mod message;
pub mod options;
pub mod publisher;
pub mod subscriber;

mod connection;
mod refusal;
mod tls;
mod wire;

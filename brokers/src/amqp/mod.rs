//! RabbitMQ (AMQP 0-9-1): what the source and the sink `amqp` share.
//!
//! A [`link::Link`] is one connection with one channel that comes back by itself: connection,
//! topology and consumer are built anew from nothing each time, so that there is one way to be
//! connected, at the start as after the hundredth loss. lapin's own recovery is not used: it keeps
//! what was declared once, and hides from us when delivery tags have lost their meaning.

pub mod address;
pub mod connect;
pub mod incoming;
pub mod link;
pub mod outgoing;
pub mod place;
pub mod refusal;
pub mod topology;

pub use lapin;

//! Watching a running job: metrics and health over HTTP.

pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod server;

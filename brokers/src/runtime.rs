//! The runtime that connections live on: one for the process, with one thread.
//!
//! Components block on threads of their own. What has to go on while they do, such as heartbeats,
//! acknowledgements and reading ahead, is done here.

use std::future::Future;
use std::sync::OnceLock;

use dataflows::fault::Fault;
use tokio::runtime::{Builder, Handle, Runtime};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Gives the handle of the runtime, which is started when it is first asked for.
///
/// # Errors
/// When the system gives no thread.
pub fn handle() -> Result<Handle, Fault> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime.handle().clone());
    }
    // For a broker's TLS, where no provider was chosen yet.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("brokers")
        .enable_all()
        .build()
        .map_err(|error| Fault::stop("a thread for connections", error))?;
    Ok(RUNTIME.get_or_init(|| runtime).handle().clone())
}

/// Waits for `future` on the calling thread, which must not be one of the runtime's own.
///
/// # Errors
/// When there is no runtime.
pub fn wait<F: Future>(future: F) -> Result<F::Output, Fault> {
    Ok(handle()?.block_on(future))
}

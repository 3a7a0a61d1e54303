//! The lease on running a job: taken, waited for, renewed and given back.
//!
//! The server's clock decides when it has run out, this process's own monotonic clock when it may not
//! be trusted any more: from the moment *before* it was last renewed. A process that was stopped, and so
//! could not renew it, finds that out before it writes anything.

mod postgres;
mod redis;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dataflows::fault::Fault;
use dataflows::job::plan::LeaseConfig;
use dataflows::lease::Lease;

/// How long a server may take for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How often a process that waits looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// A server that keeps leases.
trait Server: Send {
    /// Takes the lease of `job` for `holder`, if nobody has it, and gives its number; each one that is
    /// taken has a greater number than those before.
    fn take(&mut self, job: &str, holder: &str, ttl: Duration) -> Result<Option<u64>, String>;
    /// Makes it last for another `ttl`; false: somebody else has it.
    fn renew(&mut self, job: &str, holder: &str, ttl: Duration) -> Result<bool, String>;
    /// Gives it back, if it is still this holder's.
    fn give_back(&mut self, job: &str, holder: &str) -> Result<(), String>;
}

/// What the thread that renews and the run share.
struct Held {
    job: String,
    ttl: Duration,
    started: Instant,
    /// Milliseconds since `started` up to which the lease is sure to be ours.
    until: AtomicU64,
    is_taken: AtomicBool,
    is_over: Mutex<bool>,
    over: Condvar,
}

impl fmt::Debug for Held {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the lease on job {}", self.job)
    }
}

impl Held {
    fn extend(&self, from: Instant) {
        let until = from.saturating_duration_since(self.started) + self.ttl;
        self.until.store(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::Release);
    }
}

impl Lease for Held {
    fn check(&self) -> Result<(), Fault> {
        let now = self.started.elapsed().as_millis();
        let is_good = now < u128::from(self.until.load(Ordering::Acquire));
        if is_good && !self.is_taken.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(Fault::stop(
            format!("the lease on job {}", self.job),
            "it could not be renewed in time, another process may have taken over; nothing more is \
             written. Start again with --standby to wait for it",
        ))
    }
}

/// A lease that is held, and renewed until it is dropped.
pub(crate) struct Keeper {
    held: Arc<Held>,
    renewing: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Takes the lease; waits for it with `waits`, until `stop` is set.
    ///
    /// # Errors
    /// When somebody else has it (without `waits`), the server cannot be reached, or `stop` was set.
    pub(crate) fn take(
        config: &LeaseConfig,
        job: &str,
        waits: bool,
        stop: &AtomicBool,
    ) -> Result<Self, Fault> {
        let fault = |what: String| Fault::stop(format!("the lease on job {job}"), what);
        let mut server = server(config).map_err(fault)?;
        let holder = holder();
        let mut is_told = false;
        let (from, number) = loop {
            let from = Instant::now();
            match server.take(job, &holder, config.ttl) {
                Ok(Some(number)) => break (from, number),
                Ok(None) if !waits => {
                    return Err(fault(
                        "another process has it; stop that one, or wait for it with --standby"
                            .to_owned(),
                    ));
                }
                Ok(None) if !is_told => {
                    is_told = true;
                    tracing::info!(job, "standing by: another process runs the job");
                }
                Ok(None) => {}
                Err(what) if !waits => return Err(fault(what)),
                Err(what) => {
                    tracing::warn!(job, "the lease could not be asked for: {what}");
                }
            }
            if pause(config.ttl / 5, stop) {
                return Err(Fault::Interrupted);
            }
        };
        tracing::info!(job, number, "the lease is taken");
        let held = Arc::new(Held {
            job: job.to_owned(),
            ttl: config.ttl,
            started: from,
            until: AtomicU64::new(0),
            is_taken: AtomicBool::new(false),
            is_over: Mutex::new(false),
            over: Condvar::new(),
        });
        held.extend(from);
        let shared = held.clone();
        let renewing = thread::Builder::new()
            .name("lease".to_owned())
            .spawn(move || renew(&shared, server, &holder))
            .map_err(|error| fault(error.to_string()))?;
        Ok(Self { held, renewing: Some(renewing) })
    }

    /// What a run asks before it writes.
    pub(crate) fn lease(&self) -> Arc<dyn Lease> {
        self.held.clone()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        *self.held.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.held.over.notify_all();
        if let Some(renewing) = self.renewing.take()
            && renewing.join().is_err()
        {
            tracing::warn!("the thread that renewed the lease panicked");
        }
    }
}

/// Renews three times within the lease's time, until it is over or somebody else has it.
fn renew(held: &Held, mut server: Box<dyn Server>, holder: &str) {
    let mut is_over = held.is_over.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let waited = held.over.wait_timeout_while(is_over, held.ttl / 3, |is_over| !*is_over);
        is_over = waited.unwrap_or_else(PoisonError::into_inner).0;
        if *is_over {
            break;
        }
        drop(is_over);
        let from = Instant::now();
        match server.renew(&held.job, holder, held.ttl) {
            Ok(true) => held.extend(from),
            Ok(false) => {
                held.is_taken.store(true, Ordering::Release);
                tracing::error!(job = held.job, "another process has taken the lease");
                return;
            }
            Err(what) => tracing::warn!(job = held.job, "the lease was not renewed: {what}"),
        }
        is_over = held.is_over.lock().unwrap_or_else(PoisonError::into_inner);
    }
    if let Err(what) = server.give_back(&held.job, holder) {
        tracing::warn!(job = held.job, "the lease was not given back and has to run out: {what}");
    }
}

fn server(config: &LeaseConfig) -> Result<Box<dyn Server>, String> {
    let scheme = config.url.split_once("://").map_or("", |(scheme, _)| scheme);
    match scheme {
        "postgres" | "postgresql" => Ok(Box::new(postgres::Postgres::new(&config.url)?)),
        "redis" | "rediss" => Ok(Box::new(redis::Redis::new(&config.url)?)),
        _ => Err("`run.lease.url`: expected postgres://… or redis://…".to_owned()),
    }
}

/// Names this process: a name that no other one has, also not after a restart of the machine.
fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{} {} {:016x}", host.trim(), std::process::id(), fastrand::u64(..))
}

/// Waits; true: `stop` was set.
fn pause(long: Duration, stop: &AtomicBool) -> bool {
    let until = Instant::now() + long;
    while Instant::now() < until {
        if stop.load(Ordering::Relaxed) {
            return true;
        }
        thread::sleep(LOOK.min(long));
    }
    stop.load(Ordering::Relaxed)
}

//! Crash points: named places at which a test build can be told to die as if by SIGKILL.
//!
//! What a crash leaves behind decides whether anything is lost or counted twice, so every step
//! that makes something durable has a point before and after it. In a release build they are
//! nothing at all.

/// Every point, in the order in which an epoch meets them.
pub const POINTS: &[&str] = &[
    "journal.before_write",
    "journal.after_write",
    "journal.before_sync",
    "journal.after_sync",
    "journal.before_create",
    "journal.after_create",
    "journal.before_forget",
    "sink.before_apply",
    "sink.after_apply",
    "table.before_commit",
    "table.after_commit",
    "archive.before_footer",
    "archive.after_footer",
    "archive.before_decide",
    "archive.after_decide",
    "archive.before_rename",
    "archive.after_rename",
    "archive.before_spool_sync",
    "archive.after_spool_sync",
    "file.before_sync",
    "file.after_sync",
    "file.before_rename",
    "sink.before_checkpoint",
    "sink.after_checkpoint",
    "checkpoint.before_snapshot",
    "checkpoint.after_snapshot",
    "checkpoint.before_manifest",
    "checkpoint.after_manifest",
    "checkpoint.before_record",
    "checkpoint.after_record",
    "source.before_ack",
    "source.after_ack",
    "recovery.before_start",
    "recovery.after_restore",
    "recovery.before_begin",
    "recovery.after_begin",
    "dlq.before_removal",
];

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: OnceLock<(String, AtomicU64)> = OnceLock::new();

    /// Arms `point`: the process aborts when it is met for the `count`th time. Once per process.
    ///
    /// # Errors
    /// When there is no such point, or one is armed already.
    pub fn arm(point: &str, count: u64) -> Result<(), String> {
        if !super::POINTS.contains(&point) {
            return Err(format!("no crash point `{point}`; expected one of {:?}", super::POINTS));
        }
        let armed = ARMED.set((point.to_owned(), AtomicU64::new(count.max(1))));
        armed.map_err(|_| "a crash point is armed already".to_owned())
    }

    /// Dies here if this point is armed and its turn has come. No destructor runs, nothing that is
    /// buffered is written.
    pub fn point(name: &str) {
        debug_assert!(super::POINTS.contains(&name), "crash point `{name}` is not in the list");
        if let Some((armed, left)) = ARMED.get()
            && armed == name
            && left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            std::process::abort();
        }
    }
}

#[cfg(debug_assertions)]
pub use armed::{arm, point};

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline]
pub const fn point(_name: &str) {}

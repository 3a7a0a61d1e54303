//! The job's write-ahead log: what every epoch was cut from, durable before any sink is handed it.
//!
//! A journal is a folder of segments, `{first epoch}.journal`. A segment is a line with the format's
//! version, a header, and blocks; see [`block`] for the bytes. Each block's checksum covers the
//! checksum of the block before it, and each segment's header names the last entry of the segment
//! before it, so that nothing can be changed, swapped, repeated or taken out of the middle without
//! being noticed. What was never reported durable may be torn by a crash; [`recover`] cuts it off.

mod block;
mod entry;
mod recover;
mod segment;
mod tail;
mod writer;

pub use entry::{Entry, Header, Item};
pub use recover::{look, recover};
pub use tail::{Entries, Tail};
pub use writer::Writer;

use std::sync::Arc;

use crate::disk::Disk;
use crate::fault::Fault;
use crate::moment::Epoch;

/// Checks every segment of the journal of `job`, also those that a start would not read, and
/// changes nothing.
///
/// # Errors
/// As those of [`recover`].
pub fn look_whole(disk: &Arc<dyn Disk>, job: &str) -> Result<Tail, Fault> {
    let first = segment::list(disk.as_ref())?.first().map_or(1, |segment| segment.first);
    look(disk, job, first.saturating_sub(1))
}

/// Names the segment that is gone where no segment goes on behind a checkpoint of epoch `base`, nor
/// ends with it: the one that began with epoch `known`, as the log of checkpoints has it.
///
/// # Errors
/// When the folder cannot be read.
pub fn missing(
    disk: &dyn Disk,
    base: Epoch,
    known: Option<Epoch>,
) -> Result<Option<String>, Fault> {
    let is_there = |first: Epoch| first <= base.saturating_add(1);
    if base == 0 || segment::list(disk)?.iter().any(|segment| is_there(segment.first)) {
        return Ok(None);
    }
    let gone = known.map(|first| disk.place(&segment::Segment::new(first).name));
    Ok(gone.map(|gone| format!("{gone}: the segment is missing")))
}

/// Takes the segment that is written to away from whoever still has it open: what a process writes that
/// was replaced while it slept goes nowhere.
///
/// # Errors
/// When it cannot be copied.
pub fn detach(disk: &Arc<dyn Disk>) -> Result<(), Fault> {
    let newest = segment::list(disk.as_ref())?.pop();
    newest.map_or(Ok(()), |segment| disk.detach(&segment.name))
}

/// Removes every segment: for a start that shall remember nothing. Gives how many there were.
///
/// # Errors
/// When one cannot be removed; calling it again goes on.
pub fn clear(disk: &Arc<dyn Disk>) -> Result<usize, Fault> {
    let segments = segment::list(disk.as_ref())?;
    // Backwards, so that what a crash leaves is never a journal with its beginning torn off.
    for segment in segments.iter().rev() {
        disk.remove(&segment.name)?;
    }
    disk.sync_folder()?;
    Ok(segments.len())
}

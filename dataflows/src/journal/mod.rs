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

//! Checkpoints: what a job is after an epoch, written so that it can go on from there.
//!
//! In the [store](crate::store) of a job stand
//!
//! ```text
//! packs/{epoch}-{generation}-{n}.pack      states, many in one object; never changed
//! manifests/{epoch}-{generation}.json      what belongs to one checkpoint, with checksums
//! records/{number}.json                    the log: starts of the job, and its checkpoints
//! ```
//!
//! Packs are written first, then the manifest, then the record, which is created under the next
//! number only if nobody has created it: the log is what decides that a checkpoint is there, and
//! who may write the next one. A start of the job is a record, too, so that whoever wrote before it
//! finds the number taken and learns that it was replaced.

pub mod gather;
pub mod log;
pub mod manifest;
pub mod prune;
pub mod read;
pub mod write;

/// The version of packs, manifests and records that is written here.
pub const FORMAT: u32 = 1;

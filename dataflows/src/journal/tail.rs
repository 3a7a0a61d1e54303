//! What recovery found behind a checkpoint, and the reading of it.

use std::sync::Arc;

use super::block::Kind;
use super::entry::{Entry, Header};
use super::segment::{Link, Segment, Unreadable, Walk, refuse};
use super::writer::End;
use crate::disk::Disk;
use crate::fault::Fault;
use crate::moment::Epoch;

/// The part of a journal behind a checkpoint: checked, its torn end cut off.
#[derive(Debug, Clone)]
pub struct Tail {
    /// The last epoch; all from the one after the checkpoint's up to it are there and good.
    /// None: there is none.
    pub last: Option<Epoch>,
    /// What was found and repaired, for the log.
    pub warnings: Vec<String>,
    /// The journal ends before the checkpoint, or is gone. As the checkpoint was made after its
    /// epoch was durable here, files were lost, and entries behind it may have been among them.
    pub is_short: bool,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) job: String,
    /// The checkpoint's epoch.
    pub(super) base: Epoch,
    /// All segments, also those that were not read.
    pub(super) kept: Vec<Segment>,
    /// Those that hold entries behind the checkpoint.
    pub(super) read: Vec<Segment>,
    /// The last entry, and where its segment ends.
    pub(super) end: Option<(Link, End)>,
}

impl Tail {
    /// Gives the entries behind the checkpoint, in order, each with the header of its segment. Holds
    /// one segment in memory at a time.
    pub fn entries(&self) -> Entries {
        Entries {
            disk: self.disk.clone(),
            job: self.job.clone(),
            next: self.base.saturating_add(1),
            last: self.last.unwrap_or(0),
            segments: self.read.clone().into_iter(),
            current: None,
        }
    }
}

/// The entries of a [`Tail`]. Ends after the first error.
#[derive(Debug)]
pub struct Entries {
    disk: Arc<dyn Disk>,
    job: String,
    /// The epoch that comes next.
    next: Epoch,
    last: Epoch,
    segments: std::vec::IntoIter<Segment>,
    current: Option<(Segment, Walk)>,
}

impl Entries {
    fn read(&mut self) -> Result<(Arc<Header>, Entry), Fault> {
        loop {
            let Some((segment, walk)) = &mut self.current else {
                self.current = Some(self.open()?);
                continue;
            };
            let (offset, header) = (walk.offset, walk.header.clone());
            let refuse = |what: String| refuse(self.disk.as_ref(), &segment.name, offset, what);
            let Some(block) = walk.next().map_err(refuse)? else {
                self.current = None;
                continue;
            };
            if block.head.kind != Kind::Entry {
                continue;
            }
            let entry: Entry = postcard::from_bytes(block.payload)
                .map_err(|error| refuse(format!("the entry cannot be decoded: {error}")))?;
            if entry.epoch < self.next {
                continue; // before the checkpoint
            }
            if entry.epoch != self.next {
                let what = format!("expected epoch {}, found {}", self.next, entry.epoch);
                return Err(refuse(what));
            }
            self.next += 1;
            return Ok((header, entry));
        }
    }

    fn open(&mut self) -> Result<(Segment, Walk), Fault> {
        let Some(segment) = self.segments.next() else {
            let what = format!("epoch {} is gone since the journal was checked", self.next);
            return Err(Fault::stop(self.disk.place(""), what));
        };
        let bytes = self.disk.read(&segment.name)?;
        match Walk::new(bytes, &segment, &self.job) {
            Ok(walk) => Ok((segment, walk)),
            Err(Unreadable::Broken(what) | Unreadable::Foreign(what)) => {
                Err(refuse(self.disk.as_ref(), &segment.name, 0, what))
            }
        }
    }
}

impl Iterator for Entries {
    type Item = Result<(Arc<Header>, Entry), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next > self.last {
            return None;
        }
        let result = self.read();
        if result.is_err() {
            self.last = 0;
        }
        Some(result)
    }
}

//! A segment: its name, its header, and the walk over its blocks.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::block::{self, Block, Kind};
use super::entry::Header;
use crate::disk::Disk;
use crate::fault::Fault;
use crate::moment::Epoch;

/// How a segment begins; the version stands behind it.
const MAGIC: &str = "tapeflow journal ";
/// The version of the format.
const VERSION: &str = "1";
const SUFFIX: &str = ".journal";

/// A segment, as its name tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) first: Epoch,
}

impl Segment {
    pub(super) fn new(first: Epoch) -> Self {
        Self { name: format!("{first:020}{SUFFIX}"), first }
    }
}

/// Gives the segments of a folder, by epoch.
pub(super) fn list(disk: &dyn Disk) -> Result<Vec<Segment>, Fault> {
    let mut segments: Vec<Segment> = disk
        .list()?
        .iter()
        .filter_map(|name| {
            let segment = Segment::new(name.strip_suffix(SUFFIX)?.parse().ok()?);
            (segment.name == *name).then_some(segment)
        })
        .collect();
    segments.sort_unstable_by_key(|segment| segment.first);
    Ok(segments)
}

/// An entry and the checksum of its block: what may be written behind it, and behind nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    pub(super) epoch: Epoch,
    pub(super) crc: u32,
}

/// What stands before the blocks of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Opening {
    pub(super) header: Header,
    pub(super) first: Epoch,
    /// The last entry of the segment before; none: there was none to go on from.
    pub(super) behind: Option<Link>,
}

impl Opening {
    /// Appends its bytes and gives their checksum, which the first block names.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<u32, String> {
        let payload = postcard::to_allocvec(self).map_err(|error| error.to_string())?;
        let length = u32::try_from(payload.len()).map_err(|error| error.to_string())?;
        out.extend_from_slice(format!("{MAGIC}{VERSION}\n").as_bytes());
        out.extend_from_slice(&length.to_le_bytes());
        let crc = checksum(&payload);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&payload);
        Ok(crc)
    }
}

/// The line and the length need no checksum: there is one line only, and another length is another
/// payload.
fn checksum(payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(b"tapeflow segment");
    hasher.update(payload);
    hasher.finalize()
}

/// Why a header could not be read.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// It is not what was written, or not all of it.
    Broken(String),
    /// It is whole, and cannot be used.
    Foreign(String),
}

/// What a header says, its checksum, and where the blocks begin.
fn read_opening(bytes: &[u8]) -> Result<(Opening, u32, usize), Unreadable> {
    let broken = |what: &str| Unreadable::Broken(what.to_owned());
    let rest = bytes.strip_prefix(MAGIC.as_bytes());
    let rest = rest.ok_or_else(|| broken("expected a segment of a journal"))?;
    let line = rest.iter().take(20).position(|byte| *byte == b'\n');
    let version = line.and_then(|end| rest.get(..end)).unwrap_or_default();
    if version.is_empty() || !version.iter().all(u8::is_ascii_digit) {
        return Err(broken("expected the version of the format"));
    }
    if version != VERSION.as_bytes() {
        let found = String::from_utf8_lossy(version);
        let what = format!("it is of format version {found}; expected version {VERSION}");
        return Err(Unreadable::Foreign(what));
    }
    let at = MAGIC.len() + version.len() + 1;
    let torn = || broken("the header is torn");
    let word = |at: usize| -> Option<u32> {
        Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    };
    let length = word(at).ok_or_else(torn)? as usize;
    let crc = word(at + 4).ok_or_else(torn)?;
    let end = (at + 8).checked_add(length).ok_or_else(torn)?;
    let payload = bytes.get(at + 8..end).ok_or_else(torn)?;
    let found = checksum(payload);
    if found != crc {
        let what = format!("expected a header with checksum {crc:08x}, found {found:08x}");
        return Err(Unreadable::Broken(what));
    }
    let opening = postcard::from_bytes(payload)
        .map_err(|error| Unreadable::Foreign(format!("the header cannot be decoded: {error}")))?;
    Ok((opening, crc, end))
}

/// A walk over the blocks of a segment, checking that each was written behind the one before.
#[derive(Debug)]
pub(super) struct Walk {
    bytes: Vec<u8>,
    pub(super) header: Arc<Header>,
    pub(super) behind: Option<Link>,
    pub(super) marker: u32,
    /// Where the next block begins: all before is good.
    pub(super) offset: usize,
    /// The checksum of the last good block.
    pub(super) crc: u32,
    /// The last good block was a [`Kind::Next`].
    pub(super) has_next: bool,
}

impl Walk {
    /// Tells whether a header can be read.
    pub(super) fn check(bytes: &[u8]) -> Result<(), Unreadable> {
        read_opening(bytes).map(|_| ())
    }

    /// Begins a walk behind the header.
    pub(super) fn new(bytes: Vec<u8>, segment: &Segment, job: &str) -> Result<Self, Unreadable> {
        let (opening, crc, offset) = read_opening(&bytes)?;
        let Opening { header, first, behind } = opening;
        if header.job != job {
            let what = format!("it is of job `{}`; expected job `{job}`", header.job);
            return Err(Unreadable::Foreign(what));
        }
        if first != segment.first {
            let what = format!("it begins with epoch {first}; expected {}", segment.first);
            return Err(Unreadable::Foreign(what));
        }
        let marker = block::marker(job, first);
        let header = Arc::new(header);
        Ok(Self { bytes, header, behind, marker, offset, crc, has_next: false })
    }

    /// Gives the next block; none at the end of the file, or says what is wrong with it.
    pub(super) fn next(&mut self) -> Result<Option<Block<'_>>, String> {
        if self.offset == self.bytes.len() {
            return Ok(None);
        }
        let block = block::read(&self.bytes, self.offset, self.marker)?;
        if block.head.previous != self.crc {
            return Err(format!(
                "expected a block behind the one with checksum {:08x}, found one behind {:08x}",
                self.crc, block.head.previous
            ));
        }
        if self.has_next {
            return Err("expected the end of the file".to_owned());
        }
        self.offset += block.len();
        self.crc = block.crc;
        self.has_next = block.head.kind == Kind::Next;
        Ok(Some(block))
    }

    /// Tells where behind the end of the walk a block proves that all was durable once.
    pub(super) fn sealed_behind(&self) -> Option<usize> {
        block::find_sealed_behind(&self.bytes, self.offset, self.marker)
    }

    /// Counts the bytes of the file.
    pub(super) const fn total(&self) -> usize {
        self.bytes.len()
    }
}

/// Tells whether a file whose header cannot be read was durable once.
pub(super) fn was_sealed(bytes: &[u8], segment: &Segment, job: &str) -> bool {
    block::find_sealed_behind(bytes, 0, block::marker(job, segment.first)).is_some()
}

/// Makes the fault of a journal that cannot be gone on from.
pub(super) fn refuse(disk: &dyn Disk, name: &str, offset: usize, what: impl ToString) -> Fault {
    let what = what.to_string();
    Fault::stop(
        disk.place(name),
        format_args!("at byte {offset}: {what}; restore the file, or start over with --fresh"),
    )
}

//! The writing end of the journal.

use std::collections::VecDeque;
use std::sync::Arc;

use super::block::{self, HEAD, Head, Kind};
use super::entry::{Entry, Header};
use super::segment::{Link, Opening, Segment};
use super::tail::Tail;
use crate::crash;
use crate::disk::{Append, Disk};
use crate::fault::Fault;
use crate::moment::Epoch;

/// Writes entries behind one another. After any error it refuses everything: what is in the
/// journal then is for [`recover`](super::recover) to find out.
#[derive(Debug)]
pub struct Writer {
    disk: Arc<dyn Disk>,
    header: Header,
    segment_bytes: u64,
    /// The epoch that comes next.
    next: Epoch,
    /// The last epoch that is durable.
    durable: Epoch,
    /// The last entry that was appended.
    behind: Option<Link>,
    /// What was appended and is not written yet.
    buffer: Vec<u8>,
    under_way: Option<UnderWay>,
    /// The segment before the one under way, until it was told.
    predecessor: Option<End>,
    /// The segments that are there, by epoch.
    kept: VecDeque<Segment>,
    is_poisoned: bool,
}

/// Where a segment ends.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) segment: Segment,
    pub(super) marker: u32,
    /// The checksum of its last block.
    pub(super) crc: u32,
    /// Its bytes.
    pub(super) length: u64,
}

/// The segment that is written to.
#[derive(Debug)]
struct UnderWay {
    end: End,
    /// None: it is to be created.
    file: Option<Box<dyn Append>>,
    /// How many of its bytes are durable.
    sealed: u64,
}

impl Writer {
    /// Begins a journal, with epoch 1, in a folder without one. The first segment is created with
    /// the first entry. A segment takes entries until it has `segment_bytes`.
    pub fn create(disk: Arc<dyn Disk>, header: Header, segment_bytes: u64) -> Self {
        Self {
            disk,
            header,
            segment_bytes,
            next: 1,
            durable: 0,
            behind: None,
            buffer: Vec::new(),
            under_way: None,
            predecessor: None,
            kept: VecDeque::new(),
            is_poisoned: false,
        }
    }

    /// Goes on in a new segment behind what was recovered: with the epoch after its last, or,
    /// where there is none, with the one after the checkpoint's.
    pub fn behind(disk: Arc<dyn Disk>, header: Header, tail: &Tail, segment_bytes: u64) -> Self {
        let durable = tail.last.unwrap_or(tail.base);
        let end = tail.end.as_ref().filter(|(link, _)| link.epoch == durable);
        Self {
            next: durable.saturating_add(1),
            durable,
            behind: end.map(|(link, _)| *link),
            predecessor: end.map(|(_, end)| end.clone()),
            kept: tail.kept.iter().cloned().collect(),
            ..Self::create(disk, header, segment_bytes)
        }
    }

    /// Takes an entry into a buffer.
    ///
    /// # Errors
    /// [`Fault::Defect`] when it is not of the epoch after the last one.
    pub fn append(&mut self, entry: &Entry) -> Result<(), Fault> {
        self.check()?;
        if entry.epoch != self.next {
            let what = format!("epoch {} is appended; expected {}", entry.epoch, self.next);
            return Err(Fault::defect("the journal", what));
        }
        let result = self.encode(entry);
        self.is_poisoned = result.is_err();
        result
    }

    fn encode(&mut self, entry: &Entry) -> Result<(), Fault> {
        let defect = |error: String| Fault::defect("the journal", error);
        let mut under_way = match self.under_way.take() {
            Some(under_way)
                if !self.buffer.is_empty() || under_way.end.length < self.segment_bytes =>
            {
                under_way
            }
            full => {
                self.predecessor = full.map(|full| full.end).or(self.predecessor.take());
                self.begin_segment(entry.epoch).map_err(defect)?
            }
        };
        let start = block::begin(
            Head {
                marker: under_way.end.marker,
                kind: Kind::Entry,
                sealed: under_way.sealed,
                previous: under_way.end.crc,
            },
            &mut self.buffer,
        );
        postcard::to_io(entry, &mut self.buffer).map_err(|error| defect(error.to_string()))?;
        let crc = block::finish(start, &mut self.buffer)
            .ok_or_else(|| defect(format!("epoch {} is greater than 4 GiB", entry.epoch)))?;
        under_way.end.crc = crc;
        self.under_way = Some(under_way);
        self.behind = Some(Link { epoch: entry.epoch, crc });
        self.next += 1;
        Ok(())
    }

    fn begin_segment(&mut self, first: Epoch) -> Result<UnderWay, String> {
        let opening = Opening { header: self.header.clone(), first, behind: self.behind };
        let crc = opening.write(&mut self.buffer)?;
        let marker = block::marker(&self.header.job, first);
        let end = End { segment: Segment::new(first), marker, crc, length: 0 };
        Ok(UnderWay { end, file: None, sealed: 0 })
    }

    /// Writes what was appended and makes it durable. Gives the last epoch that is durable, also
    /// when there was nothing to write.
    ///
    /// # Errors
    /// When it cannot be written or made durable. That is never tried again.
    pub fn sync(&mut self) -> Result<Epoch, Fault> {
        self.check()?;
        if self.buffer.is_empty() {
            return Ok(self.durable);
        }
        let result = self.write();
        self.is_poisoned = result.is_err();
        result?;
        self.durable = self.next - 1;
        Ok(self.durable)
    }

    fn write(&mut self) -> Result<(), Fault> {
        let nothing = || Fault::defect("the journal", "there is no segment to write to");
        let UnderWay { end, file, sealed } = self.under_way.as_mut().ok_or_else(nothing)?;
        if file.is_none() {
            crash::point("journal.before_create");
            *file = Some(self.disk.create(&end.segment.name)?);
            self.kept.push_back(end.segment.clone());
            self.disk.sync_folder()?;
            crash::point("journal.after_create");
        }
        let file = file.as_mut().ok_or_else(nothing)?;
        crash::point("journal.before_write");
        file.append(&self.buffer)?;
        crash::point("journal.after_write");
        crash::point("journal.before_sync");
        file.sync()?;
        crash::point("journal.after_sync");
        end.length += self.buffer.len() as u64;
        *sealed = end.length;
        self.buffer.clear();
        seal(end, Kind::Seal, file.as_mut())?;
        if let Some(mut before) = self.predecessor.take() {
            let mut file = self.disk.reopen(&before.segment.name)?;
            seal(&mut before, Kind::Next, file.as_mut())?;
            file.sync()?;
        }
        Ok(())
    }

    /// Removes the segments all of whose entries are of epochs before `epoch`, but never the one
    /// under way nor the newest. Gives how many.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn forget_below(&mut self, epoch: Epoch) -> Result<usize, Fault> {
        self.check()?;
        let mut removed = 0;
        while let (Some(oldest), Some(second)) = (self.kept.front(), self.kept.get(1))
            && second.first <= epoch
        {
            crash::point("journal.before_forget");
            self.disk.remove(&oldest.name)?;
            self.kept.pop_front();
            removed += 1;
        }
        if removed > 0 {
            self.disk.sync_folder()?;
        }
        Ok(removed)
    }

    /// Counts the bytes that were appended and wait to be written.
    pub fn pending(&self) -> u64 {
        self.buffer.len() as u64
    }

    fn check(&self) -> Result<(), Fault> {
        if self.is_poisoned {
            let place = self.under_way.as_ref().map_or_else(
                || "the journal".to_owned(),
                |under_way| self.disk.place(&under_way.end.segment.name),
            );
            return Err(Fault::stop(place, "it is not written to any more after an error"));
        }
        Ok(())
    }
}

/// Appends a block that says that all before it is durable.
fn seal(end: &mut End, kind: Kind, file: &mut dyn Append) -> Result<(), Fault> {
    let head = Head { marker: end.marker, kind, sealed: end.length, previous: end.crc };
    let mut bytes = Vec::with_capacity(HEAD);
    let start = block::begin(head, &mut bytes);
    end.crc = block::finish(start, &mut bytes).unwrap_or_default();
    file.append(&bytes)?;
    end.length += bytes.len() as u64;
    Ok(())
}

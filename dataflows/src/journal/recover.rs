//! Recovery: which entries behind a checkpoint are there, and whether all of them are good.
//!
//! First everything is read and judged, then the torn end is cut off. A journal that is refused
//! is left as it was found.

use std::sync::Arc;

use super::block::Kind;
use super::segment::{Link, Segment, Unreadable, Walk, list, refuse, was_sealed};
use super::tail::Tail;
use super::writer::End;
use crate::disk::Disk;
use crate::fault::Fault;
use crate::moment::Epoch;

/// A segment with a good header, read to its end or to the first block that is not good.
#[derive(Debug)]
struct Scan {
    segment: Segment,
    behind: Option<Link>,
    /// The last entry.
    last: Option<Link>,
    /// Where the good blocks end.
    end: End,
    has_next: bool,
    flaw: Option<Flaw>,
}

/// A block that is not good.
#[derive(Debug)]
struct Flaw {
    what: String,
    /// How many bytes there are from it to the end of the file.
    bytes: usize,
    /// Where a block behind it proves that it was durable once.
    sealed: Option<usize>,
}

impl Scan {
    const fn next_epoch(&self) -> Epoch {
        match self.last {
            Some(link) => link.epoch.saturating_add(1),
            None => self.segment.first,
        }
    }

    const fn good(&self) -> usize {
        self.end.length as usize
    }
}

/// What becomes of a segment.
#[derive(Debug, PartialEq, Eq)]
enum Repair {
    Cut { name: String, length: u64 },
    Remove { name: String },
}

struct Recovery<'a> {
    disk: &'a dyn Disk,
    job: &'a str,
    base: Epoch,
    scans: Vec<Scan>,
    repairs: Vec<Repair>,
    warnings: Vec<String>,
}

/// Checks the journal of `job` behind the checkpoint of epoch `base` (0: there is none), cuts off
/// what a crash has left torn at its end, and makes the rest durable. Segments whose entries are
/// all before the checkpoint are not read.
///
/// # Errors
/// When anything is damaged, missing or foreign that was whole once, or the disk fails; says
/// which file, where and what to do. The files are as they were, then.
pub fn recover(disk: &Arc<dyn Disk>, job: &str, base: Epoch) -> Result<Tail, Fault> {
    judge(disk, job, base, true)
}

/// Checks the journal as [`recover`] does, and changes nothing: what a crash has left torn is not
/// part of what is given, and is named in the warnings.
///
/// # Errors
/// As those of [`recover`].
pub fn look(disk: &Arc<dyn Disk>, job: &str, base: Epoch) -> Result<Tail, Fault> {
    judge(disk, job, base, false)
}

fn judge(disk: &Arc<dyn Disk>, job: &str, base: Epoch, repairs: bool) -> Result<Tail, Fault> {
    let segments = list(disk.as_ref())?;
    let mut recovery = Recovery {
        disk: disk.as_ref(),
        job,
        base,
        scans: Vec::new(),
        repairs: Vec::new(),
        warnings: Vec::new(),
    };
    let start = recovery.start(&segments)?;
    recovery.read(segments.get(start..).unwrap_or_default())?;
    recovery.judge_end()?;
    let before = start.checked_sub(1).and_then(|before| segments.get(before));
    let (end, is_short) = match (recovery.scans.last(), before) {
        (Some(scan), _) => (scan.last.zip(Some(scan.end.clone())), scan.next_epoch() <= base),
        (None, Some(before)) => (recovery.look_before(before)?, false),
        (None, None) => (None, base > 0),
    };
    if is_short {
        let what = "the journal ends before epoch {base}, whose checkpoint was made after it was \
                    durable here; if entries came behind it, they are lost";
        recovery.warnings.push(format!(
            "{}: {}",
            disk.place(""),
            what.replace("{base}", &base.to_string())
        ));
    }
    if repairs {
        recovery.repair()?;
    }
    let Recovery { scans, repairs, warnings, .. } = recovery;
    let kept = segments
        .into_iter()
        .filter(|segment| !repairs.contains(&Repair::Remove { name: segment.name.clone() }));
    Ok(Tail {
        last: end.as_ref().map(|(link, _)| link.epoch).filter(|last| *last > base),
        warnings,
        is_short,
        disk: disk.clone(),
        job: job.to_owned(),
        base,
        kept: kept.collect(),
        read: scans.into_iter().map(|scan| scan.segment).collect(),
        end,
    })
}

impl Recovery<'_> {
    /// Finds the segment that holds the first epoch behind the checkpoint.
    fn start(&self, segments: &[Segment]) -> Result<usize, Fault> {
        let wanted = self.base.saturating_add(1);
        let start = segments.iter().rposition(|segment| segment.first <= wanted);
        match (start, segments.first()) {
            (Some(start), _) => Ok(start),
            (None, None) => Ok(0),
            (None, Some(first)) => {
                let last = first.first.saturating_sub(1);
                let what = format!("epochs {wanted} to {last}, which came before it, are missing");
                Err(refuse(self.disk, &first.name, 0, what))
            }
        }
    }

    /// Reads segments, one at a time, and checks that each goes on from the one before.
    fn read(&mut self, segments: &[Segment]) -> Result<(), Fault> {
        for (index, segment) in segments.iter().enumerate() {
            let bytes = self.disk.read(&segment.name)?;
            let total = bytes.len();
            match self.scan(bytes, segment)? {
                Ok(scan) => {
                    self.join(&scan)?;
                    self.scans.push(scan);
                }
                Err(what) => {
                    let is_newest = index + 1 == segments.len();
                    if !is_newest || !self.may_be_new(segment) {
                        return Err(refuse(self.disk, &segment.name, 0, what));
                    }
                    self.drop_newest(segment, total, &what);
                }
            }
        }
        Ok(())
    }

    /// Reads one segment; inside, says what is wrong with a header that a crash may have torn.
    fn scan(&self, bytes: Vec<u8>, segment: &Segment) -> Result<Result<Scan, String>, Fault> {
        let refuse = |offset, what: String| refuse(self.disk, &segment.name, offset, what);
        if let Err(Unreadable::Broken(what)) = Walk::check(&bytes) {
            if was_sealed(&bytes, segment, self.job) {
                return Err(refuse(0, what));
            }
            return Ok(Err(what));
        }
        let mut walk = match Walk::new(bytes, segment, self.job) {
            Ok(walk) => walk,
            Err(Unreadable::Broken(what) | Unreadable::Foreign(what)) => {
                return Err(refuse(0, what));
            }
        };
        let mut last: Option<Link> = None;
        let flaw = loop {
            let offset = walk.offset;
            let block = match walk.next() {
                Ok(Some(block)) => block,
                Ok(None) => break None,
                Err(what) => {
                    let bytes = walk.total() - offset;
                    break Some(Flaw { what, bytes, sealed: walk.sealed_behind() });
                }
            };
            if block.head.kind == Kind::Entry {
                let (epoch, _) = postcard::take_from_bytes::<Epoch>(block.payload)
                    .map_err(|error| refuse(offset, format!("the entry has no epoch: {error}")))?;
                let expected = last.map_or(segment.first, |last| last.epoch.saturating_add(1));
                if epoch != expected {
                    let what = format!("expected epoch {expected}, found epoch {epoch}");
                    return Err(refuse(offset, what));
                }
                last = Some(Link { epoch, crc: block.crc });
            }
        };
        let (marker, crc, length) = (walk.marker, walk.crc, walk.offset as u64);
        let end = End { segment: segment.clone(), marker, crc, length };
        let (behind, has_next) = (walk.behind, walk.has_next);
        Ok(Ok(Scan { segment: segment.clone(), behind, last, end, has_next, flaw }))
    }

    /// Checks that a segment was written behind the one that was read before it.
    fn join(&mut self, scan: &Scan) -> Result<(), Fault> {
        let Some(before) = self.scans.last() else { return Ok(()) };
        let name = &before.segment.name;
        let (expected, first) = (before.next_epoch(), scan.segment.first);
        let is_joined = first == expected
            && scan.behind.map_or(before.flaw.is_none(), |link| Some(link) == before.last);
        if is_joined {
            // What the newer segment was not written behind was not durable then, or no entry.
            if let Some(flaw) = &before.flaw {
                let (place, offset) = (self.disk.place(name), before.good());
                let (what, bytes) = (&flaw.what, flaw.bytes);
                self.warnings.push(format!(
                    "{place}: at byte {offset}: {what}; no entry is missing; cut off {bytes} bytes"
                ));
                self.repairs.push(Repair::Cut { name: name.clone(), length: before.end.length });
            }
            return Ok(());
        }
        let next = &scan.segment.name;
        if let Some(flaw) = &before.flaw {
            let what = format!("{}, and {next} was written behind it", flaw.what);
            return Err(refuse(self.disk, name, before.good(), what));
        }
        let what = match first.checked_sub(1) {
            Some(last) if first > expected => {
                let gone = self.disk.place(&Segment::new(expected).name);
                format!("epochs {expected} to {last} are missing between it and {next}: {gone}")
            }
            _ if first < expected => {
                format!("{next} begins with epoch {first}, which it holds, too")
            }
            _ => format!("its last entry is not the one that {next} was written behind"),
        };
        Err(refuse(self.disk, name, before.good(), what))
    }

    /// Tells whether the newest segment is where a new one was to begin, and was not durable yet.
    fn may_be_new(&self, segment: &Segment) -> bool {
        let before = self.scans.last();
        let expected = before.map_or(self.base.saturating_add(1), Scan::next_epoch);
        segment.first == expected && !before.is_some_and(|scan| scan.has_next)
    }

    fn drop_newest(&mut self, segment: &Segment, bytes: usize, what: &str) {
        self.warnings.push(format!(
            "{}: at byte 0: {what}; a crash tore it while it was created, before anything in it \
             was durable; removed it with its {bytes} bytes",
            self.disk.place(&segment.name)
        ));
        self.repairs.push(Repair::Remove { name: segment.name.clone() });
    }

    /// Judges what stands behind the last good block of all.
    fn judge_end(&mut self) -> Result<(), Fault> {
        while let Some(scan) = self.scans.pop() {
            let (name, good) = (&scan.segment.name, scan.good());
            if let Some(Flaw { what, sealed: Some(sealed), .. }) = &scan.flaw {
                let what =
                    format!("{what}; it was whole once, as the block at byte {sealed} shows");
                return Err(refuse(self.disk, name, good, what));
            }
            if scan.has_next {
                let next = self.disk.place(&Segment::new(scan.next_epoch()).name);
                let what = format!("another segment follows it, and is missing: {next}");
                return Err(refuse(self.disk, name, good, what));
            }
            let (what, bytes) =
                scan.flaw.as_ref().map_or(("the file ends", 0), |flaw| (&flaw.what, flaw.bytes));
            if scan.last.is_none() {
                if !self.may_be_new(&scan.segment) {
                    let what = format!("{what}; expected epoch {}", scan.segment.first);
                    return Err(refuse(self.disk, name, good, what));
                }
                self.drop_newest(&scan.segment, good + bytes, what);
                continue;
            }
            if scan.flaw.is_some() {
                self.warnings.push(format!(
                    "{}: at byte {good}: {what}; a crash tore it before it was durable; cut off \
                     {bytes} bytes",
                    self.disk.place(name)
                ));
            }
            // Also without a flaw: what was read may not be durable yet.
            self.repairs.push(Repair::Cut { name: name.clone(), length: scan.end.length });
            self.scans.push(scan);
            break;
        }
        Ok(())
    }

    /// Looks at the segment before the checkpoint for the end to go on from. What is wrong with it
    /// matters no more.
    fn look_before(&mut self, segment: &Segment) -> Result<Option<(Link, End)>, Fault> {
        let bytes = self.disk.read(&segment.name)?;
        let what = match self.scan(bytes, segment) {
            Ok(Ok(scan)) if scan.has_next => {
                let next = self.disk.place(&Segment::new(scan.next_epoch()).name);
                let what = format!("another segment follows it, and is missing or broken: {next}");
                return Err(refuse(self.disk, &segment.name, scan.good(), what));
            }
            Ok(Ok(Scan { flaw: None, last: Some(last), end, .. })) if last.epoch == self.base => {
                return Ok(Some((last, end)));
            }
            Ok(Ok(scan)) => scan.flaw.map_or("it ends too early".to_owned(), |flaw| flaw.what),
            Ok(Err(what)) => what,
            Err(fault) => fault.to_string(),
        };
        let place = self.disk.place(&segment.name);
        self.warnings.push(format!("{place}: {what}; its epochs are all before the checkpoint"));
        Ok(None)
    }

    /// Does what was decided, and makes durable what was read.
    fn repair(&self) -> Result<(), Fault> {
        for repair in &self.repairs {
            match repair {
                Repair::Cut { name, length } => self.disk.truncate(name, *length)?,
                Repair::Remove { name } => self.disk.remove(name)?,
            }
        }
        self.disk.sync_folder()
    }
}

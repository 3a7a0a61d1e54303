//! The bytes of a block.
//!
//! ```text
//! marker u32 | length u32 | kind u8 | sealed u64 | previous u32 | crc u32 | payload
//! ```
//!
//! All numbers are little-endian. `marker` is the same in every block of a segment and hard to come
//! by elsewhere, so that blocks can be found behind damage. `crc` covers all that stands before it and
//! the payload; `previous` is the `crc` of the block before, or of the segment's header. `sealed`
//! is how much of the file was durable when the block was written: damage before that is not the
//! work of a crash.

use crc32fast::Hasher;

use crate::moment::Epoch;

/// How many bytes stand before the payload.
pub(super) const HEAD: usize = 25;

/// What a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An epoch: the payload is an [`Entry`](super::Entry).
    Entry,
    /// Everything before it is durable.
    Seal,
    /// Everything before it is durable, and so is the beginning of another segment.
    Next,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Entry => b'E',
            Self::Seal => b'S',
            Self::Next => b'N',
        }
    }

    const fn of_code(code: u8) -> Option<Self> {
        match code {
            b'E' => Some(Self::Entry),
            b'S' => Some(Self::Seal),
            b'N' => Some(Self::Next),
            _ => None,
        }
    }
}

/// What stands before the payload, but its length and checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) marker: u32,
    pub(super) kind: Kind,
    pub(super) sealed: u64,
    pub(super) previous: u32,
}

/// Gives the marker of the segment of `job` that begins with epoch `first`.
pub(super) fn marker(job: &str, first: Epoch) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(b"tapeflow block");
    hasher.update(&first.to_le_bytes());
    hasher.update(job.as_bytes());
    hasher.finalize()
}

/// Appends the head of a block whose payload will follow; [`finish`] fills in what is missing.
pub(super) fn begin(head: Head, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&head.marker.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.push(head.kind.code());
    out.extend_from_slice(&head.sealed.to_le_bytes());
    out.extend_from_slice(&head.previous.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    start
}

/// Fills in length and checksum of the block that begins at `start` and ends with `out`. Gives the
/// checksum; none if the payload is longer than a block can be.
pub(super) fn finish(start: usize, out: &mut [u8]) -> Option<u32> {
    let block = out.get_mut(start..)?;
    let length = u32::try_from(block.len().checked_sub(HEAD)?).ok()?;
    block.get_mut(4..8)?.copy_from_slice(&length.to_le_bytes());
    let crc = checksum(block)?;
    block.get_mut(HEAD - 4..HEAD)?.copy_from_slice(&crc.to_le_bytes());
    Some(crc)
}

fn checksum(block: &[u8]) -> Option<u32> {
    let mut hasher = Hasher::new();
    hasher.update(block.get(..HEAD - 4)?);
    hasher.update(block.get(HEAD..)?);
    Some(hasher.finalize())
}

/// A block that was read, and whose checksum is right.
#[derive(Debug)]
pub(super) struct Block<'a> {
    pub(super) head: Head,
    pub(super) crc: u32,
    pub(super) payload: &'a [u8],
}

impl Block<'_> {
    /// Counts its bytes.
    pub(super) const fn len(&self) -> usize {
        HEAD + self.payload.len()
    }
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Reads the block at `offset`, or says what is wrong with it.
pub(super) fn read(bytes: &[u8], offset: usize, marker: u32) -> Result<Block<'_>, String> {
    let rest = bytes.get(offset..).unwrap_or_default();
    if rest.len() < HEAD {
        return Err(format!("expected a block of at least {HEAD} bytes, found {}", rest.len()));
    }
    let torn = || "the head of a block is torn".to_owned();
    let found = u32::from_le_bytes(number(rest, 0).ok_or_else(torn)?);
    if found != marker {
        return Err(format!("expected a block of this segment ({marker:08x}), found {found:08x}"));
    }
    let length = u32::from_le_bytes(number(rest, 4).ok_or_else(torn)?);
    let Some(block) = rest.get(..HEAD.saturating_add(length as usize)) else {
        let left = rest.len() - HEAD;
        return Err(format!(
            "expected a block with {length} bytes, found {left} to the file's end"
        ));
    };
    let crc = u32::from_le_bytes(number(rest, HEAD - 4).ok_or_else(torn)?);
    let expected = checksum(block).ok_or_else(torn)?;
    if crc != expected {
        return Err(format!("expected a block with checksum {crc:08x}, found {expected:08x}"));
    }
    let [code] = number(rest, 8).ok_or_else(torn)?;
    let kind = Kind::of_code(code).ok_or_else(|| format!("there is no block of kind {code}"))?;
    let head = Head {
        marker,
        kind,
        sealed: u64::from_le_bytes(number(rest, 9).ok_or_else(torn)?),
        previous: u32::from_le_bytes(number(rest, 17).ok_or_else(torn)?),
    };
    Ok(Block { head, crc, payload: block.get(HEAD..).unwrap_or_default() })
}

/// Looks for a block behind `offset` that was written when the file was durable beyond `offset`:
/// then what stands at `offset` was whole once. Gives where that block is.
pub(super) fn find_sealed_behind(bytes: &[u8], offset: usize, marker: u32) -> Option<usize> {
    let mut at = offset;
    while let Some(window) = bytes.get(at..).filter(|rest| rest.len() >= HEAD) {
        if window.starts_with(&marker.to_le_bytes())
            && let Ok(block) = read(bytes, at, marker)
        {
            if block.head.sealed > offset as u64 {
                return Some(at);
            }
            at += block.len();
        } else {
            at += 1;
        }
    }
    None
}

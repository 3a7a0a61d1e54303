//! A reader that knows how much is left.

use super::pack::{self, GROUP};

/// What is wrong with bytes.
pub(super) type Bad = &'static str;

#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Gives the position of what comes next.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) const fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Takes a byte.
    pub(super) fn byte(&mut self) -> Result<u8, Bad> {
        let byte = self.bytes.get(self.at).ok_or("expected another byte")?;
        self.at += 1;
        Ok(*byte)
    }

    /// Takes bytes.
    pub(super) fn take(&mut self, length: u64) -> Result<&'a [u8], Bad> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or("a length goes beyond the end")?;
        self.at += taken.len();
        Ok(taken)
    }

    /// Takes text.
    pub(super) fn text(&mut self, length: u64) -> Result<&'a str, Bad> {
        std::str::from_utf8(self.take(length)?).map_err(|_| "expected text in UTF-8")
    }

    /// Takes eight numbers.
    #[inline]
    pub(super) fn group(&mut self) -> Result<[u64; GROUP], Bad> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (values, used) = pack::unpack(rest).ok_or("expected a group of eight numbers")?;
        self.at += used;
        Ok(values)
    }

    /// Checks a count of things that take at least `least` bytes each.
    pub(super) fn count(&self, count: u64, least: usize) -> Result<usize, Bad> {
        let count = usize::try_from(count).map_err(|_| "a count is too great")?;
        if count > self.left() / least {
            return Err("a count is greater than what is left can hold");
        }
        Ok(count)
    }
}

//! Numbers as few bytes: eight at a time, each with only the bytes that are not zero.
//!
//! A group is a word of eight nibbles (how many bytes of each number follow), then those bytes,
//! little-endian. There is no branch per number, which makes it faster than the usual
//! seven-bits-a-byte form; differences that are predicted well cost half a byte.

/// How many numbers are packed at once.
pub(super) const GROUP: usize = 8;
/// The fewest bytes of a group.
pub(super) const GROUP_BYTES_MIN: usize = 4;
/// The most bytes of a group.
const GROUP_BYTES_MAX: usize = GROUP_BYTES_MIN + GROUP * 8;
/// How much is packed before it is appended to the output.
const CHUNK: usize = 4_096;

/// Folds the sign into the lowest bit, so that small differences are small numbers.
#[inline]
pub(super) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Undoes [`zigzag`].
#[inline]
pub(super) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// Packs into a vector.
#[derive(Debug)]
pub(super) struct Packer<'a> {
    out: &'a mut Vec<u8>,
    chunk: [u8; CHUNK + GROUP_BYTES_MAX],
    length: usize,
}

impl<'a> Packer<'a> {
    pub(super) const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, chunk: [0; CHUNK + GROUP_BYTES_MAX], length: 0 }
    }

    /// Packs eight numbers.
    #[inline]
    pub(super) fn group(&mut self, values: &[u64; GROUP]) {
        if self.length > CHUNK {
            self.flush();
        }
        let rest = self.chunk.get_mut(self.length..).and_then(|rest| rest.first_chunk_mut());
        let Some(group) = rest else { return };
        self.length += pack(values, group);
    }

    /// Appends bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.flush();
        self.out.extend_from_slice(bytes);
    }

    /// Hands over what was packed. To be called at the end.
    pub(super) fn flush(&mut self) {
        self.out.extend_from_slice(self.chunk.get(..self.length).unwrap_or_default());
        self.length = 0;
    }
}

#[inline]
fn pack(values: &[u64; GROUP], group: &mut [u8; GROUP_BYTES_MAX]) -> usize {
    let (mut control, mut at) = (0_u32, GROUP_BYTES_MIN);
    for (index, value) in values.iter().enumerate() {
        let bytes = (71 - value.leading_zeros()) / 8;
        control |= bytes << (4 * index);
        group[at..at + 8].copy_from_slice(&value.to_le_bytes());
        at += bytes as usize;
    }
    group[..GROUP_BYTES_MIN].copy_from_slice(&control.to_le_bytes());
    at
}

/// By the number of bytes: what of eight bytes belongs to a number. Counts above eight never get here.
const MASKS: [u64; 16] = {
    let mut masks = [u64::MAX; 16];
    let mut bytes = 0;
    while bytes < 8 {
        masks[bytes] = (1 << (8 * bytes)) - 1;
        bytes += 1;
    }
    masks
};

/// Unpacks the eight numbers that `bytes` begins with; also gives how many bytes they took. None: the
/// bytes are not a group.
#[inline]
pub(super) fn unpack(bytes: &[u8]) -> Option<([u64; GROUP], usize)> {
    if let Some(group) = bytes.first_chunk() {
        return unpack_padded(group);
    }
    let mut group = [0; GROUP_BYTES_MAX];
    group.get_mut(..bytes.len())?.copy_from_slice(bytes);
    unpack_padded(&group).filter(|(_, used)| *used <= bytes.len())
}

#[inline]
fn unpack_padded(group: &[u8; GROUP_BYTES_MAX]) -> Option<([u64; GROUP], usize)> {
    let control = u32::from_le_bytes(*group.first_chunk()?);
    let (eights, lower) = (control & 0x8888_8888, control & 0x7777_7777);
    // A nibble of more than eight has the eight's bit and another.
    if eights != 0 && (eights >> 1 | eights >> 2 | eights >> 3) & lower != 0 {
        return None;
    }
    let mut values = [0; GROUP];
    let mut at = GROUP_BYTES_MIN;
    for (index, value) in values.iter_mut().enumerate() {
        let bytes = (control >> (4 * index) & 15) as usize;
        let word = u64::from_le_bytes(*group.get(at..)?.first_chunk()?);
        *value = word & MASKS[bytes];
        at += bytes;
    }
    Some((values, at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Packer, unpack, unzigzag, zigzag};

    proptest! {
        #[test]
        fn what_was_packed_is_unpacked(values: [u64; 8], shifts in any::<[u8; 8]>(), more: Vec<u8>) {
            let mut small = values;
            for (value, shift) in small.iter_mut().zip(shifts) {
                *value >>= shift % 64;
            }
            let mut bytes = Vec::new();
            let mut packer = Packer::new(&mut bytes);
            packer.group(&small);
            packer.flush();
            let length = bytes.len();
            for cut in 0..length {
                prop_assert_eq!(unpack(&bytes[..cut]), None);
            }
            bytes.extend_from_slice(&more);
            prop_assert_eq!(unpack(&bytes), Some((small, length)));
        }

        #[test]
        fn a_sign_comes_back(value: i64) {
            prop_assert_eq!(unzigzag(zigzag(value)), value);
        }
    }

    #[test]
    fn a_number_of_more_than_eight_bytes_is_refused() {
        for nibble in 0..8 {
            for count in 0..16_u32 {
                let mut bytes = (count << (4 * nibble)).to_le_bytes().to_vec();
                bytes.resize(100, 1);
                assert_eq!(unpack(&bytes).is_some(), count <= 8, "{count} in nibble {nibble}");
            }
        }
    }
}

//! A name for a reject, so that one that is written twice is there once.

use proto::columns::Names;
use proto::reject::Reject;

/// 128-bit FNV-1a over everything that a reject says. `occurrence` counts rejects that say the
/// same: two records without a place can both be real.
pub(super) fn reject_id(reject: &Reject, names: &Names, occurrence: u64) -> u128 {
    let mut hash = Hash::new();
    for text in [&reject.component, &reject.reason, &reject.detail] {
        hash.field(text.as_bytes());
    }
    hash.field(reject.place.as_deref().unwrap_or("\0").as_bytes());
    hash.field(&reject.clock.ns().to_le_bytes());
    hash.field(&reject.payload);
    if let Some(tick) = &reject.tick {
        if let Some(series) = names.get(tick.series) {
            hash.field(series.source.as_bytes());
            hash.field(series.instrument.as_bytes());
        }
        let numbers = [tick.time.ns(), tick.sequence as i64];
        for number in numbers.into_iter().chain(crate::order::tick_content(tick)) {
            hash.field(&number.to_le_bytes());
        }
    }
    hash.field(&occurrence.to_le_bytes());
    hash.0
}

struct Hash(u128);

impl Hash {
    const fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    /// Takes in a field with its length, so that fields do not run into one another.
    fn field(&mut self, bytes: &[u8]) {
        let length = (bytes.len() as u64).to_le_bytes();
        for byte in length.iter().chain(bytes) {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b);
        }
    }
}

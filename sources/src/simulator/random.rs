//! Chance in whole numbers, the same on every machine.

use serde::{Deserialize, Serialize};

/// SplitMix64 (Steele, Lea, Flood 2014): a counter and a mixing function, so its state is one
/// number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Random(u64);

/// Mixes the bits of a number.
pub(super) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random {
    /// Starts from a seed.
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Gives 64 even bits.
    pub(super) const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Gives a number below `bound`, evenly but for less than one part in 2^32.
    pub(super) const fn below(&mut self, bound: u32) -> u32 {
        (((self.bits() >> 32) * bound as u64) >> 32) as u32
    }
}

/// Turns even bits into a waiting time: an exponential variate with a mean of 1,024.
///
/// `-log2(u)` is the number of leading zeros and a fraction that is nearly linear in the mantissa;
/// a mean of 1 / ln 2 = 1.4427 (1.4427 + 0.057 for the straight line) is scaled out.
pub(super) const fn waiting(bits: u64) -> u64 {
    let zeros = bits.leading_zeros() as u64;
    let mantissa = if zeros >= 63 { 0 } else { (bits << (zeros + 1)) >> 48 };
    // In 1/65,536: zeros + 1 - mantissa lies between the bounds of the logarithm.
    let log = (zeros << 16) + 65_536 - mantissa;
    // The mean of `log` is 1.5 * 65,536.
    log * 1_024 / 98_304
}

/// Gives a step around zero with a variance of 8 and the shape of a bell: the bits of half a
/// number counted.
pub(super) const fn step(bits: u32) -> i64 {
    bits.count_ones() as i64 - 16
}

#[cfg(test)]
mod tests {
    use super::{Random, step, waiting};

    #[test]
    fn chance_is_even_and_written_down() {
        let mut random = Random::new(0);
        assert_eq!(random.bits(), 0xe220_a839_7b1d_cdaf, "the published first number of seed 0");
        let count = 200_000;
        let mut sums = (0_u64, 0_i64, 0_u64);
        for _ in 0..count {
            sums.0 += waiting(random.bits());
            sums.1 += step(random.bits() as u32);
            sums.2 += u64::from(random.below(1_000));
        }
        let mean = sums.0 / count;
        assert!((1_010..1_040).contains(&mean), "{mean}");
        assert!(sums.1.abs() < 8_000, "{}", sums.1);
        assert!((495..505).contains(&(sums.2 / count)));
    }
}

//! Exact proportions: a product of whole numbers over others, rounded once and at the end.
//!
//! A size is a product of up to eight numbers of 63 bits (lots, two amounts, a ratio, a rate, two
//! contract sizes, leverages), which no machine word holds. The numerator is kept in 512 bits; the
//! divisors are divided by one after the other, since ⌊⌊x / a⌋ / b⌋ = ⌊x / ab⌋. So there is neither
//! overflow nor a greatest common divisor to look for.

/// How many factors, and how many divisors, a proportion holds.
const TERMS: usize = 8;

/// A product of whole numbers over a product of whole numbers, neither negative.
#[derive(Debug, Clone, Copy)]
pub struct Proportion {
    factors: [u64; TERMS],
    factor_count: usize,
    divisors: [u64; TERMS],
    divisor_count: usize,
}

impl Proportion {
    /// One.
    pub const ONE: Self =
        Self { factors: [1; TERMS], factor_count: 0, divisors: [1; TERMS], divisor_count: 0 };

    /// Multiplies by a number.
    ///
    /// # Panics
    /// At the ninth factor: a mistake in the formula, no input can lead to it.
    #[must_use]
    pub const fn times(mut self, factor: u64) -> Self {
        self.factors[self.factor_count] = factor;
        self.factor_count += 1;
        self
    }

    /// Divides by a number; by zero it has no value.
    ///
    /// # Panics
    /// At the ninth divisor: a mistake in the formula, no input can lead to it.
    #[must_use]
    pub const fn over(mut self, divisor: u64) -> Self {
        self.divisors[self.divisor_count] = divisor;
        self.divisor_count += 1;
        self
    }

    /// Multiplies by another.
    #[must_use]
    pub fn with(self, other: &Self) -> Self {
        let factors = other.factors.iter().take(other.factor_count);
        let divisors = other.divisors.iter().take(other.divisor_count);
        let product = factors.fold(self, |product, factor| product.times(*factor));
        divisors.fold(product, |product, divisor| product.over(*divisor))
    }

    /// Rounds down; none if the result has more than 63 bits or a divisor is zero.
    pub fn floor(&self) -> Option<u64> {
        self.divide().map(|(quotient, _)| quotient)
    }

    /// Rounds up; none as for [`Proportion::floor`].
    pub fn ceil(&self) -> Option<u64> {
        self.divide().map(|(quotient, is_whole)| quotient + u64::from(!is_whole))
    }

    /// Rounds to the nearest whole number, from the middle up; none as for [`Proportion::floor`].
    pub fn nearest(&self) -> Option<u64> {
        // ⌊x + 1/2⌋ = ⌊(⌊2x⌋ + 1) / 2⌋.
        self.times(2).floor().map(|doubled| doubled.div_ceil(2))
    }

    /// Gives the whole part and whether it is all.
    fn divide(&self) -> Option<(u64, bool)> {
        // From the least significant on.
        let mut limbs = [0_u64; TERMS];
        limbs[0] = 1;
        let mut length = 1;
        for factor in self.factors.iter().take(self.factor_count) {
            let mut carry = 0_u64;
            for limb in limbs.iter_mut().take(length) {
                let product = u128::from(*limb) * u128::from(*factor) + u128::from(carry);
                *limb = product as u64;
                carry = (product >> 64) as u64;
            }
            if carry > 0 {
                // Eight factors have eight limbs at most, and the first one needs none of its own.
                *limbs.get_mut(length)? = carry;
                length += 1;
            }
        }
        let mut is_whole = true;
        for divisor in self.divisors.iter().take(self.divisor_count) {
            let mut rest = 0_u64;
            for limb in limbs.iter_mut().take(length).rev() {
                let dividend = u128::from(rest) << 64 | u128::from(*limb);
                *limb = dividend.checked_div(u128::from(*divisor))? as u64;
                rest = (dividend % u128::from(*divisor)) as u64;
            }
            is_whole &= rest == 0;
        }
        let [low, high @ ..] = limbs;
        let fits = low <= i64::MAX.unsigned_abs() && high.iter().all(|limb| *limb == 0);
        fits.then_some((low, is_whole))
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::Proportion;

    fn term() -> impl Strategy<Value = u64> {
        prop_oneof![1..200_u64, 1..=i64::MAX.unsigned_abs(), Just(100_000_000), Just(0)]
    }

    proptest! {
        #[test]
        fn it_is_what_whole_numbers_of_any_length_say(
            factors in vec(term(), 0..7),
            divisors in vec(term(), 0..8),
        ) {
            let product = |terms: &[u64]| terms.iter().map(|term| BigUint::from(*term)).product::<BigUint>();
            let (above, below) = (product(&factors), product(&divisors));
            let one = Proportion::ONE;
            let proportion = factors.iter().fold(one, |product, term| product.times(*term));
            let proportion = divisors.iter().fold(proportion, |product, term| product.over(*term));
            if below == BigUint::ZERO {
                prop_assert_eq!(proportion.floor(), None);
                return Ok(());
            }
            let most = BigUint::from(i64::MAX.unsigned_abs());
            let fits = |value: BigUint| (value <= most).then(|| u64::try_from(value).unwrap());
            let floor = &above / &below;
            let is_whole = &floor * &below == above;
            prop_assert_eq!(proportion.floor(), fits(floor.clone()));
            if fits(floor.clone()).is_some() {
                prop_assert_eq!(proportion.ceil(), Some(u64::try_from(floor).unwrap() + u64::from(!is_whole)));
            }
            let nearest = (&above * 2_u32 + &below) / (&below * 2_u32);
            if proportion.times(2).floor().is_some() {
                prop_assert_eq!(proportion.nearest(), Some(u64::try_from(nearest).unwrap()));
            }
        }
    }
}

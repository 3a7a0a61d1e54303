//! What a message is called, as a number: so long that two names do not meet by chance.

/// 128-bit FNV-1a over where a message was published and its id there.
pub fn of(place: &str, id: &str) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let step = |hash: u128, byte: u8| (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    let bytes = place.bytes().chain(std::iter::once(0)).chain(id.bytes());
    bytes.fold(BASIS, step)
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn an_id_is_told_apart_by_its_place() {
        assert_eq!(of("a", "7"), of("a", "7"));
        assert_ne!(of("a", "7"), of("b", "7"));
        assert_ne!(of("a", "b7"), of("ab", "7"));
    }
}

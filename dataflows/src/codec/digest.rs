//! Fingerprints of rows, to notice that an input is not what it was.

use proto::candle::Candle;
use proto::feed_status::FeedStatus;
use proto::payload::Payload;
use proto::reject::Reject;
use proto::tick::Tick;

use crate::batch::Rows;

// Odd numbers without a pattern: the fractions of square roots.
const K: [u64; 8] = [
    0x6a09_e667_f3bc_c909,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// Gives a fingerprint of rows and rejects, going on from that of those before them (at first 0).
///
/// It is the same however the rows and the rejects are cut into pieces, and another one when a
/// row or a reject is missing, new, moved or changed. Series, the clock of a reject and what the
/// engine or the transport put on a tick do not count. The upper half is of the rows, the lower
/// one of the rejects: either is wrong about a change once in four thousand million times.
pub fn digest(rows: &Rows, rejects: &[Reject], seed: u64) -> u64 {
    let (upper, lower) = ((seed >> 32) as u32, seed as u32);
    let upper = match rows {
        Rows::Ticks(ticks) => ticks.iter().fold(upper, |hash, row| step(hash, tick(row))),
        Rows::Candles(candles) => candles.iter().fold(upper, candle),
        Rows::Rejects(rejects) => rejects.iter().fold(upper, reject),
        Rows::Payloads(payloads) => payloads.iter().fold(upper, payload),
        Rows::Statuses(statuses) => statuses.iter().fold(upper, status),
    };
    let lower = rejects.iter().fold(lower, reject);
    u64::from(upper) << 32 | u64::from(lower)
}

/// Takes in a number. No state stays what it was for ever, not even that of zeros.
#[inline]
const fn step(hash: u32, value: u64) -> u32 {
    let mixed = (hash as u64).rotate_left(29).wrapping_add(K[7]) ^ value;
    (mixed.wrapping_mul(K[0]) >> 32) as u32
}

/// Folds numbers into one; each has a factor of its own, so that they cannot change places.
#[inline]
fn fold<const N: usize>(values: [u64; N]) -> u64 {
    let mut turn = 0;
    values.into_iter().zip(K).fold(0, |folded, (value, factor)| {
        turn += 13;
        folded ^ value.wrapping_mul(factor).rotate_left(turn)
    })
}

#[inline]
fn tick(tick: &Tick) -> u64 {
    fold([
        tick.time.ns().cast_unsigned(),
        tick.bid.units().cast_unsigned(),
        tick.ask.units().cast_unsigned(),
        tick.sequence,
        tick.last.units().cast_unsigned(),
        tick.volume.units().cast_unsigned(),
    ])
}

fn candle(hash: u32, candle: &Candle) -> u32 {
    let prices = |of: &proto::candle::Ohlc| {
        fold([of.open, of.high, of.low, of.close].map(|price| price.units().cast_unsigned()))
    };
    let times = [candle.start, candle.end, candle.first_time, candle.last_time];
    let numbers = [
        u64::from(candle.timeframe.seconds()),
        candle.ticks,
        candle.volume.units().cast_unsigned(),
        candle.first_sequence,
        candle.last_sequence,
        u64::from(candle.revision),
        u64::from(candle.flags) << 16 | (candle.basis as u64) << 8 | candle.reason as u64,
    ];
    let times = fold(times.map(|time| time.ns().cast_unsigned()));
    [times, prices(&candle.price), prices(&candle.ask), fold(numbers)].into_iter().fold(hash, step)
}

fn reject(hash: u32, reject: &Reject) -> u32 {
    let texts = [&reject.component, &reject.reason, &reject.detail].map(|text| text.as_bytes());
    let hash = texts.into_iter().fold(hash, bytes);
    let hash = bytes(hash, reject.place.as_deref().unwrap_or_default().as_bytes());
    let hash = bytes(hash, &reject.payload);
    step(hash, reject.tick.as_ref().map_or(0, tick))
}

fn status(hash: u32, status: &FeedStatus) -> u32 {
    let times = [status.clock, status.last, status.feed_last];
    let [clock, last, feed_last] = times.map(|time| time.ns().cast_unsigned());
    step(hash, fold([clock, last, feed_last, status.status as u64]))
}

fn payload(hash: u32, payload: &Payload) -> u32 {
    let hash = step(hash, payload.time.ns().cast_unsigned());
    bytes(hash, &payload.bytes)
}

fn bytes(hash: u32, bytes: &[u8]) -> u32 {
    let hash = step(hash, bytes.len() as u64);
    bytes.chunks(8).fold(hash, |hash, chunk| {
        let mut word = [0; 8];
        word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        step(hash, u64::from_le_bytes(word))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proto::reject::Reject;

    use super::digest;
    use crate::batch::Rows;
    use crate::codec::samples;

    proptest! {
        #[test]
        fn it_is_the_same_however_the_rows_are_cut(
            (rows, rejects) in samples::ticks(),
            cut: usize,
            other: usize,
        ) {
            let whole = digest(&Rows::Ticks(rows.clone()), &rejects, 7);
            let (first, second) = rows.split_at(cut % (rows.len() + 1));
            let (early, late) = rejects.split_at(other % (rejects.len() + 1));
            let seed = digest(&Rows::Ticks(first.to_vec()), early, 7);
            prop_assert_eq!(digest(&Rows::Ticks(second.to_vec()), late, seed), whole);
        }

        #[test]
        fn it_notices_what_is_missing_moved_or_changed(
            (rows, rejects) in samples::ticks(),
            at: usize,
            by in 1..1_000_i64,
        ) {
            prop_assume!(rows.len() > 1);
            let of = |rows: &[_], rejects: &[Reject]| digest(&Rows::Ticks(rows.to_vec()), rejects, 0);
            let whole = of(&rows, &rejects);
            let at = at % rows.len();
            let mut changed = rows.clone();
            changed.remove(at);
            prop_assert_ne!(of(&changed, &rejects), whole);
            let mut changed = rows.clone();
            changed[at].sequence = changed[at].sequence.wrapping_add(by.cast_unsigned());
            prop_assert_ne!(of(&changed, &rejects), whole);
            let mut moved = rows.clone();
            moved.swap(at, (at + 1) % rows.len());
            if super::tick(&moved[at]) != super::tick(&rows[at]) {
                prop_assert_ne!(of(&moved, &rejects), whole);
            }
            let mut more = rejects.clone();
            more.push(Reject { reason: "late".to_owned(), ..samples::reject() });
            prop_assert_ne!(of(&rows, &more), whole);
        }
    }
}

//! What is promised of [`encode`] and [`decode`].

use proptest::prelude::*;
use proto::columns::Names;
use proto::event_time::EventTime;
use proto::reject::Reject;
use proto::series::{SeriesId, SeriesTable};
use proto::tick::Tick;

use super::{decode, encode, samples};
use crate::batch::Rows;

fn encoded(rows: &Rows, rejects: &[Reject]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(rows, rejects, &mut Names::new(samples::table()), &mut out).unwrap();
    out
}

fn check(rows: Rows, rejects: Vec<Reject>) -> Result<(), TestCaseError> {
    let bytes = encoded(&rows, &rejects);
    let decoded = decode("a payload", &bytes, &samples::table());
    prop_assert_eq!(decoded.unwrap(), (rows, rejects));
    Ok(())
}

/// Changes bytes, cuts them or adds some.
fn damaged(mut bytes: Vec<u8>, damage: &[(usize, u8)], cut: Option<usize>) -> Vec<u8> {
    for (at, byte) in damage {
        let at = at % bytes.len();
        bytes[at] ^= byte;
    }
    if let Some(cut) = cut {
        bytes.resize(cut % (bytes.len() + 50), 0x11);
    }
    bytes
}

proptest! {
    #[test]
    fn ticks_come_back_as_they_were((rows, rejects) in samples::ticks()) {
        check(Rows::Ticks(rows), rejects)?;
    }

    #[test]
    fn candles_come_back_as_they_were((rows, rejects) in samples::candles()) {
        check(Rows::Candles(rows), rejects)?;
    }

    #[test]
    fn rejects_come_back_as_they_were((rows, rejects) in samples::both_rejects()) {
        check(Rows::Rejects(rows), rejects)?;
    }

    #[test]
    fn statuses_come_back_as_they_were(rows in samples::statuses()) {
        check(Rows::Statuses(rows), Vec::new())?;
    }

    #[test]
    fn damaged_bytes_are_an_error_or_something_but_no_panic(
        (ticks, rejects) in samples::ticks(),
        (candles, _) in samples::candles(),
        damage in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4),
        cut: Option<usize>,
    ) {
        for rows in [Rows::Ticks(ticks), Rows::Candles(candles), Rows::Rejects(rejects.clone())] {
            let bytes = damaged(encoded(&rows, &rejects), &damage, cut);
            if let Ok((rows, rejects)) = decode("a payload", &bytes, &samples::table()) {
                prop_assert!(rows.len() + rejects.len() <= bytes.len() / 4);
            }
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_something_but_no_panic(bytes: Vec<u8>, kind in 0..3_u8) {
        let bytes = [&[1, kind], bytes.as_slice()].concat();
        drop(decode("a payload", &bytes, &SeriesTable::new()));
    }
}

#[test]
fn a_truncated_block_is_an_error_that_names_its_place() {
    let tick = Tick { sequence: 1 << 60, ..Tick::default() };
    let bytes = encoded(&Rows::Ticks(vec![tick; 3]), &[samples::reject()]);
    for cut in 0..bytes.len() {
        let fault = decode("0001.journal", &bytes[..cut], &samples::table()).unwrap_err();
        assert!(fault.to_string().starts_with("0001.journal: encoded rows, at byte "), "{fault}");
    }
}

#[test]
fn a_count_beyond_the_bytes_allocates_nothing() {
    for count in [u64::MAX, 1 << 40, 1_000] {
        let mut bytes = vec![1, 0];
        let mut packer = super::Packer::new(&mut bytes);
        packer.group(&[0, count, 0, 0, 0, 0, 0, 0]);
        packer.flush();
        let fault = decode("x", &bytes, &samples::table()).unwrap_err();
        assert!(fault.to_string().ends_with("greater than what is left can hold"), "{fault}");
    }
}

#[test]
fn series_are_found_by_name_in_another_run() {
    let tick = |series| Tick { series: SeriesId(series), ..Tick::default() };
    let rows = Rows::Ticks(vec![tick(3), tick(1), tick(3)]);
    let other = SeriesTable::new();
    let known = other.intern("mt5", "EUR1").unwrap();
    let (rows, _) = decode("x", &encoded(&rows, &[]), &other).unwrap();
    let Rows::Ticks(ticks) = rows else { panic!("{rows:?}") };
    assert_eq!(ticks[1].series, known);
    assert_eq!(other.find("mt5", "EUR3"), Some(ticks[0].series));
    assert_eq!(ticks[0].series, ticks[2].series);
}

#[test]
fn a_watermark_is_not_kept() {
    let tick = Tick { watermark: EventTime::from_ns(7), ..Tick::default() };
    let bytes = encoded(&Rows::Ticks(vec![tick]), &[]);
    let (rows, _) = decode("x", &bytes, &samples::table()).unwrap();
    assert_eq!(rows, Rows::Ticks(vec![Tick::default()]));
}

#[test]
fn a_series_without_a_name_is_a_defect_and_writes_nothing() {
    let rows = Rows::Ticks(vec![Tick { series: SeriesId(99), ..Tick::default() }]);
    let mut out = vec![5];
    let fault = encode(&rows, &[], &mut Names::new(samples::table()), &mut out).unwrap_err();
    assert!(matches!(fault, crate::fault::Fault::Defect { .. }), "{fault}");
    assert_eq!(out, [5]);
}

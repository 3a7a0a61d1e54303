//! What a candle says, and when: closing, lateness, revisions, gaps, flags, ranges.

use dataflows::component::Definition;
use dataflows::component::source::Range;
use operators::ohlcv::Ohlcv;
use proto::candle::{Candle, Reason};
use proto::decimal::Quantity;
use proto::series::SeriesTable;
use proto::tick::Tick;
use serde_json::{Value, json};

use crate::support::{Bench, at, price, quote};

/// Minutes on a calendar that is always open.
fn minutes(extra: Value) -> Value {
    let mut config = json!({ "timeframes": ["1m"], "calendar": "utc" });
    config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    config
}

fn feed(bench: &mut Bench, ticks: &[(&str, &str)]) {
    let ticks: Vec<Tick> = ticks.iter().map(|(time, bid)| bench.tick(&day(time), bid)).collect();
    bench.feed(&ticks);
}

fn day(time: &str) -> String {
    format!("2024-05-15T{time}")
}

/// `minute revision reason close ticks` of what came out.
fn said(candles: &[Candle]) -> Vec<String> {
    let line = |c: &Candle| {
        let start = c.start.to_string();
        let minute = &start[11..16];
        let (reason, close) = (c.reason.name(), c.price.close);
        format!("{minute} {} r{} {reason} {close} {}", c.timeframe, c.revision, c.ticks)
    };
    candles.iter().map(line).collect()
}

#[test]
fn a_window_is_half_open_and_opens_with_its_first_tick() {
    let mut bench = Bench::new(minutes(json!({})));
    let ticks = [("10:00:00", "5"), ("10:00:30", "9"), ("10:00:59.999999999", "7"), ("10:01", "8")];
    feed(&mut bench, &ticks[..3]);
    feed(&mut bench, &[("10:01:00", "8")]);
    bench.end();
    let lines = bench.output.lines("1m");
    assert_eq!(lines, ["2024-05-15T10:00:00Z 5 9 5 7 3", "2024-05-15T10:01:00Z 8 8 8 8 1"]);
}

#[test]
fn a_window_closes_when_its_feed_is_two_seconds_past_its_end_and_not_before() {
    let mut bench = Bench::new(minutes(json!({})));
    feed(&mut bench, &[("10:00:10", "1"), ("10:01:01.999999999", "2")]);
    bench.seal(at(&day("10:00:00")));
    assert_eq!(bench.output.closed, []);
    feed(&mut bench, &[("10:00:50", "3"), ("10:01:02", "4")]);
    bench.seal(at(&day("10:00:00")));
    assert_eq!(said(&bench.output.closed), ["10:00 1m r0 closed 3 2"]);
}

#[test]
fn a_quiet_instrument_closes_with_the_others_of_its_feed() {
    let mut bench = Bench::new(minutes(json!({})));
    let other = bench.table.intern("a", "Y").unwrap();
    feed(&mut bench, &[("10:00:10", "1")]);
    bench.feed(&[quote(other, at(&day("10:01:30")), "2")]);
    bench.seal(at(&day("10:01:30")));
    assert_eq!(said(&bench.output.closed), ["10:00 1m r0 closed 1 1"]);
    // Another feed says nothing about this one.
    let foreign = bench.table.intern("b", "X").unwrap();
    bench.feed(&[quote(foreign, at(&day("11:00:00")), "2")]);
    bench.seal(at(&day("10:01:30")));
    assert_eq!(bench.output.closed.len(), 1);
}

#[test]
fn a_silent_feed_closes_by_the_clock_after_the_idle_time() {
    let mut bench = Bench::new(minutes(json!({ "idle": "5s" })));
    feed(&mut bench, &[("10:00:10", "1")]);
    bench.seal(at(&day("10:01:06.999999999")));
    assert_eq!(bench.output.closed, []);
    bench.seal(at(&day("10:01:07")));
    assert_eq!(said(&bench.output.closed), ["10:00 1m r0 closed 1 1"]);
    assert!(!bench.output.closed[0].has(Candle::PARTIAL_END));
    // A tick of that minute is late now, though its feed never came so far.
    feed(&mut bench, &[("10:00:40", "2")]);
    bench.seal(at(&day("10:01:08")));
    assert_eq!(said(&bench.output.revised), ["10:00 1m r1 late 2 2"]);
}

#[test]
fn one_late_tick_after_another_revises_a_window_that_was_the_series_last() {
    let mut bench = Bench::new(minutes(json!({})));
    feed(&mut bench, &[("10:00:10", "1")]);
    bench.seal(at(&day("10:01:07")));
    feed(&mut bench, &[("10:00:20", "2"), ("10:00:30", "3"), ("10:00:40", "4")]);
    bench.seal(at(&day("10:01:08")));
    assert_eq!(said(&bench.output.revised), ["10:00 1m r3 late 4 4"]);
}

#[test]
fn revisions_count_late_ticks_and_are_given_out_once_an_epoch() {
    let mut bench = Bench::new(minutes(json!({})));
    feed(&mut bench, &[("10:00:10", "1"), ("10:02:00", "5")]);
    bench.seal(at(&day("10:02:00")));
    feed(&mut bench, &[("10:00:20", "2"), ("10:00:05", "3")]);
    bench.seal(at(&day("10:02:00")));
    feed(&mut bench, &[("10:00:15", "9")]);
    bench.seal(at(&day("10:02:00")));
    let expected = ["10:00 1m r2 late 2 3", "10:00 1m r3 late 2 4"];
    assert_eq!(said(&bench.output.revised), expected);
    assert_eq!(said(&bench.output.closed)[1..], expected);
    let last = bench.output.revised[1].price;
    assert_eq!((last.open, last.high, last.low), (price("3"), price("9"), price("1")));
}

#[test]
fn a_late_tick_revises_the_windows_that_have_closed_and_joins_those_that_have_not() {
    let frames = json!({ "timeframes": ["1m", "5m", "15m"] });
    let mut bench = Bench::new(minutes(frames));
    feed(&mut bench, &[("10:00:10", "1"), ("10:06:00", "5")]);
    bench.seal(at(&day("10:06:00")));
    feed(&mut bench, &[("10:00:20", "7")]);
    bench.seal(at(&day("10:06:00")));
    assert_eq!(said(&bench.output.revised), ["10:00 1m r1 late 7 2", "10:00 5m r1 late 7 2"]);
    bench.end();
    let quarter = bench.output.frame("15m");
    assert_eq!(said(&quarter), ["10:00 15m r0 closed 5 3"]);
    assert_eq!(quarter[0].price.high, price("7"));
}

#[test]
fn a_late_tick_for_an_empty_window_makes_it_as_revision_one() {
    let mut bench = Bench::new(minutes(json!({})));
    feed(&mut bench, &[("10:00:10", "1"), ("10:05:00", "5"), ("10:02:30", "3")]);
    bench.seal(at(&day("10:05:00")));
    let expected = ["10:00 1m r0 closed 1 1", "10:02 1m r1 late 3 1"];
    assert_eq!(said(&bench.output.closed), expected);
}

#[test]
fn what_can_no_longer_be_revised_goes_to_dead_and_changes_no_frame() {
    let frames = json!({ "timeframes": ["1m", "1d"], "revise_within": "10m" });
    let mut bench = Bench::new(minutes(frames));
    feed(&mut bench, &[("10:00:10", "1"), ("10:11:02", "5"), ("10:00:20", "7")]);
    feed(&mut bench, &[("10:01:00", "6")]);
    bench.end();
    assert_eq!(bench.output.reasons(), ["too_late"]);
    assert_eq!(bench.output.dead[0].tick.unwrap().bid, price("7"));
    let days = bench.output.frame("1d");
    assert_eq!((days[0].ticks, days[0].price.high), (3, price("6")));
}

#[test]
fn the_first_candle_and_the_last_say_that_they_are_partial() {
    let mut bench = Bench::new(minutes(json!({ "timeframes": ["1m", "5m"] })));
    feed(&mut bench, &[("10:00:10", "1"), ("10:01:10", "2"), ("10:02:10", "3")]);
    bench.end();
    let flags = |timeframe: &str| -> Vec<u16> {
        bench.output.frame(timeframe).iter().map(|candle| candle.flags).collect()
    };
    assert_eq!(flags("1m"), [Candle::PARTIAL_START, 0, Candle::PARTIAL_END]);
    assert_eq!(flags("5m"), [Candle::PARTIAL_START | Candle::PARTIAL_END]);
    // A first tick right at the start leaves nothing unknown; an input that ends right at the
    // end of a window leaves it whole.
    let mut bench = Bench::new(minutes(json!({})));
    feed(&mut bench, &[("10:00:00", "1"), ("10:01:00", "2")]);
    bench.end();
    let flags: Vec<u16> = bench.output.closed.iter().map(|candle| candle.flags).collect();
    assert_eq!(flags, [0, Candle::PARTIAL_END]);
}

#[test]
fn an_empty_window_has_no_candle_unless_gaps_are_flat() {
    let ticks = [("10:00:10", "1"), ("10:00:40", "4"), ("10:03:10", "2")];
    let mut bench = Bench::new(minutes(json!({})));
    feed(&mut bench, &ticks);
    bench.end();
    assert_eq!(said(&bench.output.closed), ["10:00 1m r0 closed 4 2", "10:03 1m r0 closed 2 1"]);
    let mut bench = Bench::new(minutes(json!({ "gaps": "flat", "timeframes": ["1m", "2m"] })));
    feed(&mut bench, &ticks);
    bench.end();
    let expected = ["10:00 1m r0 closed 4 2", "10:01 1m r0 closed 4 0", "10:02 1m r0 closed 4 0"];
    assert_eq!(said(&bench.output.frame("1m"))[..3], expected);
    let flat = bench.output.frame("1m")[1];
    assert!(flat.has(Candle::SYNTHETIC));
    assert_eq!(
        (flat.price.open, flat.price.high, flat.price.low),
        (price("4"), price("4"), price("4"))
    );
    assert_eq!(bench.output.frame("2m").len(), 2);
}

#[test]
fn flat_candles_are_never_made_while_the_market_is_closed() {
    let config = json!({ "timeframes": ["1h", "1d"], "gaps": "flat" });
    let mut bench = Bench::new(config);
    // Friday 19:30 to Monday 23:30 UTC; the market closes at 21:00 and opens on Sunday at 21:00.
    let ticks = ["2024-05-17T19:30:00", "2024-05-20T23:30:00"].map(|time| bench.tick(time, "1"));
    bench.feed(&ticks);
    bench.end();
    let hours: Vec<String> =
        bench.output.frame("1h").iter().map(|candle| candle.start.to_string()).collect();
    // 20:00 on Friday; 21:00 on Sunday to 22:00 on Monday.
    assert_eq!(hours.len(), 2 + 1 + 26);
    assert_eq!(hours[1..3], ["2024-05-17T20:00:00Z", "2024-05-19T21:00:00Z"]);
    let days: Vec<String> =
        bench.output.frame("1d").iter().map(|candle| candle.start.to_string()).collect();
    let expected = ["2024-05-16T21:00:00Z", "2024-05-19T21:00:00Z", "2024-05-20T21:00:00Z"];
    assert_eq!(days, expected);
}

#[test]
fn a_silence_of_more_than_ten_thousand_windows_stays_empty() {
    for (end, candles) in [("2024-05-08T22:40:30", 10_002), ("2024-05-08T22:41:30", 2)] {
        let mut bench = Bench::new(minutes(json!({ "gaps": "flat" })));
        let ticks = ["2024-05-01T23:59:30", end].map(|time| bench.tick(time, "1"));
        bench.feed(&ticks);
        bench.end();
        assert_eq!(bench.output.closed.len(), candles, "{end}");
    }
}

#[test]
fn a_late_tick_carries_its_close_through_the_flat_candles_behind_it() {
    let mut bench = Bench::new(minutes(json!({ "gaps": "flat" })));
    feed(&mut bench, &[("10:00:10", "1"), ("10:04:10", "5"), ("10:05:30", "6")]);
    bench.seal(at(&day("10:05:30")));
    feed(&mut bench, &[("10:00:30", "2")]);
    bench.seal(at(&day("10:05:30")));
    feed(&mut bench, &[("10:02:30", "3")]);
    bench.seal(at(&day("10:05:30")));
    bench.end();
    let closes: Vec<String> =
        bench.output.table().values().map(|c| c.price.close.to_string()).collect();
    assert_eq!(closes, ["2", "2", "3", "3", "5", "6"]);
    let kinds: Vec<bool> =
        bench.output.table().values().map(|candle| candle.has(Candle::SYNTHETIC)).collect();
    assert_eq!(kinds, [false, true, false, true, false, false]);
}

#[test]
fn a_silence_of_the_feed_is_flagged_where_it_was() {
    let mut bench = Bench::new(minutes(json!({ "gap_after": "20s", "timeframes": ["1m", "5m"] })));
    feed(&mut bench, &[("10:00:00", "1"), ("10:00:19", "1"), ("10:00:38", "1"), ("10:00:57", "1")]);
    feed(&mut bench, &[("10:01:10", "1"), ("10:01:45", "1"), ("10:02:00", "1"), ("10:02:20", "1")]);
    bench.end();
    let has_gap = |timeframe: &str| -> Vec<bool> {
        bench.output.frame(timeframe).iter().map(|candle| candle.has(Candle::GAP)).collect()
    };
    assert_eq!(has_gap("1m"), [false, true, false]);
    assert_eq!(has_gap("5m"), [true]);
    // Closed by the clock: silent from the last tick to the end.
    let mut bench = Bench::new(minutes(json!({ "gap_after": "20s" })));
    feed(&mut bench, &[("10:00:00", "1"), ("10:00:19", "1")]);
    bench.seal(at(&day("10:02:00")));
    assert!(bench.output.closed[0].has(Candle::GAP));
}

#[test]
fn ticks_out_of_session_are_rejected_and_in_no_candle() {
    let mut bench = Bench::new(json!({ "timeframes": ["1h"], "calendar": "forex" }));
    let times = ["2024-05-17T20:59:59", "2024-05-17T21:00:00", "2024-05-19T20:59:59"];
    let ticks = times.map(|time| bench.tick(time, "1"));
    bench.feed(&ticks);
    bench.end();
    assert_eq!(bench.output.reasons(), ["out_of_session", "out_of_session"]);
    assert_eq!(bench.output.frame("1h").len(), 1);
}

#[test]
fn the_break_within_an_hour_takes_its_ticks_and_no_others() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let day = json!([
        { "start": "00:00:00", "end": "16:58:00", "state": "market" },
        { "start": "17:03:00", "end": "1.00:00:00", "state": "market" },
    ]);
    let entry = json!({ "exchangeTimeZone": "America/New_York", "wednesday": day });
    std::fs::write(file.path(), json!({ "entries": { "fx": entry } }).to_string()).unwrap();
    let calendar = json!({ "file": file.path().to_str().unwrap(), "entry": "fx" });
    let mut bench = Bench::new(json!({ "timeframes": ["1h"], "calendar": calendar }));
    // 20:57, 20:59 and 21:02, 21:04 UTC.
    feed(&mut bench, &[("20:57:00", "1"), ("20:59:00", "2"), ("21:02:00", "3"), ("21:04:00", "4")]);
    feed(&mut bench, &[("21:03:00", "5"), ("20:57:59", "6")]);
    bench.end();
    assert_eq!(bench.output.reasons(), ["out_of_session", "out_of_session"]);
    let lines = bench.output.lines("1h");
    assert_eq!(lines, ["2024-05-15T20:00:00Z 1 6 1 6 2", "2024-05-15T21:00:00Z 5 5 4 4 2"]);
}

fn basis(basis: &str, ticks: &[(&str, &str, &str)]) -> (Vec<Candle>, Vec<String>) {
    let mut bench = Bench::new(minutes(json!({ "basis": basis })));
    let series = bench.table.intern("a", "X").unwrap();
    let tick = |(bid, ask, last): &(&str, &str, &str)| Tick {
        series,
        time: at(&day("10:00:00")),
        bid: price(bid),
        ask: price(ask),
        last: price(last),
        ..Tick::default()
    };
    let ticks: Vec<Tick> = ticks.iter().map(tick).collect();
    bench.feed(&ticks);
    bench.end();
    let reasons = bench.output.reasons().into_iter().map(str::to_owned).collect();
    (bench.output.closed, reasons)
}

#[test]
fn the_basis_decides_which_ticks_count_and_which_are_rejected() {
    let ticks = [
        ("1.5", "1.7", "0"),
        ("1.4", "0", "0"),
        ("0", "1.8", "0"),
        ("0", "0", "9"),
        ("0", "0", "0"),
    ];
    let (candles, reasons) = basis("bid", &ticks);
    assert_eq!((candles[0].price.close, candles[0].ask.close), (price("1.4"), price("1.7")));
    assert_eq!((candles[0].ticks, reasons.len()), (2, 3));
    let (candles, reasons) = basis("ask", &ticks);
    assert_eq!((candles[0].price.close, candles[0].ticks, reasons.len()), (price("1.8"), 2, 3));
    assert!(!candles[0].has(Candle::HAS_ASK));
    let (candles, reasons) = basis("mid", &ticks);
    assert_eq!((candles[0].price.close, candles[0].ticks, reasons.len()), (price("1.6"), 1, 4));
    // A quote is no trade: that is no fault of its.
    let (candles, reasons) = basis("last", &ticks);
    assert_eq!((candles[0].price.close, candles[0].ticks), (price("9"), 1));
    assert_eq!(reasons, ["no_price"]);
    // Half a billionth is left out, downwards.
    let (candles, _) = basis("mid", &[("0.000000001", "0.000000002", "0")]);
    assert_eq!(candles[0].price.close, price("0.000000001"));
}

#[test]
fn ask_beside_can_be_left_out() {
    let mut bench = Bench::new(minutes(json!({ "ask_beside": false })));
    let tick = Tick { ask: price("2"), ..bench.tick(&day("10:00:00"), "1") };
    bench.feed(&[tick]);
    bench.end();
    assert!(!bench.output.closed[0].has(Candle::HAS_ASK));
}

#[test]
fn of_ticks_with_one_time_and_sequence_the_first_to_arrive_opens_and_the_last_closes() {
    let mut bench = Bench::new(minutes(json!({})));
    feed(&mut bench, &[("10:00:05", "3"), ("10:00:05", "1"), ("10:00:05", "2")]);
    bench.end();
    assert_eq!(bench.output.lines("1m"), ["2024-05-15T10:00:00Z 3 3 1 2 3"]);
    // With sequences, the order of arrival does not matter.
    let mut bench = Bench::new(minutes(json!({})));
    let tick = |sequence: u64, bid: &str| Tick { sequence, ..bench.tick(&day("10:00:05"), bid) };
    let ticks = [tick(2, "3"), tick(1, "1"), tick(3, "2")];
    bench.feed(&ticks);
    bench.end();
    assert_eq!(bench.output.lines("1m"), ["2024-05-15T10:00:00Z 1 3 1 2 3"]);
}

#[test]
fn a_volume_that_is_not_held_is_rejected_and_a_longer_frames_stays_at_the_greatest() {
    let mut bench = Bench::new(minutes(json!({ "timeframes": ["1m", "5m"] })));
    let sized = |time: &str, volume: Quantity| Tick {
        volume,
        flags: Tick::HAS_VOLUME,
        ..bench.tick(&day(time), "1")
    };
    let one = Quantity::from_units(1);
    let ticks = [
        sized("10:00:00", Quantity::MAX),
        sized("10:00:01", one),
        sized("10:01:00", one),
        sized("10:02:00", Quantity::from_units(i64::MAX)),
    ];
    bench.feed(&ticks);
    bench.end();
    assert_eq!(bench.output.reasons(), ["volume_overflow"; 3]);
    let minutes: Vec<Quantity> = bench.output.frame("1m").iter().map(|c| c.volume).collect();
    assert_eq!(minutes, [Quantity::MAX, one]);
    let five = bench.output.frame("5m")[0];
    assert_eq!((five.volume, five.ticks), (Quantity::MAX, 2));
}

#[test]
fn times_at_the_ends_of_the_world_are_rejected_without_a_panic() {
    let mut bench = Bench::new(json!({ "timeframes": ["1s", "1w"], "gaps": "flat" }));
    for ns in [i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX, -9_000_000_000_000_000_001] {
        let time = proto::event_time::EventTime::from_ns(ns);
        let tick = Tick { time, ..bench.tick(&day("10:00:00"), "1") };
        bench.apply(&[tick]);
    }
    bench.end();
    assert_eq!(bench.output.reasons(), ["bad_time"; 5]);
}

#[test]
fn open_shows_each_frame_as_it_runs_once_an_epoch() {
    let mut bench = Bench::new(minutes(json!({ "timeframes": ["1m", "5m"] })));
    feed(&mut bench, &[("10:00:10", "1"), ("10:00:20", "3")]);
    bench.seal(at(&day("10:00:20")));
    assert_eq!(said(&bench.output.open), ["10:00 1m r0 open 3 2", "10:00 5m r0 open 3 2"]);
    feed(&mut bench, &[("10:01:10", "2")]);
    bench.seal(at(&day("10:01:10")));
    let expected = ["10:01 1m r0 open 2 1", "10:00 5m r0 open 2 3"];
    assert_eq!(said(&bench.output.open)[2..], expected);
    assert_eq!(bench.output.open[3].price.high, price("3"));
    // Nothing came, so nothing is said.
    bench.seal(at(&day("10:01:11")));
    assert_eq!(bench.output.open.len(), 4);
    assert!(bench.output.open.iter().all(|candle| candle.reason == Reason::Open));
}

#[test]
fn a_backfill_gives_out_the_windows_of_its_range_and_no_others() {
    let (from, to) = (at(&day("10:01:00")), at(&day("10:03:00")));
    let range = Range { from, to, instruments: Vec::new() };
    let mut bench = Bench::with(minutes(json!({})), SeriesTable::new(), Some(range), Vec::new());
    let ticks = [("10:00:30", "1"), ("10:01:30", "2"), ("10:02:59", "3"), ("10:03:00", "4")];
    feed(&mut bench, &ticks);
    bench.end();
    assert_eq!(said(&bench.output.closed), ["10:01 1m r0 closed 2 1", "10:02 1m r0 closed 3 1"]);
}

#[test]
fn state_of_other_timeframes_is_refused() {
    let mut bench = Bench::new(minutes(json!({})));
    feed(&mut bench, &[("10:00:30", "1")]);
    bench.seal(at(&day("10:00:30")));
    let group = proto::series::key_group("a", "X");
    let mut bytes = Vec::new();
    bench.machine.snapshot(group, &mut bytes).unwrap();
    let mut other = Bench::new(minutes(json!({ "timeframes": ["5m"] })));
    let error = other.machine.restore(group, 1, &bytes).unwrap_err().to_string();
    assert!(error.contains("other timeframes"), "{error}");
    assert!(other.machine.restore(group, 2, &bytes).is_err());
    assert!(bench.machine.restore(group, 1, &bytes[..bytes.len() / 2]).is_err());
}

#[test]
fn a_configuration_is_checked_field_by_field() {
    let wrong = |config: Value| -> Vec<String> {
        Ohlcv.check(&config).into_iter().map(|(path, _)| path).collect()
    };
    assert_eq!(wrong(json!({})), [] as [String; 0]);
    assert_eq!(wrong(json!({ "timeframes": ["1m", "2d"] })), ["timeframes[1]"]);
    assert_eq!(wrong(json!({ "timeframes": ["1m", "60s"] })), ["timeframes[1]"]);
    assert_eq!(wrong(json!({ "lateness": "soon" })), ["lateness"]);
    assert_eq!(wrong(json!({ "calendar": { "timezone": "Mars" } })), ["calendar.timezone"]);
    assert_eq!(wrong(json!({ "calendar": "fx" })), ["calendar"]);
    let schema = serde_json::to_value(Ohlcv.config()).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    assert_eq!(properties.len(), 9);
    assert!(properties.values().all(|p| p.to_string().contains("description")), "{schema:#}");
}

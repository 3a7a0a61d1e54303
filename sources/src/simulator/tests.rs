//! What the simulated market promises.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use dataflows::batch::Rows;
use dataflows::component::Definition;
use dataflows::component::source::SourceDefinition;
use proto::event_time::EventTime;
use proto::tick::Tick;
use serde_json::{Value, json};

use super::Simulator;
use crate::testing::{Drained, context, drain, resumes_everywhere};

/// Reads it all; gives the names of the series by number, too.
fn simulate(config: &Value) -> (Drained, Vec<(String, String)>) {
    let context = context(Path::new("."));
    let drained = drain(&Simulator, config, None, &context).unwrap();
    let mut known = Vec::new();
    context.series.refresh(&mut known);
    let names = known.iter().map(|s| (s.source.to_string(), s.instrument.to_string())).collect();
    (drained, names)
}

/// FNV-1a over all that a tick carries.
fn fingerprint(drained: &Drained) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for tick in &drained.ticks {
        let numbers = [
            tick.time.ns().cast_unsigned(),
            tick.sequence,
            tick.bid.units().cast_unsigned(),
            tick.ask.units().cast_unsigned(),
            tick.last.units().cast_unsigned(),
            tick.volume.units().cast_unsigned(),
            u64::from(tick.flags),
        ];
        for byte in numbers.into_iter().flat_map(u64::to_le_bytes) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}

#[test]
fn the_same_seed_gives_the_same_market_and_another_one_another() {
    let config = |seed: u64| json!({"seed": seed, "ticks": 50_000, "duration": "2d"});
    let (first, _) = simulate(&config(7));
    let (second, _) = simulate(&config(7));
    assert_eq!(first.ticks, second.ticks);
    assert_eq!(first.ticks.len() + first.rejects.len(), 50_000);
    assert_ne!(fingerprint(&first), fingerprint(&simulate(&config(8)).0));
}

#[test]
fn it_goes_on_from_every_position() {
    let config = json!({
        "ticks": 120_000, "rate": 200, "late": 20_000, "very_late": 5_000, "bad": 5_000,
    });
    resumes_everywhere(&Simulator, &config, &context(Path::new(".")));
}

#[test]
fn it_has_as_much_of_every_habit_as_was_asked_for() {
    let config = json!({
        "rate": 12, "duration": "1d", "from": "2025-01-07", "late": 10_000, "very_late": 2_000,
        "repeated": 10_000, "crossed": 10_000, "bad": 3_000, "outages": 0,
    });
    let (drained, names) = simulate(&config);
    let total = drained.ticks.len();
    assert!((700_000..1_300_000).contains(&total), "{total} of about 1,040,000");
    let share = |count: usize| count as f64 / total as f64 * 1e6;
    let near = |what: &str, count: usize, wanted: f64| {
        let found = share(count);
        assert!((found - wanted).abs() < wanted / 5.0, "{what}: {found} of {wanted} in a million");
    };
    let crossed = drained.ticks.iter().filter(|tick| tick.bid > tick.ask).count();
    near("crossed", crossed, 10_000.0);
    near("garbled", drained.rejects.len(), 1_000.0);
    let empty = drained.ticks.iter().filter(|tick| tick.bid.units() == 0).count();
    near("empty", empty, 1_000.0);
    let mut feeds: BTreeMap<&str, i64> = BTreeMap::new();
    let mut late = (0, 0);
    for tick in &drained.ticks {
        let (source, _) = &names[tick.series.index()];
        let reached = feeds.entry(source.as_str()).or_insert(i64::MIN);
        let behind = reached.saturating_sub(tick.time.ns());
        late.0 += usize::from((450_000_000..10_000_000_000).contains(&behind) && source != "mt4");
        late.1 += usize::from(behind > 55_000_000_000);
        *reached = tick.time.ns().max(*reached);
    }
    near("very late", late.1, 2_000.0);
    assert!(share(late.0) > 3_000.0, "{}", share(late.0));
    let again = drained.ticks.iter().filter(|tick| tick.has(Tick::IS_REDELIVERED)).count();
    near("marked as redelivered", again, 5_000.0);
}

#[test]
fn prices_stay_realistic_and_feeds_keep_their_habits() {
    let config = json!({"rate": 3, "duration": "5d", "bad": 0, "crossed": 0, "from": "2025-01-06"});
    let (drained, names) = simulate(&config);
    for tick in &drained.ticks {
        let (source, instrument) = &names[tick.series.index()];
        assert!(tick.bid < tick.ask && tick.bid.units() > 0, "{tick:?}");
        if instrument == "EURUSD" {
            let bid = tick.bid.to_f64();
            assert!((0.9..1.2).contains(&bid), "{bid}");
            let spread = tick.ask.units() - tick.bid.units();
            assert!((10_000..400_000).contains(&spread), "{spread}");
        }
        match source.as_str() {
            "mt4" => assert_eq!(tick.time.ns() % 1_000_000_000, 0),
            "ib" => assert!(tick.has(Tick::HAS_VOLUME) && !tick.has(Tick::HAS_SEQUENCE)),
            _ => assert!(tick.has(Tick::HAS_SEQUENCE)),
        }
    }
    assert_eq!(names.len(), 31);
}

#[test]
fn weekends_are_quiet_and_outages_make_gaps() {
    let config = json!({
        "instruments": ["EURUSD"], "sources": ["mt5"], "from": "2025-01-10", "duration": "3d",
        "outages": 500, "late": 0, "very_late": 0, "rate": 5,
    });
    let (drained, _) = simulate(&config);
    let close: EventTime = "2025-01-10T22:00:00Z".parse().unwrap();
    let open: EventTime = "2025-01-12T22:00:00Z".parse().unwrap();
    assert!(drained.ticks.iter().all(|tick| tick.time < close || tick.time >= open));
    assert!(drained.ticks.iter().any(|tick| tick.time >= open));
    let gaps = drained.ticks.windows(2).filter(|pair| {
        let gap = pair[1].time.ns() - pair[0].time.ns();
        (60_000_000_000..1_200_000_000_000).contains(&gap)
    });
    let gaps = gaps.count();
    assert!((10..40).contains(&gaps), "{gaps}");
}

#[test]
fn what_it_does_not_know_is_said() {
    let found = Simulator.check(&json!({
        "instruments": ["EURUSS"], "sources": ["mt6"], "duration": "soon", "rate": 0,
    }));
    let text = format!("{found:?}");
    assert_eq!(found.len(), 4, "{text}");
    assert!(text.contains("did you mean `EURUSD`?"), "{text}");
    assert!(!Simulator.check(&json!({"sped": 1})).is_empty());
}

#[test]
fn at_a_pace_it_is_unbounded_and_stops_when_it_is_told() {
    let config =
        json!({"speed": 1000, "duration": "5m", "rate": 100, "from": "2025-01-07T14:00:00"});
    assert!(!Simulator.is_bounded(&config));
    assert!(Simulator.is_bounded(&json!({})));
    let (paced, _) = simulate(&config);
    let mut unpaced = config.clone();
    unpaced["speed"] = json!("max");
    assert_eq!(paced.ticks, simulate(&unpaced).0.ticks);
    let context = context(Path::new("."));
    let mut source = Simulator.open(&json!({"speed": 0.001}), None, context).unwrap();
    assert!(source.next(&AtomicBool::new(true)).unwrap().is_none());
}

/// All that the simulator gives as a gateway, as fast as it goes.
fn as_gateway(feed: &str, more: &Value) -> (Drained, Vec<(String, String)>) {
    let mut config = json!({
        "gateway": true, "sources": [feed], "instruments": ["EURUSD"], "always_open": true,
        "rate": 20, "duration": "1h", "from": "2025-07-05", "late": 0, "very_late": 0,
        "repeated": 0, "crossed": 0, "bad": 0, "outages": 0,
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    simulate(&config)
}

#[test]
fn a_market_that_is_always_open_has_its_rate_on_a_saturday_too() {
    let (drained, _) = as_gateway("mt5", &json!({}));
    let count = drained.ticks.len();
    assert!((71_000..73_000).contains(&count), "{count} of about 72,000");
}

#[test]
fn a_gateway_of_mt4_sends_many_ticks_in_a_second_and_numbers_none() {
    let (drained, _) = as_gateway("mt4", &json!({ "rate": 5 }));
    assert!(drained.ticks.iter().all(|tick| tick.time.ns() % 1_000_000_000 == 0));
    assert!(drained.ticks.iter().all(|tick| !tick.has(Tick::HAS_SEQUENCE)));
    let together = drained.ticks.windows(2).filter(|pair| pair[0].time == pair[1].time).count();
    assert!(together > drained.ticks.len() / 2, "{together} of {}", drained.ticks.len());
    let (local, _) = as_gateway("mt4", &json!({ "rate": 5, "server_time_zone": "Europe/Athens" }));
    assert_eq!(local.ticks.len(), drained.ticks.len());
    for (local, utc) in local.ticks.iter().zip(&drained.ticks) {
        assert_eq!(local.time.ns() - utc.time.ns(), 3 * 3_600_000_000_000, "summer in Athens");
    }
}

#[test]
fn a_gateway_of_ib_calls_back_for_one_thing_at_a_time() {
    let (drained, _) = as_gateway("ib", &json!({}));
    let (mut bids, mut asks, mut trades) = (0, 0, 0);
    for (sequence, tick) in drained.ticks.iter().enumerate() {
        assert_eq!(tick.sequence, sequence as u64, "from 0, without a hole");
        let zero = [tick.bid, tick.ask, tick.last].map(|price| price.units() == 0);
        match zero {
            [false, true, true] => bids += 1,
            [true, false, true] => asks += 1,
            [true, true, false] => trades += 1,
            _ => panic!("{tick:?}"),
        }
        let is_trade = !zero[2];
        assert_eq!(tick.has(Tick::HAS_VOLUME), is_trade);
        assert_eq!(tick.volume.units() > 0, is_trade);
    }
    assert!(bids > trades && asks > trades && trades > 10_000, "{bids} {asks} {trades}");
}

#[test]
fn a_session_that_ends_leaves_a_gap_on_record_and_ib_begins_again_with_0() {
    for feed in ["mt4", "mt5", "ib"] {
        let (drained, _) = as_gateway(feed, &json!({ "session": "10m" }));
        assert!((5..=6).contains(&drained.rejects.len()), "{feed}: {:?}", drained.rejects);
        assert!(drained.rejects.iter().all(|reject| reject.reason == "session_reset"));
        let silences = drained
            .ticks
            .windows(2)
            .filter(|pair| pair[1].time.ns() - pair[0].time.ns() >= 2_000_000_000);
        assert_eq!(silences.count(), drained.rejects.len(), "{feed}");
        let begins = drained.ticks.iter().filter(|tick| tick.sequence == 0).count();
        assert_eq!(begins, if feed == "ib" { 1 + drained.rejects.len() } else { 0 }, "{feed}");
    }
    let config = json!({
        "gateway": true, "session": "30s", "always_open": true, "duration": "3m", "rate": 40,
        "server_time_zone": "Europe/Athens", "batch": 64,
    });
    resumes_everywhere(&Simulator, &config, &context(Path::new(".")));
}

#[test]
fn a_live_market_is_the_present_and_ends_when_it_is_told() {
    let config = json!({
        "speed": "live", "always_open": true, "rate": 2_000, "sources": ["mt5"], "late": 0,
        "very_late": 0, "repeated": 0,
    });
    assert!(!Simulator.is_bounded(&config));
    let begun = dataflows::clock::wall().ns();
    let mut source = Simulator.open(&config, None, context(Path::new("."))).unwrap();
    let stop = AtomicBool::new(false);
    let mut count = 0;
    while count < 200 {
        let intake = source.next(&stop).unwrap().unwrap();
        let now = dataflows::clock::wall().ns();
        let Rows::Ticks(ticks) = intake.rows else { panic!("no ticks") };
        for tick in &ticks {
            // A time is cut to milliseconds.
            assert!((begun - 1_000_000..=now).contains(&tick.time.ns()));
        }
        count += ticks.len();
    }
    assert_eq!(source.progress(), None);
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(source.next(&stop).unwrap().is_none());
}

#[test]
fn what_only_a_gateway_has_is_refused_without_one() {
    let found = Simulator.check(&json!({
        "session": "1m", "server_time_zone": "Mars/Olympus", "speed": "live", "from": "2025-01-06",
    }));
    let text = format!("{found:?}");
    assert_eq!(found.len(), 4, "{text}");
    assert!(text.contains("needs `gateway: true`") && text.contains("it begins now"), "{text}");
}

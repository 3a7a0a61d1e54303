//! What `clean` promises.

use dataflows::duration::Duration;
use proptest::prelude::*;
use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::series::SeriesId;
use proto::tick::Tick;
use serde_json::{Value, json};

use crate::small::rig::{
    self, Shape, Step, all, cut, cuts, every_second, rejects, seconds, shapes,
};

/// 2024-01-01, in seconds.
const DAY: i64 = 1_704_067_200;

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

/// A quote of the first series, `at` seconds into the day.
fn quote(at: i64, bid: &str, ask: &str) -> Tick {
    Tick { time: seconds(DAY + at), bid: price(bid), ask: price(ask), ..Tick::default() }
}

fn reasons(config: &Value, ticks: &[Tick]) -> Vec<(String, Tick)> {
    let results = rig::run("clean", config, &every_second([ticks.to_vec()]), &(Shape::PLAIN)());
    rejects(&results, 1).into_iter().map(|(reason, tick, _)| (reason, tick)).collect()
}

#[test]
fn a_tick_that_cannot_be_right_is_rejected_whole_with_its_reason() {
    let good = quote(0, "1.1", "1.2");
    let sized =
        |volume| Tick { volume: Quantity::from_units(volume), flags: Tick::HAS_VOLUME, ..good };
    for (tick, reason) in [
        (quote(0, "0", "0"), "no_price"),
        (quote(0, "-1.1", "1.2"), "bad_price"),
        (Tick { last: price("-0.000000001"), ..good }, "bad_price"),
        (sized(-1), "bad_volume"),
        (Tick { time: seconds(0), ..good }, "out_of_range"),
        (Tick { time: EventTime::MAX, ..good }, "out_of_range"),
        (Tick { time: EventTime::MIN, ..good }, "out_of_range"),
    ] {
        assert_eq!(reasons(&json!({}), &[tick]), [(reason.to_owned(), tick)]);
    }
    for tick in [
        good,
        sized(0),
        quote(0, "0", "1.2"),
        quote(0, "1.1", "0"),
        Tick { last: price("3"), ..quote(0, "0", "0") },
        // A size that was not given is not looked at.
        Tick { volume: Quantity::from_units(-1), ..good },
    ] {
        assert_eq!(reasons(&json!({}), &[tick]), []);
    }
}

#[test]
fn crossed_quotes_pass_and_are_copied_unless_they_are_to_be_rejected() {
    let ticks = [quote(0, "1.2", "1.1"), quote(1, "1.1", "1.1"), quote(2, "1.2", "0")];
    let steps = every_second([ticks.to_vec()]);
    let results = rig::run("clean", &json!({}), &steps, &(Shape::PLAIN)());
    assert_eq!(all::<Tick>(&results, 0), ticks);
    assert_eq!(all::<Tick>(&results, 2), ticks[..1]);
    let config = json!({"crossed": "reject"});
    assert_eq!(reasons(&config, &ticks), [("crossed".to_owned(), ticks[0])]);
}

#[test]
fn a_spread_wider_than_allowed_is_rejected_and_one_just_as_wide_is_not() {
    let ticks = [quote(0, "1.1", "1.1005"), quote(1, "1.1", "1.100500001")];
    for config in [json!({"spread_max": "0.0005"}), json!({"spread_max": 0.0005})] {
        assert_eq!(reasons(&config, &ticks), [("wide".to_owned(), ticks[1])]);
    }
}

#[test]
fn a_spike_is_rejected_and_what_follows_is_compared_with_what_was_before() {
    let config = json!({"deviation_max": 0.05});
    let ticks = [
        quote(0, "100", "100"),
        quote(1, "105", "105"),
        quote(2, "105", "110.250000001"),
        quote(3, "99", "99"),
        quote(4, "99.75", "99.75"),
        Tick { series: SeriesId(1), ..quote(5, "1", "1") },
    ];
    let wanted: Vec<_> = [2, 3].map(|at| ("deviation".to_owned(), ticks[at])).to_vec();
    assert_eq!(reasons(&config, &ticks), wanted);
}

#[test]
fn a_market_that_has_really_moved_is_accepted_after_some_ticks() {
    let config = json!({"deviation_max": "0.05", "deviation_shift": 2});
    let ticks = [
        quote(0, "100", "0"),
        quote(1, "120", "0"),
        quote(2, "80", "0"), // the other way: counted anew
        quote(3, "120", "0"),
        quote(4, "121", "0"),
        quote(5, "122", "0"), // the shift
        quote(6, "123", "0"),
        quote(7, "100", "0"),
    ];
    let rejected = reasons(&config, &ticks);
    let at: Vec<usize> =
        rejected.iter().map(|(_, t)| ticks.iter().position(|u| u == t).unwrap()).collect();
    assert_eq!(at, [1, 2, 3, 4, 7]);
}

#[test]
fn after_a_silence_longer_than_the_window_prices_are_not_compared() {
    let config = json!({"deviation_max": "0.05", "deviation_window": "10s"});
    let spike = |at| [quote(0, "100", "0"), quote(at, "200", "0")];
    assert_eq!(reasons(&config, &spike(10)).len(), 1);
    assert_eq!(reasons(&config, &spike(11)).len(), 0);
}

#[test]
fn a_tick_is_ahead_by_the_clock_of_its_own_epoch() {
    let config = json!({"max_ahead": "5s"});
    let step = |clock, ticks: &[Tick]| Step {
        rows: ticks.to_vec(),
        clock: seconds(DAY + clock),
        is_last: false,
    };
    let ticks: Vec<Tick> = [10, 16, 15, 100, 106, 99].map(|at| quote(at, "1", "2")).to_vec();
    let steps = [step(10, &ticks[..3]), step(100, &ticks[3..])];
    let results = rig::run("clean", &config, &steps, &(Shape::PLAIN)());
    // The order of the source is kept although some had to wait for the clock.
    assert_eq!(all::<Tick>(&results, 0), [ticks[0], ticks[2], ticks[3], ticks[5]]);
    let ahead = |tick, clock| ("ahead".to_owned(), tick, seconds(DAY + clock));
    assert_eq!(rejects(&results, 1), [ahead(ticks[1], 10), ahead(ticks[4], 100)]);
}

#[test]
fn settings_that_contradict_each_other_are_named() {
    let check = |config| rig::definition("clean").check(&config);
    assert_eq!(check(json!({})), []);
    let mistakes = check(json!({"not_before": "2024-01-02", "not_after": "2024-01-01"}));
    let message = "2024-01-01T00:00:00Z is before not_before, 2024-01-02T00:00:00Z";
    assert_eq!(mistakes, [("not_after".to_owned(), message.to_owned())]);
    assert_eq!(check(json!({"spread_max": -1}))[0].0, "spread_max");
    assert_eq!(check(json!({"max_ahead": "soon"}))[0].0, "max_ahead");
    assert_eq!(check(json!({"spread": 1})).len(), 1);
}

/// The rules once more, tick by tick over the history of the accepted ones, with no state.
fn model(ticks: &[Tick], shift: usize, window: Duration) -> Vec<Result<(), &'static str>> {
    let mut verdicts: Vec<Result<(), &'static str>> = Vec::new();
    for (at, tick) in ticks.iter().enumerate() {
        let prices = |t: &Tick| [t.bid.units(), t.ask.units(), t.last.units()];
        let before: Vec<usize> = (0..at).filter(|i| ticks[*i].series == tick.series).collect();
        // The way in which tick `i` deviates from the accepted ones before it.
        let way = |i: usize, verdicts: &[Result<(), &'static str>]| {
            (0..3).find_map(|field| {
                let price = prices(&ticks[i])[field];
                let mut reference = None;
                for j in before.iter().copied().filter(|j| *j < i) {
                    match verdicts[j] {
                        Err(_) => continue,
                        // A shift forgets the prices from before it.
                        Ok(()) if is_shift(&ticks[j], j, ticks, verdicts, window) => {
                            reference = None;
                        }
                        Ok(()) => {}
                    }
                    if prices(&ticks[j])[field] != 0 {
                        reference = Some(j);
                    }
                }
                let reference = reference.filter(|_| price != 0)?;
                let old = prices(&ticks[reference])[field];
                let apart = ticks[reference].time.ns().abs_diff(ticks[i].time.ns());
                let is_far = i128::from(price - old).abs() * 10 > i128::from(old);
                (is_far && apart <= window.ns().unsigned_abs()).then_some(price > old)
            })
        };
        let verdict = if prices(tick).iter().any(|units| *units < 0) {
            Err("bad_price")
        } else if prices(tick) == [0; 3] {
            Err("no_price")
        } else if let Some(up) = way(at, &verdicts) {
            // The unbroken run of earlier rejects that went the same way.
            let run = before
                .iter()
                .rev()
                .filter(|j| !matches!(verdicts[**j], Err("bad_price" | "no_price")))
                .take_while(|j| verdicts[**j].is_err() && way(**j, &verdicts) == Some(up))
                .count();
            if run < shift { Err("deviation") } else { Ok(()) }
        } else {
            Ok(())
        };
        verdicts.push(verdict);
    }
    verdicts
}

/// Whether `tick`, accepted as number `at`, was accepted although it deviates.
fn is_shift(
    tick: &Tick,
    at: usize,
    ticks: &[Tick],
    verdicts: &[Result<(), &'static str>],
    window: Duration,
) -> bool {
    let prices = |t: &Tick| [t.bid.units(), t.ask.units(), t.last.units()];
    let mut reference: [Option<(i64, i64)>; 3] = [None; 3];
    let mut far = false;
    for (i, other) in ticks.iter().enumerate().take(at + 1) {
        if other.series != tick.series || verdicts[i].is_err() {
            continue;
        }
        far = (0..3).any(|field| {
            let price = prices(other)[field];
            reference[field].is_some_and(|(time, old)| {
                price != 0
                    && i128::from(price - old).abs() * 10 > i128::from(old)
                    && time.abs_diff(other.time.ns()) <= window.ns().unsigned_abs()
            })
        });
        if far {
            reference = [None; 3];
        }
        for (price, reference) in prices(other).into_iter().zip(&mut reference) {
            if price != 0 {
                *reference = Some((other.time.ns(), price));
            }
        }
    }
    far
}

fn ticks() -> impl Strategy<Value = Vec<Tick>> {
    let price = || prop_oneof![3 => 90..110_i64, 2 => 100..140_i64, 1 => Just(0), 1 => -1..1_i64];
    let tick = (0..3_u32, -3..9_i64, price(), price(), prop_oneof![3 => Just(0), 1 => 90..120_i64]);
    proptest::collection::vec(tick, 0..60).prop_map(|rows| {
        let tick =
            |(at, (series, jitter, bid, ask, last)): (usize, (u32, i64, i64, i64, i64))| Tick {
                series: SeriesId(series),
                time: seconds(DAY + 4 * at as i64 + jitter),
                sequence: at as u64,
                bid: Price::from_units(bid),
                ask: Price::from_units(ask),
                last: Price::from_units(last),
                ..Tick::default()
            };
        rows.into_iter().enumerate().map(tick).collect()
    })
}

proptest! {
    #[test]
    fn every_tick_is_accepted_or_rejected_as_the_rules_say_however_it_comes(
        ticks in ticks(), cuts in cuts(), shape in shapes(), shift in 0..4_usize,
        is_limited in any::<bool>(),
    ) {
        let window = Duration::from_seconds(60);
        let mut config = json!({
            "deviation_max": "0.1", "deviation_shift": shift, "deviation_window": "60s",
        });
        if is_limited {
            // So far that nothing is ahead; but after a start it takes the clock to know.
            config["max_ahead"] = json!("60d");
        }
        let mut steps = every_second(cut(&ticks, &cuts));
        for (at, step) in steps.iter_mut().enumerate() {
            step.clock = seconds(DAY + at as i64 * 7);
        }
        let results = rig::run("clean", &config, &steps, &shape);
        let verdicts = model(&ticks, shift, window);
        let mut good: Vec<Tick> =
            ticks.iter().zip(&verdicts).filter(|(_, v)| v.is_ok()).map(|(t, _)| *t).collect();
        good.sort_by_key(|tick| tick.series);
        let mut bad: Vec<(String, Tick)> = ticks.iter().zip(&verdicts)
            .filter_map(|(tick, verdict)| Some((verdict.err()?.to_owned(), *tick)))
            .collect();
        bad.sort_by_key(|(_, tick)| tick.series);
        prop_assert_eq!(all::<Tick>(&results, 0), good.clone());
        let found: Vec<_> = rejects(&results, 1).into_iter().map(|(r, t, _)| (r, t)).collect();
        prop_assert_eq!(found, bad);
        good.retain(|tick| tick.ask != Price::ZERO && tick.bid > tick.ask);
        prop_assert_eq!(all::<Tick>(&results, 2), good);
    }

    #[test]
    fn nobody_is_let_through_who_is_ahead_and_nobody_else_is_held_back(
        ticks in ticks(), cuts in cuts(), shape in shapes(),
    ) {
        let mut steps = every_second(cut(&ticks, &cuts));
        for (at, step) in steps.iter_mut().enumerate() {
            step.clock = seconds(DAY + at as i64 * 8);
        }
        let results = rig::run("clean", &json!({"max_ahead": "10s"}), &steps, &shape);
        let latest = |step: &Step<Tick>| EventTime::from_ns(step.clock.ns() + 10_000_000_000);
        let is_sound = |tick: &Tick| {
            let prices = [tick.bid, tick.ask, tick.last];
            prices != [Price::ZERO; 3] && prices.iter().all(|price| *price >= Price::ZERO)
        };
        for (step, found) in steps.iter().zip(rig::by_epoch::<Tick>(&results, 0)) {
            let mut wanted = step.rows.clone();
            wanted.retain(|tick| tick.time <= latest(step) && is_sound(tick));
            wanted.sort_by_key(|tick| tick.series);
            prop_assert_eq!(found, wanted);
        }
    }
}

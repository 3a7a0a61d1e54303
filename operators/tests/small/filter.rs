//! What `filter` promises.

use dataflows::component::operator::OperatorDefinition;
use dataflows::kind::Kind;
use proptest::prelude::*;
use proto::candle::{Candle, Reason};
use proto::decimal::{Price, Quantity};
use proto::series::{SeriesId, SeriesTable};
use proto::tick::Tick;
use serde_json::{Value, json};

use crate::small::last::candle;
use crate::small::rig::{self, SERIES, Sample, Shape, all, cut, cuts, every_second, shapes};

/// Which of `rows`, by place, match; the others are on the other output.
fn matching<T: Sample + PartialEq>(config: &Value, rows: &[T]) -> Vec<usize> {
    let steps = every_second(rows.iter().map(|row| vec![row.clone()]));
    let results = rig::run("filter", config, &steps, &(Shape::PLAIN)());
    let (matching, rest) = (rig::by_epoch::<T>(&results, 0), rig::by_epoch::<T>(&results, 1));
    (0..rows.len())
        .filter(|at| {
            let (yes, no) = (&matching[*at], &rest[*at]);
            assert_eq!(yes.len() + no.len(), 1);
            assert!(yes.first().or(no.first()) == rows.get(*at));
            yes.len() == 1
        })
        .collect()
}

fn one_of_each_series() -> Vec<Tick> {
    (0..4).map(|series| Tick { series: SeriesId(series), ..Tick::default() }).collect()
}

#[test]
fn series_are_chosen_by_patterns_of_their_names() {
    for (config, wanted) in [
        (json!({}), vec![0, 1, 2, 3]),
        (json!({"instruments": ["EURUSD"]}), vec![0, 1]),
        (json!({"instruments": ["*USD"]}), vec![0, 1, 2]),
        (json!({"instruments": ["XAU*", "AAPL"]}), vec![2, 3]),
        (json!({"instruments": ["eurusd", "EUR"]}), vec![]),
        (json!({"sources": ["mt?"]}), vec![0, 1, 2]),
        (json!({"sources": ["mt5"], "instruments": ["EUR*"]}), vec![1]),
        (json!({"not_sources": ["mt5"]}), vec![0, 3]),
        (json!({"instruments": ["*USD"], "not_instruments": ["XAU*"]}), vec![0, 1]),
    ] {
        assert_eq!(matching(&config, &one_of_each_series()), wanted, "{config}");
    }
}

const TWO: Quantity = Quantity::from_units(2 * Quantity::SCALE);

#[test]
fn a_tick_is_chosen_by_every_price_it_carries_by_its_spread_and_by_its_volume() {
    let price = |text: &str| text.parse::<Price>().unwrap();
    let quote = |bid, ask| Tick { bid: price(bid), ask: price(ask), ..Tick::default() };
    let ticks = [
        quote("1.1", "1.2"),
        quote("1.1", "0"),
        quote("1.2", "1.1"),
        Tick { volume: TWO, flags: Tick::HAS_VOLUME, ..quote("1.3", "1.3") },
        Tick { volume: TWO, last: price("9"), ..quote("0", "0") },
        Tick::default(),
    ];
    for (config, wanted) in [
        (json!({"price_min": "1.1", "price_max": 1.2}), vec![0, 1, 2]),
        (json!({"price_min": 1.15}), vec![3, 4]),
        (json!({"spread_max": "0.1"}), vec![0, 2, 3]),
        (json!({"spread_min": 0, "spread_max": 0.099_999_999}), vec![3]),
        (json!({"volume_min": 2}), vec![3]),
        (json!({"volume_max": "1.99999999"}), vec![]),
    ] {
        assert_eq!(matching(&config, &ticks), wanted, "{config}");
    }
}

#[test]
fn a_candle_is_chosen_by_its_timeframe_its_reason_and_its_extremes() {
    let mut candles = [
        candle(0, "1m", 0, 0, Reason::Closed),
        candle(0, "1h", 0, 1, Reason::Late),
        candle(0, "1d", 0, 0, Reason::Open),
    ];
    candles[0].price.high = "1.5".parse().unwrap();
    candles[0].price.low = "1.2".parse().unwrap();
    for (config, wanted) in [
        (json!({"timeframes": ["60s", "1d"]}), vec![0, 2]),
        (json!({"not_timeframes": ["1m"]}), vec![1, 2]),
        (json!({"reasons": ["closed", "late"]}), vec![0, 1]),
        (json!({"price_min": 1.2, "price_max": 1.5}), vec![0]),
        (json!({"price_min": 1.2, "price_max": 1.4}), vec![]),
        (json!({"volume_min": 0}), vec![]),
    ] {
        assert_eq!(matching(&config, &candles), wanted, "{config}");
    }
}

#[test]
fn settings_that_say_nothing_of_the_input_are_refused_by_name() {
    let build = |config: Value, kind| {
        let context = rig::context(kind, SeriesTable::new());
        rig::definition("filter").build(&config, context).map(|_| ()).map_err(|e| e.to_string())
    };
    let error = build(json!({"timeframes": ["1m"]}), Kind::Ticks).unwrap_err();
    assert!(error.starts_with("operators.it.timeframes: the input carries ticks"), "{error}");
    let error = build(json!({"spread_max": 1}), Kind::Candles).unwrap_err();
    assert!(error.starts_with("operators.it.spread_max: the input carries candles"), "{error}");
    assert_eq!(build(json!({"timeframes": ["1m"]}), Kind::Candles), Ok(()));
    let config = json!({"timeframes": ["1m"], "reasons": ["late"], "price_min": 1});
    let found = rig::definition("filter").check_input(&config, Kind::Ticks);
    let fields: Vec<_> = found.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["timeframes", "reasons"], "validate sees all of them");
}

#[test]
fn bounds_that_nothing_can_meet_and_empty_patterns_are_named() {
    let filter: &dyn OperatorDefinition = rig::definition("filter");
    let mistakes = filter.check(&json!({
        "instruments": ["EUR*", ""], "price_min": 2, "price_max": 1, "volume_min": 2,
        "volume_max": 1, "spread_min": 2, "spread_max": 1,
    }));
    let paths: Vec<&str> = mistakes.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["instruments[1]", "price_max", "spread_max", "volume_max"]);
    assert_eq!(filter.check(&json!({"timeframes": ["1y"]}))[0].0, "timeframes[0]");
}

proptest! {
    #[test]
    fn what_matches_is_the_same_however_it_comes(
        rows in proptest::collection::vec((0..4_u32, 0..9_i64), 0..60),
        cuts in cuts(), shape in shapes(),
    ) {
        let ticks: Vec<Tick> = rows.into_iter().enumerate().map(|(at, (series, bid))| Tick {
            series: SeriesId(series),
            bid: Price::from_units(bid),
            sequence: at as u64,
            ..Tick::default()
        }).collect();
        let config = json!({"instruments": ["*USD"], "not_sources": ["mt4"], "price_min": 5e-9});
        let results = rig::run("filter", &config, &every_second(cut(&ticks, &cuts)), &shape);
        for (port, passes) in [(0, true), (1, false)] {
            let mut wanted = ticks.clone();
            wanted.retain(|tick| {
                let (source, instrument) = SERIES[tick.series.index()];
                let holds =
                    instrument.ends_with("USD") && source != "mt4" && tick.bid.units() >= 5;
                holds == passes
            });
            wanted.sort_by_key(|tick| tick.series);
            prop_assert_eq!(all::<Tick>(&results, port), wanted);
        }
    }
}

#[test]
fn candles_of_one_series_share_what_its_name_decides() {
    let candles: Vec<Candle> =
        ["1m", "1h"].map(|frame| candle(1, frame, 0, 0, Reason::Closed)).to_vec();
    assert_eq!(matching(&json!({"sources": ["mt4"]}), &candles), Vec::<usize>::new());
    assert_eq!(matching(&json!({"sources": ["mt5"]}), &candles), [0, 1]);
}

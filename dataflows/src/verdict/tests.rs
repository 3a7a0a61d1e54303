//! What is fed comes out as it was, what differs is told so that one sees it.

use proptest::prelude::*;
use proto::row::{ColumnType, TICK_COLUMNS};
use proto::series::SeriesTable;
use serde_json::{Map, Value, json};

use super::{canonical, columns, compare, objects, rows_of};
use crate::batch::Rows;
use crate::kind::Kind;

fn tick(instrument: &str, time: &str, bid: &str) -> Value {
    json!({ "source": "mt4", "instrument": instrument, "time": time, "bid": bid, "sequence": 7 })
}

fn rows(values: &[Value]) -> Vec<Map<String, Value>> {
    values.iter().filter_map(|value| value.as_object().cloned()).collect()
}

#[test]
fn ticks_come_out_digit_by_digit_in_the_order_of_names_and_times() {
    let table = SeriesTable::new();
    let fed = [
        tick("USDJPY", "2024-01-02T10:00:00Z", "144.123456789"),
        tick("EURUSD", "2024-01-02T10:00:00.000000001Z", "1.10421"),
        tick("EURUSD", "2024-01-02T10:00:00Z", "1.1043"),
    ];
    let came = rows_of(Kind::Ticks, &fed, &table).unwrap();
    let objects = objects(vec![came], &table);
    let expected = [&fed[2], &fed[1], &fed[0]].map(|row| {
        let mut row = row.clone();
        for name in ["ask", "last", "volume"] {
            row[name] = Value::Null;
        }
        row
    });
    assert_eq!(objects, rows(&expected));
    compare(&expected, &objects, false).unwrap();
}

#[test]
fn a_candle_is_made_of_what_is_given_and_what_follows_from_it() {
    let table = SeriesTable::new();
    let candle = json!({
        "source": "mt4", "instrument": "EURUSD", "timeframe": "1h", "start": "2024-01-02T10:00:00Z",
        "open": "1.1", "high": "1.3", "low": "1.0", "close": "1.2", "volume": "3",
        "flags": "gap,partial_start", "basis": "mid", "reason": "late", "revision": 2,
        "ask_open": "2", "ask_high": "2", "ask_low": "2", "ask_close": "2",
    });
    let objects = objects(vec![rows_of(Kind::Candles, &[candle], &table).unwrap()], &table);
    let expected = json!({
        "source": "mt4", "instrument": "EURUSD", "timeframe": "1h", "start": "2024-01-02T10:00:00Z",
        "end": "2024-01-02T11:00:00Z", "trading_date": "2024-01-02", "basis": "mid",
        "open": "1.1", "high": "1.3", "low": "1", "close": "1.2", "ask_open": "2", "ask_high": "2",
        "ask_low": "2", "ask_close": "2", "volume": "3", "ticks": 1,
        "first_time": "2024-01-02T10:00:00Z", "last_time": "2024-01-02T10:00:00Z",
        "first_sequence": 0, "last_sequence": 0, "revision": 2, "reason": "late",
        "flags": "partial_start,gap",
    });
    assert_eq!(objects, rows(&[expected]));
}

#[test]
fn a_record_that_is_none_is_refused_with_its_number_and_reason() {
    let table = SeriesTable::new();
    let good = tick("EURUSD", "2024-01-02", "1");
    for (record, reason) in [
        (json!({ "source": "mt4", "instrument": "E" }), "record 2: `time` is missing"),
        (tick("E", "soon", "1"), "record 2: `soon` is no value of `time`"),
        (tick("E", "2024-01-02", "x"), "record 2: `x` is no value of `bid`"),
        (tick("a/b", "2024-01-02", "1"), "record 2: mt4 a/b: "),
        (json!({ "sauce": 1 }), "record 2: ticks have no `sauce`"),
        (json!([1]), "record 2: expected an object"),
    ] {
        let error = rows_of(Kind::Ticks, &[good.clone(), record], &table).unwrap_err();
        assert!(error.starts_with(reason), "{error}");
    }
    let error = rows_of(Kind::Candles, &[json!({ "source": "a" })], &table).unwrap_err();
    assert_eq!(error, "record 1: `instrument` is missing");
    assert!(rows_of(Kind::Rejects, &[], &table).is_err());
    assert_eq!(rows_of(Kind::Ticks, &[], &table), Ok(Rows::Ticks(Vec::new())));
}

#[test]
fn a_difference_is_told_by_row_and_key_with_all_that_came() {
    let table = SeriesTable::new();
    let fed = [
        tick("EURUSD", "2024-01-02T10:00:00Z", "1.1043"),
        tick("EURUSD", "2024-01-02T10:00:01Z", "1.1042"),
    ];
    let got = objects(vec![rows_of(Kind::Ticks, &fed, &table).unwrap()], &table);
    let expected = [json!({ "bid": "1.1043" }), json!({ "bid": "1.10421", "ask": "1" })];
    assert_eq!(
        compare(&expected, &got, false).unwrap_err(),
        "row 2: ask: expected 1, got nothing\n\
         row 2: bid: expected 1.10421, got 1.1042\n\
         got\n\
         \x20 row  instrument  time                  bid     ask\n\
         \x20 1    EURUSD      2024-01-02T10:00:00Z  1.1043\n\
         \x20 2    EURUSD      2024-01-02T10:00:01Z  1.1042"
    );
    let none = compare(&[], &got, false).unwrap_err();
    assert!(none.starts_with("expected no row, got 2 rows\ngot\n"), "{none}");
    let more = compare(&[json!({ "bid": "1" })], &[], false).unwrap_err();
    assert_eq!(more, "expected 1 row, got no row\nrow 1: expected bid 1, got nothing\ngot no row");
}

#[test]
fn many_differences_and_rows_are_cut_short() {
    let got: Vec<_> = (0..1_000).map(|bid| json!({ "bid": bid })).collect();
    let expected: Vec<_> = (0..1_000).map(|bid| json!({ "bid": bid + 1 })).collect();
    let message = compare(&expected, &rows(&got), false).unwrap_err();
    assert!(message.contains("\nand 980 more\n") && message.ends_with("\n  and 980 rows more"));
    assert!(message.lines().count() < 50);
}

#[test]
fn without_an_order_a_row_that_asks_for_little_leaves_what_others_need() {
    let got = rows(&[json!({ "a": 1, "b": 1 }), json!({ "a": 1, "b": 2 })]);
    let expected = [json!({ "a": 1 }), json!({ "a": 1, "b": 1 })];
    compare(&expected, &got, true).unwrap();
    assert!(compare(&expected, &got, false).is_err());
    let missing = compare(&[json!({ "b": 1 }), json!({ "b": 1 })], &got, true).unwrap_err();
    assert!(missing.starts_with("expected row 2: b 1: no row is left that fits it\n"), "{missing}");
}

/// Tries every order.
fn some_order_fits(expected: &[Value], got: &[Map<String, Value>]) -> bool {
    let Some((first, rest)) = expected.split_first() else { return got.is_empty() };
    (0..got.len()).any(|at| {
        let mut left = got.to_vec();
        let row = left.remove(at);
        compare(std::slice::from_ref(first), &[row], false).is_ok() && some_order_fits(rest, &left)
    })
}

fn row() -> impl Strategy<Value = Value> {
    (0..3_u8, 0..3_u8).prop_map(|(a, b)| json!({ "a": a, "b": b }))
}

fn part() -> impl Strategy<Value = Value> {
    (row(), 0..4_u8).prop_map(|(mut row, keys)| {
        if let Some(row) = row.as_object_mut() {
            if keys & 1 != 0 {
                row.remove("a");
            }
            if keys & 2 != 0 {
                row.remove("b");
            }
        }
        row
    })
}

proptest! {
    #[test]
    fn rows_in_no_order_fit_if_and_only_if_some_order_fits(
        expected in prop::collection::vec(part(), 0..5),
        got in prop::collection::vec(row(), 0..5),
    ) {
        let got = rows(&got);
        prop_assert_eq!(compare(&expected, &got, true).is_ok(), some_order_fits(&expected, &got));
    }

    #[test]
    fn what_came_fits_itself_whatever_runs_it_came_in(
        ticks in prop::collection::vec((0..3_u8, 0..20_i64, 1..1_000_000_i64), 0..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let table = SeriesTable::new();
        let ticks: Vec<Value> = ticks
            .into_iter()
            .map(|(name, second, bid)| {
                tick(&format!("I{name}"), &format!("2024-01-02T10:00:{second:02}Z"), &format!("1.{bid:06}"))
            })
            .collect();
        let whole = rows_of(Kind::Ticks, &ticks, &table).unwrap();
        let (left, right) = ticks.split_at(cut.index(ticks.len() + 1));
        let runs = [right, left].map(|run| rows_of(Kind::Ticks, run, &table).unwrap());
        let (whole, runs) = (objects(vec![whole], &table), objects(runs.into(), &table));
        let expected: Vec<Value> = whole.iter().cloned().map(Value::Object).collect();
        prop_assert_eq!(compare(&expected, &runs, false), Ok(()));
        prop_assert_eq!(compare(&expected, &runs, true), Ok(()));
    }

    #[test]
    fn the_canonical_form_of_a_value_is_its_own(units in any::<i64>(), kind in 0..9_usize) {
        let units = units % 1_000_000_000_000_000_000;
        let column = &TICK_COLUMNS[kind];
        let mut text = String::new();
        proto::row::write_number(units, column.kind, &mut text);
        if let Ok(value) = canonical(column, &Value::String(text.clone())) {
            prop_assert_eq!(canonical(column, &value), Ok(value.clone()));
            if column.kind != ColumnType::Integer && column.kind != ColumnType::Nanos {
                prop_assert_eq!(value, Value::String(text));
            }
        } else {
            // Only whole numbers below zero have no form.
            prop_assert!(units < 0, "{}", text);
        }
    }
}

#[test]
fn a_column_is_of_one_type_in_all_kinds() {
    for (left, right) in [(Kind::Ticks, Kind::Candles), (Kind::Candles, Kind::Rejects)] {
        for column in columns(left) {
            let other = columns(right).find(|other| other.name == column.name);
            assert!(other.is_none_or(|other| other.kind == column.kind), "{}", column.name);
        }
    }
}

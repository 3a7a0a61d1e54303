//! What differs between the rows that came and those that were expected, in words.

use std::collections::VecDeque;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::kind::Kind;

/// So many rows are shown.
const ROWS_MAX: usize = 20;

/// Columns that are always shown, where the rows have them: what tells rows apart.
const IDENTITY: [&str; 5] = ["instrument", "timeframe", "start", "time", "reason"];

/// Compares rows that came with those that were expected, both in canonical form. Of each expected
/// row only the keys that it has are compared; the number of rows always is.
///
/// # Errors
/// Says what differs, row by row (counted from 1), and shows what came.
pub fn compare(
    expected: &[Value],
    got: &[Map<String, Value>],
    unordered: bool,
) -> Result<(), String> {
    let mut words = Vec::new();
    if expected.len() != got.len() {
        words.push(format!("expected {}, got {}", count(expected.len()), count(got.len())));
    }
    if unordered {
        let missing = unmatched(expected, got);
        words.extend(missing.iter().map(|at| {
            let row = expected.get(*at).map(in_words).unwrap_or_default();
            format!("expected row {}: {row}: no row is left that fits it", at + 1)
        }));
    } else {
        for (at, (expected, got)) in expected.iter().zip(got).enumerate() {
            words
                .extend(differences(expected, got).map(|words| format!("row {}: {words}", at + 1)));
        }
        let missing = expected.iter().enumerate().skip(got.len());
        words.extend(
            missing.map(|(at, row)| {
                format!("row {}: expected {}, got nothing", at + 1, in_words(row))
            }),
        );
    }
    if words.is_empty() {
        return Ok(());
    }
    if words.len() > ROWS_MAX {
        let more = words.len() - ROWS_MAX;
        words.truncate(ROWS_MAX);
        words.push(format!("and {more} more"));
    }
    Err(format!("{}\n{}", words.join("\n"), table(expected, got)))
}

fn count(rows: usize) -> String {
    match rows {
        0 => "no row".to_owned(),
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    }
}

/// Shows a value as a person would write it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn in_words(row: &Value) -> String {
    let fields = row.as_object().into_iter().flatten();
    let fields: Vec<_> = fields.map(|(key, value)| format!("{key} {}", shown(value))).collect();
    fields.join(", ")
}

/// Says of each expected key whose value is another one what it is.
fn differences<'a>(
    expected: &'a Value,
    got: &'a Map<String, Value>,
) -> impl Iterator<Item = String> + 'a {
    let fields = expected.as_object().into_iter().flatten();
    fields.filter_map(|(key, expected)| {
        let got = got.get(key).unwrap_or(&Value::Null);
        (expected != got)
            .then(|| format!("{key}: expected {}, got {}", shown(expected), shown(got)))
    })
}

/// Gives the expected rows for which no row is left when as many as possible have found one each.
///
/// A row that is expected with few keys may take what one with more keys needs, so that later ones
/// may have to make earlier ones move on (augmenting paths).
fn unmatched(expected: &[Value], got: &[Map<String, Value>]) -> Vec<usize> {
    let fits: Vec<Vec<usize>> = expected
        .iter()
        .map(|row| (0..got.len()).filter(|at| fits(row, got, *at)).collect())
        .collect();
    let mut taken: Vec<Option<usize>> = vec![None; got.len()];
    (0..expected.len()).filter(|start| !place(*start, &fits, &mut taken)).collect()
}

fn fits(expected: &Value, got: &[Map<String, Value>], at: usize) -> bool {
    got.get(at).is_some_and(|got| differences(expected, got).next().is_none())
}

/// Finds a row for an expected one, moving others where that helps.
fn place(start: usize, fits: &[Vec<usize>], taken: &mut [Option<usize>]) -> bool {
    // Per row that was reached: the expected row that it was reached from.
    let mut from: Vec<Option<usize>> = vec![None; taken.len()];
    let mut open = VecDeque::from([start]);
    while let Some(row) = open.pop_front() {
        for at in fits.get(row).into_iter().flatten().copied() {
            let Some(reached @ None) = from.get_mut(at) else { continue };
            *reached = Some(row);
            match taken.get(at).copied().flatten() {
                Some(owner) => open.push_back(owner),
                None => {
                    hand_over(start, at, &from, taken);
                    return true;
                }
            }
        }
    }
    false
}

/// Gives a free row to whom it was reached from, and what that one had to whom that was reached from.
fn hand_over(start: usize, free: usize, from: &[Option<usize>], taken: &mut [Option<usize>]) {
    let mut at = free;
    while let Some(row) = from.get(at).copied().flatten() {
        let had = taken.iter().position(|owner| *owner == Some(row));
        if let Some(slot) = taken.get_mut(at) {
            *slot = Some(row);
        }
        match had {
            Some(had) if row != start => at = had,
            _ => break,
        }
    }
}

/// Gives the columns to show: those that are compared, and those that tell rows apart.
fn to_show(expected: &[Value], got: &Map<String, Value>) -> Vec<&'static str> {
    let is_of = |kind: Kind| {
        let names = || super::columns(kind).map(|column| column.name);
        names().count() == got.len() && names().all(|name| got.contains_key(name))
    };
    let kind = Kind::ALL.iter().find(|kind| is_of(**kind));
    let names = kind.into_iter().flat_map(|kind| super::columns(*kind)).map(|column| column.name);
    let is_compared = |name: &str| expected.iter().any(|row| row.get(name).is_some());
    names.filter(|name| IDENTITY.contains(name) || is_compared(name)).collect()
}

/// Shows the rows that came as a table, one line each.
fn table(expected: &[Value], got: &[Map<String, Value>]) -> String {
    let Some(first) = got.first() else { return "got no row".to_owned() };
    let names = to_show(expected, first);
    let mut lines: Vec<Vec<String>> =
        vec![std::iter::once("row").chain(names.iter().copied()).map(str::to_owned).collect()];
    for (at, row) in got.iter().take(ROWS_MAX).enumerate() {
        let value = |name: &&str| match row.get(*name) {
            None | Some(Value::Null) => String::new(),
            Some(value) => crate::job::mistake::short(&shown(value)),
        };
        lines.push(std::iter::once((at + 1).to_string()).chain(names.iter().map(value)).collect());
    }
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..=names.len()).map(width).collect();
    let mut text = String::from("got");
    for line in &lines {
        let mut row = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            // Writing to a String cannot fail.
            let written = write!(row, "  {cell:width$}");
            debug_assert!(written.is_ok());
        }
        text.push('\n');
        text.push_str(row.trim_end());
    }
    if got.len() > ROWS_MAX {
        text.push_str(&format!("\n  and {} more", count(got.len() - ROWS_MAX)));
    }
    text
}

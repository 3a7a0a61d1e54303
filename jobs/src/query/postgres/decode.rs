//! PostgreSQL's binary values to ours.

use std::borrow::Cow;

use dataflows::fault::Fault;
use sqlx::postgres::{PgRow, PgTypeInfo};
use sqlx::{Column as _, Row as _, TypeInfo as _, ValueRef as _};

use crate::query::parquet::time_text;
use crate::query::value::{Column, Type, Value};

/// 2000-01-01, where PostgreSQL counts from, in microseconds and days since 1970.
const EPOCH_MICROS: i128 = 946_684_800_000_000;
const EPOCH_DAYS: i64 = 10_957;

/// Gives a column of the result.
///
/// # Errors
/// When its type has no counterpart here.
pub(super) fn column(name: &str, kind: &PgTypeInfo) -> Result<Column, Fault> {
    let word = kind.name().to_ascii_uppercase();
    let kind = match word.as_str() {
        "BOOL" | "INT2" | "INT4" | "INT8" | "OID" => Some(Type::Integer),
        "FLOAT4" | "FLOAT8" => Some(Type::Real),
        "NUMERIC" => None,
        "TIMESTAMPTZ" | "TIMESTAMP" => Some(Type::Timestamp),
        "DATE" => Some(Type::Date),
        "BYTEA" => Some(Type::Blob),
        "TEXT" | "VARCHAR" | "CHAR" | "\"CHAR\"" | "NAME" | "UNKNOWN" | "JSON" | "JSONB"
        | "UUID" => Some(Type::Text),
        _ => {
            let message = format!(
                "column \"{name}\" has the type {}, which no output can show; write CAST(… AS text)",
                word.to_ascii_lowercase()
            );
            return Err(Fault::job("query", message));
        }
    };
    Ok(Column { name: name.to_owned(), kind })
}

/// Gives a value of a row.
pub(super) fn value(row: &PgRow, column: usize) -> Result<Value<'_>, Fault> {
    let broken = |what: &dyn std::fmt::Display| {
        Fault::defect("query", format!("column {column} of a row from PostgreSQL: {what}"))
    };
    let raw = row.try_get_raw(column).map_err(|error| broken(&error))?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let about = row.columns().get(column).ok_or_else(|| broken(&"missing"))?;
    let kind = about.type_info().name().to_ascii_uppercase();
    let bytes = raw.as_bytes().map_err(|error| broken(&error))?;
    let is_seconds = ["start", "end"].contains(&about.name());
    decoded(&kind, bytes, is_seconds).ok_or_else(|| broken(&format!("{kind} is malformed")))
}

fn decoded<'a>(kind: &str, bytes: &'a [u8], is_seconds: bool) -> Option<Value<'a>> {
    Some(match kind {
        "BOOL" => Value::Integer(i64::from(*bytes.first()? != 0)),
        "INT2" => Value::Integer(i64::from(i16::from_be_bytes(bytes.try_into().ok()?))),
        "INT4" => Value::Integer(i64::from(i32::from_be_bytes(bytes.try_into().ok()?))),
        "OID" => Value::Integer(i64::from(u32::from_be_bytes(bytes.try_into().ok()?))),
        "INT8" => Value::Integer(i64::from_be_bytes(bytes.try_into().ok()?)),
        "FLOAT4" => Value::Real(f64::from(f32::from_be_bytes(bytes.try_into().ok()?))),
        "FLOAT8" => Value::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
        "NUMERIC" => number(bytes)?,
        "TIMESTAMPTZ" | "TIMESTAMP" => {
            let micros = i64::from_be_bytes(bytes.try_into().ok()?);
            Value::Text(match micros {
                i64::MAX => "infinity".into(),
                i64::MIN => "-infinity".into(),
                _ => {
                    let ns = (i128::from(micros) + EPOCH_MICROS) * 1_000;
                    time_text::time(ns, if is_seconds { 0 } else { 6 }).into()
                }
            })
        }
        "DATE" => {
            let days = i32::from_be_bytes(bytes.try_into().ok()?);
            Value::Text(match days {
                i32::MAX => "infinity".into(),
                i32::MIN => "-infinity".into(),
                _ => time_text::date(i64::from(days) + EPOCH_DAYS).into(),
            })
        }
        "BYTEA" => Value::Blob(Cow::Borrowed(bytes)),
        "UUID" => {
            let mut text = String::with_capacity(36);
            Value::Blob(Cow::Borrowed(bytes)).write_text(&mut text);
            for dash in [20, 16, 12, 8] {
                text.insert(dash.min(text.len()), '-');
            }
            Value::Text(text.into())
        }
        // The first byte is the version of the format.
        "JSONB" => Value::Text(String::from_utf8_lossy(bytes.get(1..)?)),
        _ => Value::Text(String::from_utf8_lossy(bytes)),
    })
}

/// A NUMERIC: a whole number stays one (as text beyond 64 bits), another becomes the nearest
/// double, which holds fifteen digits exactly.
fn number(bytes: &[u8]) -> Option<Value<'static>> {
    let mut words =
        bytes.chunks_exact(2).filter_map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)));
    let digits = words.next()?;
    let weight = i32::from(words.next()?.cast_signed());
    let sign = words.next()?;
    let scale = usize::from(words.next()?);
    let minus = match sign {
        0x0000 => "",
        0x4000 => "-",
        0xd000 => return Some(Value::Real(f64::INFINITY)),
        0xf000 => return Some(Value::Real(f64::NEG_INFINITY)),
        _ => return Some(Value::Null),
    };
    let groups: Vec<u16> = words.take(usize::from(digits)).collect();
    let group = |place: i32| {
        usize::try_from(weight - place).ok().and_then(|at| groups.get(at)).copied().unwrap_or(0)
    };
    let mut whole = String::new();
    for place in (0..=weight.max(0)).rev() {
        whole.push_str(&format!("{:04}", group(place)));
    }
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    if scale == 0 {
        let text = format!("{minus}{whole}");
        return Some(text.parse().map_or(Value::Text(text.into()), Value::Integer));
    }
    let mut fraction = String::new();
    let mut place = -1;
    while fraction.len() < scale {
        fraction.push_str(&format!("{:04}", group(place)));
        place -= 1;
    }
    fraction.truncate(scale);
    format!("{minus}{whole}.{fraction}").parse().ok().map(Value::Real)
}

#[cfg(test)]
mod tests {
    use super::number;
    use crate::query::value::Value;

    fn numeric(weight: i16, sign: u16, scale: u16, groups: &[u16]) -> Value<'static> {
        let mut words = vec![groups.len() as u16, weight.cast_unsigned(), sign, scale];
        words.extend(groups);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        number(&bytes).unwrap()
    }

    #[test]
    fn a_number_keeps_its_value() {
        assert_eq!(numeric(0, 0, 9, &[1, 3841]), Value::Real(1.3841));
        assert_eq!(numeric(-1, 0x4000, 5, &[1, 2000]), Value::Real(-0.00012));
        assert_eq!(numeric(1, 0, 0, &[1]), Value::Integer(10_000));
        assert_eq!(numeric(0, 0, 2, &[]), Value::Real(0.0));
        assert_eq!(numeric(5, 0, 0, &[1]), Value::Text("100000000000000000000".into()));
        assert_eq!(number(&[0, 1]), None);
    }
}

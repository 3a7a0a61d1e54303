//! What a result consists of: columns and values, whichever engine made them.

use std::borrow::Cow;
use std::cmp::Ordering;

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// Its name, as the query says.
    pub name: String,
    /// What its values are, where the engine knows: an expression has no declared type.
    pub kind: Option<Type>,
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// A whole number.
    Integer,
    /// A number.
    Real,
    /// Text.
    Text,
    /// A point in time, as RFC 3339 text in UTC.
    Timestamp,
    /// A civil date, as text: `2014-05-01`.
    Date,
    /// Bytes.
    Blob,
}

/// A value of a result.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    /// None.
    Null,
    /// A whole number; of a boolean, 0 or 1.
    Integer(i64),
    /// A number.
    Real(f64),
    /// Text, also of times and dates.
    Text(Cow<'a, str>),
    /// Bytes.
    Blob(Cow<'a, [u8]>),
}

impl Value<'_> {
    /// Copies what is borrowed.
    pub(super) fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Integer(value) => Value::Integer(value),
            Value::Real(value) => Value::Real(value),
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::Blob(bytes) => Value::Blob(Cow::Owned(bytes.into_owned())),
        }
    }

    /// Compares values of one class (numbers, or texts); none for all others.
    pub(super) fn compare(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
            (Value::Text(left), Value::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
            (Value::Integer(_) | Value::Real(_), Value::Integer(_) | Value::Real(_)) => {
                self.as_f64()?.partial_cmp(&other.as_f64()?)
            }
            _ => None,
        }
    }

    pub(super) const fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Integer(value) => Some(*value as f64),
            Value::Real(value) => Some(*value),
            _ => None,
        }
    }

    /// Writes it as plain text; a null gives nothing, bytes give hexadecimal digits.
    pub(super) fn write_text(&self, out: &mut String) {
        use std::fmt::Write as _;
        match self {
            Value::Null => {}
            Value::Integer(value) => _ = write!(out, "{value}"),
            Value::Real(value) => _ = write!(out, "{value:?}"),
            Value::Text(text) => out.push_str(text),
            Value::Blob(bytes) => {
                for byte in bytes.iter() {
                    _ = write!(out, "{byte:02x}");
                }
            }
        }
    }
}

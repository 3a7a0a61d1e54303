//! What all travelling records share: the check that makes one fit to travel, and why it is not.

use crate::decimal::{DecimalError, UNITS_MAX};
use crate::series::{NameError, check_name};

/// The longest encoded message that is read or written, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 262_144;

/// How much of a decoder's words is kept, in characters.
const DETAIL_CHARS_MAX: usize = 200;

/// Why bytes are no record, or a record is not fit to travel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// More than [`MESSAGE_BYTES_MAX`]; nothing was decoded.
    #[error("the message has {0} bytes; at most {MESSAGE_BYTES_MAX} are read")]
    TooLarge(usize),
    /// Not in the format at all.
    #[error("not {format}: {detail}")]
    Malformed {
        /// `protobuf` or `json`.
        format: &'static str,
        /// What the decoder says.
        detail: String,
    },
    /// A field that must be there is not.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A number of an enum that this version does not know, or the zero that is never written.
    #[error("`{field}` is {number}, which is no value of it that this version knows")]
    UnknownValue {
        /// The field.
        field: &'static str,
        /// What it holds.
        number: i32,
    },
    /// A name that could not be part of a topic or a key.
    #[error("`{field}`: {error}")]
    BadName {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        error: NameError,
    },
    /// A price, a size or a time that is not exact or out of range.
    #[error("`{field}`: {error}")]
    BadNumber {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        error: DecimalError,
    },
    /// Well-formed, but it breaks a rule of its type.
    #[error("`{field}` {rule}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What must hold: `must not be negative`.
        rule: &'static str,
    },
}

impl RecordError {
    /// Gives a short word to count by.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "too_large",
            Self::Malformed { .. } => "malformed",
            Self::Missing(_) => "missing_field",
            Self::UnknownValue { .. } => "unknown_value",
            Self::BadName { .. } => "bad_name",
            Self::BadNumber { .. } => "bad_number",
            Self::Invalid { .. } => "invalid",
        }
    }

    /// Keeps what a decoder says on one short line: it may quote the input.
    pub(crate) fn malformed(format: &'static str, error: impl ToString) -> Self {
        let text = error.to_string();
        let mut detail = String::new();
        for character in text.chars().take(DETAIL_CHARS_MAX) {
            if character.is_control() {
                detail.extend(character.escape_default());
            } else {
                detail.push(character);
            }
        }
        Self::Malformed { format, detail }
    }

    pub(crate) const fn invalid(field: &'static str, rule: &'static str) -> Self {
        Self::Invalid { field, rule }
    }
}

/// A record that travels.
pub trait Record: Sized {
    /// Its name in the schemas: `Tick`.
    const NAME: &'static str;

    /// Checks every rule of the type. Codecs call it before they write and after they read.
    ///
    /// # Errors
    /// The first rule that is broken.
    fn check(&self) -> Result<(), RecordError>;
}

/// Refuses `condition` to be false.
pub(crate) fn ensure(
    condition: bool,
    field: &'static str,
    rule: &'static str,
) -> Result<(), RecordError> {
    if condition { Ok(()) } else { Err(RecordError::invalid(field, rule)) }
}

/// Checks a name that may become part of a topic, a key or a path.
pub(crate) fn ensure_name(name: &str, field: &'static str) -> Result<(), RecordError> {
    check_name(name).map_err(|error| RecordError::BadName { field, error })
}

/// Checks that eighteen digits hold `units`.
pub(crate) fn ensure_range(units: i64, field: &'static str) -> Result<(), RecordError> {
    if units.unsigned_abs() <= UNITS_MAX.unsigned_abs() {
        Ok(())
    } else {
        Err(RecordError::BadNumber { field, error: DecimalError::OutOfRange })
    }
}

/// Checks that `units` is a size: held by eighteen digits and not negative.
pub(crate) fn ensure_size(units: i64, field: &'static str) -> Result<(), RecordError> {
    ensure_range(units, field)?;
    ensure(units >= 0, field, "must not be negative")
}

/// Checks the length of a message before anything of it is read.
pub(crate) fn ensure_length(bytes: usize) -> Result<(), RecordError> {
    if bytes <= MESSAGE_BYTES_MAX { Ok(()) } else { Err(RecordError::TooLarge(bytes)) }
}

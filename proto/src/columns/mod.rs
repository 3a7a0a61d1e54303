//! Layout of records in Arrow and Parquet: one place for files written, files read and queries.
//!
//! Plain logical types only (UTC microseconds, `DECIMAL(18, n)`, dates, text), so that DuckDB,
//! Polars and Spark read a file without help. A time's last three digits, where a source has
//! nanoseconds, stand in a column of their own, because Spark cannot read finer timestamps.

mod candles;
mod read;
mod rejects;
mod ticks;
mod write;

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, TimeUnit};
use arrow::error::ArrowError;

use crate::decimal::{Price, Quantity};
use crate::series::{NameError, Series, SeriesId, SeriesTable};

pub use candles::{Detail, candle_schema, candles_of_batch, candles_to_batch, leave_out_origin};
pub use rejects::{reject_schema, rejects_of_batch, rejects_to_batch};
pub use ticks::{tick_schema, ticks_of_batch, ticks_to_batch};

/// Why columns are not those of a record, or a record is not one of the table's.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A column is missing.
    #[error("there is no column `{0}`")]
    Missing(&'static str),
    /// A column has another type, and its values do not convert.
    #[error("column `{column}` is {found}; expected {expected}")]
    Type {
        /// Which column.
        column: &'static str,
        /// Its type.
        found: String,
        /// The type that is expected.
        expected: String,
    },
    /// A value is missing, or not one of those that are allowed.
    #[error("column `{column}`, row {row}: {found}; expected {expected}")]
    Value {
        /// Which column.
        column: &'static str,
        /// Which row, counted from 0.
        row: usize,
        /// What was found.
        found: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A name cannot name a source or an instrument.
    #[error("column `{column}`: `{name}` cannot be a name: {error}")]
    Name {
        /// Which column.
        column: &'static str,
        /// The name.
        name: String,
        /// What is wrong with it.
        error: NameError,
    },
    /// A record has a series number that the table of series does not know.
    #[error("series number {0} is unknown")]
    Series(u32),
    /// Arrow refused the columns.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

/// Names of series, laid out for columns: numbers are mapped once, not per row.
#[derive(Debug, Clone)]
pub struct Names {
    table: SeriesTable,
    series: Vec<Arc<Series>>,
    sources: Dictionary,
    instruments: Dictionary,
}

/// The distinct words of one column, and the number of the word of each series.
#[derive(Debug, Clone)]
struct Dictionary {
    words: Vec<Arc<str>>,
    keys: Vec<i32>,
    values: ArrayRef,
}

impl Dictionary {
    fn new() -> Self {
        let values: ArrayRef = Arc::new(StringArray::from(Vec::<&str>::new()));
        Self { words: Vec::new(), keys: Vec::new(), values }
    }

    fn extend<'a>(&mut self, words: impl Iterator<Item = &'a Arc<str>>) {
        let mut numbers: std::collections::BTreeMap<Arc<str>, usize> =
            self.words.iter().cloned().zip(0..).collect();
        for word in words {
            let next = self.words.len();
            let number = *numbers.entry(word.clone()).or_insert_with(|| {
                self.words.push(word.clone());
                next
            });
            self.keys.push(i32::try_from(number).unwrap_or(i32::MAX));
        }
        self.values = Arc::new(StringArray::from_iter_values(self.words.iter()));
    }
}

impl Names {
    /// Takes a copy of the names that `table` knows.
    pub fn new(table: SeriesTable) -> Self {
        let (sources, instruments) = (Dictionary::new(), Dictionary::new());
        let mut names = Self { table, series: Vec::new(), sources, instruments };
        names.refresh();
        names
    }

    /// Takes in the names that the table has learned since.
    pub fn refresh(&mut self) {
        let known = self.series.len();
        self.table.refresh(&mut self.series);
        if self.series.len() > known {
            let fresh = &self.series[known..];
            self.sources.extend(fresh.iter().map(|series| &series.source));
            self.instruments.extend(fresh.iter().map(|series| &series.instrument));
        }
    }

    /// Gives what is known of a series.
    pub fn get(&self, id: SeriesId) -> Option<&Series> {
        self.series.get(id.index()).map(Arc::as_ref)
    }

    /// Gives all that are known, by number.
    pub fn all(&self) -> &[Arc<Series>] {
        &self.series
    }

    /// Gives the table that the names come from.
    pub const fn table(&self) -> &SeriesTable {
        &self.table
    }
}

fn text(name: &str, nullable: bool) -> Field {
    let word = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    Field::new(name, word, nullable)
}

fn time(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), nullable)
}

fn price(name: &str, nullable: bool) -> Field {
    Field::new(name, PRICE, nullable)
}

fn quantity(name: &str, nullable: bool) -> Field {
    Field::new(name, QUANTITY, nullable)
}

const PRICE: DataType = DataType::Decimal64(18, Price::DIGITS as i8);
const QUANTITY: DataType = DataType::Decimal64(18, Quantity::DIGITS as i8);

#[cfg(test)]
mod tests;

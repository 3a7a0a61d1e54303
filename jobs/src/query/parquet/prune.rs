//! Which files and row groups can hold rows that a query asks for: by folder names, and by the
//! least and the greatest value of a row group. What is not known for certain is read.

use std::borrow::Cow;
use std::cmp::Ordering;

use arrow::array::Array as _;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::RowGroupMetaData;

use super::cells::{CellKind, Cells, is_text};
use super::dataset::{DataFile, Dataset};
use super::time_text;
use crate::query::value::Value;

/// A condition on a column.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::query) struct Bound {
    pub(in crate::query) column: usize,
    pub(in crate::query) comparison: Comparison,
    /// What the column is compared with; of several (`IN`) one suffices.
    pub(in crate::query) values: Vec<Value<'static>>,
}

/// How a column is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::query) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Bound {
    /// Tells whether a value from `min` to `max` can fulfil it.
    pub(super) fn may_hold(&self, min: &Value<'_>, max: &Value<'_>) -> bool {
        self.values.iter().any(|value| {
            let (Some(least), Some(most)) = (min.compare(value), max.compare(value)) else {
                return true;
            };
            // An integer and a real are compared as doubles, which may take neighbours for equal.
            let is_exact = !matches!(
                (value, min),
                (Value::Real(_), Value::Integer(_)) | (Value::Integer(_), Value::Real(_))
            );
            match self.comparison {
                Comparison::Equal => least != Ordering::Greater && most != Ordering::Less,
                Comparison::Less if is_exact => least == Ordering::Less,
                Comparison::Greater if is_exact => most == Ordering::Greater,
                Comparison::Less | Comparison::LessOrEqual => least != Ordering::Greater,
                Comparison::Greater | Comparison::GreaterOrEqual => most != Ordering::Less,
            }
        })
    }
}

/// Tells whether the names of a file's folders allow all bounds.
pub(super) fn file_may_hold(file: &DataFile, bounds: &[Bound]) -> bool {
    bounds.iter().all(|bound| match file.folder_values.get(bound.column) {
        Some(Some(value)) => bound.may_hold(value, value),
        _ => true,
    })
}

/// Gives the row groups of a file that may hold rows which fulfil all bounds.
pub(super) fn row_groups(
    dataset: &Dataset,
    file: &DataFile,
    metadata: &ArrowReaderMetadata,
    bounds: &[Bound],
) -> Vec<usize> {
    let groups = metadata.metadata().row_groups();
    let mut keep = vec![true; groups.len()];
    for bound in bounds {
        let is_folder = matches!(file.folder_values.get(bound.column), Some(Some(_)));
        let Some(column) = dataset.columns.get(bound.column).filter(|_| !is_folder) else {
            continue;
        };
        let Some((mins, maxes)) = statistics(&column.name, column.kind, metadata, groups) else {
            continue;
        };
        for (group, keep) in keep.iter_mut().enumerate() {
            if let (Some(min), Some(max)) = (end(&mins, group, false), end(&maxes, group, true)) {
                *keep &= bound.may_hold(&min, &max);
            }
        }
    }
    keep.iter().enumerate().filter(|(_, keep)| **keep).map(|(group, _)| group).collect()
}

/// The least and the greatest values of a column, per row group.
fn statistics(
    name: &str,
    kind: CellKind,
    metadata: &ArrowReaderMetadata,
    groups: &[RowGroupMetaData],
) -> Option<(Cells, Cells)> {
    let schema = metadata.schema();
    let field = schema.fields().iter().find(|field| field.name().eq_ignore_ascii_case(name))?;
    // Numbers that are shown as text do not sort as their text does.
    if kind == CellKind::Text && !is_text(field.data_type()) {
        return None;
    }
    let name = field.name();
    let converter = StatisticsConverter::try_new(name, schema, metadata.parquet_schema()).ok()?;
    let column = converter.parquet_column_index()?;
    // Old writers compared text as signed bytes: their bounds are not ours.
    let is_sound = groups.iter().all(|group| {
        let statistics = group.columns().get(column).and_then(|column| column.statistics());
        statistics.is_none_or(|statistics| !statistics.is_min_max_deprecated())
    });
    let mins = converter.row_group_mins(groups).ok()?;
    let maxes = converter.row_group_maxes(groups).ok()?;
    if !is_sound || mins.len() != groups.len() || maxes.len() != groups.len() {
        return None;
    }
    Some((Cells::new(&mins, kind).ok()?, Cells::new(&maxes, kind).ok()?))
}

/// Times outside the years that have four digits do not sort as text.
const TIMES: std::ops::Range<i128> = -62_167_219_200_000_000_000..253_402_300_000_000_000_000;

/// One end of a row group's values, as they compare in SQL.
fn end(cells: &Cells, group: usize, is_max: bool) -> Option<Value<'_>> {
    match cells {
        Cells::Time { values, unit_ns, digits } if values.is_valid(group) => {
            let step = 10_i128.pow(9_u32.saturating_sub(*digits as u32));
            let mut ns = i128::from(values.value(group)) * i128::from(*unit_ns);
            // `…:00.5Z` sorts before `…:00Z`: where times may be finer than the text, a step more.
            if step > i128::from(*unit_ns) && (!is_max || ns % step != 0) {
                ns = ns.div_euclid(step) * step + if is_max { step } else { -step };
            }
            TIMES.contains(&ns).then(|| Value::Text(Cow::Owned(time_text::time(ns, *digits))))
        }
        Cells::Date(values) if values.is_valid(group) => {
            let is_plain = (-719_528..2_932_896).contains(&values.value(group));
            is_plain.then(|| cells.value(group))
        }
        _ => match cells.value(group) {
            Value::Null | Value::Blob(_) => None,
            value => Some(value),
        },
    }
}

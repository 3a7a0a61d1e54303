//! Datasets as virtual tables of SQLite: the only file of this room that needs `unsafe`, for the
//! layout of structs that SQLite sees from C.

use std::borrow::Cow;
use std::ffi::c_int;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use dataflows::fault::Fault;
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::types::ValueRef;
use rusqlite::vtab::{
    Context, CreateVTab, Filters, IndexConstraintOp, IndexInfo, VTab, VTabConnection, VTabCursor,
    VTabKind, sqlite3_vtab, sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Error, Result};

use super::dataset::{Dataset, DatasetColumn};
use super::prune::{Bound, Comparison};
use super::scan::{Request, Scan};
use crate::query::hint;
use crate::query::value::{Type, Value};

/// The word after USING.
pub(in crate::query) const MODULE: &str = "tapeflow_parquet";

/// What the virtual tables of one connection share with it.
#[derive(Debug, Default)]
pub(in crate::query) struct Shared {
    datasets: Mutex<Vec<Arc<Dataset>>>,
    /// Why the last call failed: SQLite itself passes on the words alone.
    fault: Mutex<Option<Fault>>,
}

impl Shared {
    /// Makes the virtual tables known to a connection.
    pub(in crate::query) fn register(self: &Arc<Self>, connection: &Connection) -> Result<()> {
        let module = rusqlite::vtab::read_only_module::<DatasetTable>();
        connection.create_module(MODULE, module, Some(self.clone()))
    }

    /// Takes a dataset; gives the number to make its virtual table with.
    pub(in crate::query) fn add(&self, dataset: Arc<Dataset>) -> usize {
        let mut datasets = self.datasets.lock().unwrap_or_else(PoisonError::into_inner);
        datasets.push(dataset);
        datasets.len() - 1
    }

    /// Gives the fault behind the last error, if it was one of ours.
    pub(in crate::query) fn take_fault(&self) -> Option<Fault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn failed(&self, fault: Fault) -> Error {
        let error = Error::ModuleError(fault.to_string());
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        error
    }
}

/// A dataset as SQLite sees it.
#[repr(C)]
struct DatasetTable {
    base: sqlite3_vtab,
    dataset: Arc<Dataset>,
    shared: Arc<Shared>,
}

#[expect(unsafe_code, reason = "the struct is repr(C) and begins with SQLite's own, as asked for")]
unsafe impl<'vtab> VTab<'vtab> for DatasetTable {
    type Aux = Arc<Shared>;
    type Cursor = DatasetCursor;

    fn connect(
        _: &mut VTabConnection,
        shared: Option<&Arc<Shared>>,
        arguments: &[&[u8]],
    ) -> Result<(String, Self)> {
        let number = arguments.get(3).and_then(|text| std::str::from_utf8(text).ok());
        let number: Option<usize> = number.and_then(|text| text.trim().parse().ok());
        let found = shared.zip(number).and_then(|(shared, number)| {
            let datasets = shared.datasets.lock().unwrap_or_else(PoisonError::into_inner);
            Some((shared.clone(), datasets.get(number)?.clone()))
        });
        let (shared, dataset) =
            found.ok_or_else(|| Error::ModuleError("no such dataset".to_owned()))?;
        let schema = declare(&dataset.columns);
        Ok((schema, Self { base: sqlite3_vtab::default(), dataset, shared }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<()> {
        choose(&self.dataset, info)
    }

    fn open(&'vtab mut self) -> Result<DatasetCursor> {
        let scan = Scan::new(self.dataset.clone(), Request::default());
        let (dataset, shared) = (self.dataset.clone(), self.shared.clone());
        let base = sqlite3_vtab_cursor::default();
        Ok(DatasetCursor { base, dataset, shared, scan, row: 0, rows: 0, rowid: 0 })
    }
}

impl CreateVTab<'_> for DatasetTable {
    const KIND: VTabKind = VTabKind::Default;
}

/// A pass over a dataset as SQLite sees it.
#[repr(C)]
struct DatasetCursor {
    base: sqlite3_vtab_cursor,
    dataset: Arc<Dataset>,
    shared: Arc<Shared>,
    scan: Scan,
    row: usize,
    rows: usize,
    rowid: i64,
}

impl DatasetCursor {
    fn next_batch(&mut self) -> Result<()> {
        self.row = 0;
        self.rows = self.scan.advance().map_err(|fault| self.shared.failed(fault))?;
        Ok(())
    }
}

#[expect(unsafe_code, reason = "the struct is repr(C) and begins with SQLite's own, as asked for")]
unsafe impl VTabCursor for DatasetCursor {
    fn filter(&mut self, _: c_int, plan: Option<&str>, arguments: &Filters<'_>) -> Result<()> {
        let request = request(&self.dataset, plan.unwrap_or_default(), arguments)?;
        self.scan = Scan::new(self.dataset.clone(), request);
        self.rowid = 0;
        self.next_batch()
    }

    fn next(&mut self) -> Result<()> {
        self.row += 1;
        self.rowid += 1;
        if self.row < self.rows { Ok(()) } else { self.next_batch() }
    }

    fn eof(&self) -> bool {
        self.row >= self.rows
    }

    fn column(&self, context: &mut Context, column: c_int) -> Result<()> {
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        match self.scan.value(column, self.row) {
            Value::Null => context.set_result(&rusqlite::types::Null),
            Value::Integer(value) => context.set_result(&value),
            Value::Real(value) => context.set_result(&value),
            Value::Text(text) => context.set_result(&text.as_ref()),
            Value::Blob(bytes) => context.set_result(&bytes.as_ref()),
        }
    }

    fn rowid(&self) -> Result<i64> {
        Ok(self.rowid)
    }
}

/// The table's declaration. Times and dates have types of the affinity TEXT: a constant that they
/// are compared with stays as it is written.
fn declare(columns: &[DatasetColumn]) -> String {
    let columns: Vec<String> = columns
        .iter()
        .map(|column| {
            let kind = match column.kind.output() {
                Type::Integer => "INTEGER",
                Type::Real => "REAL",
                Type::Text => "TEXT",
                Type::Timestamp => "TIMESTAMP_TEXT",
                Type::Date => "DATE_TEXT",
                Type::Blob => "BLOB",
            };
            format!("{} {kind}", hint::quoted(&column.name))
        })
        .collect();
    format!("CREATE TABLE x ({})", columns.join(", "))
}

/// Chooses how to read: SQLite asks with the conditions and the columns of a query, and the answer
/// is a plan in words for [`request`]: the columns' bits, then conditions, then what to sort by.
fn choose(dataset: &Dataset, info: &mut IndexInfo) -> Result<()> {
    let mut plan = format!("{:x}", info.col_used());
    let mut cost = dataset.rows.max(1) as f64;
    let mut rows = cost;
    let mut arguments = 0;
    let conditions: Vec<(usize, i32, IndexConstraintOp)> = info
        .constraints()
        .enumerate()
        .filter(|(_, condition)| condition.is_usable())
        .map(|(index, condition)| (index, condition.column(), condition.operator()))
        .collect();
    for (index, column, operator) in conditions {
        let number = usize::try_from(column).ok();
        let Some(found) = number.and_then(|number| dataset.columns.get(number)) else { continue };
        let Some(word) = word(&operator).filter(|_| info.collation(index).is_ok_and(is_binary))
        else {
            continue;
        };
        let is_equal = operator == IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ;
        // All values of IN at once: one pass, not one per value.
        let is_set = is_equal && info.is_in_constraint(index)?;
        if is_set {
            info.set_in_constraint(index, true)?;
        }
        arguments += 1;
        info.constraint_usage(index).set_argv_index(arguments);
        _ = write!(plan, " {}{column}", if is_set { "in" } else { word });
        if is_equal && found.is_folder {
            cost = (cost / found.folders as f64).max(1.0);
        }
        rows = (rows / if is_equal { 10.0 } else { 3.0 }).max(1.0);
    }
    let order: Vec<(i32, bool)> =
        info.order_bys().map(|order| (order.column(), order.is_order_by_desc())).collect();
    let is_sorted = !order.is_empty()
        && order.iter().all(|(column, _)| {
            let number = usize::try_from(*column).ok();
            number.and_then(|n| dataset.columns.get(n)).is_some_and(|c| c.is_folder_of_all)
        });
    if is_sorted {
        for (column, is_descending) in order {
            _ = write!(plan, " {}{column}", if is_descending { "down" } else { "up" });
        }
        info.set_order_by_consumed(true);
    }
    info.set_estimated_cost(cost);
    info.set_estimated_rows(rows as i64);
    info.set_idx_str(&plan);
    Ok(())
}

fn is_binary(collation: &str) -> bool {
    collation.eq_ignore_ascii_case("BINARY")
}

const fn word(operator: &IndexConstraintOp) -> Option<&'static str> {
    match operator {
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ => Some("="),
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LT => Some("<"),
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LE => Some("<="),
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GT => Some(">"),
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GE => Some(">="),
        _ => None,
    }
}

/// Understands what [`choose`] wrote, with the values that conditions compare with.
fn request(dataset: &Dataset, plan: &str, arguments: &Filters<'_>) -> Result<Request> {
    let mut words = plan.split(' ');
    let used = words.next().and_then(|bits| u64::from_str_radix(bits, 16).ok()).unwrap_or(u64::MAX);
    // The last bit stands for all columns from the 64th on.
    let wanted = (0..dataset.columns.len()).map(|column| used >> column.min(63) & 1 == 1).collect();
    let mut request = Request { wanted, bounds: Vec::new(), order: Vec::new() };
    let mut argument = 0;
    for word in words {
        let split = word.find(|c: char| c.is_ascii_digit()).unwrap_or(word.len());
        let (kind, column) = word.split_at(split);
        let Ok(column) = column.parse::<usize>() else { continue };
        let comparison = match kind {
            "up" | "down" => {
                request.order.push((column, kind == "down"));
                continue;
            }
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => Comparison::Equal,
        };
        let mut values = Vec::new();
        if kind == "in" {
            let mut set = arguments.in_values(argument)?;
            while let Some(value) = set.next()? {
                values.push(owned(value));
            }
        } else {
            let value: rusqlite::types::Value = arguments.get(argument)?;
            values.push(owned(ValueRef::from(&value)));
        }
        argument += 1;
        request.bounds.push(Bound { column, comparison, values });
    }
    Ok(request)
}

fn owned(value: ValueRef<'_>) -> Value<'static> {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(text) => Value::Text(Cow::Owned(String::from_utf8_lossy(text).into_owned())),
        ValueRef::Blob(bytes) => Value::Blob(Cow::Owned(bytes.to_vec())),
    }
}

//! Rejects in columns: the tick's own columns are null where the record could not be read so far.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::read::Reader;
use super::ticks::ticks_of_batch;
use super::write::Runs;
use super::{LayoutError, Names, price, quantity, text, time};
use crate::decimal::Price;
use crate::event_time::EventTime;
use crate::reject::Reject;
use crate::series::SeriesTable;
use crate::tick::Tick;

/// The columns of rejects.
pub fn reject_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            time("clock", false),
            Field::new("component", DataType::Utf8, false),
            Field::new("reason", DataType::Utf8, false),
            Field::new("detail", DataType::Utf8, false),
            Field::new("place", DataType::Utf8, true),
            text("source", true),
            text("instrument", true),
            time("time", true),
            Field::new("nanos", DataType::Int16, true),
            Field::new("sequence", DataType::Int64, true),
            Field::new("identified", DataType::Boolean, true),
            price("bid", true),
            price("ask", true),
            price("last", true),
            quantity("volume", true),
            Field::new("payload", DataType::Binary, true),
        ]))
    });
    SCHEMA.clone()
}

/// Lays out runs of rejects, one after the other, as [`reject_schema`].
///
/// # Errors
/// When `names` does not know a series.
pub fn rejects_to_batch(runs: &[&[Reject]], names: &Names) -> Result<RecordBatch, LayoutError> {
    let rows = Runs::new(runs);
    let text = |text: fn(&Reject) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(text).collect::<StringArray>())
    };
    let tick = |reject: &Reject| reject.tick.unwrap_or_default();
    let there = rows.nulls(|reject| reject.tick.is_some());
    let price = |price: fn(&Tick) -> Price| {
        let is_there = |reject: &Reject| price(&tick(reject)) != Price::ZERO;
        rows.price(|reject| price(&tick(reject)).units(), rows.nulls(is_there))
    };
    let payload = |reject: &'_ Reject| (!reject.payload.is_empty()).then(|| reject.payload.clone());
    let columns = vec![
        rows.time(|reject| reject.clock, None),
        text(|reject| Some(&reject.component)),
        text(|reject| Some(&reject.reason)),
        text(|reject| Some(&reject.detail)),
        text(|reject| reject.place.as_deref()),
        rows.names(Reject::series, there.clone(), &names.sources)?,
        rows.names(Reject::series, there.clone(), &names.instruments)?,
        rows.time(|reject| tick(reject).time, there.clone()),
        rows.int16(|reject| tick(reject).time.ns().rem_euclid(1_000) as i16, there.clone()),
        rows.int64(|reject| tick(reject).sequence as i64, there.clone()),
        rows.flag(|reject| tick(reject).has(Tick::HAS_SEQUENCE), there),
        price(|tick| tick.bid),
        price(|tick| tick.ask),
        price(|tick| tick.last),
        rows.quantity(
            |reject| tick(reject).volume.units(),
            rows.nulls(|reject| tick(reject).has(Tick::HAS_VOLUME)),
        ),
        Arc::new(rows.iter().map(payload).collect::<BinaryArray>()),
    ];
    Ok(RecordBatch::try_new(reject_schema(), columns)?)
}

/// Reads rejects back; new names go into `table`.
///
/// # Errors
/// When columns or values are not those of rejects.
pub fn rejects_of_batch(
    batch: &RecordBatch,
    table: &SeriesTable,
) -> Result<Vec<Reject>, LayoutError> {
    let reader = Reader::new(batch);
    let there = reader.has_series()?;
    let mut ticks = ticks_of_batch(&reader.filtered(&there)?, table)?.into_iter();
    let clocks = reader.times("clock")?;
    let [components, reasons, details, places] = [
        reader.texts("component")?,
        reader.texts("reason")?,
        reader.texts("detail")?,
        reader.texts("place")?,
    ];
    let payloads = reader.bytes("payload")?;
    let mut rejects = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let micros = clocks.required("clock", row)?;
        rejects.push(Reject {
            component: components.value(row).to_owned(),
            reason: reasons.value(row).to_owned(),
            detail: details.value(row).to_owned(),
            place: (!places.is_null(row)).then(|| places.value(row).to_owned()),
            clock: EventTime::from_ns(micros.saturating_mul(1_000)),
            tick: if there.value(row) { ticks.next() } else { None },
            payload: if payloads.is_null(row) { Vec::new() } else { payloads.value(row).to_vec() },
        });
    }
    Ok(rejects)
}

//! Ticks in columns. The watermark and the mark of a redelivery belong to a run, not to the tick,
//! and are not stored.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::read::Reader;
use super::write::Runs;
use super::{LayoutError, Names, price, quantity, text, time};
use crate::decimal::{Price, Quantity};
use crate::event_time::EventTime;
use crate::series::SeriesTable;
use crate::tick::Tick;

/// The columns of ticks. `nanos` is what `time` lacks, 0 to 999; `identified` tells whether
/// `sequence` came from the source, and so is part of the tick's identity.
pub fn tick_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            text("source", false),
            text("instrument", false),
            time("time", false),
            Field::new("nanos", DataType::Int16, false),
            Field::new("sequence", DataType::Int64, false),
            Field::new("identified", DataType::Boolean, false),
            price("bid", true),
            price("ask", true),
            price("last", true),
            quantity("volume", true),
        ]))
    });
    SCHEMA.clone()
}

/// Lays out runs of ticks, one after the other, as [`tick_schema`].
///
/// # Errors
/// When `names` does not know a series.
pub fn ticks_to_batch(runs: &[&[Tick]], names: &Names) -> Result<RecordBatch, LayoutError> {
    let rows = Runs::new(runs);
    let price = |price: fn(&Tick) -> Price| {
        rows.price(|tick| price(tick).units(), rows.nulls(|tick| price(tick) != Price::ZERO))
    };
    let columns = vec![
        rows.names(|tick| Some(tick.series), None, &names.sources)?,
        rows.names(|tick| Some(tick.series), None, &names.instruments)?,
        rows.time(|tick| tick.time, None),
        rows.int16(|tick| tick.time.ns().rem_euclid(1_000) as i16, None),
        rows.int64(|tick| tick.sequence as i64, None),
        rows.flag(|tick| tick.has(Tick::HAS_SEQUENCE), None),
        price(|tick| tick.bid),
        price(|tick| tick.ask),
        price(|tick| tick.last),
        rows.quantity(|tick| tick.volume.units(), rows.nulls(|tick| tick.has(Tick::HAS_VOLUME))),
    ];
    Ok(RecordBatch::try_new(tick_schema(), columns)?)
}

/// Reads ticks back; new names go into `table`. `nanos`, `sequence`, `identified`, prices and
/// volume may be missing; text and decimals may come in any Arrow type that converts.
///
/// # Errors
/// When columns or values are not those of ticks.
pub fn ticks_of_batch(batch: &RecordBatch, table: &SeriesTable) -> Result<Vec<Tick>, LayoutError> {
    let reader = Reader::new(batch);
    let series = reader.series(table)?;
    let times = reader.times("time")?;
    let nanos = reader.optional(|reader| reader.ints("nanos"))?;
    let sequences = reader.optional(|reader| reader.ints("sequence"))?;
    let identified = reader.optional(|reader| reader.flags("identified"))?;
    let bids = reader.optional(|reader| reader.prices("bid"))?;
    let asks = reader.optional(|reader| reader.prices("ask"))?;
    let lasts = reader.optional(|reader| reader.prices("last"))?;
    let volumes = reader.optional(|reader| reader.quantities("volume"))?;
    let mut ticks: Vec<Tick> = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let micros = times.required("time", row)?;
        let nanos = nanos.as_ref().map_or(0, |nanos| nanos.or_zero(row));
        let time =
            micros.checked_mul(1_000).and_then(|ns| ns.checked_add(nanos)).ok_or_else(|| {
                LayoutError::Value {
                    column: "time",
                    row,
                    found: format!("{micros} microseconds since 1970"),
                    expected: "a time between the years 1677 and 2262",
                }
            })?;
        let price = |prices: &Option<super::read::Ints>| {
            Price::from_units(prices.as_ref().map_or(0, |prices| prices.or_zero(row)))
        };
        let mut flags = 0;
        if volumes.as_ref().is_some_and(|volumes| !volumes.is_null(row)) {
            flags |= Tick::HAS_VOLUME;
        }
        if identified.as_ref().is_some_and(|flags| !flags.is_null(row) && flags.value(row)) {
            flags |= Tick::HAS_SEQUENCE;
        }
        ticks.push(Tick {
            time: EventTime::from_ns(time),
            sequence: sequences.as_ref().map_or(0, |sequences| sequences.or_zero(row)) as u64,
            bid: price(&bids),
            ask: price(&asks),
            last: price(&lasts),
            volume: Quantity::from_units(volumes.as_ref().map_or(0, |v| v.or_zero(row))),
            watermark: EventTime::MIN,
            series: series.get(row).copied().unwrap_or_default(),
            flags,
        });
    }
    Ok(ticks)
}

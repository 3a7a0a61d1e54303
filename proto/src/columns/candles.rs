//! Candles in columns. The times of the first and last tick keep their microseconds only.

use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::read::{Ints, Reader};
use super::write::Runs;
use super::{LayoutError, Names, price, quantity, text, time};
use crate::candle::{Basis, Candle, FLAG_NAMES, Ohlc, Reason};
use crate::decimal::{Price, Quantity};
use crate::event_time::EventTime;
use crate::series::SeriesTable;
use crate::timeframe::Timeframe;

/// The columns of candles. `flags` is null, or names joined by commas: `partial_start,gap`.
pub fn candle_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            text("source", false),
            text("instrument", false),
            text("timeframe", false),
            time("start", false),
            time("end", false),
            Field::new("trading_date", DataType::Date32, false),
            text("basis", false),
            price("open", false),
            price("high", false),
            price("low", false),
            price("close", false),
            price("ask_open", true),
            price("ask_high", true),
            price("ask_low", true),
            price("ask_close", true),
            quantity("volume", true),
            Field::new("ticks", DataType::Int64, false),
            time("first_time", false),
            time("last_time", false),
            Field::new("first_sequence", DataType::Int64, false),
            Field::new("last_sequence", DataType::Int64, false),
            Field::new("revision", DataType::Int32, false),
            text("reason", false),
            text("flags", true),
        ]))
    });
    SCHEMA.clone()
}

/// The flag bits that are written as words; the others show in whether a column has a value.
const WORDS: u16 = Candle::PARTIAL_START | Candle::PARTIAL_END | Candle::GAP | Candle::SYNTHETIC;

/// Lays out runs of candles, one after the other, as [`candle_schema`].
///
/// # Errors
/// When `names` does not know a series.
pub fn candles_to_batch(runs: &[&[Candle]], names: &Names) -> Result<RecordBatch, LayoutError> {
    let rows = Runs::new(runs);
    let price = |price: fn(&Candle) -> Price| rows.price(|candle| price(candle).units(), None);
    let has_ask = rows.nulls(|candle| candle.has(Candle::HAS_ASK));
    let ask =
        |price: fn(&Candle) -> Price| rows.price(|candle| price(candle).units(), has_ask.clone());
    let columns = vec![
        rows.names(|candle| Some(candle.series), None, &names.sources)?,
        rows.names(|candle| Some(candle.series), None, &names.instruments)?,
        rows.few(|candle| candle.timeframe, |_| true, |timeframe| timeframe.to_string())?,
        rows.time(|candle| candle.start, None),
        rows.time(|candle| candle.end, None),
        rows.date(|candle| candle.trading_date),
        rows.few(|candle| candle.basis, |_| true, |basis| basis.name().to_owned())?,
        price(|candle| candle.price.open),
        price(|candle| candle.price.high),
        price(|candle| candle.price.low),
        price(|candle| candle.price.close),
        ask(|candle| candle.ask.open),
        ask(|candle| candle.ask.high),
        ask(|candle| candle.ask.low),
        ask(|candle| candle.ask.close),
        rows.quantity(
            |candle| candle.volume.units(),
            rows.nulls(|candle| candle.has(Candle::HAS_VOLUME)),
        ),
        rows.int64(|candle| candle.ticks as i64, None),
        rows.time(|candle| candle.first_time, None),
        rows.time(|candle| candle.last_time, None),
        rows.int64(|candle| candle.first_sequence as i64, None),
        rows.int64(|candle| candle.last_sequence as i64, None),
        rows.int32(|candle| i32::try_from(candle.revision).unwrap_or(i32::MAX), None),
        rows.few(|candle| candle.reason, |_| true, |reason| reason.name().to_owned())?,
        rows.few(
            |candle| candle.flags & WORDS,
            |candle| candle.flags & WORDS != 0,
            |flags| crate::row::flag_words(flags).unwrap_or_default().to_string(),
        )?,
    ];
    Ok(RecordBatch::try_new(candle_schema(), columns)?)
}

/// Reads candles back; new names go into `table`.
///
/// # Errors
/// When columns or values are not those of candles.
pub fn candles_of_batch(
    batch: &RecordBatch,
    table: &SeriesTable,
) -> Result<Vec<Candle>, LayoutError> {
    let reader = Reader::new(batch);
    let series = reader.series(table)?;
    let timeframes = reader
        .words("timeframe", "a timeframe such as 1m", |word| word.parse::<Timeframe>().ok())?;
    let bases = reader.words("basis", "bid, ask, mid or last", basis)?;
    let reasons = reader.words("reason", "closed, late, backfill or open", reason)?;
    let flags = reader.optional_words("flags", "names of flags joined by commas", flag_bits)?;
    let [starts, ends] = [reader.times("start")?, reader.times("end")?];
    let [firsts, lasts] = [reader.times("first_time")?, reader.times("last_time")?];
    let dates = reader.ints("trading_date")?;
    let price = four(&reader, ["open", "high", "low", "close"])?;
    let ask = four(&reader, ["ask_open", "ask_high", "ask_low", "ask_close"])?;
    let volumes = reader.quantities("volume")?;
    let ticks = reader.ints("ticks")?;
    let [first_sequences, last_sequences] =
        [reader.ints("first_sequence")?, reader.ints("last_sequence")?];
    let revisions = reader.ints("revision")?;
    let ns = |times: &Ints, column, row| {
        times.required(column, row).map(|micros| EventTime::from_ns(micros.saturating_mul(1_000)))
    };
    let mut candles = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let mut bits = flags[row].unwrap_or(0);
        if !volumes.is_null(row) {
            bits |= Candle::HAS_VOLUME;
        }
        if !ask[0].is_null(row) {
            bits |= Candle::HAS_ASK;
        }
        candles.push(Candle {
            series: series[row],
            timeframe: timeframes[row],
            start: ns(&starts, "start", row)?,
            end: ns(&ends, "end", row)?,
            trading_date: i32::try_from(dates.required("trading_date", row)?).unwrap_or(i32::MAX),
            price: ohlc(&price, row),
            ask: ohlc(&ask, row),
            volume: Quantity::from_units(volumes.or_zero(row)),
            ticks: ticks.or_zero(row) as u64,
            first_time: ns(&firsts, "first_time", row)?,
            last_time: ns(&lasts, "last_time", row)?,
            first_sequence: first_sequences.or_zero(row) as u64,
            last_sequence: last_sequences.or_zero(row) as u64,
            revision: u32::try_from(revisions.or_zero(row)).unwrap_or(0),
            flags: bits,
            basis: bases[row],
            reason: reasons[row],
        });
    }
    Ok(candles)
}

fn four(reader: &Reader<'_>, columns: [&'static str; 4]) -> Result<[Ints; 4], LayoutError> {
    let [open, high, low, close] = columns;
    Ok([reader.prices(open)?, reader.prices(high)?, reader.prices(low)?, reader.prices(close)?])
}

fn ohlc([open, high, low, close]: &[Ints; 4], row: usize) -> Ohlc {
    let price = |prices: &Ints| Price::from_units(prices.or_zero(row));
    Ohlc { open: price(open), high: price(high), low: price(low), close: price(close) }
}

fn basis(word: &str) -> Option<Basis> {
    [Basis::Bid, Basis::Ask, Basis::Mid, Basis::Last].into_iter().find(|basis| basis.name() == word)
}

fn reason(word: &str) -> Option<Reason> {
    [Reason::Closed, Reason::Late, Reason::Backfill, Reason::Open]
        .into_iter()
        .find(|reason| reason.name() == word)
}

fn flag_bits(words: &str) -> Option<u16> {
    let bit = |word: &str| FLAG_NAMES.iter().find(|(_, name)| *name == word).map(|(bit, _)| *bit);
    words
        .split(',')
        .filter(|word| !word.is_empty())
        .try_fold(0, |bits, word| bit(word).map(|bit| bits | bit))
}

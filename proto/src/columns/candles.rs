//! Candles in columns. The times of the first and last tick keep their microseconds only.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::read::{Ints, Reader};
use super::write::Runs;
use super::{LayoutError, Names, price, quantity, text, time};
use crate::candle::{Basis, Candle, FLAG_NAMES, Ohlc, Reason};
use crate::decimal::{Price, Quantity};
use crate::event_time::EventTime;
use crate::series::SeriesTable;
use crate::timeframe::Timeframe;

/// How much of a candle is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detail {
    /// Everything.
    #[default]
    Full,
    /// What charts draw: names, start, prices, volume, ticks, revision. Not what can be derived (the
    /// end, the trading date), nor where it comes from (first and last tick, basis, reason, flags).
    Prices,
}

impl Detail {
    /// The columns that [`Detail::Prices`] leaves out.
    const LEFT_OUT: [&str; 9] = [
        "end",
        "trading_date",
        "basis",
        "first_time",
        "last_time",
        "first_sequence",
        "last_sequence",
        "reason",
        "flags",
    ];

    fn has(self, column: &str) -> bool {
        self == Self::Full || !Self::LEFT_OUT.contains(&column)
    }
}

/// The columns of candles. `flags` is null, or names joined by commas: `partial_start,gap`.
pub fn candle_schema(detail: Detail) -> SchemaRef {
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
    static PRICES: LazyLock<SchemaRef> = LazyLock::new(|| {
        let fields = SCHEMA.fields().iter().filter(|field| Detail::Prices.has(field.name()));
        Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()))
    });
    match detail {
        Detail::Full => SCHEMA.clone(),
        Detail::Prices => PRICES.clone(),
    }
}

/// The flag bits that are written as words; the others show in whether a column has a value.
const WORDS: u16 = Candle::PARTIAL_START | Candle::PARTIAL_END | Candle::GAP | Candle::SYNTHETIC;

/// Lays out runs of candles, one after the other, as [`candle_schema`].
///
/// # Errors
/// When `names` does not know a series.
pub fn candles_to_batch(
    runs: &[&[Candle]],
    names: &Names,
    detail: Detail,
) -> Result<RecordBatch, LayoutError> {
    let rows = Runs::new(runs);
    let price = |price: fn(&Candle) -> Price| rows.price(|candle| price(candle).units(), None);
    let has_ask = rows.nulls(|candle| candle.has(Candle::HAS_ASK));
    let ask =
        |price: fn(&Candle) -> Price| rows.price(|candle| price(candle).units(), has_ask.clone());
    let schema = candle_schema(detail);
    let column = |name: &str| -> Result<ArrayRef, LayoutError> {
        Ok(match name {
            "source" => rows.names(|candle| Some(candle.series), None, &names.sources)?,
            "instrument" => rows.names(|candle| Some(candle.series), None, &names.instruments)?,
            "timeframe" => rows.few(|candle| candle.timeframe, |_| true, |t| t.to_string())?,
            "start" => rows.time(|candle| candle.start, None),
            "end" => rows.time(|candle| candle.end, None),
            "trading_date" => rows.date(|candle| candle.trading_date),
            "basis" => rows.few(|candle| candle.basis, |_| true, |b| b.name().to_owned())?,
            "open" => price(|candle| candle.price.open),
            "high" => price(|candle| candle.price.high),
            "low" => price(|candle| candle.price.low),
            "close" => price(|candle| candle.price.close),
            "ask_open" => ask(|candle| candle.ask.open),
            "ask_high" => ask(|candle| candle.ask.high),
            "ask_low" => ask(|candle| candle.ask.low),
            "ask_close" => ask(|candle| candle.ask.close),
            "volume" => {
                let nulls = rows.nulls(|candle| candle.has(Candle::HAS_VOLUME));
                rows.quantity(|candle| candle.volume.units(), nulls)
            }
            "ticks" => rows.int64(|candle| candle.ticks as i64, None),
            "first_time" => rows.time(|candle| candle.first_time, None),
            "last_time" => rows.time(|candle| candle.last_time, None),
            "first_sequence" => rows.int64(|candle| candle.first_sequence as i64, None),
            "last_sequence" => rows.int64(|candle| candle.last_sequence as i64, None),
            "revision" => {
                rows.int32(|candle| i32::try_from(candle.revision).unwrap_or(i32::MAX), None)
            }
            "reason" => rows.few(|candle| candle.reason, |_| true, |r| r.name().to_owned())?,
            _ => rows.few(
                |candle| candle.flags & WORDS,
                |candle| candle.flags & WORDS != 0,
                |flags| crate::row::flag_words(flags).unwrap_or_default().to_string(),
            )?,
        })
    };
    let columns: Result<Vec<_>, _> =
        schema.fields().iter().map(|field| column(field.name())).collect();
    Ok(RecordBatch::try_new(schema, columns?)?)
}

/// Reads candles back; new names go into `table`. What [`Detail::Prices`] leaves out may be missing,
/// and is then as [`leave_out_origin`] has it.
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
    let bases = reader.optional(|reader| reader.words("basis", "bid, ask, mid or last", basis))?;
    let reasons = reader
        .optional(|reader| reader.words("reason", "closed, late, backfill or open", reason))?;
    let flags = reader.optional(|reader| {
        reader.optional_words("flags", "names of flags joined by commas", flag_bits)
    })?;
    let starts = reader.times("start")?;
    let ends = reader.optional(|reader| reader.times("end"))?;
    let firsts = reader.optional(|reader| reader.times("first_time"))?;
    let lasts = reader.optional(|reader| reader.times("last_time"))?;
    let dates = reader.optional(|reader| reader.ints("trading_date"))?;
    let price = four(&reader, ["open", "high", "low", "close"])?;
    let ask = four(&reader, ["ask_open", "ask_high", "ask_low", "ask_close"])?;
    let volumes = reader.quantities("volume")?;
    let ticks = reader.ints("ticks")?;
    let first_sequences = reader.optional(|reader| reader.ints("first_sequence"))?;
    let last_sequences = reader.optional(|reader| reader.ints("last_sequence"))?;
    let revisions = reader.ints("revision")?;
    let ns = |times: Option<&Ints>, column, row| match times {
        None => Ok(EventTime::default()),
        Some(times) => times
            .required(column, row)
            .map(|micros| EventTime::from_ns(micros.saturating_mul(1_000))),
    };
    let int = |ints: Option<&Ints>, row| ints.map_or(0, |ints| ints.or_zero(row) as u64);
    let mut candles = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let mut bits = flags.as_ref().and_then(|flags| flags[row]).unwrap_or(0);
        if !volumes.is_null(row) {
            bits |= Candle::HAS_VOLUME;
        }
        if !ask[0].is_null(row) {
            bits |= Candle::HAS_ASK;
        }
        candles.push(Candle {
            series: series[row],
            timeframe: timeframes[row],
            start: ns(Some(&starts), "start", row)?,
            end: ns(ends.as_ref(), "end", row)?,
            trading_date: match &dates {
                None => 0,
                Some(dates) => {
                    i32::try_from(dates.required("trading_date", row)?).unwrap_or(i32::MAX)
                }
            },
            price: ohlc(&price, row),
            ask: ohlc(&ask, row),
            volume: Quantity::from_units(volumes.or_zero(row)),
            ticks: ticks.or_zero(row) as u64,
            first_time: ns(firsts.as_ref(), "first_time", row)?,
            last_time: ns(lasts.as_ref(), "last_time", row)?,
            first_sequence: int(first_sequences.as_ref(), row),
            last_sequence: int(last_sequences.as_ref(), row),
            revision: u32::try_from(revisions.or_zero(row)).unwrap_or(0),
            flags: bits,
            basis: bases.as_ref().map_or_else(Basis::default, |bases| bases[row]),
            reason: reasons.as_ref().map_or_else(Reason::default, |reasons| reasons[row]),
        });
    }
    Ok(candles)
}

/// Leaves of a candle what [`Detail::Prices`] keeps: what is left out has its default.
pub fn leave_out_origin(candle: &mut Candle) {
    candle.end = EventTime::default();
    candle.trading_date = 0;
    candle.basis = Basis::default();
    candle.first_time = EventTime::default();
    candle.last_time = EventTime::default();
    candle.first_sequence = 0;
    candle.last_sequence = 0;
    candle.reason = Reason::default();
    candle.flags &= !WORDS;
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

//! Records of the objects that a test feeds.

use proto::candle::{Basis, Candle, Ohlc, Reason};
use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::payload::Payload;
use proto::row::Column;
use proto::series::{SeriesId, SeriesTable};
use proto::tick::Tick;
use proto::timeframe::Timeframe;
use serde_json::Value;

use super::value::{bytes, canonical, days, flags, named, reason};
use crate::batch::Rows;
use crate::kind::Kind;

/// Gives the keys that a record cannot do without.
pub(crate) const fn required(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Ticks => &["source", "instrument", "time"],
        Kind::Candles => {
            &["source", "instrument", "timeframe", "start", "open", "high", "low", "close"]
        }
        Kind::Payloads => &["source", "instrument", "time", "payload"],
        Kind::Rejects | Kind::Statuses => &[],
    }
}

/// Makes records of objects; new names go into `table`.
///
/// A key that is missing is absent, of a candle what follows from the others: it ends a timeframe
/// after its start, is made of one tick of its start, and is closed.
///
/// # Errors
/// When an object is no record of `kind`: says which, counted from 1, and why.
pub fn rows_of(kind: Kind, records: &[Value], table: &SeriesTable) -> Result<Rows, String> {
    let numbered = |(at, error): (usize, String)| format!("record {}: {error}", at + 1);
    let records = || records.iter().map(|value| Record { kind, value }).enumerate();
    match kind {
        Kind::Ticks => records()
            .map(|(at, record)| record.tick(table).map_err(|error| numbered((at, error))))
            .collect::<Result<_, _>>()
            .map(Rows::Ticks),
        Kind::Candles => records()
            .map(|(at, record)| record.candle(table).map_err(|error| numbered((at, error))))
            .collect::<Result<_, _>>()
            .map(Rows::Candles),
        Kind::Payloads => records()
            .map(|(at, record)| record.payload(table).map_err(|error| numbered((at, error))))
            .collect::<Result<_, _>>()
            .map(Rows::Payloads),
        Kind::Rejects | Kind::Statuses => {
            Err(format!("{kind} are made by the job and cannot be fed"))
        }
    }
}

/// An object that is to be a record.
struct Record<'a> {
    kind: Kind,
    value: &'a Value,
}

impl Record<'_> {
    fn column(&self, name: &str) -> Result<&'static Column, String> {
        let column = super::columns(self.kind).find(|column| column.name == name);
        column.ok_or_else(|| format!("{} have no `{name}`", self.kind))
    }

    /// Gives a value in canonical form; none if it is absent.
    fn get(&self, name: &str) -> Result<Option<Value>, String> {
        match self.value.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => canonical(self.column(name)?, value).map(Some),
        }
    }

    /// Reads a value from its canonical text.
    fn read<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, String> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let refused = || format!("`{}` is no value of `{name}`", crate::job::mistake::short(&text));
        read(&text).map(Some).ok_or_else(refused)
    }

    fn required<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        self.read(name, read)?.ok_or_else(|| format!("`{name}` is missing"))
    }

    fn text(&self, name: &str) -> Result<String, String> {
        self.required(name, |text| Some(text.to_owned()))
    }

    fn time(&self, name: &str) -> Result<Option<EventTime>, String> {
        self.read(name, |text| text.parse().ok())
    }

    fn integer(&self, name: &str) -> Result<Option<u64>, String> {
        self.read(name, |text| text.parse().ok())
    }

    fn price(&self, name: &str) -> Result<Option<Price>, String> {
        self.read(name, |text| text.parse().ok())
    }

    fn quantity(&self, name: &str) -> Result<Option<Quantity>, String> {
        self.read(name, |text| text.parse().ok())
    }

    /// Refuses keys that are no columns, and what is not an object.
    fn check_keys(&self) -> Result<(), String> {
        let object = self.value.as_object().ok_or("expected an object")?;
        object.keys().try_for_each(|key| self.column(key).map(|_| ()))
    }

    fn series(&self, table: &SeriesTable) -> Result<SeriesId, String> {
        let (source, instrument) = (self.text("source")?, self.text("instrument")?);
        table
            .intern(&source, &instrument)
            .map_err(|error| format!("{source} {instrument}: {error}"))
    }

    fn tick(&self, table: &SeriesTable) -> Result<Tick, String> {
        self.check_keys()?;
        let (sequence, volume) = (self.integer("sequence")?, self.quantity("volume")?);
        let mut flags = 0;
        if sequence.is_some() {
            flags |= Tick::HAS_SEQUENCE;
        }
        if volume.is_some() {
            flags |= Tick::HAS_VOLUME;
        }
        Ok(Tick {
            series: self.series(table)?,
            time: self.required("time", |text| text.parse().ok())?,
            sequence: sequence.unwrap_or_default(),
            bid: self.price("bid")?.unwrap_or_default(),
            ask: self.price("ask")?.unwrap_or_default(),
            last: self.price("last")?.unwrap_or_default(),
            volume: volume.unwrap_or_default(),
            watermark: EventTime::MIN,
            flags,
        })
    }

    fn payload(&self, table: &SeriesTable) -> Result<Payload, String> {
        self.check_keys()?;
        let traceparent = self.read("traceparent", |text| text.parse().ok())?;
        Ok(Payload {
            series: self.series(table)?,
            time: self.required("time", |text| text.parse().ok())?,
            content_type: self.read("content_type", |text| Some(text.into()))?,
            traceparent,
            bytes: self.required("payload", bytes)?,
        })
    }

    /// Reads four prices; none if one is missing.
    fn ohlc(&self, [open, high, low, close]: [&str; 4]) -> Result<Option<Ohlc>, String> {
        let prices = (self.price(open)?, self.price(high)?, self.price(low)?, self.price(close)?);
        let (Some(open), Some(high), Some(low), Some(close)) = prices else { return Ok(None) };
        Ok(Some(Ohlc { open, high, low, close }))
    }

    fn candle(&self, table: &SeriesTable) -> Result<Candle, String> {
        const DAY: i64 = 86_400_000_000_000;
        self.check_keys()?;
        for name in required(self.kind) {
            self.text(name)?;
        }
        let timeframe: Timeframe = self.required("timeframe", |text| text.parse().ok())?;
        let start: EventTime = self.required("start", |text| text.parse().ok())?;
        let usual_end = EventTime::from_ns(start.ns().saturating_add(timeframe.ns()));
        let end = self.time("end")?.unwrap_or(usual_end);
        let date = self.read("trading_date", days)?;
        let date = date.unwrap_or_else(|| end.ns().saturating_sub(1).div_euclid(DAY));
        let ask = self.ohlc(["ask_open", "ask_high", "ask_low", "ask_close"])?;
        let volume = self.quantity("volume")?;
        let mut bits = self.read("flags", flags)?.unwrap_or_default();
        if volume.is_some() {
            bits |= Candle::HAS_VOLUME;
        }
        if ask.is_some() {
            bits |= Candle::HAS_ASK;
        }
        let revision = self.read("revision", |text| text.parse::<u32>().ok())?;
        Ok(Candle {
            series: self.series(table)?,
            timeframe,
            start,
            end,
            trading_date: i32::try_from(date).map_err(|_| "`trading_date` is out of range")?,
            price: self.ohlc(["open", "high", "low", "close"])?.unwrap_or_default(),
            ask: ask.unwrap_or_default(),
            volume: volume.unwrap_or_default(),
            ticks: self.integer("ticks")?.unwrap_or(1),
            first_time: self.time("first_time")?.unwrap_or(start),
            last_time: self.time("last_time")?.unwrap_or(start),
            first_sequence: self.integer("first_sequence")?.unwrap_or_default(),
            last_sequence: self.integer("last_sequence")?.unwrap_or_default(),
            revision: revision.unwrap_or_default(),
            flags: bits,
            basis: self.read("basis", named::<Basis>)?.unwrap_or_default(),
            reason: self.read("reason", reason)?.unwrap_or(Reason::Closed),
        })
    }
}

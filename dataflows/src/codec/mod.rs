//! Rows as bytes: for payloads in the journal and for what sinks spool.
//!
//! Series are written by name, as their numbers are of one run only. A block begins with a
//! version, the kind, a dictionary of series and the counts; rows follow as packed differences,
//! some 12 to 20 bytes for a tick.

mod candles;
mod digest;
mod pack;
mod payloads;
mod read;
mod rejects;
#[cfg(test)]
mod samples;
mod statuses;
mod ticks;

pub use digest::digest;

use proto::columns::Names;
use proto::reject::Reject;
use proto::series::{SeriesId, SeriesTable};

use crate::batch::Rows;
use crate::fault::Fault;
use crate::kind::Kind;
use candles::Candles;
use pack::{GROUP_BYTES_MIN, Packer};
use read::{Bad, Reader};
use ticks::Ticks;

/// The version of the format.
const VERSION: u8 = 1;

const fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Ticks => 0,
        Kind::Candles => 1,
        Kind::Rejects => 2,
        Kind::Payloads => 3,
        Kind::Statuses => 4,
    }
}

/// Appends rows and rejects to `out`: all that is in them but the watermark of a tick.
///
/// # Errors
/// [`Fault::Defect`] when a series is not in the table that `names` come from; `out` is as it was.
pub fn encode(
    rows: &Rows,
    rejects: &[Reject],
    names: &mut Names,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let dictionary = Dictionary::of(rows, rejects);
    let start = out.len();
    out.extend_from_slice(&[VERSION, code(rows.kind())]);
    let mut packer = Packer::new(out);
    let counts = [dictionary.series.len(), rows.len(), rejects.len()].map(|count| count as u64);
    let [series, rows_count, rejects_count] = counts;
    packer.group(&[series, rows_count, rejects_count, 0, 0, 0, 0, 0]);
    if let Err(unknown) = dictionary.write(names, &mut packer) {
        out.truncate(start);
        let what = format!("series number {} has no name", unknown.0);
        return Err(Fault::defect("the encoding of rows", what));
    }
    let series = dictionary.series.len();
    let local = |id: SeriesId| dictionary.local(id);
    match rows {
        Rows::Ticks(rows) => {
            let mut ticks = Ticks::new(series);
            for tick in rows {
                packer.group(&ticks.write(tick, local(tick.series)));
            }
        }
        Rows::Candles(rows) => {
            let mut candles = Candles::new(series);
            for candle in rows {
                for group in candles.write(candle, local(candle.series)) {
                    packer.group(&group);
                }
            }
        }
        Rows::Rejects(rows) => rejects::write(rows, series, local, &mut packer),
        Rows::Payloads(rows) => payloads::write(rows, local, &mut packer),
        Rows::Statuses(rows) => statuses::write(rows, local, &mut packer),
    }
    rejects::write(rejects, series, local, &mut packer);
    packer.flush();
    Ok(())
}

/// The series of a block, numbered as they come up.
struct Dictionary {
    series: Vec<SeriesId>,
    /// By the number of the run; [`u32::MAX`]: not met.
    locals: Vec<u32>,
}

impl Dictionary {
    fn of(rows: &Rows, rejects: &[Reject]) -> Self {
        let mut dictionary = Self { series: Vec::new(), locals: Vec::new() };
        rows.for_each_series(|id| id.into_iter().for_each(|id| dictionary.add(id)));
        rejects.iter().filter_map(Reject::series).for_each(|id| dictionary.add(id));
        dictionary
    }

    #[inline]
    fn add(&mut self, id: SeriesId) {
        if self.local(id) == u32::MAX {
            self.insert(id);
        }
    }

    fn insert(&mut self, id: SeriesId) {
        if self.locals.len() <= id.index() {
            self.locals.resize(id.index() + 1, u32::MAX);
        }
        if let Some(local) = self.locals.get_mut(id.index()) {
            *local = self.series.len() as u32;
            self.series.push(id);
        }
    }

    #[inline]
    fn local(&self, id: SeriesId) -> u32 {
        self.locals.get(id.index()).copied().unwrap_or(u32::MAX)
    }

    fn write(&self, names: &mut Names, packer: &mut Packer<'_>) -> Result<(), SeriesId> {
        if self.series.iter().any(|id| names.get(*id).is_none()) {
            names.refresh();
        }
        for id in &self.series {
            let series = names.get(*id).ok_or(*id)?;
            for name in [&series.source, &series.instrument] {
                // Names are short; see `proto::series::NAME_BYTES_MAX`.
                packer.bytes(&[u8::try_from(name.len()).map_err(|_| *id)?]);
                packer.bytes(name.as_bytes());
            }
        }
        Ok(())
    }
}

/// Reads what [`encode`] wrote. Ticks come with the watermark [`proto::event_time::EventTime::MIN`].
///
/// # Errors
/// Names `place` when the bytes are not what was written; a wrong length allocates nothing.
pub fn decode(
    place: &str,
    bytes: &[u8],
    table: &SeriesTable,
) -> Result<(Rows, Vec<Reject>), Fault> {
    let mut reader = Reader::new(bytes);
    read(&mut reader, table).map_err(|what| {
        let (at, length) = (reader.at(), bytes.len());
        Fault::stop(place, format_args!("encoded rows, at byte {at} of {length}: {what}"))
    })
}

fn read(reader: &mut Reader<'_>, table: &SeriesTable) -> Result<(Rows, Vec<Reject>), Bad> {
    if reader.byte()? != VERSION {
        return Err("expected version 1 of the format");
    }
    let kind = reader.byte()?;
    let kind = Kind::ALL.iter().find(|known| code(**known) == kind).ok_or("no such kind")?;
    let [series, rows, rejects, 0, 0, 0, 0, 0] = reader.group()? else {
        return Err("expected the counts");
    };
    let mut dictionary = Vec::with_capacity(reader.count(series, 2)?);
    for _ in 0..series {
        let length = reader.byte()?;
        let source = reader.text(u64::from(length))?;
        let length = reader.byte()?;
        let instrument = reader.text(u64::from(length))?;
        let id = table.intern(source, instrument);
        dictionary.push(id.map_err(|_| "a name that no source or instrument may have")?);
    }
    let rows = match kind {
        Kind::Ticks => {
            let mut ticks = Ticks::new(dictionary.len());
            let count = reader.count(rows, GROUP_BYTES_MIN)?;
            let mut rows = Vec::with_capacity(count);
            for _ in 0..count {
                rows.push(ticks.read(reader.group()?, &dictionary)?);
            }
            Rows::Ticks(rows)
        }
        Kind::Candles => {
            let count = reader.count(rows, candles::GROUPS * GROUP_BYTES_MIN)?;
            let mut candles = Candles::new(dictionary.len());
            let mut rows = Vec::with_capacity(count);
            for _ in 0..count {
                let groups = [reader.group()?, reader.group()?, reader.group()?];
                rows.push(candles.read(groups, &dictionary)?);
            }
            Rows::Candles(rows)
        }
        Kind::Rejects => {
            let count = reader.count(rows, rejects::BYTES_MIN)?;
            Rows::Rejects(rejects::read(count, &dictionary, reader)?)
        }
        Kind::Payloads => {
            let count = reader.count(rows, payloads::BYTES_MIN)?;
            Rows::Payloads(payloads::read(count, &dictionary, reader)?)
        }
        Kind::Statuses => {
            let count = reader.count(rows, statuses::BYTES_MIN)?;
            Rows::Statuses(statuses::read(count, &dictionary, reader)?)
        }
    };
    let count = reader.count(rejects, rejects::BYTES_MIN)?;
    let rejects = rejects::read(count, &dictionary, reader)?;
    if reader.left() > 0 {
        return Err("expected the end");
    }
    Ok((rows, rejects))
}

#[cfg(test)]
mod tests;

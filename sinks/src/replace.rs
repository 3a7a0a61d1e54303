//! What a backfill replaces, and what becomes of a row that was there before.

use dataflows::component::source::Range;
use proto::candle::{Candle, Reason};
use proto::columns::Names;
use proto::event_time::EventTime;
use proto::series::SeriesId;

/// Tells whether a row of `series` at `time` lies in the range. A row without a series lies in
/// ranges over all instruments only.
pub(crate) fn covers(
    range: &Range,
    time: EventTime,
    series: Option<SeriesId>,
    names: &Names,
) -> bool {
    if time < range.from || time >= range.to {
        return false;
    }
    if range.instruments.is_empty() {
        return true;
    }
    series
        .and_then(|id| names.get(id))
        .is_some_and(|series| range.instruments.iter().any(|name| **name == *series.instrument))
}

/// Gives the candle that stands after a backfill where `old` stood before: the old one if the
/// backfill only confirms it, else the new one as its next revision.
pub(crate) fn revised(old: &Candle, new: &Candle) -> Candle {
    let same = Candle { revision: new.revision, reason: new.reason, series: new.series, ..*old };
    if same == *new {
        return *old;
    }
    Candle { revision: old.revision.saturating_add(1), reason: Reason::Backfill, ..*new }
}

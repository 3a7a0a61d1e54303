//! Publishing every now and then, and saying how far the dataset is complete by that.

use std::path::{Path, PathBuf};

use dataflows::fault::Fault;
use dataflows::moment::Moment;
use proto::archive_note::{ArchiveNote, NAME, VERSION};
use proto::event_time::EventTime;
use proto::series::{FeedId, SeriesTable};

use super::layout::DAY_NS;
use super::{files, ledger};
use crate::period::Period;

/// When everything is published, and what is said of it then.
#[derive(Debug)]
pub(super) struct Notes {
    every: Period,
    complete_after: Period,
    /// The folder of the note.
    folder: PathBuf,
    /// The job clock of the next time; none before the first epoch.
    next: Option<i64>,
}

impl Notes {
    pub(super) fn new(
        root: &Path,
        (job, sink): (&str, &str),
        (every, complete_after): (Period, Period),
    ) -> Self {
        let folder = root.join(ledger::folder(job, sink));
        Self { every, complete_after, folder, next: None }
    }

    /// Tells whether everything is to be published at this reading of the job clock.
    pub(super) fn is_due(&mut self, clock: EventTime) -> bool {
        let next = clock.ns().saturating_add(self.every.ns());
        let due = *self.next.get_or_insert(next);
        let is_due = clock.ns() >= due;
        if is_due {
            self.next = Some(next);
        }
        is_due
    }

    /// Makes the note of a dataset that has everything up to an epoch; gives it with its place.
    pub(super) fn note(&self, moment: &Moment, series: &SeriesTable) -> (PathBuf, ArchiveNote) {
        let feeds = moment.watermarks.iter().enumerate().filter_map(|(index, reached)| {
            let name = series.feed_name(FeedId(u32::try_from(index).ok()?))?;
            (*reached > EventTime::MIN).then(|| (name.to_string(), *reached))
        });
        let over = moment.clock.ns().saturating_sub(self.complete_after.ns());
        let note = ArchiveNote {
            version: VERSION,
            as_of: moment.clock,
            feeds: feeds.collect(),
            whole_until: EventTime::from_ns(over - over.rem_euclid(DAY_NS)),
        };
        (self.folder.join(NAME), note)
    }
}

/// Puts a note in the place of the one before.
pub(super) fn write((path, note): (PathBuf, ArchiveNote)) -> Result<(), Fault> {
    if let Some(folder) = path.parent() {
        files::make_folder(folder)?;
    }
    files::replace(&path, &note.write())
}

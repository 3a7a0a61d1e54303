//! The coordinator's part in healing: what of the archive was missing, and what of the queue the
//! archive had.

use std::collections::BTreeMap;

use crate::batch::Rows;
use crate::component::sink::Generation;
use crate::component::source::Intake;
use crate::driver::Shared;
use crate::driver::durable::NEVER;
use crate::driver::feed::Feed;
use crate::driver::heal::{Had, Way};
use crate::driver::resume::SourceResume;
use crate::driver::seam::Seam;
use crate::journal::Item;
use proto::event_time::EventTime;
use proto::tick::Tick;

/// Makes the seam of a source, if it is healed.
pub(super) fn seam(shared: &Shared, index: usize, resume: &mut SourceResume) -> Option<Seam> {
    let heal = shared.plan.sources.get(index)?.heal.as_ref()?;
    Some(Seam::new(shared.series.clone(), heal.overlap.ns(), resume.seam.take()))
}

/// Reads an item that tells that something may be missing (0), or which start has made sure that
/// nothing is. There is nothing else in it.
pub(super) fn read_mark(item: &Item) -> Option<Generation> {
    let is_empty = item.rows == 0 && item.rejects == 0 && item.deliveries.is_empty();
    let bytes = item.payload.as_deref().filter(|_| is_empty)?;
    bytes.try_into().ok().map(Generation::from_le_bytes)
}

impl Feed {
    /// The job clock, as far as it can tell that a time is too far ahead.
    fn bound(&self) -> EventTime {
        if self.clock == NEVER { EventTime::MAX } else { self.clock }
    }

    /// Something may be missing, or nothing is any more: gives what the journal says of it.
    pub(super) fn note_seam(&mut self, source: usize, way: Way) -> Vec<u8> {
        let generation = self.shared.durability.as_ref().map_or(0, |d| d.generation);
        let whole_for = if way == Way::Closed { generation } else { 0 };
        if let Some(seam) = self.seam(source) {
            seam.whole_for = whole_for;
            if way == Way::Closed {
                seam.end();
            }
        }
        whole_for.to_le_bytes().to_vec()
    }

    /// Takes what is not missing out of what came from the archive; tells whether there was any.
    pub(super) fn keep_missing(
        &mut self,
        source: usize,
        intake: &mut Intake,
        is_first: bool,
    ) -> bool {
        let bound = self.bound();
        let Some(seam) = self.seam(source) else { return false };
        if is_first {
            seam.begin();
        }
        let Rows::Ticks(ticks) = &intake.rows else { return false };
        let keep = seam.archived(ticks, bound);
        let before = intake.rows.len();
        intake.rows.keep(&keep);
        self.shared.status.count_healed(source, intake.rows.len());
        intake.rows.len() < before
    }

    /// Takes out what the archive had before the queue delivered it; tells whether there was any.
    pub(super) fn drop_healed(&mut self, source: usize, intake: &mut Intake) -> bool {
        let bound = self.bound();
        let Some(seam) = self.seam(source) else { return false };
        let Rows::Ticks(ticks) = &intake.rows else { return false };
        let Some(keep) = seam.live(ticks, bound) else { return false };
        let mut at = 0;
        for delivery in &mut intake.deliveries {
            let end = at + delivery.rows as usize;
            let kept = keep.get(at..end).unwrap_or_default().iter().filter(|keep| **keep).count();
            delivery.rows = u32::try_from(kept).unwrap_or(delivery.rows);
            at = end;
        }
        let before = intake.rows.len();
        intake.rows.keep(&keep);
        self.shared.status.count_acked(source, (before - intake.rows.len()) as u64);
        true
    }

    /// Remembers what the journal has of the source.
    pub(super) fn remember_again(&mut self, source: usize, item: &Item, runs: &[Rows]) {
        let bound = self.bound();
        let Some(seam) = self.seam(source) else { return };
        for rows in runs {
            let ticks: &[Tick] = if let Rows::Ticks(ticks) = rows { ticks } else { continue };
            if item.deliveries.is_empty() {
                seam.archived_again(ticks, bound);
            } else {
                seam.live(ticks, bound);
            }
        }
    }

    /// Remembers what the journal says of the seam.
    pub(super) fn mark_again(&mut self, source: usize, whole_for: Generation) {
        if let Some(seam) = self.seam(source) {
            seam.whole_for = whole_for;
        }
    }

    /// The journal is through: says what had been handed in by then.
    pub(super) fn tell_had(&mut self) {
        for (index, feed) in self.sources.iter().enumerate() {
            let (Some(seam), Some(had)) = (&feed.seam, self.shared.had.get(index)) else {
                continue;
            };
            let feeds: BTreeMap<_, _> = seam.feeds();
            let position = feed.position.clone().unwrap_or_default();
            // Told once in a run.
            drop(had.set(Had { feeds, whole_for: seam.whole_for, position }));
        }
    }

    fn seam(&mut self, source: usize) -> Option<&mut Seam> {
        self.sources.get_mut(source)?.seam.as_mut()
    }
}

//! The running source: plan, threads and merge together, and its position.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use dataflows::batch::Rows;
use dataflows::component::source::{Intake, Position, Source, SourceContext};
use dataflows::fault::Fault;
use serde::{Deserialize, Serialize};

use super::merge::{Merge, Standing};
use super::plan::Plan;
use super::pool::{Ahead, Pool};

/// Ticks handed in at once, where row groups are merged.
const INTAKE: usize = 16_384;

/// A position as it is written: JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The first row group of the plan that was not begun.
    next: usize,
    /// (index, rows taken) of those that are not finished.
    open: Vec<(usize, u64)>,
    /// The hash of the plan up to `next`.
    plan: String,
}

/// The running source.
#[derive(Debug)]
pub(super) struct ArchiveReader {
    plan: Arc<Plan>,
    pool: Pool,
    merge: Merge,
    rows: u64,
    rows_read: u64,
}

impl ArchiveReader {
    /// Starts reading behind `behind`.
    ///
    /// # Errors
    /// When the dataset is no longer the one that the position was taken in.
    pub(super) fn new(
        plan: Plan,
        behind: Option<Position>,
        context: &SourceContext,
    ) -> Result<Self, Fault> {
        let standing = match behind {
            None => Standing::default(),
            Some(position) => standing(&plan, &position)?,
        };
        let plan = Arc::new(plan);
        let series = context.series.clone();
        let pool = Pool::new(plan.clone(), series, context.threads, &standing)?;
        let rows = plan.entries.iter().map(|entry| entry.rows).sum();
        let begun = plan.entries.iter().take(standing.next).map(|entry| entry.rows);
        let rows_read = begun.sum();
        Ok(Self { plan, pool, merge: Merge::new(standing), rows, rows_read })
    }

    fn position(&self) -> Result<Position, Fault> {
        let standing = self.merge.standing();
        let hash = self.plan.fingerprints.get(standing.next).copied().unwrap_or(0);
        let written =
            Written { next: standing.next, open: standing.open, plan: format!("{hash:016x}") };
        let bytes = serde_json::to_vec(&written);
        bytes.map(Position).map_err(|error| Fault::defect("archive", error))
    }
}

fn standing(plan: &Plan, position: &Position) -> Result<Standing, Fault> {
    let component = || plan.request.component.clone();
    let written: Written = serde_json::from_slice(&position.0).map_err(|error| {
        Fault::stop(component(), format!("its position is not one of an archive: {error}"))
    })?;
    let hash = plan.fingerprints.get(written.next).map(|hash| format!("{hash:016x}"));
    if hash.as_deref() != Some(&written.plan)
        || written.open.iter().any(|(index, _)| *index >= written.next)
    {
        return Err(Fault::stop(
            component(),
            "the files that had been read are not the same any more, so it cannot go on from its \
             position; restore them, or start anew",
        ));
    }
    Ok(Standing { next: written.next, open: written.open })
}

impl Source for ArchiveReader {
    fn next(&mut self, stop: &AtomicBool) -> Result<Option<Intake>, Fault> {
        if stop.load(std::sync::atomic::Ordering::Relaxed) {
            return Ok(None);
        }
        let mut feed = Ahead { pool: &self.pool, stop };
        let merged = match self.merge.take(&self.plan.entries, &mut feed, INTAKE) {
            Err(Fault::Interrupted) => return Ok(None),
            merged => merged?,
        };
        if merged.ticks.is_empty() && merged.rejects.is_empty() {
            return Ok(None);
        }
        self.rows_read += (merged.ticks.len() + merged.rejects.len()) as u64;
        let position = self.position()?;
        Ok(Some(Intake {
            rows: Rows::Ticks(merged.ticks),
            rejects: merged.rejects,
            position,
            deliveries: Vec::new(),
        }))
    }

    fn settle(&mut self, _position: &Position) -> Result<(), Fault> {
        Ok(())
    }

    fn progress(&self) -> Option<u32> {
        let thousandths = self.rows_read.min(self.rows) * 1_000 / self.rows.max(1);
        u32::try_from(thousandths).ok()
    }
}

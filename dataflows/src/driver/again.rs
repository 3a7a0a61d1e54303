//! Again: after a restart, the epochs that the journal has are minted once more, from the same
//! records, with the same clock.

use crate::batch::Rows;
use crate::driver::feed::{Closing, Feed, Turn};
use crate::driver::healed;
use crate::fault::Fault;
use crate::journal::{Entries, Entry, Item};
use crate::moment::Epoch;

use crate::driver::reading::Phase;
use crate::driver::replay::Pace;

use std::time::Duration;

/// The journal's epochs behind a checkpoint, and how far they have been gone through.
#[derive(Debug)]
pub(crate) struct Again {
    entries: Entries,
    /// The ids of the sources when the journal was written, mapped to the plan's numbers.
    under_way: Option<(Vec<Option<usize>>, Entry, usize)>,
    last: Epoch,
    /// Of a replay: there are no sources, and how fast it goes.
    replay: Option<Pace>,
}

impl Again {
    pub(crate) fn new(entries: Entries, last: Epoch) -> Self {
        Self { entries, under_way: None, last, replay: None }
    }

    /// Makes a replay of all entries, after which the run ends.
    pub(crate) fn replay(entries: Entries, last: Epoch, pace: Pace) -> Self {
        Self { entries, under_way: None, last, replay: Some(pace) }
    }
}

impl Feed {
    /// Mints the journal's next epoch again, as far as its records are there.
    pub(super) fn go_again(&mut self) -> Result<Turn, Fault> {
        if self.shared.is_stopping() {
            return Ok(Turn::Done); // what the journal has stays there
        }
        let Some(mut again) = self.again.take() else { return Ok(Turn::Moved) };
        if again.under_way.is_none() {
            match again.entries.next().transpose()? {
                Some((header, entry)) => {
                    let sources = &self.shared.plan.sources;
                    let number = |id: &String| sources.iter().position(|source| source.id == *id);
                    again.under_way = Some((header.sources.iter().map(number).collect(), entry, 0));
                }
                None if again.replay.is_some() => return Ok(self.end_replay()),
                None => return self.go_on(again.last),
            }
        }
        if let (Some(pace), Some((_, entry, _))) = (&mut again.replay, &again.under_way) {
            let wait = pace.wait(entry.clock, self.shared.clock.monotonic());
            if !wait.is_zero() {
                self.again = Some(again);
                return Ok(Turn::Sources(Vec::new(), wait));
            }
        }
        let turn = self.go_through(&mut again);
        self.again = Some(again);
        turn
    }

    /// Takes the records of the entry under way, then closes its epoch.
    fn go_through(&mut self, again: &mut Again) -> Result<Turn, Fault> {
        let Some((numbers, entry, done)) = &mut again.under_way else { return Ok(Turn::Moved) };
        if entry.epoch != self.epoch + 1 {
            let message = format!("epoch {} where {} was expected", entry.epoch, self.epoch + 1);
            return Err(Fault::defect("the journal's order", message));
        }
        while let Some(item) = entry.items.get_mut(*done) {
            let source = numbers.get(item.source as usize).copied().flatten();
            let Some(source) = source else {
                return Err(Fault::stop(
                    "the journal",
                    format!(
                        "epoch {} has records of a source that the job has no more; run the job \
                         as it was once and stop it in good order, or start over with --fresh",
                        entry.epoch
                    ),
                ));
            };
            if again.replay.is_some() {
                let counts = (item.rows as usize, item.rejects as usize);
                self.shared.status.count_replayed(source, counts.0, counts.1);
            }
            if let Some(turn) = self.repeat(source, entry.epoch, item, again.replay.is_some())? {
                return Ok(turn);
            }
            *done += 1;
        }
        self.clock = entry.clock;
        self.closing = Some(Closing { is_last: entry.is_last, is_end: false });
        again.under_way = None;
        Ok(Turn::Moved)
    }

    /// Takes the records of an item in again: from the journal, or from the source, which then has
    /// to have handed them in; gives what is to be waited for.
    fn repeat(
        &mut self,
        source: usize,
        epoch: Epoch,
        item: &mut Item,
        is_replay: bool,
    ) -> Result<Option<Turn>, Fault> {
        let (rows, rejects) = (item.rows as usize, item.rejects as usize);
        let place = || format!("sources.{}", self.shared.plan.sources[source].id);
        if let Some(whole_for) = healed::read_mark(item) {
            self.mark_again(source, whole_for);
            self.stand(source, std::mem::take(&mut item.position));
            return Ok(None);
        }
        let payload = item.payload.take();
        if payload.is_none() && is_replay {
            let why = "has no records for a replay; was it made by `tapeflow record`?";
            return Err(Fault::stop(format!("the journal, epoch {epoch}, {}", place()), why));
        }
        // A source that is read again gives them, too, and must not give them twice.
        let payload = payload.filter(|_| is_replay || !self.shared.replays(source));
        let (runs, rejects) = match payload {
            Some(payload) => {
                let place = format!("the journal, epoch {epoch}, {}", place());
                let (rows, rejects) = crate::codec::decode(&place, &payload, &self.shared.series)?;
                (vec![rows], rejects)
            }
            None => {
                while !self.sources[source].supply.has(rows, rejects) {
                    use crossbeam_channel::TryRecvError::{Disconnected, Empty};
                    match self.intakes[source].try_recv() {
                        Ok(taken) => self.sources[source].supply.add(taken.intake),
                        Err(Empty) => {
                            let most = Duration::from_millis(50);
                            return Ok(Some(Turn::Sources(vec![source], most)));
                        }
                        Err(Disconnected) => return Err(changed(place(), epoch)),
                    }
                }
                self.sources[source].supply.take(rows, rejects)
            }
        };
        let digest = digest(&runs, &rejects);
        if digest != item.digest {
            return Err(changed(place(), epoch));
        }
        for delivery in &item.deliveries {
            self.sources[source].seen.is_new(delivery.id);
        }
        self.remember_again(source, item, &runs);
        let mut rejects = Some(rejects);
        for rows in runs {
            self.admit(source, rows, rejects.take().unwrap_or_default());
        }
        if let Some(rejects) = rejects.filter(|rejects| !rejects.is_empty()) {
            self.admit(source, Rows::Ticks(Vec::new()), rejects);
        }
        self.stand(source, std::mem::take(&mut item.position));
        Ok(None)
    }

    /// The recording is through. If its last epoch was not the last one of the input, the run ends
    /// as the recorded one did: it was stopped.
    fn end_replay(&mut self) -> Turn {
        if !self.was_last {
            self.shared.options.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        Turn::Done
    }

    /// The journal is through: what the sources have handed in beyond it is new.
    fn go_on(&mut self, last: Epoch) -> Result<Turn, Fault> {
        if self.epoch < last {
            let message = format!("it ends with epoch {}, not {last}", self.epoch);
            return Err(Fault::defect("the journal", message));
        }
        tracing::debug!(epoch = self.epoch, "the journal is through");
        self.shared.status.enter(Phase::Running);
        self.tell_had();
        for source in 0..self.sources.len() {
            if let Some((runs, rejects, position)) = self.sources[source].supply.rest() {
                self.take_rest(source, runs, rejects, position)?;
            }
        }
        Ok(Turn::Moved)
    }
}

/// The digest of records that came in several runs: the same as in one.
fn digest(runs: &[Rows], rejects: &[proto::reject::Reject]) -> u64 {
    let rows = runs.iter().fold(0, |seed, rows| crate::codec::digest(rows, &[], seed));
    crate::codec::digest(&Rows::Ticks(Vec::new()), rejects, rows)
}

fn changed(place: String, epoch: Epoch) -> Fault {
    Fault::stop(
        place,
        format!(
            "its input has changed since epoch {epoch} was read from it: it does not give the same \
             records again. Restore the input, or start over with --fresh"
        ),
    )
}

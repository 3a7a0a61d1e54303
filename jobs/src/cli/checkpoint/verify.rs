//! `tapeflow checkpoint verify`: reads everything that a start would need, and what it would pass
//! over; changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use dataflows::checkpoint::log::Log;
use dataflows::checkpoint::read::load;
use dataflows::disk::{Disk, Folder};
use dataflows::fault::Fault;
use dataflows::journal::{Tail, look, look_whole, missing};
use serde_json::json;

use super::{Kept, json as write_json};
use crate::cli::Session;
use crate::cli::failure::{Failure, print};
use crate::cli::report::Output;

/// What was found.
#[derive(Default)]
struct Verdict {
    checkpoints: usize,
    entries: u64,
    damaged: Vec<String>,
    /// What a crash leaves, and the next start or checkpoint mends.
    notes: Vec<String>,
}

pub(super) fn verify(kept: &Kept, output: Output, session: &Session) -> Result<(), Failure> {
    let mut verdict = Verdict::default();
    let log = kept.log()?;
    verdict.damaged.extend(log.broken().map(|(_, why)| why.to_owned()));
    let mut good = Vec::new();
    let mut named = BTreeSet::new();
    for (_, epoch, name, sum) in log.checkpoints() {
        let loaded = load(kept.store.as_ref(), log.job(), epoch, name, sum);
        verdict.checkpoints += 1;
        named.insert(name.to_owned());
        match loaded.map_err(|fault| kept.failed(&fault))? {
            Ok(restored) => {
                named.extend(restored.manifest.pieces().map(|piece| piece.object.clone()));
                good.push(epoch);
            }
            Err(why) => verdict.damaged.push(why),
        }
    }
    // From the newest one a start goes on; the older ones, if that is damaged one day.
    let newest = good.first().copied().unwrap_or(0);
    let oldest = good.last().copied().unwrap_or(0);
    verdict.journal(kept, |disk| look(disk, &kept.plan.name, newest))?;
    let known = log.segment(newest.saturating_add(1));
    let folder = kept.folder.join("journal");
    if folder.is_dir() {
        let disk = Folder::open(&folder).map_err(|fault| kept.failed(&fault))?;
        let gone = missing(&disk, newest, known).map_err(|fault| kept.failed(&fault))?;
        verdict.damaged.extend(gone);
    }
    if oldest != newest {
        verdict.journal(kept, |disk| look(disk, &kept.plan.name, oldest))?;
    }
    verdict.journal(kept, |disk| look_whole(disk, &kept.plan.name))?;
    if verdict.damaged.is_empty() {
        verdict.unnamed(kept, &log, &named)?;
    }
    let secrets = &kept.plan.secrets;
    let mut seen = Vec::new();
    for text in std::mem::take(&mut verdict.damaged) {
        let text = secrets.redact(&text);
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    verdict.damaged = seen;
    verdict.tell(kept, output, session)
}

impl Verdict {
    /// Names the objects that no checkpoint needs.
    fn unnamed(&mut self, kept: &Kept, log: &Log, named: &BTreeSet<String>) -> Result<(), Failure> {
        let place = |name: &str| kept.store.place(name);
        for folder in ["manifests", "packs"] {
            let names = kept.store.list(folder).map_err(|fault| kept.failed(&fault))?;
            for name in names.into_iter().filter(|name| !named.contains(name)) {
                self.notes.push(format!(
                    "{}: no checkpoint names it: a crash came before its record, or {} is gone; \
                     the next checkpoint removes it",
                    place(&name),
                    place(&Log::name_of(log.next()))
                ));
            }
        }
        Ok(())
    }

    /// Reads the journal, or a part of it.
    fn journal(
        &mut self,
        kept: &Kept,
        look: impl Fn(&Arc<dyn Disk>) -> Result<Tail, Fault>,
    ) -> Result<(), Failure> {
        let folder = kept.folder.join("journal");
        if !folder.is_dir() {
            self.damaged.push(format!("{}: the journal is missing", folder.display()));
            return Ok(());
        }
        let disk: Arc<dyn Disk> =
            Arc::new(Folder::open(&folder).map_err(|fault| kept.failed(&fault))?);
        let tail = match look(&disk) {
            Ok(tail) => tail,
            Err(fault) => {
                self.damaged.push(fault.to_string());
                return Ok(());
            }
        };
        if tail.is_short {
            self.damaged.extend(tail.warnings.iter().cloned());
        }
        for warning in tail.warnings.iter().filter(|_| !tail.is_short) {
            let note = format!("{warning} (by the next start; nothing was changed now)");
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        let mut entries = 0;
        for entry in tail.entries() {
            match entry {
                Ok(_) => entries += 1,
                Err(fault @ (Fault::Stop { .. } | Fault::Job { .. } | Fault::Defect { .. })) => {
                    self.damaged.push(fault.to_string());
                }
                Err(Fault::Interrupted) => return Err(Failure::Interrupted),
            }
        }
        self.entries = self.entries.max(entries);
        Ok(())
    }

    fn tell(&self, kept: &Kept, output: Output, session: &Session) -> Result<(), Failure> {
        let Self { checkpoints, entries, damaged, notes } = self;
        for note in notes {
            let note = kept.plan.secrets.redact(note);
            session.say(&note);
        }
        let checkpoints_read = if *checkpoints == 1 { "checkpoint" } else { "checkpoints" };
        let epochs = if *entries == 1 { "epoch" } else { "epochs" };
        let read = format!("{checkpoints} {checkpoints_read}, {entries} {epochs} of the journal");
        if output == Output::Json {
            write_json(&json!({
                "good": damaged.is_empty(), "checkpoints": checkpoints,
                "journal_epochs": entries, "damaged": damaged, "notes": notes,
            }))?;
        }
        if damaged.is_empty() {
            return match output {
                Output::Table => print(&format!("good: {read}\n")),
                Output::Json => Ok(()),
            };
        }
        let lines: String = damaged.iter().map(|why| format!("damaged: {why}\n")).collect();
        Err(Failure::Differs(format!("{lines}{} damaged; read {read}", damaged.len())))
    }
}

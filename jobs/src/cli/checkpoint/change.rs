//! `tapeflow checkpoint trigger` and `gc`.

use std::fs;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use dataflows::checkpoint::prune::prune;
use dataflows::driver::durable::{is_held, lock};
use serde_json::json;

use super::{Kept, json as write_json};
use crate::cli::Session;
use crate::cli::failure::{Failure, print};
use crate::cli::report::Output;

/// So long a checkpoint is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn trigger(kept: &Kept, output: Output, session: &Session) -> Result<(), Failure> {
    let name = &kept.plan.name;
    let is_running = || is_held(&kept.folder).map_err(|fault| kept.failed(&fault));
    if !is_running()? {
        return Err(Failure::Fault(format!(
            "no process runs job {name} here, so there is nothing to take a checkpoint of"
        )));
    }
    let newest = || -> Result<Option<(u64, u64)>, Failure> {
        let log = kept.log()?;
        Ok(log.checkpoints().first().map(|(number, epoch, ..)| (*number, *epoch)))
    };
    let before = newest()?.map_or(0, |(number, _)| number);
    let request = kept.folder.join("checkpoint.request");
    fs::write(&request, b"")
        .map_err(|error| Failure::Fault(format!("{}: {error}", request.display())))?;
    let begun = Instant::now();
    let mut was_running = true;
    loop {
        if let Some((number, epoch)) = newest()?.filter(|(number, _)| *number > before) {
            return match output {
                Output::Json => write_json(&json!({ "number": number, "epoch": epoch })),
                Output::Table => print(&format!("checkpoint {number} after epoch {epoch}\n")),
            };
        }
        let why = if session.stop.load(Ordering::Relaxed) {
            Some(Failure::Interrupted)
        } else if !was_running {
            Some(Failure::Fault(format!("job {name} has ended without a checkpoint")))
        } else if begun.elapsed() >= PATIENCE {
            Some(Failure::Fault(format!(
                "job {name} has taken no checkpoint within {} s; its log says whether a sink is \
                 slow, or `state.durable` is off",
                PATIENCE.as_secs()
            )))
        } else {
            None
        };
        if let Some(why) = why {
            // Taken up already, or never to be: either way it is not to lie there.
            drop(fs::remove_file(&request));
            return Err(why);
        }
        was_running = is_running()?;
        thread::sleep(LOOK);
    }
}

pub(super) fn gc(kept: &Kept, keep: usize, dry: bool, output: Output) -> Result<(), Failure> {
    let failed = |fault| kept.failed(&fault);
    let held = if dry { None } else { Some(lock(&kept.folder, &kept.plan.name).map_err(failed)?) };
    let mut log = kept.log()?;
    let generation = log.generation();
    let pruned = prune(kept.store.as_ref(), &mut log, generation, keep, dry).map_err(failed)?;
    drop(held);
    if output == Output::Json {
        return write_json(&json!({
            "kept": pruned.kept, "removed": pruned.removed, "dry_run": dry,
        }));
    }
    let verb = if dry { "would remove" } else { "removed" };
    let mut text: String = pruned.removed.iter().map(|name| format!("{verb} {name}\n")).collect();
    let epochs: Vec<String> = pruned.kept.iter().map(u64::to_string).collect();
    let kept_text = if epochs.is_empty() { "no checkpoint".to_owned() } else { epochs.join(", ") };
    text.push_str(&format!("{verb} {} objects; kept: {kept_text}\n", pruned.removed.len()));
    print(&text)
}

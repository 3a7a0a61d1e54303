//! Pruning: checkpoints that are not kept, and objects that no checkpoint names, are removed.

use std::collections::BTreeSet;

use crate::checkpoint::log::{Event, Log};
use crate::checkpoint::manifest::Manifest;
use crate::fault::Fault;
use crate::moment::Epoch;
use crate::store::Store;

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The objects, by name.
    pub removed: Vec<String>,
    /// The epochs of the checkpoints that are kept, newest first.
    pub kept: Vec<Epoch>,
}

/// Keeps the newest `keep` checkpoints (at least one) and what they need; with `dry` it only says
/// what it would remove. Called by the one writer, between two checkpoints.
///
/// # Errors
/// When the store fails.
pub fn prune(store: &dyn Store, log: &mut Log, keep: usize, dry: bool) -> Result<Pruned, Fault> {
    let mut pruned = Pruned::default();
    let (mut named, mut oldest) = (BTreeSet::new(), u64::MAX);
    for (number, epoch, manifest, _) in log.checkpoints().into_iter().take(keep.max(1)) {
        let Some(bytes) = store.get(manifest)? else { continue };
        named.insert(manifest.to_owned());
        // A manifest that is damaged keeps nothing: nobody could load it.
        if let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) {
            named.extend(manifest.pieces().map(|piece| piece.object.clone()));
        }
        pruned.kept.push(epoch);
        oldest = oldest.min(number);
    }
    if pruned.kept.is_empty() {
        return Ok(pruned);
    }
    // Records first: what a record names must be there as long as the record is.
    let is_old = |(number, record): &&(u64, Result<_, String>)| {
        *number < oldest
            || matches!(record, Ok(crate::checkpoint::log::Record {
            event: Event::Checkpoint { manifest, .. }, ..
        }) if !named.contains(manifest))
    };
    let numbers: Vec<u64> = log.records().iter().filter(is_old).map(|(n, _)| *n).collect();
    for number in numbers {
        pruned.removed.push(Log::name_of(number));
        if !dry {
            log.remove(store, number)?;
        }
    }
    for folder in ["manifests", "packs"] {
        for name in store.list(folder)? {
            if named.contains(&name) {
                continue;
            }
            if !dry {
                store.remove(&name)?;
            }
            pruned.removed.push(name);
        }
    }
    Ok(pruned)
}

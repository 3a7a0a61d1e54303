//! Pruning: checkpoints that are not kept, and objects that no checkpoint names, are removed.

use std::collections::BTreeSet;

use crate::checkpoint::log::Log;
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

/// Removes what the log does not count any more and what no checkpoint that counts names; with
/// `dry` it only says what it would remove if the newest `keep` checkpoints counted. Called by the
/// one writer, between two checkpoints; what its last record names is there as long as that is.
///
/// # Errors
/// When the store fails.
pub fn prune(store: &dyn Store, log: &mut Log, keep: usize, dry: bool) -> Result<Pruned, Fault> {
    let mut pruned = Pruned::default();
    let mut named = BTreeSet::new();
    for (_, epoch, manifest, _) in log.checkpoints().into_iter().take(keep.max(1)) {
        let Some(bytes) = store.get(manifest)? else { continue };
        named.insert(manifest.to_owned());
        // A manifest that is damaged keeps nothing: nobody could load it.
        if let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) {
            named.extend(manifest.pieces().map(|piece| piece.object.clone()));
        }
        pruned.kept.push(epoch);
    }
    if pruned.kept.is_empty() {
        return Ok(pruned);
    }
    // Records first: what a record names must be there as long as the record counts.
    if !dry {
        log.trim(store, keep.max(1))?;
    }
    let first = log.first_of(keep.max(1));
    let numbers = log.records().iter().map(|(number, _)| *number).filter(|n| *n < first);
    pruned.removed.extend(log.stale().chain(numbers.map(Log::name_of)));
    if !dry {
        log.sweep(store)?;
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

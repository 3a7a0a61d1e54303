//! Pruning: checkpoints that are not kept, and objects that no checkpoint names, are removed.

use std::collections::BTreeSet;

use crate::checkpoint::log::Log;
use crate::checkpoint::manifest::Manifest;
use crate::component::sink::Generation;
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
/// one writer, of `generation`, between two checkpoints; what its last record names is there as
/// long as that is.
///
/// The writer may have been replaced while it slept, and not know it yet: what a start after it has
/// written is not its to remove.
///
/// # Errors
/// When the store fails.
pub fn prune(
    store: &dyn Store,
    log: &mut Log,
    generation: Generation,
    keep: usize,
    dry: bool,
) -> Result<Pruned, Fault> {
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
            if named.contains(&name) || generation_of(&name).is_some_and(|g| g > generation) {
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

/// The start that wrote a manifest or a pack, as its name tells: `{folder}/{epoch}-{generation}…`.
fn generation_of(name: &str) -> Option<Generation> {
    let (_, behind) = name.split_once('-')?;
    behind.split(['-', '.']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{generation_of, prune};
    use crate::checkpoint::log::{Event, Log};
    use crate::checkpoint::manifest::Manifest;
    use crate::simulate::store::MemoryStore;
    use crate::store::Store;

    /// Writes an empty checkpoint.
    fn write(store: &MemoryStore, log: &mut Log, epoch: u64, generation: u64) {
        let name = Manifest::name(epoch, generation);
        store.put_new(&name, b"{}".to_vec()).unwrap();
        store.put_new(&format!("packs/{epoch:020}-{generation}-0.pack"), vec![1]).unwrap();
        let event = Event::Checkpoint { epoch, manifest: name, checksum: String::new() };
        log.append_checkpoint(store, generation, 1, event).unwrap();
    }

    #[test]
    fn a_writer_that_was_replaced_in_its_sleep_removes_nothing_of_the_one_behind_it() {
        let store = MemoryStore::new();
        let (mut old, first) = Log::claim(&store, "job", &Event::Start).unwrap();
        write(&store, &mut old, 5, first);
        // It falls asleep here, before it removes what is not needed any more.
        let (mut new, second) = Log::claim(&store, "job", &Event::Start).unwrap();
        write(&store, &mut new, 9, second);
        let (records, manifest) = (store.list("records").unwrap(), Manifest::name(9, second));
        prune(&store, &mut old, first, 1, false).unwrap();
        assert!(store.get(&manifest).unwrap().is_some());
        assert_eq!(
            store.list("packs").unwrap().len(),
            2 - 1,
            "a manifest without pieces needs none"
        );
        prune(&store, &mut new, second, 1, false).unwrap();
        assert_eq!(store.list("manifests").unwrap(), [manifest]);
        assert_eq!(store.list("records").unwrap(), records[records.len() - 1..]);
    }

    #[test]
    fn a_name_tells_who_wrote_it() {
        assert_eq!(generation_of(&Manifest::name(7, 12)), Some(12));
        assert_eq!(generation_of("packs/00000000000000000007-3-0.pack"), Some(3));
        assert_eq!(generation_of("packs/other"), None);
    }
}

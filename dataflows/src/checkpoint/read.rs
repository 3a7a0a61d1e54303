//! Reading a checkpoint: nothing of it is used before all of it is known to be what was written.

use std::collections::BTreeMap;

use proto::series::{KEY_GROUPS, KeyGroup};

use crate::checkpoint::FORMAT;
use crate::checkpoint::log::Log;
use crate::checkpoint::manifest::{BUNDLE_GROUPS, Manifest, OperatorState, Piece, checksum};
use crate::fault::Fault;
use crate::moment::Epoch;
use crate::store::Store;

/// A checkpoint in memory.
#[derive(Debug, Clone)]
pub struct Restored {
    /// What it consists of.
    pub manifest: Manifest,
    /// By operator of the manifest: the states by key group.
    pub operators: Vec<BTreeMap<KeyGroup, Vec<u8>>>,
    /// By sink of the manifest.
    pub sinks: Vec<Vec<u8>>,
    /// By source of the manifest.
    pub lately: Vec<Lately>,
}

/// What a source has handed in lately; see [`crate::checkpoint::manifest::SourceState`].
#[derive(Debug, Clone)]
pub struct Lately {
    /// Its messages; empty: none.
    pub seen: Vec<u8>,
    /// Its ticks, of one that is healed; empty: it is not.
    pub seam: Vec<u8>,
}

/// Finds the newest checkpoint that is whole and undamaged; says of every newer one, in order, what
/// is wrong with it.
///
/// # Errors
/// When the store cannot be read. What is damaged in it is no error.
pub fn newest(store: &dyn Store, log: &Log) -> Result<(Option<Restored>, Vec<String>), Fault> {
    let mut warnings: Vec<String> = log.broken().map(|(_, why)| why.to_owned()).collect();
    for (_, epoch, manifest, checksum) in log.checkpoints() {
        match load(store, log.job(), epoch, manifest, checksum)? {
            Ok(restored) => return Ok((Some(restored), warnings)),
            Err(why) => warnings.push(why),
        }
    }
    Ok((None, warnings))
}

/// Loads the checkpoint of a record.
///
/// # Errors
/// Outside: the store cannot be read. Inside: what is wrong with the checkpoint, with the name of
/// the object.
pub fn load(
    store: &dyn Store,
    job: &str,
    epoch: Epoch,
    name: &str,
    sum: &str,
) -> Result<Result<Restored, String>, Fault> {
    let Some(bytes) = store.get(name)? else {
        return Ok(Err(format!("{}: the manifest is missing", store.place(name))));
    };
    let manifest = match parse(&bytes, job, epoch, sum) {
        Ok(manifest) => manifest,
        Err(why) => return Ok(Err(format!("{}: {why}", store.place(name)))),
    };
    let mut packs: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for piece in manifest.pieces() {
        if packs.contains_key(piece.object.as_str()) {
            continue;
        }
        let Some(bytes) = store.get(&piece.object)? else {
            return Ok(Err(format!("{}: the pack is missing", store.place(&piece.object))));
        };
        packs.insert(&piece.object, bytes);
    }
    let cut = |piece: &Piece| {
        cut(&packs, piece).map_err(|why| format!("{}: {why}", store.place(&piece.object)))
    };
    let operators = manifest.operators.iter().map(|operator| groups(operator, &cut));
    let operators: Result<Vec<_>, String> = operators.collect();
    let sinks = manifest.sinks.iter().map(|sink| cut(&sink.state).map(<[u8]>::to_vec));
    let sinks: Result<Vec<Vec<u8>>, String> = sinks.collect();
    let maybe = |piece: &Option<Piece>| {
        piece.as_ref().map_or(Ok(Vec::new()), |piece| cut(piece).map(<[u8]>::to_vec))
    };
    let lately = manifest.sources.iter();
    let lately =
        lately.map(|source| Ok(Lately { seen: maybe(&source.seen)?, seam: maybe(&source.seam)? }));
    let lately: Result<Vec<Lately>, String> = lately.collect();
    let all = (|| Ok((operators?, sinks?, lately?)))();
    drop(packs);
    Ok(all.map(|(operators, sinks, lately)| Restored { manifest, operators, sinks, lately }))
}

fn parse(bytes: &[u8], job: &str, epoch: Epoch, sum: &str) -> Result<Manifest, String> {
    let found = checksum(bytes);
    if found != sum {
        return Err(format!("is damaged: its checksum is {found}, its record says {sum}"));
    }
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|error| format!("cannot be understood: {error}"))?;
    if manifest.format != FORMAT {
        return Err(format!("has format {}; this tapeflow knows {FORMAT}", manifest.format));
    }
    if manifest.job != job || manifest.epoch != epoch {
        return Err(format!(
            "is of job {} and epoch {}, expected {job} and {epoch}",
            manifest.job, manifest.epoch
        ));
    }
    Ok(manifest)
}

fn cut<'pack>(packs: &'pack BTreeMap<&str, Vec<u8>>, piece: &Piece) -> Result<&'pack [u8], String> {
    let pack = packs.get(piece.object.as_str()).map_or(&[][..], Vec::as_slice);
    let range = usize::try_from(piece.offset)
        .ok()
        .zip(usize::try_from(piece.bytes).ok())
        .and_then(|(from, count)| pack.get(from..from.checked_add(count)?));
    let Some(bytes) = range else {
        return Err(format!(
            "is {} bytes long; its manifest expects {} bytes at {}",
            pack.len(),
            piece.bytes,
            piece.offset
        ));
    };
    let found = checksum(bytes);
    if found != piece.checksum {
        return Err(format!(
            "is damaged between {} and {}: the checksum is {found}, its manifest says {}",
            piece.offset,
            piece.offset + piece.bytes,
            piece.checksum
        ));
    }
    Ok(bytes)
}

fn groups<'pack>(
    operator: &OperatorState,
    cut: &impl Fn(&Piece) -> Result<&'pack [u8], String>,
) -> Result<BTreeMap<KeyGroup, Vec<u8>>, String> {
    let mut all = BTreeMap::new();
    for bundle in &operator.bundles {
        let bytes = cut(&bundle.piece)?;
        let groups: Vec<(KeyGroup, Vec<u8>)> = postcard::from_bytes(bytes)
            .map_err(|error| format!("{}: cannot be understood: {error}", bundle.piece.object))?;
        for (group, state) in groups {
            let is_here = group / BUNDLE_GROUPS == bundle.number && group < KEY_GROUPS;
            if !is_here || all.insert(group, state).is_some() {
                return Err(format!(
                    "{}: key group {group} does not belong into bundle {}",
                    bundle.piece.object, bundle.number
                ));
            }
        }
    }
    Ok(all)
}

//! Writing a checkpoint: packs, then the manifest, then the record.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::series::KeyGroup;

use crate::checkpoint::FORMAT;
use crate::checkpoint::gather::Whole;
use crate::checkpoint::log::{Event, Log};
use crate::checkpoint::manifest::{
    BUNDLE_GROUPS, Bundle, Hex, Manifest, OperatorState, Owners, Piece, SinkState, SourceState,
    checksum,
};
use crate::checkpoint::prune::{Pruned, prune};
use crate::component::sink::Generation;
use crate::crash;
use crate::fault::Fault;
use crate::moment::Epoch;
use crate::store::Store;

/// So many bytes at most go into one object, unless one state alone is larger.
const PACK_BYTES_MAX: usize = 64 << 20;

/// Writes the checkpoints of one start of a job.
#[derive(Debug)]
pub struct Writer {
    store: Arc<dyn Store>,
    log: Log,
    job: String,
    generation: Generation,
    owners: Owners,
    /// What the checkpoint before wrote, by checksum: the same bytes are not written again.
    known: BTreeMap<String, Piece>,
}

/// Collects states into objects.
struct Packs {
    prefix: String,
    full: Vec<(String, Vec<u8>)>,
    bytes: Vec<u8>,
}

impl Packs {
    fn name(&self) -> String {
        format!("{}-{}.pack", self.prefix, self.full.len())
    }

    fn add(&mut self, state: &[u8], checksum: String) -> Piece {
        if !self.bytes.is_empty() && self.bytes.len() + state.len() > PACK_BYTES_MAX {
            let name = self.name();
            self.full.push((name, std::mem::take(&mut self.bytes)));
        }
        let offset = self.bytes.len() as u64;
        self.bytes.extend_from_slice(state);
        Piece { object: self.name(), offset, bytes: state.len() as u64, checksum }
    }

    fn finish(mut self) -> Vec<(String, Vec<u8>)> {
        if !self.bytes.is_empty() {
            let name = self.name();
            self.full.push((name, self.bytes));
        }
        self.full
    }
}

impl Writer {
    /// Makes the writer of a start whose record is the log's last.
    pub fn new(
        store: Arc<dyn Store>,
        log: Log,
        job: String,
        generation: Generation,
        owners: Owners,
    ) -> Self {
        Self { store, log, job, generation, owners, known: BTreeMap::new() }
    }

    /// Removes what is not needed when the newest `keep` checkpoints are kept; see [`prune`].
    ///
    /// # Errors
    /// As those of [`prune`].
    pub fn prune(&mut self, keep: usize) -> Result<Pruned, Fault> {
        prune(self.store.as_ref(), &mut self.log, self.generation, keep, false)
    }

    /// Says that the start has begun: from now on its sinks may be handed epochs. `runs` tells
    /// which operators run, `journal` with which epoch its part of the journal begins.
    ///
    /// # Errors
    /// When the store fails, or another start of the job has replaced this one.
    pub fn begin(&mut self, runs: &[bool], journal: Epoch) -> Result<(), Fault> {
        let Owners { sources, operators, sinks } = self.owners.clone();
        let operators = operators.into_iter().zip(runs).filter(|(_, runs)| **runs);
        let operators = operators.map(|(owner, _)| owner).collect();
        let components = Owners { sources, operators, sinks };
        let event = Event::Begun { components, journal };
        crash::point("recovery.before_begin");
        self.log.append(self.store.as_ref(), self.generation, event)?;
        crash::point("recovery.after_begin");
        Ok(())
    }

    /// Writes a checkpoint, after which the newest `keep` count: it is there when this returns, and
    /// was not there before.
    ///
    /// # Errors
    /// When the store fails, or another start of the job has replaced this one.
    pub fn write(&mut self, whole: &Whole, keep: usize) -> Result<Manifest, Fault> {
        let (mut manifest, mut packs) = self.lay_out(whole, true)?;
        if self.is_scattered(&manifest) {
            (manifest, packs) = self.lay_out(whole, false)?;
        }
        crash::point("checkpoint.before_snapshot");
        for (name, bytes) in packs {
            self.create(&name, bytes)?;
        }
        crash::point("checkpoint.after_snapshot");
        let epoch = manifest.epoch;
        let name = Manifest::name(epoch, self.generation);
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| Fault::defect("a manifest", error))?;
        crash::point("checkpoint.before_manifest");
        let event = Event::Checkpoint { epoch, manifest: name.clone(), checksum: checksum(&text) };
        self.create(&name, text)?;
        crash::point("checkpoint.after_manifest");
        crash::point("checkpoint.before_record");
        self.log.append_checkpoint(self.store.as_ref(), self.generation, keep, event)?;
        crash::point("checkpoint.after_record");
        self.know(&manifest);
        Ok(manifest)
    }

    /// Remembers where the states of a checkpoint lie: the same bytes need not be written again.
    pub fn know(&mut self, manifest: &Manifest) {
        self.known =
            manifest.pieces().map(|piece| (piece.checksum.clone(), piece.clone())).collect();
    }

    /// Says where each state lies, and what has to be written for that: of the states that are not
    /// there yet, or of all.
    fn lay_out(
        &self,
        whole: &Whole,
        reuse: bool,
    ) -> Result<(Manifest, Vec<(String, Vec<u8>)>), Fault> {
        let (epoch, generation) = (whole.epoch, self.generation);
        let prefix = format!("packs/{epoch:020}-{generation}");
        let mut packs = Packs { prefix, full: Vec::new(), bytes: Vec::new() };
        let mut place = |state: &[u8]| {
            let checksum = checksum(state);
            let known = self
                .known
                .get(&checksum)
                .filter(|piece| reuse && piece.bytes == state.len() as u64);
            known.cloned().unwrap_or_else(|| packs.add(state, checksum))
        };
        let operators = self.owners.operators.iter().zip(&whole.operators);
        let operators = operators
            .filter_map(|(owner, state)| Some((owner, state.as_ref()?)))
            .map(|(owner, (version, groups))| {
                let bundles = bundles(groups)?;
                let bundles = bundles
                    .into_iter()
                    .map(|(number, bytes)| Bundle { number, piece: place(&bytes) })
                    .collect();
                Ok(OperatorState { owner: owner.clone(), version: *version, bundles })
            })
            .collect::<Result<Vec<OperatorState>, Fault>>()?;
        let sinks = self.owners.sinks.iter().zip(&whole.sinks);
        let sinks = sinks
            .map(|(owner, state)| SinkState { owner: owner.clone(), state: place(state) })
            .collect();
        let sources = self.owners.sources.iter().zip(&whole.engine.sources);
        let sources = sources
            .map(|(owner, mark)| SourceState {
                owner: owner.clone(),
                position: mark.position.as_ref().map(|position| Hex(position.0.clone())),
                reached: mark.reached.ns(),
                seen: (!mark.seen.is_empty()).then(|| place(&mark.seen)),
                seam: (!mark.seam.is_empty()).then(|| place(&mark.seam)),
            })
            .collect();
        let manifest = Manifest {
            format: FORMAT,
            job: self.job.clone(),
            epoch,
            generation,
            clock: whole.engine.clock.ns(),
            is_last: whole.engine.is_last,
            feeds: whole.engine.feeds.iter().map(|(n, time)| (n.clone(), time.ns())).collect(),
            sources,
            operators,
            sinks,
        };
        Ok((manifest, packs.finish()))
    }

    /// Tells whether the states lie in so many old packs that more is kept than is of use.
    fn is_scattered(&self, manifest: &Manifest) -> bool {
        let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
        for piece in self.known.values().chain(manifest.pieces()) {
            let size = sizes.entry(&piece.object).or_default();
            *size = (*size).max(piece.offset + piece.bytes);
        }
        let used: u64 = manifest
            .pieces()
            .map(|piece| piece.object.as_str())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .filter_map(|object| sizes.get(object))
            .sum();
        used > 2 * manifest.bytes() + (1 << 20)
    }

    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<(), Fault> {
        if self.store.put_new(name, bytes)? {
            return Ok(());
        }
        Err(Fault::stop(
            self.store.place(name),
            "is there already, though this start of the job has not written it; another process \
             uses the same checkpoints",
        ))
    }
}

/// The bundles of an operator that have a state: number and bytes.
fn bundles(groups: &BTreeMap<KeyGroup, Vec<u8>>) -> Result<Vec<(u16, Vec<u8>)>, Fault> {
    let mut bundles: BTreeMap<u16, Vec<(KeyGroup, &[u8])>> = BTreeMap::new();
    for (group, state) in groups.iter().filter(|(_, state)| !state.is_empty()) {
        bundles.entry(group / BUNDLE_GROUPS).or_default().push((*group, state));
    }
    let encode = |(number, groups): (u16, Vec<(KeyGroup, &[u8])>)| {
        let bytes = postcard::to_allocvec(&groups)
            .map_err(|error| Fault::defect("a checkpoint's encoding", error))?;
        Ok((number, bytes))
    };
    bundles.into_iter().map(encode).collect()
}

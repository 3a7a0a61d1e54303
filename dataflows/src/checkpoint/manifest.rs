//! The manifest of a checkpoint: where every state lies, and the checksum that it must have.

use serde::{Deserialize, Serialize};

use crate::component::sink::Generation;
use crate::moment::Epoch;

/// What one checkpoint consists of. Readable JSON; hexadecimal where bytes are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`crate::checkpoint::FORMAT`].
    pub format: u32,
    /// The job's name.
    pub job: String,
    /// The epoch after which everything here stood as it is.
    pub epoch: Epoch,
    /// Which start of the job wrote it.
    pub generation: Generation,
    /// The job clock of that epoch, in nanoseconds since 1970.
    pub clock: i64,
    /// All input had been read.
    pub is_last: bool,
    /// How far each feed had come: name, nanoseconds since 1970.
    pub feeds: Vec<(String, i64)>,
    /// The sources, in the order of the job file.
    pub sources: Vec<SourceState>,
    /// The operators that keep state.
    pub operators: Vec<OperatorState>,
    /// The sinks, in the order of the job file.
    pub sinks: Vec<SinkState>,
}

/// Which component a state belongs to, and what the component was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its id in the job file.
    pub id: String,
    /// Its `type`.
    pub kind: String,
    /// A checksum of its configuration and inputs.
    pub fingerprint: String,
}

/// The owners of a plan's components, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owners {
    /// Of the sources.
    pub sources: Vec<Owner>,
    /// Of the operators.
    pub operators: Vec<Owner>,
    /// Of the sinks.
    pub sinks: Vec<Owner>,
}

/// Where a source stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// Whose it is.
    #[serde(flatten)]
    pub owner: Owner,
    /// The position; none before its first record.
    pub position: Option<Hex>,
    /// The greatest event time that it had handed in, in nanoseconds since 1970.
    pub reached: i64,
    /// The messages that it had delivered lately, so that a redelivery is known.
    pub seen: Option<Piece>,
    /// Of one that is healed from an archive: what it had handed in lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seam: Option<Piece>,
}

/// The state of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorState {
    /// Whose it is.
    #[serde(flatten)]
    pub owner: Owner,
    /// The version of its layout.
    pub version: u16,
    /// Bundles of key groups, by the number of the bundle; none for those without state.
    pub bundles: Vec<Bundle>,
}

/// The states of [`BUNDLE_GROUPS`] key groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Which: its first key group divided by [`BUNDLE_GROUPS`].
    pub number: u16,
    /// Where it lies.
    #[serde(flatten)]
    pub piece: Piece,
}

/// How many key groups are written, kept and read together. What did not change between two
/// checkpoints is not written again, by bundle.
pub const BUNDLE_GROUPS: u16 = 16;

/// The state of a sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkState {
    /// Whose it is.
    #[serde(flatten)]
    pub owner: Owner,
    /// Where it lies.
    pub state: Piece,
}

/// A part of a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The pack's name.
    pub object: String,
    /// Where it starts in the pack.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
    /// The checksum of its bytes.
    pub checksum: String,
}

/// Bytes, written as hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hex(pub Vec<u8>);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&digits)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let odd = || serde::de::Error::custom("expected pairs of hexadecimal digits");
        if digits.len() % 2 != 0 {
            return Err(odd());
        }
        let byte =
            |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
        bytes.map(Self).ok_or_else(odd)
    }
}

/// The checksum of manifests, packs and their pieces: XXH3, 128 bits.
pub fn checksum(bytes: &[u8]) -> String {
    format!("{:032x}", twox_hash::XxHash3_128::oneshot(bytes))
}

impl Manifest {
    /// Lists every piece.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        let bundles = self.operators.iter().flat_map(|operator| &operator.bundles);
        let sinks = self.sinks.iter().map(|sink| &sink.state);
        let seen = self.sources.iter().flat_map(|source| source.seen.iter().chain(&source.seam));
        bundles.map(|bundle| &bundle.piece).chain(sinks).chain(seen)
    }

    /// How many bytes of state it stands for.
    pub fn bytes(&self) -> u64 {
        self.pieces().map(|piece| piece.bytes).sum()
    }

    /// Its name in the store.
    pub fn name(epoch: Epoch, generation: Generation) -> String {
        format!("manifests/{epoch:020}-{generation}.json")
    }
}

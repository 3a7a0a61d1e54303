//! What the journal keeps of an epoch.

use proto::event_time::EventTime;
use serde::{Deserialize, Serialize};

use crate::component::sink::Generation;
use crate::component::source::{Delivery, Position};
use crate::moment::Epoch;

/// What all entries of a segment have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The name of the job.
    pub job: String,
    /// The start of the job that wrote them.
    pub generation: Generation,
    /// The ids of the sources; [`Item::source`] is an index into them.
    pub sources: Vec<String>,
}

/// One epoch: what it was cut from, and the readings that the coordinator put on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which epoch. Stands first, so that it can be read alone.
    pub epoch: Epoch,
    /// The job clock when it closed.
    pub clock: EventTime,
    /// No more input came after it.
    pub is_last: bool,
    /// What the sources gave, in the order in which it was added.
    pub items: Vec<Item>,
}

/// What one source gave to an epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The index of the source in [`Header::sources`].
    pub source: u32,
    /// How many rows.
    pub rows: u32,
    /// How many rejects.
    pub rejects: u32,
    /// The fingerprint of both; see [`crate::codec::digest`].
    pub digest: u64,
    /// Where the source stands behind them.
    pub position: Position,
    /// The messages that they came in, of a source that redelivers.
    pub deliveries: Vec<Delivery>,
    /// Rows and rejects themselves, as [`crate::codec::encode`] writes them, where the source
    /// cannot give them again.
    #[serde(with = "payload")]
    pub payload: Option<Vec<u8>>,
}

/// Bytes as bytes: serde would take them one by one.
mod payload {
    use serde::de::{Deserialize, Deserializer, Error, Visitor};
    use serde::ser::{Serialize, Serializer};

    struct Plain<'a>(&'a [u8]);

    impl Serialize for Plain<'_> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.serialize_bytes(self.0)
        }
    }

    struct Owned(Vec<u8>);

    impl<'de> Deserialize<'de> for Owned {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            from.deserialize_byte_buf(Bytes)
        }
    }

    struct Bytes;

    impl Visitor<'_> for Bytes {
        type Value = Owned;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("bytes")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Owned, E> {
            Ok(Owned(bytes.to_vec()))
        }

        fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Owned, E> {
            Ok(Owned(bytes))
        }
    }

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Vec<u8>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_deref().map(Plain).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        Ok(Option::<Owned>::deserialize(from)?.map(|owned| owned.0))
    }
}

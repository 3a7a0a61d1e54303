//! Ports: an edge of the graph under construction, typed by its kind and opened once at wiring.

use proto::candle::Candle;
use proto::reject::Reject;
use proto::tick::Tick;
use timely::dataflow::StreamVec;

use crate::batch::Batch;
use crate::kind::Kind;
use crate::moment::Epoch;

/// A stream of batches of `T`.
pub type Edge<'scope, T> = StreamVec<'scope, Epoch, Batch<T>>;

/// An edge of any kind.
#[derive(Clone)]
pub enum Port<'scope> {
    /// Ticks.
    Ticks(Edge<'scope, Tick>),
    /// Candles.
    Candles(Edge<'scope, Candle>),
    /// Rejects.
    Rejects(Edge<'scope, Reject>),
}

impl Port<'_> {
    /// Tells what it carries.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Ticks(_) => Kind::Ticks,
            Self::Candles(_) => Kind::Candles,
            Self::Rejects(_) => Kind::Rejects,
        }
    }
}

impl std::fmt::Debug for Port<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Port({})", self.kind())
    }
}

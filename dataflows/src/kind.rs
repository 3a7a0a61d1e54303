//! Kinds: one word per record type that an edge of the graph can carry.

use std::fmt;

use proto::row::{CANDLE_COLUMNS, Column, REJECT_COLUMNS, TICK_COLUMNS};

/// What an edge carries. Ports are typed by it; `validate` refuses an edge between two kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// [`proto::tick::Tick`].
    Ticks,
    /// [`proto::candle::Candle`].
    Candles,
    /// [`proto::reject::Reject`].
    Rejects,
}

impl Kind {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Ticks, Self::Candles, Self::Rejects];

    /// The word in messages, docs and pictures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ticks => "ticks",
            Self::Candles => "candles",
            Self::Rejects => "rejects",
        }
    }

    /// Its columns, where its records are laid out in rows.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Ticks => TICK_COLUMNS,
            Self::Candles => CANDLE_COLUMNS,
            Self::Rejects => REJECT_COLUMNS,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

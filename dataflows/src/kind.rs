//! Kinds: one word per record type that an edge of the graph can carry.

use std::fmt;

use proto::row::{
    CANDLE_COLUMNS, Column, PAYLOAD_COLUMNS, REJECT_COLUMNS, STATUS_COLUMNS, TICK_COLUMNS,
};

/// What an edge carries. Ports are typed by it; `validate` refuses an edge between two kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// [`proto::tick::Tick`].
    Ticks,
    /// [`proto::candle::Candle`].
    Candles,
    /// [`proto::reject::Reject`].
    Rejects,
    /// [`proto::payload::Payload`].
    Payloads,
    /// [`proto::feed_status::FeedStatus`].
    Statuses,
}

/// Expands a macro over all kinds: the variant, and the type of its records. What has a variant per
/// kind and does the same with each is made by it, so that a new kind is written down here, and where
/// it is something of its own.
macro_rules! each_kind {
    ($then:ident) => {
        $then! {
            Ticks: proto::tick::Tick,
            Candles: proto::candle::Candle,
            Rejects: proto::reject::Reject,
            Payloads: proto::payload::Payload,
            Statuses: proto::feed_status::FeedStatus,
        }
    };
}
pub(crate) use each_kind;

impl Kind {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::Ticks, Self::Candles, Self::Rejects, Self::Payloads, Self::Statuses];

    /// Those that archives store: by the time of what they say.
    pub const ARCHIVED: &'static [Self] = &[Self::Ticks, Self::Candles, Self::Rejects];

    /// Those that tables store: a key tells their rows apart.
    pub const KEYED: &'static [Self] = &[Self::Ticks, Self::Candles, Self::Rejects, Self::Statuses];

    /// The word in messages, docs and pictures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ticks => "ticks",
            Self::Candles => "candles",
            Self::Rejects => "rejects",
            Self::Payloads => "payloads",
            Self::Statuses => "statuses",
        }
    }

    /// Its columns, where its records are laid out in rows.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Ticks => TICK_COLUMNS,
            Self::Candles => CANDLE_COLUMNS,
            Self::Rejects => REJECT_COLUMNS,
            Self::Payloads => PAYLOAD_COLUMNS,
            Self::Statuses => STATUS_COLUMNS,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

//! What travels: the checked records of the platform (ticks, candles, orders, chat, …), the exact
//! numbers and names inside them, and their codecs.
//!
//! The ground floor of the house: this room knows nobody.
//! Wire types generated from the `.proto` files stay private to it; every other room sees checked
//! values only, and [`columns`] and `row` are the one place where a record's layout in Arrow,
//! Parquet and SQL is decided.

pub mod account;
pub mod archive_note;
pub mod candle;
pub mod candle_message;
pub mod chat_message;
pub mod client_order_id;
pub mod columns;
pub mod decimal;
pub mod decision;
pub mod depth;
pub mod envelope;
pub mod event_time;
mod exact;
pub mod feed_status;
pub mod follow;
pub mod json;
pub mod order;
pub mod payload;
pub mod protobuf;
pub mod record;
pub mod reject;
pub mod row;
pub mod series;
pub mod side;
pub mod specification;
pub mod tick;
pub mod tick_message;
pub mod timeframe;
pub mod traceparent;
pub mod trade_event;
pub mod trade_signal;
pub mod uuid;
pub(crate) mod wire;

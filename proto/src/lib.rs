//! What travels: the checked records of the platform (ticks, candles, orders, chat, …), the exact
//! numbers and names inside them, and their codecs.
//!
//! The ground floor of the house: this room knows nobody.
//! Wire types generated from the `.proto` files stay private to it; every other room sees checked
//! values only, and [`columns`] and [`row`] are the one place where a record's layout in Arrow,
//! Parquet and SQL is decided.

pub mod candle;
pub mod columns;
pub mod decimal;
pub mod event_time;
pub mod reject;
pub mod row;
pub mod series;
pub mod tick;
pub mod timeframe;

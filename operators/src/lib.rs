//! An operator is one file or folder here: its configuration (which is its documentation), its
//! definition and its machine. It sees records, epochs and clock readings; it has no clock, no I/O
//! and no chance, and nothing it emits depends on how records were batched or shared out to workers.

pub mod as_of;
pub mod calendar;
pub mod clean;
pub mod copy;
pub mod dedupe;
pub mod feed_status;
pub mod filter;
pub mod last;
pub mod ohlcv;
mod record;
mod setting;
pub mod simulated_trades;
pub mod throttle;

use dataflows::component::operator::OperatorDefinition;

/// Every operator, alphabetically: what `type:` may say under `operators:`.
pub const OPERATORS: &[&dyn OperatorDefinition] = &[
    &clean::Clean,
    &dedupe::Dedupe,
    &feed_status::FeedStatuses,
    &filter::Filter,
    &last::Last,
    &ohlcv::Ohlcv,
    &simulated_trades::SimulatedTrades,
    &throttle::Throttle,
];

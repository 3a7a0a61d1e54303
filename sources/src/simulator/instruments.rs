//! What is traded: levels, digits, spreads and pace of early 2025.

use super::Feed;
use super::sessions::Hours;

/// An instrument of the simulated market.
#[derive(Debug)]
pub(super) struct Instrument {
    pub(super) name: &'static str,
    /// Digits behind the point that its quotes have.
    pub(super) digits: u32,
    /// Where its price begins and comes back to, in its smallest quoted step.
    pub(super) level: i64,
    /// How far it moves from tick to tick, in 64ths of a step.
    pub(super) volatility: i64,
    /// The usual distance of bid and ask, in steps.
    pub(super) spread: i64,
    /// How often it ticks, against the others.
    pub(super) weight: u32,
    /// When it is traded.
    pub(super) hours: Hours,
    /// Who quotes it.
    pub(super) feeds: &'static [Feed],
}

const METATRADER: &[Feed] = &[Feed::Mt4, Feed::Mt5];
const EVERYONE: &[Feed] = Feed::ALL;
const BROKER: &[Feed] = &[Feed::Ib];

const fn row(
    name: &'static str,
    (digits, level, volatility, spread): (u32, i64, i64, i64),
    weight: u32,
    (hours, feeds): (Hours, &'static [Feed]),
) -> Instrument {
    Instrument { name, digits, level, volatility, spread, weight, hours, feeds }
}

/// All of them.
pub(super) const ALL: &[Instrument] = &[
    row("EURUSD", (5, 103_050, 40, 8), 100, (Hours::Forex, EVERYONE)),
    row("GBPUSD", (5, 124_200, 48, 12), 80, (Hours::Forex, EVERYONE)),
    row("USDJPY", (3, 157_300, 56, 10), 85, (Hours::Forex, EVERYONE)),
    row("AUDUSD", (5, 62_150, 32, 10), 50, (Hours::Forex, METATRADER)),
    row("USDCHF", (5, 90_880, 32, 14), 40, (Hours::Forex, METATRADER)),
    row("USDCAD", (5, 144_400, 36, 14), 45, (Hours::Forex, METATRADER)),
    row("EURJPY", (3, 162_100, 64, 16), 50, (Hours::Forex, METATRADER)),
    row("XAUUSD", (2, 264_000, 60, 25), 90, (Hours::Futures, EVERYONE)),
    row("XAGUSD", (3, 29_600, 40, 22), 30, (Hours::Futures, METATRADER)),
    row("US500", (1, 59_420, 30, 5), 60, (Hours::Futures, EVERYONE)),
    row("NAS100", (1, 213_300, 90, 12), 70, (Hours::Futures, METATRADER)),
    row("BTCUSD", (2, 9_830_000, 900, 1_500), 60, (Hours::Always, METATRADER)),
    row("AAPL", (2, 24_336, 24, 1), 40, (Hours::Equities, BROKER)),
    row("MSFT", (2, 41_858, 28, 2), 30, (Hours::Equities, BROKER)),
];

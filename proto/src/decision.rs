//! A decision: what was made of one leader's signal for one follower, and everything it was made
//! of. There is exactly one for every signal and follower, also where nothing is copied.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::account::Holding;
use crate::client_order_id::ClientOrderId;
use crate::decimal::{Price, Quantity};
use crate::event_time::EventTime;
use crate::follow::Sizing;
use crate::record::{Record, RecordError, ensure, ensure_name};
use crate::side::{Side, TradeAction};

macro_rules! reasons {
    ($($(#[$doc:meta])* $reason:ident: $word:literal,)*) => {
        /// Why a signal was copied or not. When several hold, the first of this list is told.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum Reason {
            $($(#[$doc])* $reason,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$reason,)*];

            /// The word in rows and messages.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$reason => $word,)*
                }
            }
        }
    };
}

reasons! {
    /// It was copied.
    Copied: "copied",
    /// A close or a change of a position that the follower does not have from this leader.
    NotOpen: "not_open",
    /// The follower has paused.
    Paused: "paused",
    /// The instrument is not one that the follower copies.
    Filter: "filter",
    /// The venue has not told the follower's account yet.
    NoAccount: "no_account",
    /// The follower's venue has not told the instrument's specification, or the leader's has not
    /// where contract sizes are to be aligned.
    NoSpecification: "no_specification",
    /// The market is closed.
    MarketClosed: "market_closed",
    /// The signal is older than the follower wants.
    TooOld: "too_old",
    /// The follower's equity is at or below its stop.
    EquityStop: "equity_stop",
    /// The follower has lost as much today as it may, or the day's first equity is not known.
    DailyLoss: "daily_loss",
    /// As many positions are open as may be.
    TooManyTrades: "too_many_trades",
    /// The follower's venue has told no price, which a limit or the size needs.
    NoPrice: "no_price",
    /// The follower's price is too far behind the leader's.
    Slippage: "slippage",
    /// What the size is a proportion of is unknown or not positive.
    NoBase: "no_base",
    /// The last price of the two currencies is not known.
    NoRate: "no_rate",
    /// The size is below the least, or a part to be closed is.
    BelowMin: "below_min",
    /// The size is above the greatest.
    AboveMax: "above_max",
    /// Too little margin would be left free.
    Margin: "margin",
    /// A change of stops that the follower does not copy.
    StopsNotCopied: "stops_not_copied",
    /// The stops are those given already.
    Unchanged: "unchanged",
}

/// One decision with its inputs. What was not looked at is absent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Decision {
    /// When the leader traded.
    #[serde(with = "crate::envelope::time")]
    pub time: EventTime,
    /// The signal.
    pub signal_id: Arc<str>,
    /// The account that was to be copied.
    pub leader: Arc<str>,
    /// The account that was to copy.
    pub follower: Arc<str>,
    /// The job clock when it was decided.
    #[serde(with = "crate::envelope::time")]
    pub clock: EventTime,
    /// Why.
    pub reason: Reason,
    /// How many orders were made: more than one where several positions are closed or changed.
    pub orders: u32,
    /// The first of them.
    pub client_order_id: Option<ClientOrderId>,
    /// Side of the follower's position, where there is or was to be one.
    pub side: Option<Side>,
    /// Lots that the orders open or close in all.
    #[serde(with = "crate::exact")]
    pub lots: Quantity,
    /// Stop loss of the order.
    #[serde(with = "crate::exact::maybe")]
    pub stop_loss: Option<Price>,
    /// Take profit of the order.
    #[serde(with = "crate::exact::maybe")]
    pub take_profit: Option<Price>,
    /// What the leader did.
    pub action: TradeAction,
    /// Where the leader traded.
    pub leader_source: Arc<str>,
    /// What the leader traded.
    pub leader_instrument: Arc<str>,
    /// The leader's position.
    pub position_id: Arc<str>,
    /// Side of the leader's position.
    pub leader_side: Side,
    /// Lots of the signal.
    #[serde(with = "crate::exact")]
    pub leader_lots: Quantity,
    /// Lots that the leader has open after it.
    #[serde(with = "crate::exact")]
    pub leader_lots_open: Quantity,
    /// The leader's price.
    #[serde(with = "crate::exact::maybe")]
    pub leader_price: Option<Price>,
    /// The row of the relation that held; it has the settings.
    pub version: u64,
    /// What the size was to be made of.
    pub sizing: Sizing,
    /// How much of it.
    #[serde(with = "crate::exact")]
    pub amount: Quantity,
    /// Where the follower trades.
    pub source: Option<Arc<str>>,
    /// What the follower trades.
    pub instrument: Option<Arc<str>>,
    /// Whether it nets.
    pub holding: Option<Holding>,
    /// The leader's equity, balance or free margin.
    #[serde(with = "crate::exact::maybe")]
    pub leader_base: Option<Quantity>,
    /// The follower's.
    #[serde(with = "crate::exact::maybe")]
    pub base: Option<Quantity>,
    /// The instrument whose price converted between two currencies.
    pub rate_instrument: Option<Arc<str>>,
    /// That price.
    #[serde(with = "crate::exact::maybe")]
    pub rate: Option<Price>,
    /// The leader's leverage, where it counts.
    pub leader_leverage: Option<u32>,
    /// The follower's, where it counts.
    pub leverage: Option<u32>,
    /// The leader's contract size, where it counts.
    #[serde(with = "crate::exact::maybe")]
    pub leader_contract_size: Option<Quantity>,
    /// The follower's contract size.
    #[serde(with = "crate::exact::maybe")]
    pub contract_size: Option<Quantity>,
    /// The proportion after it was rounded in steps, in percent.
    pub percent: Option<u64>,
    /// The size before it was made a number of lot steps, cut after eight digits.
    #[serde(with = "crate::exact::maybe")]
    pub lots_exact: Option<Quantity>,
    /// The instrument's lot step.
    #[serde(with = "crate::exact::maybe")]
    pub lot_step: Option<Quantity>,
    /// The least size: the instrument's, or the follower's if it is greater.
    #[serde(with = "crate::exact::maybe")]
    pub lots_min: Option<Quantity>,
    /// The greatest size: the instrument's, or the follower's if it is less.
    #[serde(with = "crate::exact::maybe")]
    pub lots_max: Option<Quantity>,
    /// The follower's equity.
    #[serde(with = "crate::exact::maybe")]
    pub equity: Option<Quantity>,
    /// The follower's equity when the venue's day began.
    #[serde(with = "crate::exact::maybe")]
    pub day_equity: Option<Quantity>,
    /// The follower's free margin.
    #[serde(with = "crate::exact::maybe")]
    pub free_margin: Option<Quantity>,
    /// The margin that the order binds.
    #[serde(with = "crate::exact::maybe")]
    pub margin: Option<Quantity>,
    /// The last bid of the follower's instrument.
    #[serde(with = "crate::exact::maybe")]
    pub bid: Option<Price>,
    /// Its last ask.
    #[serde(with = "crate::exact::maybe")]
    pub ask: Option<Price>,
    /// How many positions of this leader the follower had open before.
    pub trades: u32,
    /// Lots that the follower had open of this position before.
    #[serde(with = "crate::exact")]
    pub lots_before: Quantity,
}

impl Record for Decision {
    const NAME: &'static str = "Decision";

    fn check(&self) -> Result<(), RecordError> {
        for (name, field) in [
            (&self.leader, "leader"),
            (&self.follower, "follower"),
            (&self.leader_instrument, "leader_instrument"),
        ] {
            ensure_name(name, field)?;
        }
        let is_copied = self.reason == Reason::Copied;
        ensure(is_copied == (self.orders > 0), "orders", "must be positive only if copied")
    }
}

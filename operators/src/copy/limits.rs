//! What keeps a follower from trading, or from trading as much. Limits hold for what is opened;
//! closing makes a risk smaller and is never kept back.

use proto::account::Account;
use proto::decimal::{Price, Quantity};
use proto::decision::{Decision, Reason};
use proto::event_time::EventTime;
use proto::follow::{AboveMax, BelowMin, Rounding, Settings};
use proto::side::Side;
use proto::specification::Specification;

use crate::copy::allocate::rate;
use crate::copy::proportion::Proportion;
use crate::copy::world::World;

const MILLISECOND: i64 = 1_000_000;

/// Tells whether the follower copies the leader's instrument at all.
pub fn is_filtered(settings: &Settings, instrument: &str) -> bool {
    let is_allowed = settings.allowed.is_empty() || settings.allowed.contains(instrument);
    !is_allowed || settings.denied.contains(instrument)
}

/// Tells whether the signal is older than the follower wants, by the job clock. One from after the
/// clock is not.
pub fn is_too_old(settings: &Settings, signal: EventTime, clock: EventTime) -> bool {
    settings.age_ms_max.is_some_and(|max| {
        let age = i128::from(clock.ns()) - i128::from(signal.ns());
        age > i128::from(max) * i128::from(MILLISECOND)
    })
}

/// Checks the account: the equity stop, then the day's loss.
///
/// # Errors
/// The reason not to open anything.
pub fn check_account(settings: &Settings, account: &Account) -> Result<(), Reason> {
    if settings.equity_stop.is_some_and(|stop| account.equity <= stop) {
        return Err(Reason::EquityStop);
    }
    if let Some(max) = settings.daily_loss_max {
        let loss = account.day_equity.and_then(|first| first.checked_sub(account.equity));
        if loss.is_none_or(|loss| loss >= max) {
            return Err(Reason::DailyLoss);
        }
    }
    Ok(())
}

/// Checks how far the follower's price is behind the leader's: above it for a buy, below for a
/// sell, which is what the follower pays more. A better price is never too far.
///
/// # Errors
/// [`Reason::Slippage`] beyond the limit.
pub fn check_slippage(
    settings: &Settings,
    (side, price): (Side, Price),
    leader: Option<Price>,
    specification: &Specification,
) -> Result<(), Reason> {
    let Some((max, leader)) = settings.slippage_points_max.zip(leader) else { return Ok(()) };
    let above = i128::from(price.units()) - i128::from(leader.units());
    let behind = if side == Side::Buy { above } else { -above };
    let is_within = behind <= i128::from(max) * i128::from(specification.point());
    is_within.then_some(()).ok_or(Reason::Slippage)
}

/// The sizes that may be traded, in whole steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The lot step.
    pub step: Quantity,
    /// The least size.
    pub min: Quantity,
    /// The greatest size; less than the least where nothing may be traded.
    pub max: Quantity,
}

impl Bounds {
    /// The bounds of the instrument.
    pub fn of(specification: &Specification) -> Self {
        Self::new(specification.lot_step, specification.lot_min, specification.lot_max)
    }

    /// The bounds of the instrument and the follower's own.
    pub fn with(specification: &Specification, settings: &Settings) -> Self {
        let (min, max) = (specification.lot_min, specification.lot_max);
        Self::new(
            specification.lot_step,
            settings.lots_min.map_or(min, |own| own.max(min)),
            settings.lots_max.map_or(max, |own| own.min(max)),
        )
    }

    fn new(step: Quantity, min: Quantity, max: Quantity) -> Self {
        // A step is positive and at most eighteen digits, as the others are.
        let units = step.units().max(1);
        let min = (min.units() + units - 1) / units * units;
        let max = max.units() / units * units;
        Self { step, min: Quantity::from_units(min), max: Quantity::from_units(max) }
    }

    /// Rounds down to a whole number of steps.
    pub fn floor(&self, lots: Quantity) -> Quantity {
        let units = self.step.units().max(1);
        Quantity::from_units(lots.units() / units * units)
    }

    /// Makes a size a whole number of steps within the bounds.
    ///
    /// # Errors
    /// [`Reason::BelowMin`] and [`Reason::AboveMax`], as the settings say.
    pub fn fit(&self, size: &Proportion, settings: &Settings) -> Result<Quantity, Reason> {
        let step = self.step.units().unsigned_abs();
        let in_steps = size.over(step);
        let steps = match settings.rounding {
            Rounding::Down => in_steps.floor(),
            Rounding::Nearest => in_steps.nearest(),
        };
        // What no word holds is above every bound.
        let units = steps.and_then(|steps| i64::try_from(steps.checked_mul(step)?).ok());
        if self.min > self.max || units.is_some_and(|units| units < self.min.units()) {
            let is_raised = settings.below_min == BelowMin::Minimum && self.min <= self.max;
            return if is_raised { Ok(self.min) } else { Err(Reason::BelowMin) };
        }
        match units.map(Quantity::from_units).filter(|lots| *lots <= self.max) {
            Some(lots) => Ok(lots),
            None if settings.above_max == AboveMax::Clamp => Ok(self.max),
            None => Err(Reason::AboveMax),
        }
    }
}

/// Checks that enough margin is left free: the value of the lots in the account's currency over the
/// leverage, rounded up.
///
/// # Errors
/// [`Reason::Margin`], or [`Reason::NoRate`] and [`Reason::NoPrice`] where it is not known.
pub fn check_margin(
    (settings, account): (&Settings, &Account),
    (lots, price): (Quantity, Option<Price>),
    specification: &Specification,
    world: &World,
    row: &mut Decision,
) -> Result<(), Reason> {
    let Some(least) = settings.free_margin_min else { return Ok(()) };
    row.free_margin = Some(account.free_margin);
    row.leverage = Some(account.leverage);
    row.contract_size = Some(specification.contract_size);
    let price = price.ok_or(Reason::NoPrice)?;
    let pair = (&*specification.currency, &*account.currency);
    let rate = rate(world, &account.source, pair, row)?;
    let units = |value: i64| value.unsigned_abs();
    // Of the scales 1e-8 · 1e-8 · 1e-9, and 1e8 for the result, 1e-17 is left.
    let margin = rate
        .times(units(lots.units()))
        .times(units(specification.contract_size.units()))
        .times(units(price.units()))
        .over(units(Quantity::SCALE))
        .over(units(Price::SCALE))
        .over(u64::from(account.leverage))
        .ceil()
        .and_then(|margin| i64::try_from(margin).ok())
        .map(Quantity::from_units);
    row.margin = margin;
    let left = margin.and_then(|margin| account.free_margin.checked_sub(margin));
    left.filter(|left| *left >= least).map(|_| ()).ok_or(Reason::Margin)
}

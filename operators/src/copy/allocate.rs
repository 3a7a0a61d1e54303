//! How much a follower trades, before it is made a whole number of lot steps.

use proto::account::Account;
use proto::decimal::{Price, Quantity};
use proto::decision::{Decision, Reason};
use proto::follow::{Settings, Sizing};
use proto::specification::Specification;

use crate::copy::proportion::Proportion;
use crate::copy::world::{Rate, World};

/// What a size is made of.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Lots that the leader opened.
    pub leader_lots: Quantity,
    /// The leader's account, if it is known.
    pub leader: Option<&'a Account>,
    /// The leader's equity as the signal tells it, which is newer than the account's.
    pub leader_equity: Option<Quantity>,
    /// The leader's contract size, if it is known.
    pub leader_contract_size: Option<Quantity>,
    /// The follower's account.
    pub account: &'a Account,
    /// The follower's instrument.
    pub specification: &'a Specification,
    /// The price at which the follower would trade, if it is known.
    pub price: Option<Price>,
    /// Rates.
    pub world: &'a World,
}

/// Gives the size in units of a [`Quantity`], exact. What was looked at is written into `row`.
///
/// # Errors
/// Why there is none.
pub fn allocate(
    settings: &Settings,
    inputs: &Inputs<'_>,
    row: &mut Decision,
) -> Result<Proportion, Reason> {
    let amount = settings.amount.units().unsigned_abs();
    let scale = Quantity::SCALE.unsigned_abs();
    match settings.sizing {
        Sizing::Fixed => return Ok(Proportion::ONE.times(amount)),
        Sizing::Percent => return percent_of_equity(amount, inputs, row),
        Sizing::Equity | Sizing::Balance | Sizing::FreeMargin | Sizing::Ratio => {}
    }
    let mut share = Proportion::ONE.times(amount).over(scale);
    if settings.sizing.is_proportional() {
        share = share.with(&of_accounts(settings.sizing, inputs, row)?);
    }
    if settings.leverage_adjusted {
        let leader = inputs.leader.ok_or(Reason::NoBase)?.leverage;
        let own = inputs.account.leverage;
        row.leader_leverage = Some(leader);
        row.leverage = Some(own);
        if own < leader {
            share = share.times(u64::from(own)).over(u64::from(leader));
        }
    }
    if settings.multistep {
        let percent = multistep(share.times(100).floor().ok_or(Reason::NoBase)?);
        row.percent = Some(percent);
        share = Proportion::ONE.times(percent).over(100);
    }
    let mut size = share.times(inputs.leader_lots.units().unsigned_abs());
    if settings.contract_aligned {
        let leader = inputs.leader_contract_size.ok_or(Reason::NoSpecification)?;
        let own = inputs.specification.contract_size;
        row.leader_contract_size = Some(leader);
        row.contract_size = Some(own);
        if leader != own {
            size = size.times(positive(leader)?).over(positive(own)?);
        }
    }
    Ok(size)
}

/// The follower's amount in the leader's currency over the leader's.
fn of_accounts(
    sizing: Sizing,
    inputs: &Inputs<'_>,
    row: &mut Decision,
) -> Result<Proportion, Reason> {
    let leader = inputs.leader.ok_or(Reason::NoBase)?;
    let own = inputs.account;
    let (leader_base, base) = match sizing {
        Sizing::Balance => (leader.balance, own.balance),
        Sizing::FreeMargin => (leader.free_margin, own.free_margin),
        _ => (inputs.leader_equity.unwrap_or(leader.equity), own.equity),
    };
    row.leader_base = Some(leader_base);
    row.base = Some(base);
    let share = Proportion::ONE.times(positive(base)?).over(positive(leader_base)?);
    let rate = rate(inputs.world, &own.source, (&own.currency, &leader.currency), row)?;
    Ok(share.with(&rate))
}

/// Lots whose margin is so many percent of the equity: equity × amount / 100 × leverage, in the
/// currency of the price, over the value of one lot.
fn percent_of_equity(
    amount: u64,
    inputs: &Inputs<'_>,
    row: &mut Decision,
) -> Result<Proportion, Reason> {
    let (own, specification) = (inputs.account, inputs.specification);
    row.base = Some(own.equity);
    row.leverage = Some(own.leverage);
    row.contract_size = Some(specification.contract_size);
    let price = inputs.price.ok_or(Reason::NoPrice)?;
    let equity = positive(own.equity)?;
    let pair = (&*own.currency, &*specification.currency);
    let rate = rate(inputs.world, &own.source, pair, row)?;
    // Of the scales 1e-8 · 1e-8 over 1e-8 · 1e-9, and 1e8 for the result, 1e9 is left.
    Ok(rate
        .times(equity)
        .times(amount)
        .times(u64::from(own.leverage))
        .times(Price::SCALE.unsigned_abs())
        .over(100)
        .over(positive(specification.contract_size)?)
        .over(price.units().unsigned_abs()))
}

/// Gives what an amount in the first currency is multiplied by to be one in the second.
pub(crate) fn rate(
    world: &World,
    source: &str,
    (from, to): (&str, &str),
    row: &mut Decision,
) -> Result<Proportion, Reason> {
    if from == to {
        return Ok(Proportion::ONE);
    }
    let Rate { instrument, price, is_inverse } =
        world.rate(source, from, to).ok_or(Reason::NoRate)?;
    row.rate_instrument = Some(instrument);
    row.rate = Some(price);
    let (price, scale) = (price.units().unsigned_abs(), Price::SCALE.unsigned_abs());
    let one = Proportion::ONE;
    Ok(if is_inverse { one.times(scale).over(price) } else { one.times(price).over(scale) })
}

fn positive(amount: Quantity) -> Result<u64, Reason> {
    let is_positive = amount > Quantity::ZERO;
    is_positive.then_some(amount.units().unsigned_abs()).ok_or(Reason::NoBase)
}

/// Rounds percents in the steps of MQL5's signals: what is less than 1 is 1, then whole percents,
/// from 10 on fives, from 100 on tens, always down. MQL5 says nothing of 1000 % and more: tens, too.
///
/// Takes whole percents: cutting off what is less than one changes no step.
pub const fn multistep(percent: u64) -> u64 {
    match percent {
        0 => 1,
        1..10 => percent,
        10..100 => percent / 5 * 5,
        _ => percent / 10 * 10,
    }
}

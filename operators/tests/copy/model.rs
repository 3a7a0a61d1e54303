//! The same rules written apart and plainly: fractions of whole numbers of any length, positions as
//! lists, no shortcut. Everything is in units of 1e-8 (lots, amounts) and 1e-9 (prices).

use num_bigint::BigInt;
use proto::account::Account;
use proto::follow::{AboveMax, BelowMin, Rounding, Settings, Sizing};
use proto::side::{Side, TradeAction};
use proto::specification::Specification;

use operators::copy::signal::Signal;
use operators::copy::world::Quote;

const LOT: i64 = 100_000_000;
const PRICE: i64 = 1_000_000_000;

/// `above / below`.
#[derive(Debug, Clone)]
struct Fraction {
    above: BigInt,
    below: BigInt,
}

impl Fraction {
    fn of(above: i64, below: i64) -> Self {
        Self { above: above.into(), below: below.into() }
    }

    fn times(&self, above: i64, below: i64) -> Self {
        Self { above: &self.above * above, below: &self.below * below }
    }

    /// The greatest whole number that is not more; of what is not negative.
    fn down(&self) -> BigInt {
        &self.above / &self.below
    }

    fn up(&self) -> BigInt {
        (&self.above + &self.below - 1) / &self.below
    }

    fn nearest(&self) -> BigInt {
        (&self.above * 2 + &self.below) / (&self.below * 2)
    }
}

/// What is known when a signal comes. EURUSD is the only instrument, and its price the only rate.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) leader: Account,
    pub(super) account: Account,
    pub(super) leader_specification: Specification,
    pub(super) specification: Specification,
    pub(super) quote: Quote,
    pub(super) settings: Settings,
    pub(super) is_market_open: bool,
    pub(super) age_ns: i64,
}

#[derive(Debug)]
struct Position {
    tickets: Vec<String>,
    side: Side,
    is_bought: bool,
    parts: Vec<i64>,
}

/// What one follower has of one leader.
#[derive(Debug, Default)]
pub(super) struct Model {
    positions: Vec<Position>,
}

impl Model {
    /// Gives the lots of every order, or the reason for none.
    pub(super) fn tell(
        &mut self,
        signal: &Signal,
        known: &Known,
    ) -> Result<Vec<i64>, &'static str> {
        let names = [Some(&signal.position_id), signal.parent_id.as_ref()];
        let names: Vec<String> = names.into_iter().flatten().map(|name| name.to_string()).collect();
        let found = self.positions.iter().position(|position| {
            position.side == signal.side && names.iter().any(|name| position.tickets.contains(name))
        });
        let told = match signal.action {
            TradeAction::Open => self.open(found, signal, known),
            TradeAction::Modify => unreachable!("not in these histories"),
            _ => found.ok_or("not_open").and_then(|at| {
                self.positions[at].tickets.push(signal.position_id.to_string());
                close(&mut self.positions[at], signal, known)
            }),
        };
        self.positions.retain(|position| !position.parts.is_empty());
        told
    }

    fn open(
        &mut self,
        found: Option<usize>,
        signal: &Signal,
        known: &Known,
    ) -> Result<Vec<i64>, &'static str> {
        let Known { account, settings, quote, .. } = known;
        // What is added goes the way of what is there.
        let is_bought = found.map_or((signal.side == Side::Buy) != is_against(settings), |at| {
            self.positions[at].is_bought
        });
        let price = if is_bought { quote.ask.units() } else { quote.bid.units() };
        let worse = price - signal.price.unwrap().units();
        let worse = if is_bought { worse } else { -worse };
        let point = 10_i64.pow(9 - u32::from(known.specification.digits));
        let lost = account.day_equity.map(|day| day.units() - account.equity.units());
        let listed =
            |list: &std::collections::BTreeSet<std::sync::Arc<str>>| list.contains("EURUSD");
        // In the order in which they are told.
        let refusals = [
            ("paused", settings.paused),
            (
                "filter",
                listed(&settings.denied)
                    || !(settings.allowed.is_empty() || listed(&settings.allowed)),
            ),
            ("market_closed", !known.is_market_open),
            (
                "too_old",
                settings.age_ms_max.is_some_and(|max| known.age_ns > i64::from(max) * 1_000_000),
            ),
            ("equity_stop", settings.equity_stop.is_some_and(|stop| account.equity <= stop)),
            (
                "daily_loss",
                settings
                    .daily_loss_max
                    .is_some_and(|max| lost.is_none_or(|lost| lost >= max.units())),
            ),
            (
                "too_many_trades",
                found.is_none()
                    && settings.trades_max.is_some_and(|max| self.positions.len() >= max as usize),
            ),
            (
                "slippage",
                settings.slippage_points_max.is_some_and(|max| worse > i64::from(max) * point),
            ),
        ];
        if let Some((reason, _)) = refusals.iter().find(|(_, is_so)| *is_so) {
            return Err(reason);
        }
        let size = size(signal, known, price)?;
        let lots = fit(&size, known)?;
        if let Some(least) = settings.free_margin_min {
            let specification = &known.specification;
            let value = Fraction::of(lots, LOT)
                .times(specification.contract_size.units(), 1)
                .times(price, PRICE);
            // Prices are in USD.
            let value = if &*account.currency == "USD" {
                value
            } else {
                value.times(PRICE, quote.ask.units())
            };
            let margin = value.times(1, i64::from(account.leverage)).up();
            if BigInt::from(account.free_margin.units()) - margin < BigInt::from(least.units()) {
                return Err("margin");
            }
        }
        match found {
            Some(at) => {
                self.positions[at].parts.push(lots);
                self.positions[at].tickets.push(signal.position_id.to_string());
            }
            None => self.positions.push(Position {
                tickets: vec![signal.position_id.to_string()],
                side: signal.side,
                is_bought,
                parts: vec![lots],
            }),
        }
        Ok(vec![lots])
    }
}

fn is_against(settings: &Settings) -> bool {
    settings.reverse ^ (settings.amount.units() < 0)
}

/// The size in units, exact.
fn size(signal: &Signal, known: &Known, price: i64) -> Result<Fraction, &'static str> {
    let Known { leader, account, settings, quote, .. } = known;
    let amount = settings.amount.units().abs();
    let (own, theirs) = match settings.sizing {
        Sizing::Fixed => return Ok(Fraction::of(amount, 1)),
        Sizing::Percent => {
            if account.equity.units() <= 0 {
                return Err("no_base");
            }
            let margin = Fraction::of(account.equity.units(), 1).times(amount, 100 * LOT);
            let margin = if &*account.currency == "USD" {
                margin
            } else {
                margin.times(quote.bid.units(), PRICE)
            };
            let lot = known.specification.contract_size.units();
            let lots = margin.times(i64::from(account.leverage), 1).times(PRICE, price);
            return Ok(lots.times(LOT, lot));
        }
        Sizing::Ratio => (LOT, LOT),
        Sizing::Equity => (
            account.equity.units(),
            signal.equity.map_or(leader.equity.units(), proto::decimal::Quantity::units),
        ),
        Sizing::Balance => (account.balance.units(), leader.balance.units()),
        Sizing::FreeMargin => (account.free_margin.units(), leader.free_margin.units()),
    };
    if own <= 0 || theirs <= 0 {
        return Err("no_base");
    }
    let mut share = Fraction::of(own, theirs).times(amount, LOT);
    if settings.sizing != Sizing::Ratio {
        share = match (&*account.currency, &*leader.currency) {
            ("EUR", "USD") => share.times(quote.bid.units(), PRICE),
            ("USD", "EUR") => share.times(PRICE, quote.ask.units()),
            _ => share,
        };
    }
    if settings.leverage_adjusted && account.leverage < leader.leverage {
        share = share.times(i64::from(account.leverage), i64::from(leader.leverage));
    }
    if settings.multistep {
        let percent = share.times(100, 1).down();
        let step: i64 = match percent {
            ref low if *low < BigInt::from(10) => 1,
            ref middle if *middle < BigInt::from(100) => 5,
            _ => 10,
        };
        let stepped = &percent / step * step;
        share = Fraction { above: stepped.max(1.into()), below: 100.into() };
    }
    share = share.times(signal.lots.units(), 1);
    if settings.contract_aligned {
        let own = known.specification.contract_size.units();
        share = share.times(known.leader_specification.contract_size.units(), own);
    }
    Ok(share)
}

fn fit(size: &Fraction, known: &Known) -> Result<i64, &'static str> {
    let (own, settings) = (&known.specification, &known.settings);
    let step = own.lot_step.units();
    let least = settings.lots_min.unwrap_or_default().units().max(own.lot_min.units());
    let most = settings.lots_max.map_or(i64::MAX, |max| max.units()).min(own.lot_max.units());
    // The sizes that may be traded, from the least to the greatest.
    let least = (least + step - 1) / step * step;
    let most = most / step * step;
    let steps = size.times(1, step);
    let steps = match settings.rounding {
        Rounding::Down => steps.down(),
        Rounding::Nearest => steps.nearest(),
    };
    let lots = steps * step;
    if least > most {
        return Err("below_min");
    }
    if lots < BigInt::from(least) {
        return if settings.below_min == BelowMin::Minimum { Ok(least) } else { Err("below_min") };
    }
    if lots > BigInt::from(most) {
        return if settings.above_max == AboveMax::Clamp { Ok(most) } else { Err("above_max") };
    }
    Ok(i64::try_from(lots).unwrap())
}

fn close(
    position: &mut Position,
    signal: &Signal,
    known: &Known,
) -> Result<Vec<i64>, &'static str> {
    if signal.action == TradeAction::Close {
        return Ok(std::mem::take(&mut position.parts));
    }
    let specification = &known.specification;
    let step = specification.lot_step.units();
    let least = (specification.lot_min.units() + step - 1) / step * step;
    let own: i64 = position.parts.iter().sum();
    let before = signal.lots.units() + signal.lots_open.units();
    let wanted = Fraction::of(own, before).times(signal.lots.units(), step).down() * step;
    let mut wanted = i64::try_from(wanted).unwrap();
    let mut closed = Vec::new();
    for part in &mut position.parts {
        // As much as there is, wanted, of this size allowed, and leaves nothing or enough.
        let fits = |lots: i64| lots == *part || (lots >= least && *part - lots >= least);
        let mut lots = (*part).min(wanted);
        while lots > 0 && !fits(lots) {
            lots = (lots - 1) / step * step;
        }
        *part -= lots;
        wanted -= lots;
        closed.push(lots);
    }
    closed.retain(|lots| *lots > 0);
    position.parts.retain(|part| *part > 0);
    if closed.is_empty() { Err("below_min") } else { Ok(closed) }
}

//! What a follower has open of one leader's positions: a book per (leader, follower).
//!
//! The book is what was ordered, so that a decision waits for no venue: an open is in it at once, a
//! close out of it at once. What a venue then refuses is put right ([`Book::settle`]), and what the
//! follower closes by hand or by a stop is taken out ([`Book::reduce`]).
//!
//! A copy is one position of the leader. It is made of parts, one for each order that opened
//! something of it, closed from the oldest on. A leader's position is known by its newest ticket
//! and by those before, since MT4 gives the remainder of a partial close a new one and tells the
//! old one as its parent.

use std::sync::Arc;

use proto::account::Holding;
use proto::client_order_id::ClientOrderId;
use proto::decimal::Quantity;
use proto::side::Side;
use serde::{Deserialize, Serialize};

use crate::copy::limits::Bounds;
use crate::copy::proportion::Proportion;
use crate::copy::signal::Signal;
use crate::copy::stops::Stops;

/// What one order opened, so far as it is still open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The order.
    pub opened_by: ClientOrderId,
    /// The venue's name of the position, once it is known.
    pub position_id: Option<Arc<str>>,
    /// What is open of it. Less than nothing after the venue refused to open what has been ordered
    /// to be closed already; the close will be refused, too.
    pub open: Quantity,
    /// Orders that close some of it, with how much, whose end is not known.
    pub closing: Vec<(ClientOrderId, Quantity)>,
}

/// The copy of one position of the leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// The leader's tickets of it, the newest last.
    pub tickets: Vec<Arc<str>>,
    /// Side of the leader's position.
    pub leader_side: Side,
    /// Where the follower has it.
    pub source: Arc<str>,
    /// What the follower has.
    pub instrument: Arc<str>,
    /// Side of the follower's position.
    pub side: Side,
    /// Whether the follower's account nets.
    pub holding: Holding,
    /// The oldest first.
    pub parts: Vec<Part>,
    /// The stops that were ordered last; none when it is not known that they hold.
    pub stops: Option<Stops>,
    /// The orders that changed them last.
    pub changed_by: Vec<ClientOrderId>,
}

/// One order's share of a close or a change of stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// The order.
    pub id: ClientOrderId,
    /// The order that opened the part.
    pub opened_by: ClientOrderId,
    /// The venue's name of the position, if it is known.
    pub position_id: Option<Arc<str>>,
    /// How much is closed; zero for a change of stops.
    pub lots: Quantity,
}

/// How an order has ended: what was not done of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The order.
    pub id: ClientOrderId,
    /// Lots that were ordered and not traded.
    pub undone: Quantity,
    /// It was refused, in whole or for what is undone.
    pub is_refused: bool,
}

/// All copies of one (leader, follower), in the order in which they were opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    copies: Vec<Copy>,
}

fn sum(one: Quantity, units: i64) -> Quantity {
    Quantity::from_units(one.units().saturating_add(units))
}

impl Copy {
    /// Lots that are open in all.
    pub fn open(&self) -> Quantity {
        let open = self.parts.iter().map(|part| part.open.max(Quantity::ZERO));
        open.fold(Quantity::ZERO, |all, open| sum(all, open.units()))
    }

    fn matches(&self, signal: &Signal) -> bool {
        let is_known = |ticket: &Arc<str>| self.tickets.contains(ticket);
        self.leader_side == signal.side
            && (is_known(&signal.position_id) || signal.parent_id.as_ref().is_some_and(is_known))
    }

    /// Takes `lots` out, from the oldest part on, and tells which orders do that. It is never more
    /// than `lots`, and with `bounds` nothing that the venue would refuse: no order below the least
    /// size, and no rest of a part. All is closed whatever the bounds.
    ///
    /// `name` gives the orders' ids; where their ends are told (`is_tracked`), they are remembered
    /// until then.
    pub fn close(
        &mut self,
        lots: Quantity,
        bounds: Option<&Bounds>,
        is_tracked: bool,
        mut name: impl FnMut() -> ClientOrderId,
    ) -> Vec<Leg> {
        let bounds = bounds.filter(|_| lots < self.open());
        let mut left = lots;
        let mut legs = Vec::new();
        for part in self.parts.iter_mut().filter(|part| part.open > Quantity::ZERO) {
            let lots = closable(part.open, left, bounds);
            if lots <= Quantity::ZERO {
                continue;
            }
            left = sum(left, -lots.units());
            part.open = sum(part.open, -lots.units());
            let id = name();
            if is_tracked {
                part.closing.push((id, lots));
            }
            let (opened_by, position_id) = (part.opened_by, part.position_id.clone());
            legs.push(Leg { id, opened_by, position_id, lots });
        }
        legs
    }

    /// Notes new stops and tells which orders change them: one for every part, on a netting account
    /// one for its only position.
    pub fn change(&mut self, stops: Stops, mut name: impl FnMut() -> ClientOrderId) -> Vec<Leg> {
        let parts = self.parts.iter().filter(|part| part.open > Quantity::ZERO);
        let most = if self.holding == Holding::Netting { 1 } else { usize::MAX };
        let legs: Vec<Leg> = parts
            .take(most)
            .map(|part| Leg {
                id: name(),
                opened_by: part.opened_by,
                position_id: part.position_id.clone(),
                lots: Quantity::ZERO,
            })
            .collect();
        self.stops = Some(stops);
        self.changed_by = legs.iter().map(|leg| leg.id).collect();
        legs
    }
}

/// How much of `open` can be closed if at most `lots` are to be: nothing, all, or what leaves both
/// the closed and the open lots at least the least size.
fn closable(open: Quantity, lots: Quantity, bounds: Option<&Bounds>) -> Quantity {
    let Some(bounds) = bounds.filter(|_| lots < open) else { return open.min(lots) };
    let most = bounds.floor(sum(open, -bounds.min.units()));
    let closed = lots.min(most);
    if closed < bounds.min { Quantity::ZERO } else { closed }
}

/// Gives how much is closed of `own` lots when the leader closes `closed` and `left` stay open:
/// the same fraction, rounded down to the step.
pub fn same_fraction(own: Quantity, closed: Quantity, left: Quantity, step: Quantity) -> Quantity {
    if left == Quantity::ZERO {
        return own;
    }
    let units = |quantity: Quantity| quantity.units().unsigned_abs();
    // Each has eighteen digits, so that the sum has less than 63 bits.
    let before = units(closed) + units(left);
    let step = units(step).max(1);
    let fraction = Proportion::ONE.times(units(own)).times(units(closed)).over(before).over(step);
    let steps = fraction.floor().unwrap_or_default();
    Quantity::from_units(i64::try_from(steps * step).unwrap_or_default())
}

impl Book {
    /// All copies.
    pub fn copies(&self) -> &[Copy] {
        &self.copies
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.copies.is_empty()
    }

    /// Counts the positions of which something is open.
    pub fn trades(&self) -> u32 {
        let open = self.copies.iter().filter(|copy| copy.open() > Quantity::ZERO).count();
        u32::try_from(open).unwrap_or(u32::MAX)
    }

    /// Finds the copy of the signal's position of which something is open, the newest first, and
    /// learns its newest ticket.
    pub fn find(&mut self, signal: &Signal) -> Option<&mut Copy> {
        let is_it = |copy: &&mut Copy| copy.matches(signal) && copy.open() > Quantity::ZERO;
        let copy = self.copies.iter_mut().rev().find(is_it)?;
        if !copy.tickets.contains(&signal.position_id) {
            copy.tickets.push(signal.position_id.clone());
        }
        Some(copy)
    }

    /// Adds a copy.
    pub fn add(&mut self, copy: Copy) {
        self.copies.push(copy);
    }

    /// Forgets what is closed and whose orders have all ended.
    pub fn sweep(&mut self) {
        let is_done = |part: &Part| part.open <= Quantity::ZERO && part.closing.is_empty();
        for copy in &mut self.copies {
            copy.parts.retain(|part| !is_done(part));
        }
        self.copies.retain(|copy| !copy.parts.is_empty());
    }

    /// Learns how an order has ended, and puts right what was not done of it: what was to be opened
    /// is not there, what was to be closed still is.
    pub fn settle(&mut self, ended: Ended) {
        for copy in &mut self.copies {
            if ended.is_refused && copy.changed_by.contains(&ended.id) {
                copy.stops = None;
            }
            // An order closes parts of one copy, and one part each.
            for part in &mut copy.parts {
                if part.opened_by == ended.id {
                    part.open = sum(part.open, -ended.undone.units());
                }
                if let Some(at) = part.closing.iter().position(|(id, _)| *id == ended.id) {
                    let (_, lots) = part.closing.remove(at);
                    part.open = sum(part.open, ended.undone.min(lots).units());
                }
            }
        }
        self.sweep();
    }

    /// Learns the venue's name of what an order opened.
    pub fn learn(&mut self, opened_by: ClientOrderId, position_id: &Arc<str>) {
        let parts = self.copies.iter_mut().flat_map(|copy| &mut copy.parts);
        parts.filter(|part| part.opened_by == opened_by).for_each(|part| {
            part.position_id = Some(position_id.clone());
        });
    }

    /// Takes out what the follower itself, or a stop, has closed of a position. With a parent, the
    /// position is what is left of that one, and the part goes by its name from now on.
    pub fn reduce(&mut self, position_id: &Arc<str>, parent_id: Option<&Arc<str>>, lots: Quantity) {
        let names = [Some(position_id), parent_id];
        let parts = self.copies.iter_mut().flat_map(|copy| &mut copy.parts);
        let mut of_position = parts.filter(|part| {
            part.position_id.is_some() && names.contains(&part.position_id.as_ref())
        });
        if let Some(part) = of_position.next() {
            part.position_id = Some(position_id.clone());
            let open = part.open.max(Quantity::ZERO).min(lots);
            part.open = sum(part.open, -open.units());
        }
        self.sweep();
    }
}

//! What decisions look at beside signal and relation: the newest accounts, specifications and
//! prices.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::account::Account;
use proto::decimal::Price;
use proto::specification::Specification;
use serde::{Deserialize, Serialize};

/// The last prices of an instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// What is paid to who sells; positive where it is known.
    pub bid: Price,
    /// What is asked of who buys; positive where it is known.
    pub ask: Price,
}

/// What is known of an instrument at a venue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// How it is traded.
    pub specification: Option<Specification>,
    /// Its last prices.
    pub quote: Option<Quote>,
}

/// The price that one currency is converted into another with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    /// Whose price it is.
    pub instrument: Arc<str>,
    /// The price: a bid, of an inverse rate an ask, so that the converted amount is the less.
    pub price: Price,
    /// It is divided by.
    pub is_inverse: bool,
}

/// The newest of everything; which is the newest, the caller decides.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct World {
    /// By name, the place among `accounts`, which stays the same.
    numbers: BTreeMap<Arc<str>, usize>,
    accounts: Vec<Option<Arc<Account>>>,
    listings: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Listing>>,
}

impl World {
    /// Puts an account in the place of what was known of it.
    pub fn set_account(&mut self, account: Arc<Account>) {
        let number = self.number_of(&account.account);
        if let Some(known) = self.accounts.get_mut(number) {
            *known = Some(account);
        }
    }

    /// Gives the number of an account, known or not; it means something in this world only.
    pub fn number_of(&mut self, name: &Arc<str>) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.accounts.len();
        self.numbers.insert(name.clone(), number);
        self.accounts.push(None);
        number
    }

    /// Gives the account of a number.
    pub fn numbered(&self, number: usize) -> Option<&Account> {
        self.accounts.get(number)?.as_deref()
    }

    /// Puts a specification in the place of what was known.
    pub fn set_specification(&mut self, specification: Specification) {
        let listing = self.listing_mut(&specification.source, &specification.instrument);
        listing.specification = Some(specification);
    }

    /// Puts prices in the place of what was known.
    pub fn set_quote(&mut self, source: &Arc<str>, instrument: &Arc<str>, quote: Quote) {
        self.listing_mut(source, instrument).quote = Some(quote);
    }

    fn listing_mut(&mut self, source: &Arc<str>, instrument: &Arc<str>) -> &mut Listing {
        let venue = self.listings.entry(source.clone()).or_default();
        venue.entry(instrument.clone()).or_default()
    }

    /// Gives an account.
    pub fn account(&self, name: &str) -> Option<&Arc<Account>> {
        self.accounts.get(*self.numbers.get(name)?)?.as_ref()
    }

    /// Gives what is known of an instrument.
    pub fn listing(&self, source: &str, instrument: &str) -> Option<&Listing> {
        self.listings.get(source)?.get(instrument)
    }

    /// Gives the price that converts an amount of currency `from` into `to` at a venue: of the
    /// instrument that is named by both, or else of the one named the other way round.
    pub fn rate(&self, source: &str, from: &str, to: &str) -> Option<Rate> {
        let venue = self.listings.get(source)?;
        let find = |name: String, is_inverse: bool| {
            let (instrument, listing) = venue.get_key_value(name.as_str())?;
            let quote = listing.quote?;
            let price = if is_inverse { quote.ask } else { quote.bid };
            let instrument = instrument.clone();
            (price > Price::ZERO).then_some(Rate { instrument, price, is_inverse })
        };
        find(format!("{from}{to}"), false).or_else(|| find(format!("{to}{from}"), true))
    }
}

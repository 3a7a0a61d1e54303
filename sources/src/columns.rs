//! Which column of a file is which field of a tick.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::paths::suggestion;

/// How many roles there are.
const ROLES: usize = 11;

/// A field of a tick that a column can fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// When it happened.
    Time,
    /// The day of it, where a text file has day and time of day in two columns.
    Date,
    /// Nanoseconds beyond the time's own resolution: of our own archives.
    Nanos,
    /// Orders equal times.
    Sequence,
    /// Whether the sequence was given by the tick's source: of our own archives.
    Identified,
    /// Best bid.
    Bid,
    /// Best ask.
    Ask,
    /// Price of the last trade.
    Last,
    /// Size.
    Volume,
    /// `mt4`.
    Source,
    /// `EURUSD`.
    Instrument,
}

impl Role {
    pub(crate) const ALL: [Self; ROLES] = [
        Self::Time,
        Self::Date,
        Self::Nanos,
        Self::Sequence,
        Self::Identified,
        Self::Bid,
        Self::Ask,
        Self::Last,
        Self::Volume,
        Self::Source,
        Self::Instrument,
    ];

    pub(crate) const fn name(self) -> &'static str {
        self.usual()[0]
    }

    /// The names that such columns usually have, ours first.
    pub(crate) const fn usual(self) -> &'static [&'static str] {
        match self {
            Self::Time => &["time", "ts", "timestamp", "datetime", "date", "time_msc"],
            Self::Date => &["date"],
            Self::Nanos => &["nanos"],
            Self::Sequence => &["sequence", "seq"],
            Self::Identified => &["identified"],
            Self::Bid => &["bid", "bidprice", "bid_price"],
            Self::Ask => &["ask", "askprice", "ask_price"],
            Self::Last => &["last", "price", "last_price"],
            Self::Volume => &["volume", "vol", "size", "quantity", "qty"],
            Self::Source => &["source"],
            Self::Instrument => &["instrument", "symbol", "ticker"],
        }
    }
}

/// A value that can be left out of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Field {
    /// Best bid.
    Bid,
    /// Best ask.
    Ask,
    /// Price of the last trade.
    Last,
    /// Size.
    Volume,
    /// What orders equal times.
    Sequence,
}

impl Field {
    pub(crate) const fn role(self) -> Role {
        match self {
            Self::Bid => Role::Bid,
            Self::Ask => Role::Ask,
            Self::Last => Role::Last,
            Self::Volume => Role::Volume,
            Self::Sequence => Role::Sequence,
        }
    }
}

/// The file's name of a column, or its place counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ColumnName {
    /// Its place, from 0: for files without a header and arrays of arrays.
    Place(usize),
    /// Its name.
    Name(String),
}

/// Where each field of a tick stands in the file. A field that is not set is looked for by its
/// usual names, in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Columns {
    /// When it happened. Else: time, ts, timestamp, datetime, date, time_msc.
    pub time: Option<ColumnName>,
    /// The day, where a text file has the day and the time of day in two columns. Else: date,
    /// where the time's column is called time.
    pub date: Option<ColumnName>,
    /// What orders equal times. Else: sequence, seq; without one the rows are counted.
    pub sequence: Option<ColumnName>,
    /// Best bid. Else: bid, bidprice, bid_price.
    pub bid: Option<ColumnName>,
    /// Best ask. Else: ask, askprice, ask_price.
    pub ask: Option<ColumnName>,
    /// Price of the last trade. Else: last, price, last_price.
    pub last: Option<ColumnName>,
    /// Size. Else: volume, vol, size, quantity, qty.
    pub volume: Option<ColumnName>,
    /// Where the tick comes from. Else: source.
    pub source: Option<ColumnName>,
    /// What is traded. Else: instrument, symbol, ticker.
    pub instrument: Option<ColumnName>,
}

impl Columns {
    pub(crate) const fn get(&self, role: Role) -> Option<&ColumnName> {
        match role {
            Role::Time => self.time.as_ref(),
            Role::Date => self.date.as_ref(),
            Role::Nanos | Role::Identified => None,
            Role::Sequence => self.sequence.as_ref(),
            Role::Bid => self.bid.as_ref(),
            Role::Ask => self.ask.as_ref(),
            Role::Last => self.last.as_ref(),
            Role::Volume => self.volume.as_ref(),
            Role::Source => self.source.as_ref(),
            Role::Instrument => self.instrument.as_ref(),
        }
    }

    /// Tells whether every column that is set is given by its place.
    pub(crate) fn are_places(&self) -> bool {
        Role::ALL.iter().all(|role| !matches!(self.get(*role), Some(ColumnName::Name(_))))
    }

    /// Tells whether any column is set.
    pub(crate) fn are_set(&self) -> bool {
        *self != Self::default()
    }
}

/// What a component wants of a file: the mapping, and which values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// The mapping.
    pub(crate) columns: Columns,
    /// Only these values; none: all that there are.
    pub(crate) fields: Option<BTreeSet<Field>>,
    /// Every tick is from here.
    pub(crate) source: Option<String>,
    /// Every tick is of this.
    pub(crate) instrument: Option<String>,
}

/// The places of the columns of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places([Option<usize>; ROLES]);

impl Places {
    pub(crate) fn get(&self, role: Role) -> Option<usize> {
        self.0.get(role as usize).copied().flatten()
    }

    pub(crate) fn set(&mut self, role: Role, place: Option<usize>) {
        if let Some(slot) = self.0.get_mut(role as usize) {
            *slot = place;
        }
    }
}

impl Wanted {
    /// Finds the columns in a file whose columns have `names`.
    ///
    /// # Errors
    /// Says which column is missing, and which one may have been meant.
    pub(crate) fn locate(&self, names: &[&str]) -> Result<Places, String> {
        let mut places = Places::default();
        for role in Role::ALL {
            if self.is_wanted(role) {
                places.set(role, self.locate_one(role, names)?);
            }
        }
        let listed = || if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        if places.get(Role::Time).is_none() {
            return Err(format!(
                "no column for the time (its columns: {}); name it with `columns: {{ time: ... }}`",
                listed()
            ));
        }
        if [Role::Bid, Role::Ask, Role::Last].iter().all(|role| places.get(*role).is_none()) {
            return Err(format!(
                "no column for a price (its columns: {}); name one with \
                 `columns: {{ bid: ... }}`, `ask` or `last`",
                listed()
            ));
        }
        let is_called = |role, wanted: &str| {
            let name = places.get(role).and_then(|place: usize| names.get(place));
            name.is_some_and(|name| plain(name).eq_ignore_ascii_case(wanted))
        };
        // What belongs to a column of that name; `nanos` and `identified` only our own archives
        // have.
        let is_time = is_called(Role::Time, "time");
        let is_sequence = is_called(Role::Sequence, "sequence");
        let has_date = is_time || self.columns.date.is_some();
        places.set(Role::Date, places.get(Role::Date).filter(|_| has_date));
        places.set(Role::Nanos, places.get(Role::Nanos).filter(|_| is_time));
        places.set(Role::Identified, places.get(Role::Identified).filter(|_| is_sequence));
        Ok(places)
    }

    fn is_wanted(&self, role: Role) -> bool {
        match role {
            Role::Time | Role::Date | Role::Nanos => true,
            Role::Source => self.source.is_none(),
            Role::Instrument => self.instrument.is_none(),
            Role::Identified => self.is_wanted(Role::Sequence),
            _ => match &self.fields {
                Some(fields) => fields.iter().any(|field| field.role() == role),
                None => true,
            },
        }
    }

    fn locate_one(&self, role: Role, names: &[&str]) -> Result<Option<usize>, String> {
        match self.columns.get(role) {
            Some(ColumnName::Place(place)) if *place < names.len() => Ok(Some(*place)),
            Some(ColumnName::Place(place)) => Err(format!(
                "no column {place} for `{}`: there are {}, counted from 0",
                role.name(),
                names.len()
            )),
            Some(ColumnName::Name(name)) => {
                let found = names.iter().position(|one| one == name);
                found.map(Some).ok_or_else(|| {
                    format!(
                        "no column `{name}` for `{}` (its columns: {}){}",
                        role.name(),
                        names.join(", "),
                        suggestion(name, names.iter().copied())
                    )
                })
            }
            None => {
                let usual = |usual: &&str| {
                    names.iter().position(|name| plain(name).eq_ignore_ascii_case(usual))
                };
                let found = role.usual().iter().find_map(usual);
                let asked = self.fields.iter().flatten().any(|field| field.role() == role);
                if found.is_none() && asked && role != Role::Sequence {
                    return Err(format!(
                        "no column for `{}`, which `fields` asks for (its columns: {})",
                        role.name(),
                        names.join(", ")
                    ));
                }
                Ok(found)
            }
        }
    }
}

/// A name without the angle brackets of MetaTrader's exports.
pub(crate) fn plain(name: &str) -> &str {
    name.trim().trim_start_matches('<').trim_end_matches('>')
}

#[cfg(test)]
mod tests {
    use super::{ColumnName, Columns, Role, Wanted};

    #[test]
    fn a_column_that_is_not_there_is_named_with_the_nearest_that_is() {
        let columns =
            Columns { bid: Some(ColumnName::Name("bid_pricee".into())), ..Columns::default() };
        let wanted = Wanted { columns, ..Wanted::default() };
        let refused = wanted.locate(&["ts", "bid_price", "ask_price"]).unwrap_err();
        assert!(refused.contains("did you mean `bid_price`?"), "{refused}");
    }

    #[test]
    fn usual_names_are_found_in_any_case_and_missing_times_are_refused() {
        let wanted = Wanted::default();
        let places = wanted.locate(&["Timestamp", "askPrice", "bidPrice"]).unwrap();
        assert_eq!(places.get(Role::Ask), Some(1));
        assert_eq!(places.get(Role::Bid), Some(2));
        assert!(wanted.locate(&["bid", "ask"]).unwrap_err().contains("time"));
        assert!(wanted.locate(&["time", "open"]).unwrap_err().contains("price"));
    }
}

//! Routing keys made from names, and names read from routing keys: `market.{source}.{instrument}.tick`.
//!
//! A key is words with dots between. An instrument may have dots of its own (`BRK.B`), so it takes
//! the words that are left over; a dot in any other name is written as `%2E`.

use std::borrow::Cow;

/// The longest text of a template, in bytes: a key of two of the longest names still fits.
const LITERAL_BYTES_MAX: usize = 100;

/// A name in a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// `{source}`.
    Source,
    /// `{instrument}`.
    Instrument,
    /// `{timeframe}`.
    Timeframe,
    /// `{component}`.
    Component,
    /// `{reason}`.
    Reason,
}

impl Name {
    const ALL: [(&'static str, Self); 5] = [
        ("{source}", Self::Source),
        ("{instrument}", Self::Instrument),
        ("{timeframe}", Self::Timeframe),
        ("{component}", Self::Component),
        ("{reason}", Self::Reason),
    ];
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Text(String),
    Name(Name),
    /// `*`: any word, when read.
    Any,
}

/// A template of routing keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    words: Vec<Word>,
    text: String,
}

impl Template {
    /// Reads a template whose names are among `allowed`.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse(text: &str, allowed: &[Name]) -> Result<Self, String> {
        let names = || {
            let allowed = Name::ALL.iter().filter(|(_, name)| allowed.contains(name));
            allowed.map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
        };
        let mut literal = 0;
        let mut words = Vec::new();
        for word in text.split('.') {
            let name = Name::ALL.iter().find(|(text, _)| *text == word).map(|(_, name)| *name);
            words.push(match name {
                Some(name) if allowed.contains(&name) => {
                    if words.contains(&Word::Name(name)) {
                        return Err(format!("`{word}` is in it twice"));
                    }
                    Word::Name(name)
                }
                None if word == "*" => Word::Any,
                None if !word.contains(['{', '}', '*', '#'])
                    && !word.contains(char::is_control) =>
                {
                    literal += word.len() + 1;
                    Word::Text(word.to_owned())
                }
                _ => {
                    return Err(format!(
                        "`{word}` is neither a plain word nor one of {}; expected words with dots \
                         between, such as market.{{source}}.{{instrument}}.tick",
                        names()
                    ));
                }
            });
        }
        if literal > LITERAL_BYTES_MAX {
            return Err(format!("expected at most {LITERAL_BYTES_MAX} bytes beside the names"));
        }
        Ok(Self { words, text: text.to_owned() })
    }

    /// Whether the name is in it.
    pub fn has(&self, name: Name) -> bool {
        self.words.contains(&Word::Name(name))
    }

    /// Whether keys can be written with it: it says every word.
    pub fn is_writable(&self) -> bool {
        !self.words.contains(&Word::Any)
    }

    /// Writes a key; `value` gives the names.
    pub fn write<'a>(&self, value: impl Fn(Name) -> Cow<'a, str>, out: &mut String) {
        for (number, word) in self.words.iter().enumerate() {
            if number > 0 {
                out.push('.');
            }
            match word {
                Word::Text(text) => out.push_str(text),
                Word::Name(Name::Instrument) => out.push_str(&value(Name::Instrument)),
                Word::Name(name) => out.push_str(&value(*name).replace('.', "%2E")),
                Word::Any => out.push('*'),
            }
        }
    }

    /// Reads source and instrument from a key.
    ///
    /// # Errors
    /// When the key does not fit the template.
    pub fn read<'a>(&self, key: &'a str) -> Result<(Cow<'a, str>, &'a str), String> {
        let wrong = || format!("the key does not fit `{}`", self.text);
        let instrument = self.words.iter().position(|word| *word == Word::Name(Name::Instrument));
        let before = instrument.unwrap_or(self.words.len());
        let mut source = None;
        let mut rest = Some(key);
        for word in &self.words[..before] {
            let (text, left) = match rest.ok_or_else(wrong)?.split_once('.') {
                Some((text, left)) => (text, Some(left)),
                None => (rest.unwrap_or_default(), None),
            };
            fit(word, text, &mut source).ok_or_else(wrong)?;
            rest = left;
        }
        let after = self.words.get(before + 1..).unwrap_or_default();
        for word in after.iter().rev() {
            let (left, text) = rest.and_then(|rest| rest.rsplit_once('.')).ok_or_else(wrong)?;
            fit(word, text, &mut source).ok_or_else(wrong)?;
            rest = Some(left);
        }
        let source = source.map_or(Cow::Borrowed(""), |source: &str| {
            if source.contains('%') { source.replace("%2E", ".").into() } else { source.into() }
        });
        match (instrument, rest) {
            (Some(_), Some(instrument)) if !instrument.is_empty() => Ok((source, instrument)),
            (None, None) => Ok((source, "")),
            _ => Err(wrong()),
        }
    }
}

fn fit<'a>(word: &Word, text: &'a str, source: &mut Option<&'a str>) -> Option<()> {
    match word {
        Word::Text(expected) => (expected == text).then_some(()),
        Word::Name(Name::Source) => {
            *source = Some(text);
            (!text.is_empty()).then_some(())
        }
        Word::Name(_) | Word::Any => Some(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Name, Template};

    const BOTH: &[Name] = &[Name::Source, Name::Instrument];

    fn template(text: &str) -> Template {
        Template::parse(text, BOTH).unwrap()
    }

    #[test]
    fn names_come_back_from_the_key_that_was_made_of_them() {
        let template = template("market.{source}.{instrument}.tick");
        for (source, instrument, key) in [
            ("mt4", "EURUSD", "market.mt4.EURUSD.tick"),
            ("mt5", "BRK.B", "market.mt5.BRK.B.tick"),
            ("a.b", "x.y.z", "market.a%2Eb.x.y.z.tick"),
            ("ib", "S&P 500", "market.ib.S&P 500.tick"),
        ] {
            let mut out = String::new();
            let value = |name| if name == Name::Source { source.into() } else { instrument.into() };
            template.write(value, &mut out);
            assert_eq!(out, key);
            let (found, rest) = template.read(key).unwrap();
            assert_eq!((&*found, rest), (source, instrument));
        }
    }

    #[test]
    fn a_key_that_does_not_fit_is_refused() {
        let template = template("market.{source}.{instrument}.tick");
        for key in [
            "",
            "market",
            "market.mt4.EURUSD",
            "market.mt4.tick",
            "market..EURUSD.tick",
            "market.mt4..tick",
            "orders.mt4.EURUSD.tick",
            "market.mt4.EURUSD.depth",
            "market.mt4.EURUSD.tick.",
        ] {
            assert!(template.read(key).is_err(), "{key}");
        }
    }

    #[test]
    fn other_orders_of_words_are_read_too() {
        let (source, instrument) =
            template("{instrument}.of.{source}").read("BRK.B.of.ib").unwrap();
        assert_eq!((&*source, instrument), ("ib", "BRK.B"));
        let (source, instrument) = template("*.{instrument}").read("forex.EURUSD").unwrap();
        assert_eq!((&*source, instrument), ("", "EURUSD"));
        assert_eq!(template("ticks.{source}").read("ticks.mt4").unwrap().0, "mt4");
        assert!(template("ticks.{source}").read("ticks.mt4.x").is_err());
    }

    #[test]
    fn a_template_says_what_it_does_not_know() {
        for text in ["market.{sauce}", "a.#", "a{source}", "{source}.{source}", &"x".repeat(101)] {
            assert!(Template::parse(text, BOTH).is_err(), "{text}");
        }
        let error = Template::parse("{timeframe}", BOTH).unwrap_err();
        assert!(error.contains("{source}, {instrument}"), "{error}");
        assert!(!template("a.*").is_writable());
    }
}

//! Topics of MQTT: templates such as `market/{source}/{instrument}/tick`, compiled once,
//! filled in and read back.
//!
//! What is filled in is one segment and stays one: no name can become a wildcard, another level or
//! a topic of the broker's own, and what was filled in comes back when the topic is read.

use std::fmt;

use proto::series::SeriesId;

/// What stands between two levels.
const SEPARATOR: char = '/';

/// What no segment may hold: it would be more than one, or match others.
const FORBIDDEN: [char; 4] = [SEPARATOR, '+', '#', '\0'];

/// The longest topic, in bytes.
const BYTES_MAX: usize = 65_535;

/// The longest value of a placeholder, in bytes.
pub const SEGMENT_BYTES_MAX: usize = 128;

/// A value that cannot stand in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentError {
    /// Nothing at all.
    Empty,
    /// More bytes than [`SEGMENT_BYTES_MAX`], or than a whole topic may have.
    TooLong(usize),
    /// A character that would change the topic's levels, match others, or is none to be printed.
    Forbidden(char),
}

impl fmt::Display for SegmentError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("an empty name cannot stand in a topic"),
            Self::TooLong(bytes) => write!(formatter, "{bytes} bytes are too long for a topic"),
            Self::Forbidden(character) => {
                write!(formatter, "{character:?} cannot stand in a name in a topic")
            }
        }
    }
}

/// Checks what is to be one segment.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_segment(value: &str) -> Result<(), SegmentError> {
    if value.is_empty() {
        return Err(SegmentError::Empty);
    }
    if value.len() > SEGMENT_BYTES_MAX {
        return Err(SegmentError::TooLong(value.len()));
    }
    // Topics that start so are the broker's own.
    if value.starts_with('$') {
        return Err(SegmentError::Forbidden('$'));
    }
    let is_bad = |c: &char| c.is_control() || FORBIDDEN.contains(c);
    value.chars().find(is_bad).map_or(Ok(()), |c| Err(SegmentError::Forbidden(c)))
}

/// Text with at most one placeholder between two separators.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Level {
    before: String,
    field: Option<usize>,
    after: String,
}

/// A compiled template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    levels: Vec<Level>,
    text: String,
}

impl Template {
    /// Compiles a template whose placeholders are among `fields`: `{source}` for `source`.
    ///
    /// # Errors
    /// Says what is wrong with it and what was expected.
    pub fn compile(text: &str, fields: &[&str]) -> Result<Self, String> {
        if text.is_empty() {
            let message = "is empty; expected a topic such as market/{source}/{instrument}/tick";
            return Err(message.to_owned());
        }
        if text.starts_with('$') {
            return Err("topics that start with `$` are the broker's own".to_owned());
        }
        if text.len() > BYTES_MAX {
            return Err(format!("is longer than {BYTES_MAX} bytes"));
        }
        let levels = text
            .split(SEPARATOR)
            .map(|level| compile_level(level, fields))
            .collect::<Result<_, _>>()?;
        Ok(Self { levels, text: text.to_owned() })
    }

    /// Tells whether it has the placeholder with this number.
    pub fn has(&self, field: usize) -> bool {
        self.levels.iter().any(|level| level.field == Some(field))
    }

    /// Appends the topic to `out`, each placeholder filled with the value of its number.
    ///
    /// # Errors
    /// When a value cannot be one segment; then `out` is as it was.
    pub fn render(&self, values: &[&str], out: &mut String) -> Result<(), SegmentError> {
        let start = out.len();
        for (number, level) in self.levels.iter().enumerate() {
            if number > 0 {
                out.push(SEPARATOR);
            }
            out.push_str(&level.before);
            if let Some(field) = level.field {
                let value = values.get(field).copied().unwrap_or("");
                if let Err(error) = check_segment(value) {
                    out.truncate(start);
                    return Err(error);
                }
                out.push_str(value);
            }
            out.push_str(&level.after);
        }
        let bytes = out.len() - start;
        if bytes > BYTES_MAX {
            out.truncate(start);
            return Err(SegmentError::TooLong(bytes));
        }
        Ok(())
    }

    /// Reads a topic back: the value of each placeholder by its number, an empty one where the
    /// template has no such placeholder. None: it is no topic of this template.
    pub fn read<'t, const N: usize>(&self, topic: &'t str) -> Option<[&'t str; N]> {
        let mut values = [""; N];
        let mut segments = topic.split(SEPARATOR);
        for level in &self.levels {
            let segment = segments.next()?;
            let inner = segment.strip_prefix(level.before.as_str())?;
            let inner = inner.strip_suffix(level.after.as_str())?;
            let Some(field) = level.field else {
                if inner.is_empty() {
                    continue;
                }
                return None;
            };
            check_segment(inner).ok()?;
            let value = values.get_mut(field)?;
            if !value.is_empty() && *value != inner {
                return None; // twice the same placeholder, and not the same value
            }
            *value = inner;
        }
        segments.next().is_none().then_some(values)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

fn compile_level(level: &str, fields: &[&str]) -> Result<Level, String> {
    let (before, rest) = level.split_once('{').unwrap_or((level, ""));
    let has_field = before.len() < level.len();
    let (field, after) = if has_field {
        let Some((name, after)) = rest.split_once('}') else {
            return Err(format!("`{level}` has a `{{` without its `}}`"));
        };
        let Some(field) = fields.iter().position(|field| *field == name) else {
            let known: Vec<String> = fields.iter().map(|field| format!("{{{field}}}")).collect();
            return Err(format!(
                "`{{{name}}}` is no placeholder here; expected {}",
                known.join(", ")
            ));
        };
        (Some(field), after)
    } else {
        (None, "")
    };
    if after.contains('{') {
        return Err(format!(
            "`{level}` has two placeholders; expected at most one between two `{}`",
            SEPARATOR
        ));
    }
    let is_bad = |c: char| c.is_control() || "{}".contains(c) || FORBIDDEN.contains(&c);
    if let Some(bad) = before.chars().chain(after.chars()).find(|c| is_bad(*c)) {
        return Err(format!("{bad:?} cannot stand in a topic that is published to"));
    }
    Ok(Level { before: before.to_owned(), field, after: after.to_owned() })
}

/// Checks what is to be subscribed to in MQTT: wildcards are whole levels, `#` is the last one;
/// `$share/group/filter` is shared with the others of the group.
///
/// # Errors
/// Says what is wrong with it and what was expected.
pub fn check_filter(filter: &str) -> Result<(), String> {
    let topic = match filter.strip_prefix("$share/") {
        None => filter,
        Some(shared) => match shared.split_once('/') {
            Some((group, topic)) if !group.is_empty() && !group.contains(['+', '#']) => topic,
            _ => return Err("expected $share/group/topic".to_owned()),
        },
    };
    if topic.is_empty() {
        return Err("expected a topic such as market/+/+/tick".to_owned());
    }
    if filter.len() > BYTES_MAX || filter.chars().any(char::is_control) {
        return Err("is too long, or has a character that cannot be printed".to_owned());
    }
    let mut levels = topic.split('/').peekable();
    while let Some(level) = levels.next() {
        let is_last = levels.peek().is_none();
        if level.contains('+') && level != "+" {
            return Err(format!("`{level}`: `+` stands for a whole level, between two `/`"));
        }
        if level.contains('#') && (level != "#" || !is_last) {
            return Err(format!("`{level}`: `#` stands for all that follows, at the end"));
        }
    }
    Ok(())
}

/// What was made once per series (and what else tells its topics apart), found again by the
/// series' number.
#[derive(Debug)]
pub struct PerSeries<K, T> {
    /// By series; few keys each, so they are looked through.
    known: Vec<Vec<(K, T)>>,
}

impl<K: Copy + PartialEq, T> PerSeries<K, T> {
    /// Nothing made yet.
    pub const fn new() -> Self {
        Self { known: Vec::new() }
    }

    /// Gives what was made for `series` and `key`, or makes it.
    pub fn get(&mut self, series: SeriesId, key: K, make: impl FnOnce() -> T) -> &mut T {
        let index = series.index();
        if self.known.len() <= index {
            self.known.resize_with(index + 1, Vec::new);
        }
        let made = &mut self.known[index];
        let place = made.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            made.push((key, make()));
            made.len() - 1
        });
        &mut made[place].1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, prop_oneof, proptest};
    use proptest::strategy::Strategy;

    use super::{PerSeries, SegmentError, Template, check_filter};
    use proto::series::SeriesId;

    const FIELDS: &[&str] = &["source", "instrument"];

    fn template(text: &str) -> Template {
        Template::compile(text, FIELDS).unwrap()
    }

    /// Names, most of them with something in them that means something to a broker.
    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            "[A-Z]{3,6}",
            "[A-Z/+#$.\\x00 é{}]{0,6}",
            any::<String>(),
            (0_usize..300).prop_map(|length| "x".repeat(length)),
        ]
    }

    proptest! {
        #[test]
        fn a_name_stays_one_segment_and_comes_back(source in name(), instrument in name()) {
            for text in ["market/{source}/{instrument}/tick", "{instrument}/v-{source}.x"] {
                let template = template(text);
                let mut topic = String::from("kept:");
                let rendered = template.render(&[&source, &instrument], &mut topic);
                let topic = topic.strip_prefix("kept:").unwrap();
                if rendered.is_err() {
                    prop_assert_eq!(topic, "");
                    continue;
                }
                prop_assert_eq!(topic.matches('/').count(), text.matches('/').count());
                prop_assert!(!topic.contains(['+', '#', '\0']) && !topic.starts_with('$'));
                prop_assert_eq!(template.read(topic), Some([source.as_str(), instrument.as_str()]));
            }
        }

        #[test]
        fn what_is_read_from_a_topic_makes_that_topic(
            topic in "(market|m)?/?[A-Za-z+#$é]{0,8}/[A-Z.\\x00]{0,8}/?(tick|last)?",
        ) {
            let template = template("market/{source}/{instrument}/tick");
            if let Some([source, instrument]) = template.read(&topic) {
                let mut again = String::new();
                template.render(&[source, instrument], &mut again).unwrap();
                prop_assert_eq!(again, topic);
            }
        }
    }

    #[test]
    fn hostile_names_are_refused_with_the_reason() {
        let template = template("market/{source}/{instrument}/tick");
        let long = "x".repeat(65_536);
        for (name, error) in [
            ("", SegmentError::Empty),
            ("EURUSD/#", SegmentError::Forbidden('/')),
            ("+", SegmentError::Forbidden('+')),
            ("#", SegmentError::Forbidden('#')),
            ("$SYS", SegmentError::Forbidden('$')),
            ("a\0b", SegmentError::Forbidden('\0')),
            ("a\nb", SegmentError::Forbidden('\n')),
            (&long, SegmentError::TooLong(65_536)),
        ] {
            assert_eq!(template.render(&["mt4", name], &mut String::new()), Err(error));
        }
    }

    #[test]
    fn a_template_is_refused_with_what_was_expected() {
        for (text, part) in [
            ("", "is empty"),
            ("$SYS/{source}", "broker's own"),
            ("a/{who}", "{source}, {instrument}"),
            ("a/{source", "without its"),
            ("a/{source}{instrument}", "two placeholders"),
            ("a/+/b", "'+'"),
            ("a/b}", "'}'"),
        ] {
            let error = Template::compile(text, FIELDS).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn filters_are_checked_as_the_standard_has_it() {
        for filter in ["#", "a/#", "+/b", "a/+/c", "$share/workers/a/#", "$SYS/#", "a//b"] {
            check_filter(filter).unwrap();
        }
        for filter in ["", "a#", "a/#/b", "a+", "$share/g", "$share//a", "$share/+/a", "a\0"] {
            assert!(check_filter(filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn what_was_made_for_a_series_is_made_once() {
        let mut made = 0;
        let mut cache = PerSeries::new();
        for _ in 0..3 {
            for (series, key) in [(7, 1), (0, 1), (7, 2)] {
                let value = cache.get(SeriesId(series), key, || {
                    made += 1;
                    (series, key)
                });
                assert_eq!(*value, (series, key));
            }
        }
        assert_eq!(made, 3);
    }
}

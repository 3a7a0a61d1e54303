//! A job file as a tree that knows where each of its values stands in the text.

use serde_json::{Map, Number, Value};

/// A place in the job file, both counted from one; columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    /// The line.
    pub(crate) line: usize,
    /// The column.
    pub(crate) column: usize,
}

impl Place {
    /// Where a file starts.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

/// A value with its place.
#[derive(Clone)]
pub(crate) struct Node {
    /// Where it starts.
    pub(crate) place: Place,
    /// What it is.
    pub(crate) data: Data,
    /// Whether it is a scalar without quotes.
    pub(crate) plain: bool,
    /// What the file says, if the value came from a variable.
    pub(crate) filled: Option<Filled>,
    /// A number as the file has it: decimals do not pass through a float there.
    pub(crate) digits: Option<String>,
}

/// A scalar that a variable has filled in. Its value is not for anybody's eyes.
#[derive(Clone)]
pub(crate) struct Filled {
    /// As the file has it: `${NAME}`.
    pub(crate) written: String,
    /// The value as text, before it was read as a number or a boolean.
    pub(crate) text: String,
}

/// The value itself.
#[derive(Clone)]
pub(crate) enum Data {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// What a variable would have said that is not set: told once, then left alone.
    Unknown,
}

/// A key and its value.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Where the key starts.
    pub(crate) place: Place,
    pub(crate) value: Node,
}

impl Node {
    /// Makes a node that no variable has touched.
    pub(crate) const fn new(place: Place, data: Data, plain: bool) -> Self {
        Self { place, data, plain, filled: None, digits: None }
    }

    /// Gives the value of a key of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.data {
            Data::Map(entries) => entries.iter().find(|e| e.key == key).map(|e| &e.value),
            _ => None,
        }
    }

    /// Gives the text of a scalar that is text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Names what it is, for messages.
    pub(crate) fn noun(&self) -> &'static str {
        match &self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "a boolean",
            Data::Number(number) if number.is_f64() => "a number with a fraction",
            Data::Number(_) => "a whole number",
            Data::Text(_) => "text",
            Data::List(_) => "a list",
            Data::Map(_) => "a mapping",
            Data::Unknown => "something unknown",
        }
    }

    /// Says what stands there in words fit for a message: a variable by its name alone.
    pub(crate) fn found(&self) -> String {
        match (&self.filled, &self.data) {
            (Some(filled), _) => format!("{} from `{}`", self.noun(), filled.written),
            (None, Data::Null | Data::List(_) | Data::Map(_) | Data::Unknown) => {
                self.noun().to_owned()
            }
            (None, Data::Bool(_) | Data::Number(_)) => {
                format!("{} `{}`", self.noun(), self.shown())
            }
            (None, Data::Text(_)) => format!("the text `{}`", self.shown()),
        }
    }

    /// Gives a scalar as it may be shown: a variable by its name alone, long text cut.
    pub(crate) fn shown(&self) -> String {
        let text = match (&self.filled, &self.data) {
            (Some(filled), _) => filled.written.clone(),
            (None, Data::Bool(value)) => value.to_string(),
            (None, Data::Number(value)) => value.to_string(),
            (None, Data::Text(text)) => text.clone(),
            (None, _) => self.noun().to_owned(),
        };
        crate::job::mistake::short(&text)
    }

    /// Gives the value that a component reads, variables filled in.
    pub(crate) fn to_value(&self) -> Value {
        self.render(false)
    }

    /// Gives the value that may be shown: `${NAME}` where a variable stood.
    pub(crate) fn to_written(&self) -> Value {
        self.render(true)
    }

    fn render(&self, written: bool) -> Value {
        if let (true, Some(filled)) = (written, &self.filled) {
            return Value::String(filled.written.clone());
        }
        match &self.data {
            Data::Null | Data::Unknown => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Number(number) => Value::Number(number.clone()),
            Data::Text(text) => Value::String(text.clone()),
            Data::List(items) => items.iter().map(|item| item.render(written)).collect(),
            Data::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.render(written)))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// Tells whether a value in it is not known, so that a component cannot judge it.
    pub(crate) fn has_unknown(&self) -> bool {
        match &self.data {
            Data::Unknown => true,
            Data::List(items) => items.iter().any(Self::has_unknown),
            Data::Map(entries) => entries.iter().any(|entry| entry.value.has_unknown()),
            _ => false,
        }
    }

    /// Finds the place of a path such as `columns.time` or `timeframes[2]`, as near as it goes.
    /// Where the path names a key, that is the place of its value.
    pub(crate) fn place_of(&self, path: &str) -> Place {
        let mut node = self;
        for step in path.split(['.', '[']).map(|step| step.trim_end_matches(']')) {
            let next = match &node.data {
                Data::List(items) => step.parse().ok().and_then(|at: usize| items.get(at)),
                _ => node.get(step),
            };
            match next {
                Some(next) => node = next,
                None if step.is_empty() => {}
                None => break,
            }
        }
        node.place
    }
}

/// Reads a plain scalar as YAML's core schema does: null, booleans, numbers, else text.
/// Nothing if it is a number that nobody can hold.
pub(crate) fn resolve(text: &str) -> Option<Data> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "true" | "True" | "TRUE" => Data::Bool(true),
        "false" | "False" | "FALSE" => Data::Bool(false),
        _ => {
            let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
            let is_number = unsigned.starts_with(|c: char| c.is_ascii_digit())
                || unsigned.strip_prefix('.').is_some_and(|rest| {
                    rest.starts_with(|c: char| c.is_ascii_digit())
                        || matches!(rest, "inf" | "Inf" | "INF" | "nan" | "NaN" | "NAN")
                });
            if is_number { number(text)? } else { Data::Text(text.to_owned()) }
        }
    })
}

/// Reads what starts like a number; `1m` and `2024-01-01` do, too, and are text.
fn number(text: &str) -> Option<Data> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let signed = text.strip_prefix('+').unwrap_or(text);
        let small = signed.parse::<i64>().ok().map(Number::from);
        return small.or_else(|| signed.parse::<u64>().ok().map(Number::from)).map(Data::Number);
    }
    let based = |prefix, radix| text.strip_prefix(prefix).map(|t| i64::from_str_radix(t, radix));
    if let Some(Ok(value)) = based("0x", 16).or_else(|| based("0o", 8)) {
        return Some(Data::Number(value.into()));
    }
    let is_special = digits.starts_with('.') && !digits.bytes().any(|b| b.is_ascii_digit());
    if is_special {
        return None;
    }
    match text.parse::<f64>() {
        Ok(value) => Number::from_f64(value).map(Data::Number),
        Err(_) => Some(Data::Text(text.to_owned())),
    }
}

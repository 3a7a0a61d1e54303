//! `${NAME}` and `${NAME:-default}` in the values of a job file, and the keeping of secrets.
//!
//! What an environment variable holds may be a password. So every value that came from one goes
//! to its component and nowhere else: messages, pictures and debug output show its name.

use std::fmt;

use crate::job::tree::{Data, Filled, Node, resolve};

/// What came from variables. Shows nothing of it, not even when debugged.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// The longest first, so that a part never unmasks the whole.
    values: Vec<String>,
}

/// What stands for a secret.
pub const MASK: &str = "***";

/// Below this length a secret is masked only where it stands as a word: it would tear up the
/// message otherwise.
const PART_CHARS_MIN: usize = 4;

impl Secrets {
    /// Takes a value, and the password in it if it is a URL.
    pub fn add(&mut self, value: &str) {
        let password = password(value).unwrap_or_default();
        // As it is, as a driver may show it, and as quotes and JSON do.
        for text in
            [value.to_owned(), value.trim().to_owned(), password.to_owned(), decoded(password)]
        {
            let quoted = format!("{text:?}");
            let escaped = quoted.strip_prefix('"').and_then(|quoted| quoted.strip_suffix('"'));
            for text in [text.as_str(), escaped.unwrap_or_default()] {
                if !text.is_empty() && !self.values.iter().any(|known| known == text) {
                    self.values.push(text.to_owned());
                }
            }
        }
        self.values.sort_by_key(|text| std::cmp::Reverse(text.len()));
    }

    /// Puts a mask over every secret in a text.
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.values {
            text = if secret.chars().count() < PART_CHARS_MIN {
                mask_word(&text, secret)
            } else {
                text.replace(secret.as_str(), MASK)
            };
        }
        text
    }

    /// Tells whether nothing is kept.
    pub const fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secrets({})", self.values.len())
    }
}

/// Puts a mask over a secret where no letter or digit adjoins it.
fn mask_word(text: &str, secret: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(secret) {
        let adjoins = before.ends_with(char::is_alphanumeric)
            || (before.is_empty() && masked.ends_with(char::is_alphanumeric))
            || after.starts_with(char::is_alphanumeric);
        masked.push_str(before);
        masked.push_str(if adjoins { secret } else { MASK });
        rest = after;
    }
    masked + rest
}

/// Finds the password of a URL: `scheme://user:password@host`.
fn password(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password)
}

/// Takes the `%xx` out of a part of a URL.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.first_chunk::<2>().filter(|_| *first == b'%');
        let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Masks the password of a URL that stands in the file itself.
pub fn without_password(text: &str) -> String {
    match password(text) {
        Some(password) if !password.is_empty() => {
            text.replacen(&format!(":{password}@"), &format!(":{MASK}@"), 1)
        }
        _ => text.to_owned(),
    }
}

/// Fills the variables in below a node; gives the complaints as (path, written, message).
pub(crate) fn fill(
    node: &mut Node,
    variables: &dyn Fn(&str) -> Option<String>,
    secrets: &mut Secrets,
) -> Vec<Unfilled> {
    let mut unfilled = Vec::new();
    walk(node, String::new(), &mut |path, node| {
        fill_scalar(path, node, variables, secrets, &mut unfilled);
    });
    unfilled
}

/// A variable that could not be filled in.
pub(crate) struct Unfilled {
    /// Where, below the node.
    pub(crate) path: String,
    /// The text to point at.
    pub(crate) written: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

fn walk(node: &mut Node, path: String, visit: &mut dyn FnMut(&str, &mut Node)) {
    match &mut node.data {
        Data::List(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                walk(item, format!("{path}[{at}]"), visit);
            }
        }
        Data::Map(entries) => {
            for entry in entries {
                walk(&mut entry.value, join(&path, &entry.key), visit);
            }
        }
        _ => visit(&path, node),
    }
}

/// Appends a key to a path.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn fill_scalar(
    path: &str,
    node: &mut Node,
    variables: &dyn Fn(&str) -> Option<String>,
    secrets: &mut Secrets,
    unfilled: &mut Vec<Unfilled>,
) {
    let Data::Text(written) = &node.data else { return };
    if !written.contains("${") {
        return;
    }
    let pieces = match pieces(written) {
        Ok(pieces) => pieces,
        Err(message) => {
            let (path, written) = (path.to_owned(), "${".to_owned());
            unfilled.push(Unfilled { path, written, message, hint: None });
            node.data = Data::Unknown;
            return;
        }
    };
    let (mut text, mut from_variable, unset) = (String::new(), false, unfilled.len());
    for piece in &pieces {
        match piece {
            Piece::Text(part) => text.push_str(part),
            Piece::Variable { name, default } => {
                // As in a shell, `:-` also stands in for an empty value.
                let value = variables(name).filter(|v| default.is_none() || !v.is_empty());
                match (value, default) {
                    (Some(value), _) => {
                        secrets.add(&value);
                        text.push_str(&value);
                        from_variable = true;
                    }
                    (None, Some(default)) => text.push_str(default),
                    (None, None) => unfilled.push(Unfilled {
                        path: path.to_owned(),
                        written: format!("${{{name}}}"),
                        message: format!("the environment variable `{name}` is not set"),
                        hint: Some(format!("set it, or give a default: `${{{name}:-default}}`")),
                    }),
                }
            }
        }
    }
    if from_variable {
        secrets.add(&text);
    }
    let is_whole = matches!(pieces.as_slice(), [Piece::Variable { .. }]);
    let retyped = if is_whole && node.plain { resolve(&text) } else { None };
    let is_marked = pieces.iter().any(|piece| matches!(piece, Piece::Variable { .. }));
    let written = written.clone();
    let is_unset = unfilled.len() > unset;
    let data = retyped.unwrap_or_else(|| Data::Text(text.clone()));
    node.data = if is_unset { Data::Unknown } else { data };
    node.filled = is_marked.then_some(Filled { written, text });
}

/// A part of a scalar.
enum Piece<'a> {
    Text(&'a str),
    Variable { name: &'a str, default: Option<&'a str> },
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            // `$${` is a literal `${`.
            pieces.extend([Piece::Text(before), Piece::Text("${")]);
            rest = after;
            continue;
        }
        let Some((inner, after)) = after.split_once('}') else {
            return Err("a variable is not closed; expected `${NAME}` or `${NAME:-default}`, and \
                        `$${` for a literal `${`"
                .to_owned());
        };
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            return Err(format!(
                "`{}` is no name of a variable; expected letters, digits and `_`, as in \
                 `${{NAME}}` or `${{NAME:-default}}`",
                crate::job::mistake::short(name)
            ));
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(Piece::Variable { name, default });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Secrets, fill, without_password};
    use crate::job::read::read;

    fn filled(text: &str) -> (serde_json::Value, serde_json::Value, Vec<String>) {
        let (node, _) = read(text);
        let mut node = node.unwrap();
        let variables = |name: &str| match name {
            "PORT" => Some("5672".to_owned()),
            "EMPTY" => Some(String::new()),
            "WORD" => Some("hunter2".to_owned()),
            _ => None,
        };
        let unfilled = fill(&mut node, &variables, &mut Secrets::default());
        let messages = unfilled.into_iter().map(|u| format!("{}: {}", u.path, u.message));
        (node.to_value(), node.to_written(), messages.collect())
    }

    #[test]
    fn variables_are_filled_in_and_typed_as_if_they_stood_in_the_file() {
        let text = "a: ${PORT}\nb: '${PORT}'\nc: x-${WORD}-${PORT}\nd: ${NONE:-true}\n\
                    e: ${EMPTY:-y}\nf: $${PORT}\ng: [\"${WORD}\"]\nh: $5\n";
        let (value, written, messages) = filled(text);
        assert_eq!(messages, Vec::<String>::new());
        assert_eq!(
            value,
            json!({
                "a": 5672, "b": "5672", "c": "x-hunter2-5672", "d": true, "e": "y",
                "f": "${PORT}", "g": ["hunter2"], "h": "$5",
            })
        );
        assert_eq!(written["c"], "x-${WORD}-${PORT}");
        assert!(!written.to_string().contains("hunter2"));
    }

    #[test]
    fn what_cannot_be_filled_in_is_told_by_its_path() {
        let (_, _, messages) = filled("a: {b: [1, \"${NONE}\"]}\nc: ${PORT\nd: \"${P-X}\"\n");
        assert_eq!(messages.len(), 3);
        assert_eq!(messages[0], "a.b[1]: the environment variable `NONE` is not set");
        assert!(messages[1].starts_with("c: a variable is not closed"), "{messages:?}");
        assert!(messages[2].starts_with("d: `P-X` is no name of a variable"), "{messages:?}");
    }

    #[test]
    fn secrets_are_masked_whole_in_parts_and_quoted() {
        let mut secrets = Secrets::default();
        secrets.add("postgres://me:pass\"word@host/db");
        secrets.add("42");
        secrets.add("amqp://me:a%2Fb%3Dc@host");
        assert_eq!(secrets.redact("refused: a/b=c"), "refused: ***");
        let text = "cannot reach postgres://me:pass\"word@host/db as \"me\" with \"pass\\\"word\" \
                    after 42 of 420";
        let shown = secrets.redact(text);
        assert!(!shown.contains("word") && shown.ends_with("after *** of 420"), "{shown}");
        assert!(!format!("{secrets:?}").contains("pass"));
    }

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        assert_eq!(without_password("amqp://me:pw@host:5672/v"), "amqp://me:***@host:5672/v");
        assert_eq!(without_password("amqp://host:5672/v"), "amqp://host:5672/v");
    }
}

//! As much of SQL's grammar as is needed before an engine sees it: is it one statement that reads,
//! and which tables does it name.

use std::str::Chars;

use dataflows::fault::Fault;

/// A piece of SQL. Comments and white space are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword or a plain name.
    Word(String),
    /// A name in double quotes or backticks.
    Quoted(String),
    /// A string or a number.
    Literal,
    /// Anything else, a character at a time.
    Symbol(char),
}

impl Token {
    fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Word(text) if text.eq_ignore_ascii_case(word))
    }

    fn is_one_of(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_word(word))
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Word(text) | Self::Quoted(text) => Some(text),
            _ => None,
        }
    }
}

/// Takes SQL apart. What is not closed ends with the text: the engine will complain.
pub(super) fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = sql.chars();
    while let Some(first) = rest.next() {
        let ahead = rest.clone().next();
        match first {
            '-' if ahead == Some('-') => skip_past(&mut rest, "\n"),
            '/' if ahead == Some('*') => {
                rest.next();
                skip_past(&mut rest, "*/");
            }
            '\'' => {
                let is_escaped = matches!(tokens.last(), Some(Token::Word(word)) if word.eq_ignore_ascii_case("e"));
                string(&mut rest, is_escaped);
                tokens.push(Token::Literal);
            }
            '"' | '`' => tokens.push(Token::Quoted(quoted(&mut rest, first))),
            '$' if dollar_tag(rest.as_str()).is_some() => {
                let tag = dollar_tag(rest.as_str()).unwrap_or_default();
                let end = format!("${tag}$");
                skip_past(&mut rest, &end[1..]);
                skip_past(&mut rest, &end);
                tokens.push(Token::Literal);
            }
            c if c.is_alphabetic() || c == '_' => {
                let mut word = String::from(c);
                take_while(&mut rest, &mut word, |c| c.is_alphanumeric() || c == '_' || c == '$');
                tokens.push(Token::Word(word));
            }
            c if c.is_ascii_digit() => {
                let mut number = String::new();
                take_while(&mut rest, &mut number, |c| c.is_alphanumeric() || c == '.');
                tokens.push(Token::Literal);
            }
            c if c.is_whitespace() => {}
            c => tokens.push(Token::Symbol(c)),
        }
    }
    tokens
}

fn take_while(rest: &mut Chars<'_>, into: &mut String, accept: impl Fn(char) -> bool) {
    while let Some(c) = rest.clone().next().filter(|c| accept(*c)) {
        into.push(c);
        rest.next();
    }
}

fn skip_past(rest: &mut Chars<'_>, end: &str) {
    let text = rest.as_str();
    let after = text.split_once(end).map_or("", |(_, after)| after);
    *rest = after.chars();
}

fn string(rest: &mut Chars<'_>, is_escaped: bool) {
    while let Some(c) = rest.next() {
        if c == '\\' && is_escaped {
            rest.next();
        } else if c == '\'' {
            if rest.clone().next() != Some('\'') {
                return;
            }
            rest.next();
        }
    }
}

fn quoted(rest: &mut Chars<'_>, quote: char) -> String {
    let mut name = String::new();
    while let Some(c) = rest.next() {
        if c == quote {
            if rest.clone().next() != Some(quote) {
                break;
            }
            rest.next();
        }
        name.push(c);
    }
    name
}

/// The tag of a dollar-quoted string whose first dollar stands before `text`.
fn dollar_tag(text: &str) -> Option<String> {
    let (tag, _) = text.split_once('$')?;
    let is_tag = !tag.starts_with(|c: char| c.is_ascii_digit())
        && tag.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_tag.then(|| tag.to_owned())
}

const READING: [&str; 4] = ["SELECT", "WITH", "VALUES", "EXPLAIN"];

/// Accepts one statement that reads.
///
/// # Errors
/// When there is none, more than one, or one of another kind.
pub(super) fn check(tokens: &[Token]) -> Result<(), Fault> {
    let refuse = |message: &str| Err(Fault::job("query", message));
    let Some(first) = tokens.iter().find(|token| **token != Token::Symbol('(')) else {
        return refuse("it is empty; expected SQL such as SELECT * FROM candles LIMIT 10");
    };
    if !first.is_one_of(&READING) {
        let found = first.name().unwrap_or("something else").to_uppercase();
        return refuse(&format!(
            "it starts with {found}; expected SELECT, WITH, VALUES or EXPLAIN: a query only reads"
        ));
    }
    let end = tokens.iter().position(|token| *token == Token::Symbol(';'));
    let after = end.and_then(|end| tokens.get(end..)).unwrap_or_default();
    if after.iter().any(|token| *token != Token::Symbol(';')) {
        return refuse("there are several statements; expected one");
    }
    Ok(())
}

/// Words that end a list of tables.
const AFTER_FROM: [&str; 15] = [
    "WHERE",
    "GROUP",
    "ORDER",
    "HAVING",
    "LIMIT",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "WINDOW",
    "ON",
    "USING",
    "OFFSET",
    "FETCH",
    "SELECT",
    "RETURNING",
];

/// A table that a query names: the last part of the name, and the one before it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TableReference {
    pub(super) schema: Option<String>,
    pub(super) name: String,
}

/// Finds the tables that a query names, without those that it defines itself (`WITH x AS (…)`).
pub(super) fn table_references(tokens: &[Token]) -> Vec<TableReference> {
    let mut found: Vec<TableReference> = Vec::new();
    // Per open parenthesis: whether a table may stand next, whether a comma brings another one.
    let mut open = vec![(false, false)];
    let mut position = 0;
    while let Some(token) = tokens.get(position) {
        position += 1;
        let (expects, is_list) = open.last().copied().unwrap_or_default();
        let mut set = |expects, is_list| {
            if let Some(last) = open.last_mut() {
                *last = (expects, is_list);
            }
        };
        if token.is_one_of(&["FROM", "JOIN"]) {
            set(true, true);
        } else if token.is_one_of(&AFTER_FROM) {
            set(false, is_list && token.is_one_of(&["ON", "USING"]));
        } else if *token == Token::Symbol('(') {
            set(false, is_list);
            open.push((expects, expects));
        } else if *token == Token::Symbol(')') {
            open.pop();
        } else if *token == Token::Symbol(',') {
            set(is_list, is_list);
        } else if expects && !token.is_one_of(&["LATERAL", "ONLY"]) {
            set(false, is_list);
            if let Some(name) = token.name() {
                found.push(dotted(name, tokens, &mut position));
            }
        }
    }
    let defined: Vec<&str> = tokens
        .windows(3)
        .filter(|w| {
            matches!(w, [_, second, third] if second.is_word("AS")
                && (*third == Token::Symbol('(') || third.is_one_of(&["MATERIALIZED", "NOT"])))
        })
        .filter_map(|w| w.first()?.name())
        .collect();
    let mut found: Vec<_> = found
        .into_iter()
        .filter(|table| {
            table.schema.is_some()
                || !defined.iter().any(|name| name.eq_ignore_ascii_case(&table.name))
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

fn dotted(first: &str, tokens: &[Token], position: &mut usize) -> TableReference {
    let mut table = TableReference { schema: None, name: first.to_owned() };
    while tokens.get(*position) == Some(&Token::Symbol('.'))
        && let Some(next) = tokens.get(*position + 1).and_then(Token::name)
    {
        table = TableReference { schema: Some(table.name), name: next.to_owned() };
        *position += 2;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{check, table_references, tokens};

    fn named(sql: &str) -> Vec<String> {
        table_references(&tokens(sql)).into_iter().map(|table| table.name).collect()
    }

    #[test]
    fn tables_are_those_after_from_and_join_and_not_columns_of_the_same_name() {
        assert_eq!(named("SELECT ticks FROM candles"), ["candles"]);
        assert_eq!(
            named("select 1 from a, \"b-c\" x join d using (e), f where g in (h, i)"),
            ["a", "b-c", "d", "f"]
        );
        assert_eq!(
            named("SELECT (SELECT max(x) FROM a), b FROM (SELECT * FROM c), d"),
            ["a", "c", "d"]
        );
        assert_eq!(named("SELECT 'FROM x' -- FROM y\n /* FROM z */ FROM s.t"), ["t"]);
        assert_eq!(
            named("WITH a AS (SELECT * FROM b) SELECT * FROM a JOIN c ON a.d = c.d"),
            ["b", "c"]
        );
        assert_eq!(named("SELECT E'it\\'s FROM x', $q$ FROM y $q$, $1 FROM z"), ["z"]);
    }

    #[test]
    fn only_one_statement_that_reads_is_accepted() {
        for sql in ["select 1", "-- hm\nSELECT 1;", "(SELECT 1)", "VALUES (1)", "EXPLAIN SELECT 1"]
        {
            assert!(check(&tokens(sql)).is_ok(), "{sql}");
        }
        for sql in ["", ";", "-- x", "DELETE FROM a", "PRAGMA x", "ATTACH 'a' AS b", "BEGIN"] {
            assert!(check(&tokens(sql)).is_err(), "{sql}");
        }
        let several = check(&tokens("SELECT ';'; SELECT 2")).unwrap_err();
        assert_eq!(several.to_string(), "query: there are several statements; expected one");
    }
}

//! `tapeflow dlq list` and `show`.

use serde_json::{Value, json};

use super::Office;
use super::letter::Letter;
use super::route::Route;
use super::store::{Filter, PAGE};
use crate::cli::Session;
use crate::cli::failure::{Failure, print};
use crate::cli::report::Output;

/// How much of an id, a detail and a place a line shows.
const ID_CHARS: usize = 12;
const TEXT_CHARS: usize = 60;

pub(super) fn list(
    office: &mut Office,
    filter: &Filter,
    limit: u32,
    session: &Session,
) -> Result<(), Failure> {
    let asked = office.store.ids(filter, Some(limit));
    let ids = asked.map_err(|fault| office.failed(&fault))?;
    let count = office.store.count(filter).map_err(|fault| office.failed(&fault))?;
    let mut lines = Vec::new();
    let mut objects = Vec::new();
    for page in ids.chunks(PAGE) {
        let letters = office.store.letters(page).map_err(|fault| office.failed(&fault))?;
        for letter in &letters {
            match office.output {
                Output::Json => objects.push(object(office, letter)),
                Output::Table => lines.push(line(office, letter)),
            }
        }
    }
    if office.output == Output::Json {
        return office.json(&Value::Array(objects));
    }
    if lines.is_empty() {
        session.say("no dead letters");
        return Ok(());
    }
    let mut text = format!(
        "{:<ID_CHARS$}  {:<27}  {:>8}  {:<16}  {:<16}  detail, place\n",
        "id", "first seen", "attempts", "component", "reason"
    );
    text.push_str(&lines.concat());
    print(&office.plan.secrets.redact(&text))?;
    let shown = lines.len() as u64;
    if count > shown {
        session.say(&format!("{} older ones are not shown: say --limit", count - shown));
    }
    Ok(())
}

fn line(office: &Office, letter: &Letter) -> String {
    let id: String = letter.id.chars().take(ID_CHARS).collect();
    let remark = match Route::of(&office.plan, letter, None) {
        Ok(_) => String::new(),
        Err(why) => format!(" [cannot be replayed: {}]", plain(&why, TEXT_CHARS * 2)),
    };
    let place = letter
        .place
        .as_deref()
        .map_or_else(String::new, |place| format!("; {}", plain(place, TEXT_CHARS * 2)));
    format!(
        "{id:<ID_CHARS$}  {:<27}  {:>8}  {:<16}  {:<16}  {}{place}{remark}\n",
        letter.first_seen.to_string(),
        letter.attempts,
        plain(&letter.component, 40),
        plain(&letter.reason, 40),
        plain(&letter.detail, TEXT_CHARS),
    )
}

fn object(office: &Office, letter: &Letter) -> Value {
    let why_not = Route::of(&office.plan, letter, None).err();
    json!({
        "id": letter.id,
        "job": letter.job,
        "component": letter.component,
        "reason": letter.reason,
        "detail": letter.detail,
        "place": letter.place,
        "first_seen": letter.first_seen.to_string(),
        "last_seen": letter.clock.to_string(),
        "attempts": letter.attempts,
        "payload_bytes": letter.payload.len(),
        "replayable": why_not.is_none(),
        "why_not": why_not,
    })
}

pub(super) fn show(office: &mut Office, filter: &Filter) -> Result<(), Failure> {
    let letters = office.store.letters(&filter.ids).map_err(|fault| office.failed(&fault))?;
    let Some(letter) = letters.first() else {
        return Err(Failure::Fault("it has gone meanwhile".to_owned()));
    };
    let mut all = object(office, letter);
    if let Some(all) = all.as_object_mut() {
        let tick = letter.tick.as_ref().and_then(|tick| serde_json::to_value(tick).ok());
        all.insert("tick".to_owned(), tick.unwrap_or_default());
        all.insert("payload".to_owned(), hex(&letter.payload).into());
        all.insert("decoded".to_owned(), letter.decoded().unwrap_or_default());
        let to = Route::of(&office.plan, letter, None);
        all.insert("queue".to_owned(), to.map_or(Value::Null, |route| route.queue().into()));
    }
    if office.output == Output::Json {
        return office.json(&all);
    }
    let mut text = String::new();
    for (name, value) in all.as_object().into_iter().flatten() {
        let value = match value {
            Value::Null => continue,
            Value::String(value) if value.is_empty() => continue,
            Value::String(value) => plain(value, usize::MAX),
            other => plain(&other.to_string(), usize::MAX),
        };
        text.push_str(&format!("{name:<14} {value}\n"));
    }
    print(&office.plan.secrets.redact(&text))
}

fn hex(bytes: &[u8]) -> String {
    let digit = |digit: u8| char::from_digit(u32::from(digit), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// At most so many characters of a text, and none that moves the cursor.
pub(super) fn plain(text: &str, most: usize) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut out: String = text.chars().take(most).map(shown).collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}

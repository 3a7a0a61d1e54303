//! The nearest right name, and lists of names, for messages.

/// Asks `did you mean ..?` if one of `names` is near enough to `wrong`.
pub(super) fn did_you_mean<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let wrong = plain(wrong);
    let nearest = names
        .into_iter()
        .filter_map(|name| {
            let other = plain(name);
            let distance = strsim::damerau_levenshtein(&wrong, &other);
            let allowed = (wrong.chars().count().max(other.chars().count()) / 3).max(1);
            let is_part =
                wrong.len() >= 3 && (other.starts_with(&wrong) || wrong.starts_with(&other));
            (distance <= allowed || is_part).then_some((distance, name))
        })
        .min();
    nearest.map(|(_, name)| format!("; did you mean {}?", sql_name(name))).unwrap_or_default()
}

/// Lists names as they are written in SQL.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(sql_name).collect::<Vec<_>>().join(", ")
}

/// A name as it is written in SQL: in double quotes where it needs them.
pub(super) fn sql_name(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    if is_plain { name.to_owned() } else { quoted(name) }
}

/// A name in double quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Without what people get wrong without noticing.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

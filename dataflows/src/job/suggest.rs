//! The nearest right name.

/// Longer words are not compared: it takes time, and finds nothing.
const WRONG_BYTES_MAX: usize = 64;

/// Finds the candidate that somebody who wrote `wrong` most likely meant.
pub fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if wrong.len() > WRONG_BYTES_MAX {
        return None;
    }
    let lower = plain(wrong);
    let length = lower.chars().count();
    candidates
        .into_iter()
        .filter(|candidate| *candidate != wrong)
        .filter_map(|candidate| {
            let other = plain(candidate);
            let distance = strsim::damerau_levenshtein(&lower, &other);
            let allowed = (length.max(other.chars().count()) / 3).max(1);
            let is_part = length >= 3 && (other.starts_with(&lower) || lower.starts_with(&other));
            (distance <= allowed || is_part).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Asks `did you mean ..?` if there is a nearest name.
pub(crate) fn hint<'a>(
    wrong: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(wrong, candidates).map(|name| format!("did you mean `{name}`?"))
}

/// Lists names for a message: `` `a`, `b` ``.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Without what people get wrong without noticing.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_finger_finds_its_way_back_and_nonsense_does_not() {
        let names = ["timeframes", "calendar", "lateness", "gaps"];
        assert_eq!(nearest("timeframe", names), Some("timeframes"));
        assert_eq!(nearest("time-frames", names), Some("timeframes"));
        assert_eq!(nearest("calender", names), Some("calendar"));
        assert_eq!(nearest("latenes", names), Some("lateness"));
        assert_eq!(nearest("gpas", names), Some("gaps"));
        assert_eq!(nearest("banana", names), None);
        assert_eq!(nearest("", names), None);
    }
}

//! Asks a component again for what it finds wrong, without what is known to be wrong already: a type
//! that is read from a value stops at its first mistake, a job's author wants all of them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::component::Definition;

/// So many mistakes of one component are looked for.
const ROUNDS_MAX: usize = 64;

/// A configuration that loses its wrong parts.
struct Rest {
    config: Value,
    /// Of lists that have lost items: where those that remain stood.
    origins: BTreeMap<String, Vec<usize>>,
}

/// Gives everything that `definition` finds wrong with `config`, of which the fields `wrong` do not
/// fit the schema.
///
/// Where something has been left out, only what is said of a value that is there counts: that
/// something is missing may follow from leaving it out.
pub(crate) fn check(
    definition: &dyn Definition,
    config: Value,
    wrong: &[String],
) -> Vec<(String, String)> {
    let mut rest = Rest { config, origins: BTreeMap::new() };
    for path in wrong.iter().rev() {
        rest.leave_out(path);
    }
    let mut is_whole = wrong.is_empty();
    let mut all: Vec<(String, String)> = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let found = definition.check(&rest.config);
        let here: Vec<String> = found.iter().map(|(path, _)| path.clone()).collect();
        for (path, message) in found {
            let original = rest.original(&path);
            let counts = is_whole || rest.has(&path);
            if counts && all.iter().all(|(known, _)| *known != original) {
                all.push((original, message));
            }
        }
        is_whole = false;
        // Later items first, so that the others stay where they are.
        let left_out = here.iter().rev().filter(|path| rest.leave_out(path)).count();
        if left_out == 0 {
            break;
        }
    }
    all
}

/// Parts `timeframes[2].x` into its field, and the index behind it.
fn part(path: &str) -> (&str, Option<usize>) {
    let field = path.split(['.', '[']).next().unwrap_or_default();
    let behind = path.get(field.len()..).and_then(|behind| behind.strip_prefix('['));
    (field, behind.and_then(|behind| behind.split_once(']')?.0.parse().ok()))
}

impl Rest {
    fn has(&self, path: &str) -> bool {
        let (field, index) = part(path);
        let value = self.config.get(field);
        match index {
            Some(index) => value.is_some_and(|list| list.get(index).is_some()),
            None => value.is_some(),
        }
    }

    /// The path in the configuration as it was.
    fn original(&self, path: &str) -> String {
        let (field, Some(index)) = part(path) else { return path.to_owned() };
        let origin = self.origins.get(field).and_then(|origins| origins.get(index));
        let behind = path.split_once(']').map_or("", |(_, behind)| behind);
        format!("{field}[{}]{behind}", origin.copied().unwrap_or(index))
    }

    /// Takes out an item of a list, else the whole field; gives whether there was one.
    fn leave_out(&mut self, path: &str) -> bool {
        let (field, index) = part(path);
        let Some(fields) = self.config.as_object_mut() else { return false };
        if let (Some(Value::Array(items)), Some(index)) = (fields.get_mut(field), index)
            && index < items.len()
            && items.len() > 1
        {
            let count = items.len();
            items.remove(index);
            let whole = || (0..count).collect();
            self.origins.entry(field.to_owned()).or_insert_with(whole).remove(index);
            return true;
        }
        fields.remove(field).is_some()
    }
}

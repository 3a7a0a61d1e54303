//! The seams: what the engine asks of a component, and nothing more.
//!
//! A *definition* is what a job may say (a word after `type:`, a documented configuration, ports);
//! an *instance* is what runs. Definitions stand in const tables, one row each, in their rooms.

pub mod health;
pub mod operator;
pub mod sink;
pub mod source;

use std::fmt::Debug;

use schemars::Schema;
use serde_json::Value;

use crate::kind::Kind;

/// What a job's author sees of a component, whatever its seam.
pub trait Definition: Debug + Sync {
    /// The word after `type:`.
    fn name(&self) -> &'static str;
    /// One sentence for `tapeflow components`.
    fn summary(&self) -> &'static str;
    /// The JSON Schema of the configuration, made from its type: `validate`, the reference page
    /// and the editor's schema all read it. Without the keys `type` and `input`, which are the
    /// engine's.
    fn config(&self) -> Schema;
    /// Checks what a schema cannot say (one field against another); gives (path, message) pairs,
    /// with paths such as `timeframes[2]`. Called without what does not fit the schema, and again
    /// without what it has complained of.
    fn check(&self, config: &Value) -> Vec<(String, String)>;
    /// Checks what depends on what the input carries, in the same form; nothing unless it says so.
    fn check_input(&self, _config: &Value, _kind: Kind) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// An output of a source or operator. The first one is what `input: id` means; the others are
/// named: `input: id.port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// The word after the dot.
    pub name: &'static str,
    /// What it carries; none: what the operator's input carries.
    pub kind: Option<Kind>,
    /// One sentence.
    pub about: &'static str,
}

/// Reads a configuration that `validate` has accepted.
///
/// # Errors
/// A [`crate::fault::Fault::Job`] that names the field.
pub fn read_config<T: serde::de::DeserializeOwned>(
    path: &str,
    config: &Value,
) -> Result<T, crate::fault::Fault> {
    serde_path_to_error::deserialize(config).map_err(|error| {
        let inner = error.path().to_string();
        let dot =
            if inner == "." || inner.is_empty() { String::new() } else { format!(".{inner}") };
        crate::fault::Fault::job(format!("{path}{dot}"), error.into_inner())
    })
}

/// The `check` of a component that has nothing to add to its schema but what serde says:
/// deserialises the configuration as `T` and reports where that fails.
pub fn check_config<T: serde::de::DeserializeOwned>(config: &Value) -> Vec<(String, String)> {
    match serde_path_to_error::deserialize::<_, T>(config) {
        Ok(_) => Vec::new(),
        Err(error) => {
            let path = error.path().to_string();
            let path = if path == "." { String::new() } else { path };
            vec![(path, error.into_inner().to_string())]
        }
    }
}

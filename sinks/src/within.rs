//! Bringing what a sink writes below a folder: for a replay, which must not touch what the job
//! writes.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

/// Makes a path relative and unable to leave the folder that it starts at. Different paths stay
/// different.
pub(crate) fn path(path: &str) -> String {
    let part = |part: Component<'_>| match part {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("up")),
        Component::Prefix(_) | Component::RootDir => Some(PathBuf::from("root")),
        Component::CurDir => None,
    };
    let parts: PathBuf = Path::new(path).components().filter_map(part).collect();
    parts.to_string_lossy().into_owned()
}

/// Replaces one text of a configuration.
pub(crate) fn with(config: &Value, key: &str, text: String) -> Value {
    let mut config = config.clone();
    if let Some(object) = config.as_object_mut() {
        object.insert(key.to_owned(), Value::String(text));
    }
    config
}

/// Brings the `path` of a configuration below the folder.
pub(crate) fn with_path(config: &Value) -> Option<Value> {
    let own = config.get("path")?.as_str()?;
    Some(with(config, "path", path(own)))
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn no_path_leaves_the_folder() {
        assert_eq!(path("data/./candles"), "data/candles");
        assert_eq!(path("/var/lake"), "root/var/lake");
        assert_eq!(path("../../lake"), "up/up/lake");
    }
}

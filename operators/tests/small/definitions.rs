//! What all of them promise: settings that explain themselves, states that are checked.

use dataflows::kind::Kind;
use proto::series::SeriesTable;
use proto::tick::Tick;
use serde_json::json;

use crate::small::rig::{Sample, context, definition};

const NAMES: [&str; 5] = ["clean", "dedupe", "filter", "last", "throttle"];

#[test]
fn no_setting_is_needed_each_is_explained_and_an_unknown_one_is_refused() {
    for name in NAMES {
        let definition = definition(name);
        assert_eq!(definition.check(&json!({})), [], "{name}");
        assert_eq!(definition.check(&json!({"unheard_of": 1})).len(), 1, "{name}");
        let schema = definition.config();
        assert!(schema.get("description").is_some(), "{name}");
        assert!(schema.get("required").is_none(), "{name}");
        let settings = schema.get("properties").and_then(|settings| settings.as_object());
        for (setting, about) in settings.into_iter().flatten() {
            assert!(about.get("description").is_some(), "{name}.{setting} is not explained");
        }
    }
}

#[test]
fn a_state_that_was_not_written_by_this_version_is_refused() {
    for name in NAMES {
        let built = definition(name).build(&json!({}), context(Kind::Ticks, SeriesTable::new()));
        let mut machine = Tick::machine(built.unwrap());
        let version = machine.state_version();
        for group in [0, 255] {
            assert!(machine.restore(group, version, &[]).is_ok(), "{name}");
            assert!(machine.restore(group, version + 1, &[]).is_err(), "{name}");
            for bytes in [[1, 200, 200, 200, 200, 200], [255; 6], [7; 6]] {
                assert!(machine.restore(group, version, &bytes).is_err(), "{name} {bytes:?}");
            }
        }
    }
}

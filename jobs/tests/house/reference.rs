//! Pages that are made from the components' own types: `UPDATE=1 cargo test -p jobs` rewrites them.

use std::path::Path;

use jobs::catalog::CATALOG;

fn compare(file: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(file);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == made, "{file} is out of date; UPDATE=1 cargo test -p jobs rewrites it");
}

#[test]
fn the_reference_page_is_what_the_components_say() {
    compare("docs/components.md", &dataflows::job::reference::markdown(&CATALOG));
}

#[test]
fn the_editor_schema_is_what_the_components_say() {
    let schema = dataflows::job::schema::schema(&CATALOG);
    let text = serde_json::to_string_pretty(&schema).unwrap();
    compare("docs/job.schema.json", &format!("{text}\n"));
}

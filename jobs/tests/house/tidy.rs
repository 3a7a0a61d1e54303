//! The house rules that a compiler cannot check.

use std::fs;
use std::path::{Path, PathBuf};

const ROOMS: [&str; 8] =
    ["proto", "dataflows", "brokers", "operators", "sources", "sinks", "jobs", "benches"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Names under `[dependencies]` of a room.
fn dependencies(room: &str) -> Vec<String> {
    names_under(room, &["dependencies]"])
}

fn names_under(room: &str, sections: &[&str]) -> Vec<String> {
    let text = fs::read_to_string(root().join(room).join("Cargo.toml")).unwrap();
    let parts = text.split("\n[").filter(|part| sections.iter().any(|s| part.starts_with(s)));
    let lines = parts.flat_map(|part| part.lines().skip(1));
    lines.filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned())).collect()
}

fn rust_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ROOMS.iter().map(|room| root().join(room)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn arrows_go_down_only() {
    let allowed: [(&str, &[&str]); 7] = [
        ("proto", &[]),
        ("dataflows", &["proto"]),
        ("brokers", &["proto", "dataflows"]),
        ("operators", &["proto", "dataflows"]),
        ("sources", &["proto", "dataflows", "brokers"]),
        ("sinks", &["proto", "dataflows", "brokers"]),
        ("jobs", &["proto", "dataflows", "brokers", "operators", "sources", "sinks"]),
    ];
    for (room, below) in allowed {
        for dependency in dependencies(room) {
            let is_room = ROOMS.contains(&dependency.as_str());
            assert!(!is_room || below.contains(&dependency.as_str()), "{room} uses {dependency}");
        }
    }
}

#[test]
fn an_operator_can_do_no_io() {
    for forbidden in ["tokio", "sqlx", "parquet", "rand", "crossbeam-channel", "rusqlite"] {
        assert!(!dependencies("operators").iter().any(|name| name == forbidden), "{forbidden}");
    }
    for forbidden in ["sqlx", "parquet", "arrow", "rusqlite"] {
        assert!(!dependencies("dataflows").iter().any(|name| name == forbidden), "{forbidden}");
    }
    // The store of checkpoints speaks to object stores, and nothing else of the engine to anything.
    for path in rust_files() {
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        if shown.starts_with("dataflows/src") && !shown.ends_with("src/store.rs") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("tokio::") && !text.contains("object_store::"), "{shown}");
        }
    }
}

#[test]
fn only_the_front_door_reads_the_environment_and_only_the_clock_the_time() {
    for path in rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        let is_test = shown.contains("/tests") || shown.starts_with("benches");
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        if !is_test && !shown.starts_with("jobs/src") && !shown.ends_with("build.rs") {
            let reads = ["env::var(", "env::var_os(", "env::args"];
            let is_testing = shown.ends_with("testing.rs");
            assert!(
                is_testing || !reads.iter().any(|read| product.contains(read)),
                "{shown} reads the environment"
            );
        }
        if !is_test && shown != "dataflows/src/clock.rs" {
            assert!(!product.contains("SystemTime::now"), "{shown} reads the wall clock");
        }
    }
}

#[test]
fn every_file_says_what_it_is_and_stays_one_thing() {
    for path in rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        assert!(text.starts_with("//!"), "{shown} does not open with what it is");
        let lines = text.lines().count();
        assert!(lines <= 500, "{shown} has {lines} lines; is it one thing?");
    }
}

#[test]
fn nothing_points_outside_of_the_repository() {
    for path in rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        for word in ["/root/", "/home/", "/Users/"] {
            assert!(shown.ends_with("tidy.rs") || !text.contains(word), "{shown} has {word}");
        }
    }
}

#[test]
fn every_link_of_the_pages_leads_somewhere() {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.chain(["README.md", "CHANGELOG.md"].map(|page| root().join(page)));
    for page in pages.filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(&page).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for link in links.filter(|link| !link.is_empty() && !link.contains("://")) {
            let target = page.parent().unwrap().join(link);
            assert!(target.exists(), "{} links to {link}", page.display());
        }
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let reasons = fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let words: Vec<&str> =
        reasons.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).collect();
    for room in ROOMS {
        let sections = ["dependencies]", "dev-dependencies]", "build-dependencies]"];
        for dependency in names_under(room, &sections) {
            let is_room = ROOMS.contains(&dependency.as_str());
            assert!(is_room || words.contains(&dependency.as_str()), "{dependency} of {room}");
        }
    }
}

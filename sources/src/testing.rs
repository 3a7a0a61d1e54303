//! What the tests of this room share: opening a source, draining it, finding real data.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use dataflows::batch::Rows;
use dataflows::component::source::{Position, Source, SourceContext, SourceDefinition};
use dataflows::fault::Fault;
use proto::reject::Reject;
use proto::series::SeriesTable;
use proto::tick::Tick;
use serde_json::Value;

/// A context with its own table of series.
pub(crate) fn context(root: &Path) -> SourceContext {
    SourceContext {
        job: "test".to_owned(),
        id: "ticks".to_owned(),
        root: root.to_owned(),
        series: SeriesTable::new(),
        range: None,
        threads: 2,
        health: std::sync::Arc::default(),
        is_healed: false,
    }
}

/// All that a source gave.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    pub(crate) ticks: Vec<Tick>,
    pub(crate) rejects: Vec<Reject>,
    /// After each intake: its position, and how many ticks and rejects there were by then.
    pub(crate) positions: Vec<(Position, usize, usize)>,
}

/// Opens a source and reads it to its end.
pub(crate) fn drain(
    definition: &dyn SourceDefinition,
    config: &Value,
    behind: Option<Position>,
    context: &SourceContext,
) -> Result<Drained, Fault> {
    let found = definition.check(config);
    assert!(found.is_empty(), "{found:?}");
    let mut source = definition.open(config, behind, context.clone())?;
    drain_open(source.as_mut())
}

/// Reads a source to its end.
pub(crate) fn drain_open(source: &mut dyn Source) -> Result<Drained, Fault> {
    let mut drained = Drained::default();
    while let Some(intake) = source.next(&AtomicBool::new(false))? {
        let Rows::Ticks(ticks) = intake.rows else { panic!("not ticks") };
        assert!(!ticks.is_empty() || !intake.rejects.is_empty(), "an empty intake");
        drained.ticks.extend(ticks);
        drained.rejects.extend(intake.rejects);
        let counts = (drained.ticks.len(), drained.rejects.len());
        drained.positions.push((intake.position, counts.0, counts.1));
    }
    Ok(drained)
}

/// Opens the source behind each of some positions and checks that exactly the rest comes.
pub(crate) fn resumes_everywhere(
    definition: &dyn SourceDefinition,
    config: &Value,
    context: &SourceContext,
) {
    let whole = drain(definition, config, None, context).unwrap();
    let step = whole.positions.len().div_ceil(12).max(1);
    for (position, ticks, rejects) in whole.positions.iter().step_by(step) {
        let rest = drain(definition, config, Some(position.clone()), context).unwrap();
        assert_eq!(rest.ticks, whole.ticks[*ticks..], "ticks behind {position:?}");
        assert_eq!(rest.rejects, whole.rejects[*rejects..], "rejects behind {position:?}");
    }
}

/// Finds real data, or says that the test is skipped.
pub(crate) fn data(path: &str) -> Option<PathBuf> {
    let folder = match std::env::var_os("TAPEFLOW_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
    };
    let found = folder.join(path);
    if found.exists() {
        return Some(found);
    }
    assert!(
        std::env::var_os("TAPEFLOW_REQUIRE_ALL").is_none(),
        "{} is missing; set TAPEFLOW_DATA",
        found.display()
    );
    eprintln!("SKIPPED: {} is missing; set TAPEFLOW_DATA to test with it", found.display());
    None
}

//! What a job offers to queries.

use std::path::Path;

use dataflows::component::sink::{Guarantee, Sink, SinkContext, SinkDefinition};
use dataflows::component::source::{Position, Promise, Source, SourceContext, SourceDefinition};
use dataflows::component::{Definition, Output};
use dataflows::fault::Fault;
use dataflows::job::plan::{Plan, SinkPlan, SourcePlan};
use dataflows::job::promise::Ack;
use dataflows::job::state::OnChange;
use dataflows::kind::Kind;
use schemars::Schema;
use serde_json::{Value, json};

use super::refusal;
use crate::query::{TableKind, tables_of};

/// A component that is only named.
#[derive(Debug)]
struct Named(&'static str);

impl Definition for Named {
    fn name(&self) -> &'static str {
        self.0
    }
    fn summary(&self) -> &'static str {
        ""
    }
    fn config(&self) -> Schema {
        Schema::default()
    }
    fn check(&self, _: &Value) -> Vec<(String, String)> {
        Vec::new()
    }
}

impl SourceDefinition for Named {
    fn outputs(&self) -> &'static [Output] {
        &[]
    }
    fn is_bounded(&self, _: &Value) -> bool {
        true
    }

    fn promise(&self, _: &Value) -> Promise {
        Promise::Replays
    }
    fn open(
        &self,
        _: &Value,
        _: Option<Position>,
        _: SourceContext,
    ) -> Result<Box<dyn Source>, Fault> {
        Err(Fault::defect("test", "not opened here"))
    }
}

impl SinkDefinition for Named {
    fn takes(&self) -> &'static [Kind] {
        &[]
    }

    fn guarantee(&self, _: &Value, _: Kind) -> Guarantee {
        Guarantee::ExactlyOnce
    }
    fn open(&self, _: &Value, _: SinkContext) -> Result<Box<dyn Sink>, Fault> {
        Err(Fault::defect("test", "not opened here"))
    }
}

const NAMED: [Named; 4] = [Named("table"), Named("archive"), Named("file"), Named("print")];

fn named(kind: &str) -> &'static Named {
    static ALL: [Named; 4] = NAMED;
    ALL.iter().find(|named| named.0 == kind).unwrap()
}

/// A plan of sources and sinks: id, type, configuration.
pub(super) fn plan(sources: &[(&str, &str, Value)], sinks: &[(&str, &str, Value)]) -> Plan {
    let sources = sources.iter().map(|(id, kind, config)| SourcePlan {
        id: (*id).to_owned(),
        definition: named(kind),
        config: config.clone(),
        ack: Ack::default(),
        on_change: OnChange::default(),
        heal: None,
    });
    let sinks = sinks.iter().map(|(id, kind, config)| SinkPlan {
        id: (*id).to_owned(),
        definition: named(kind),
        config: config.clone(),
        inputs: Vec::new(),
        kind: Kind::Ticks,
        on_change: OnChange::default(),
        guarantee: Guarantee::ExactlyOnce,
        is_promised: false,
    });
    Plan { sources: sources.collect(), sinks: sinks.collect(), ..Plan::default() }
}

#[test]
fn a_job_offers_its_tables_and_its_archives() {
    let sources = [
        ("history", "archive", json!({"path": ["a", "b"]})),
        ("bars", "file", json!({"path": "bars.parquet"})),
        ("csv", "file", json!({"path": "bars.csv"})),
    ];
    let sinks = [
        ("candles", "table", json!({"url": "sqlite:out/c.db"})),
        ("other", "table", json!({"url": "sqlite:///data/d.db", "table": "candles"})),
        ("live", "table", json!({"url": "postgres://u:geheim@h:1/d", "table": "s.candles_1m"})),
        ("keep", "archive", json!({"path": "keep"})),
        ("screen", "print", json!({})),
    ];
    let tables = tables_of(&plan(&sources, &sinks), Path::new("/there")).unwrap();
    let found: Vec<_> = tables.iter().map(|t| (t.name(), t.kind(), t.place())).collect();
    let place = str::to_owned;
    assert_eq!(
        found,
        [
            ("candles", TableKind::Sqlite, place("sqlite:/there/out/c.db")),
            ("other", TableKind::Sqlite, place("sqlite:/data/d.db")),
            ("s.candles_1m", TableKind::Postgres, place("postgres://u@h:1/d")),
            ("keep", TableKind::Parquet, place("/there/keep")),
            ("history", TableKind::Parquet, place("/there/a, /there/b")),
            ("bars", TableKind::Parquet, place("/there/bars.parquet")),
        ]
    );
    assert!(!format!("{tables:?}").contains("geheim"));
    let sinks = [("live", "table", json!({"url": "postgres//u:geheim@h/d"}))];
    let fault = tables_of(&plan(&[], &sinks), Path::new("/")).unwrap_err().to_string();
    assert!(fault.starts_with("sinks.live.url: not a database URL"), "{fault}");
    assert!(!fault.contains("geheim"));
}

#[test]
fn one_query_cannot_read_a_server_and_files() {
    let sinks = [
        ("live", "table", json!({"url": "postgres://u:geheim@h:1/d"})),
        ("far", "table", json!({"url": "postgres://u:geheim@h:2/d"})),
        ("keep", "archive", json!({"path": "keep"})),
    ];
    let tables = tables_of(&plan(&[], &sinks), Path::new("/there")).unwrap();
    let message = refusal(&tables, "SELECT * FROM live JOIN keep USING (x)");
    assert!(message.starts_with("query: live is on PostgreSQL, keep is not"), "{message}");
    let message = refusal(&tables, "SELECT * FROM live, far");
    assert!(message.contains("far and live are in different databases"), "{message}");
}

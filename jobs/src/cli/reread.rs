//! From a job to its backfill: which sources are read from an archive, which sinks take part.

use std::collections::{BTreeMap, BTreeSet};

use dataflows::job::plan::{ClockSource, Origin, Plan, SinkPlan, SourcePlan};
use dataflows::kind::Kind;
use serde_json::json;

use crate::catalog::CATALOG;
use crate::cli::failure::Failure;

/// Turns a job into its backfill: sources become archives, sinks that cannot replace a range are
/// left out. Gives the plan and what is to be said about it.
pub(crate) fn rewrite(job: &Plan) -> Result<(Plan, Vec<String>), Failure> {
    let mut plan = job.clone();
    let mut notes = Vec::new();
    // Per archive, the source that stands for all whose ticks it has.
    let mut read: BTreeMap<&str, &str> = BTreeMap::new();
    plan.sources.clear();
    for source in &job.sources {
        let id = &source.id;
        let Some((archive, path)) = record_of(job, id) else {
            if !source.definition.is_bounded(&source.config) {
                return Err(Failure::Usage(format!(
                    "sources.{id}: a {} cannot be read again; give the job a sink `type: archive` \
                     with all the ticks as input that its operators read",
                    source.definition.name()
                )));
            }
            notes.push(format!("source {id}: read as the job says"));
            plan.sources.push(source.clone());
            continue;
        };
        match read.get(archive).copied() {
            Some(first) => {
                merge(&mut plan, first, id, archive)?;
                notes.push(format!("source {id}: in the archive {path}, too"));
            }
            None => {
                read.insert(archive, id);
                plan.sources.push(archive_source(source, path)?);
                notes.push(format!("source {id}: ticks from the archive {path}"));
            }
        }
    }
    plan.sinks.retain(|sink| {
        let takes_part = takes_part(sink) && !read.contains_key(sink.id.as_str());
        let what = if takes_part { "its range is replaced" } else { "takes no part" };
        notes.push(format!("sink {}: {what}", sink.id));
        takes_part
    });
    if plan.sinks.is_empty() {
        return Err(Failure::Usage(
            "the job has no sink whose range can be replaced; expected a table or an archive of \
             candles"
                .to_owned(),
        ));
    }
    // The past is read as fast as it goes: the wall clock says nothing about it.
    plan.run.clock = ClockSource::Event;
    Ok((plan, notes))
}

fn takes_part(sink: &SinkPlan) -> bool {
    sink.kind != Kind::Rejects && sink.definition.replaces()
}

/// Finds the archive that has all ticks of `source` that matter: its id and its path.
fn record_of<'a>(plan: &'a Plan, source: &str) -> Option<(&'a str, &'a str)> {
    let archive = plan.sinks.iter().find(|sink| {
        sink.definition.name() == "archive"
            && sink.kind == Kind::Ticks
            && is_record(plan, source, sink)
    })?;
    Some((&archive.id, archive.config.get("path")?.as_str()?))
}

/// Tells whether the ticks in `archive`, put in the place of `source`, give the same results.
///
/// Between the two may stand what drops only ticks that are wrong or there twice, and a filter
/// that nothing goes around: who reads what it has left out would find nothing in the archive.
fn is_record(plan: &Plan, source: &str, archive: &SinkPlan) -> bool {
    let below = reached(plan, source, None);
    let mut way: Vec<&Origin> = archive.inputs.iter().collect();
    let mut seen = BTreeSet::new();
    let mut reaches = false;
    while let Some(origin) = way.pop() {
        if origin.id == source {
            reaches |= origin.output == 0;
            continue;
        }
        let operator = plan.operators.iter().find(|operator| operator.id == origin.id);
        let Some(operator) = operator.filter(|operator| below.contains(operator.id.as_str()))
        else {
            continue;
        };
        let is_whole = match operator.definition.name() {
            "clean" | "dedupe" => origin.output == 0,
            "filter" => {
                let around = reached(plan, source, Some(origin));
                let reads = |sink: &SinkPlan| reads(&sink.inputs, &around, Some(origin));
                !plan.sinks.iter().any(|s| takes_part(s) && s.id != archive.id && reads(s))
            }
            _ => false,
        };
        if !is_whole {
            return false;
        }
        if seen.insert(&operator.id) {
            way.extend(&operator.inputs);
        }
    }
    reaches
}

/// The components that anything of `source` comes to, if nothing came out of `cut`.
fn reached<'a>(plan: &'a Plan, source: &'a str, cut: Option<&Origin>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::from([source]);
    for operator in &plan.operators {
        if reads(&operator.inputs, &reached, cut) {
            reached.insert(&operator.id);
        }
    }
    reached
}

fn reads(inputs: &[Origin], reached: &BTreeSet<&str>, cut: Option<&Origin>) -> bool {
    inputs.iter().any(|origin| reached.contains(origin.id.as_str()) && Some(origin) != cut)
}

/// Lets `first` stand for `other`, too: the archive has the ticks of both, and they must not be
/// read twice.
fn merge(plan: &mut Plan, first: &str, other: &str, archive: &str) -> Result<(), Failure> {
    let has = |inputs: &[Origin], id: &str| inputs.iter().any(|origin| origin.id == id);
    let inputs = plan.operators.iter_mut().map(|operator| (&operator.id, &mut operator.inputs));
    let sinks = plan.sinks.iter_mut().filter(|sink| takes_part(sink) && sink.id != archive);
    for (reader, inputs) in inputs.chain(sinks.map(|sink| (&sink.id, &mut sink.inputs))) {
        if has(inputs, first) != has(inputs, other) {
            return Err(Failure::Usage(format!(
                "sources.{other}: its ticks are in the archive `{archive}` together with those of \
                 `{first}`, but `{reader}` reads only one of the two; give each an archive of its \
                 own"
            )));
        }
        inputs.retain(|origin| origin.id != other);
    }
    Ok(())
}

fn archive_source(source: &SourcePlan, path: &str) -> Result<SourcePlan, Failure> {
    let definition = CATALOG
        .source("archive")
        .ok_or_else(|| Failure::Fault("the catalog has no source `archive`".to_owned()))?;
    let config = json!({ "path": path });
    Ok(SourcePlan { definition, config, ..source.clone() })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use dataflows::job::lint::check;
    use dataflows::job::plan::Plan;

    use super::rewrite;
    use crate::catalog::CATALOG;

    /// A job with these operators and the archive `keep` reading `kept`.
    fn job(sources: &[&str], operators: &str, kept: &str) -> Plan {
        let sources: String =
            sources.iter().map(|id| format!("  {id}: {{ type: simulator, speed: 1 }}\n")).collect();
        let text = format!(
            "job: j\nsources:\n{sources}operators:\n{operators}\nsinks:\n  \
             keep: {{ type: archive, input: {kept}, path: kept }}\n  \
             table: {{ type: table, input: candles, url: \"sqlite:c.db\" }}\n"
        );
        let plan = check(&text, Path::new("j.yaml"), &CATALOG, &|_| None);
        plan.unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    /// Whether `ticks` is read from the archive, with these operators between.
    fn is_read(operators: &str, kept: &str) -> bool {
        let found = rewrite(&job(&["ticks"], operators, kept));
        found.is_ok_and(|(plan, _)| plan.sources[0].definition.name() == "archive")
    }

    #[test]
    fn an_archive_is_read_where_it_has_all_that_the_candles_are_made_of() {
        let cleaned = "  clean: { type: clean, input: ticks }\n  \
                       candles: { type: ohlcv, input: clean }";
        assert!(is_read(cleaned, "clean"));
        assert!(is_read(cleaned, "ticks"));
        assert!(!is_read(cleaned, "clean.crossed"), "only copies of some");
        let throttled = "  some: { type: throttle, input: ticks, every: 1s }\n  \
                         candles: { type: ohlcv, input: ticks }";
        assert!(!is_read(throttled, "some"));
    }

    #[test]
    fn what_a_filter_left_out_is_not_replaced_by_nothing() {
        let some = "  some: { type: filter, input: ticks, instruments: [EURUSD] }\n";
        let of_some = format!("{some}  candles: {{ type: ohlcv, input: some }}");
        assert!(is_read(&of_some, "some"));
        let of_all = format!("{some}  candles: {{ type: ohlcv, input: ticks }}");
        assert!(!is_read(&of_all, "some"));
        let of_rest = format!("{some}  candles: {{ type: ohlcv, input: some.rest }}");
        assert!(!is_read(&of_rest, "some"));
    }

    #[test]
    fn sources_that_share_an_archive_are_read_once() {
        let shared = "  unique: { type: dedupe, input: [mt4, mt5, ib] }\n  \
                      candles: { type: ohlcv, input: unique }";
        let (plan, _) = rewrite(&job(&["mt4", "mt5", "ib"], shared, "unique")).unwrap();
        assert_eq!(plan.sources.len(), 1);
        assert_eq!(plan.operators[0].inputs.len(), 1);
        assert_eq!(plan.operators[0].inputs[0].id, plan.sources[0].id);

        let apart = "  clean: { type: clean, input: mt4 }\n  \
                     unique: { type: dedupe, input: [clean, mt5] }\n  \
                     candles: { type: ohlcv, input: unique }";
        let refused = rewrite(&job(&["mt4", "mt5"], apart, "unique"));
        assert!(format!("{:?}", refused.unwrap_err()).contains("an archive of its own"));
    }
}

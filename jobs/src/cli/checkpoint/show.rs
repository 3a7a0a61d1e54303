//! `tapeflow checkpoint list` and `show`.

use dataflows::checkpoint::manifest::{Manifest, Owner, Piece};
use dataflows::checkpoint::read::load;
use indicatif::HumanBytes;
use proto::event_time::EventTime;
use serde_json::{Value, json};

use super::{Kept, json as write_json};
use crate::cli::failure::{Failure, print};
use crate::cli::report::Output;

/// One checkpoint: its number and epoch, and its manifest or what is wrong with it.
struct Found {
    number: u64,
    epoch: u64,
    manifest: Result<Manifest, String>,
}

fn found(kept: &Kept) -> Result<Vec<Found>, Failure> {
    let log = kept.log()?;
    for (_, why) in log.broken() {
        tracing::warn!("{}", kept.plan.secrets.redact(why));
    }
    let mut all = Vec::new();
    for (number, epoch, name, sum) in log.checkpoints() {
        let loaded = load(kept.store.as_ref(), log.job(), epoch, name, sum);
        let loaded = loaded.map_err(|fault| kept.failed(&fault))?;
        all.push(Found { number, epoch, manifest: loaded.map(|restored| restored.manifest) });
    }
    Ok(all)
}

pub(super) fn list(kept: &Kept, output: Output) -> Result<(), Failure> {
    let found = found(kept)?;
    if output == Output::Json {
        let rows = found.iter().map(|found| object(kept, found)).collect();
        return write_json(&Value::Array(rows));
    }
    let mut text = format!(
        "{:>8}  {:>10}  {:>10}  {:<24}  {:>11}  state\n",
        "number", "epoch", "generation", "job clock", "bytes"
    );
    for Found { number, epoch, manifest } in &found {
        text.push_str(&match manifest {
            Ok(manifest) => format!(
                "{number:>8}  {epoch:>10}  {:>10}  {:<24}  {:>11}  good\n",
                manifest.generation,
                shown(manifest.clock),
                HumanBytes(manifest.bytes()).to_string()
            ),
            Err(why) => format!("{number:>8}  {epoch:>10}  damaged: {why}\n"),
        });
    }
    if found.is_empty() {
        text = "no checkpoint yet\n".to_owned();
    }
    print(&kept.plan.secrets.redact(&text))
}

fn object(kept: &Kept, found: &Found) -> Value {
    let Found { number, epoch, manifest } = found;
    match manifest {
        Ok(manifest) => json!({
            "number": number, "epoch": epoch, "generation": manifest.generation,
            "clock": shown(manifest.clock), "is_last": manifest.is_last,
            "bytes": manifest.bytes(), "good": true,
        }),
        Err(why) => json!({
            "number": number, "epoch": epoch, "good": false,
            "why": kept.plan.secrets.redact(why),
        }),
    }
}

pub(super) fn show(kept: &Kept, epoch: Option<u64>, output: Output) -> Result<(), Failure> {
    let found = found(kept)?;
    let one = found.iter().find(|found| epoch.is_none_or(|epoch| found.epoch == epoch));
    let Some(one) = one else {
        let known: Vec<String> = found.iter().map(|found| found.epoch.to_string()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let epoch = epoch.map_or_else(String::new, |epoch| format!(" after epoch {epoch}"));
        return Err(Failure::Fault(format!("there is no checkpoint{epoch}; there are: {known}")));
    };
    match &one.manifest {
        Ok(manifest) if output == Output::Json => write_json(&json!(manifest)),
        Ok(manifest) => print(&readable(one.number, manifest)),
        Err(why) => Err(Failure::Fault(kept.plan.secrets.redact(why))),
    }
}

fn readable(number: u64, manifest: &Manifest) -> String {
    let mut text = format!(
        "checkpoint {number} of job {}, after epoch {} (generation {}, format {})\n  job clock  \
         {}{}\n  bytes      {}\n",
        manifest.job,
        manifest.epoch,
        manifest.generation,
        manifest.format,
        shown(manifest.clock),
        if manifest.is_last { ", all input had been read" } else { "" },
        HumanBytes(manifest.bytes()),
    );
    let mut line = |line: String| text.push_str(&format!("{}\n", line.trim_end()));
    let piece =
        |piece: &Piece| format!("{} bytes at {} of {}", piece.bytes, piece.offset, piece.object);
    let owner = |owner: &Owner| format!("  {} ({})", owner.id, owner.kind);
    line("sources".to_owned());
    for source in &manifest.sources {
        let position = source.position.as_ref().map_or_else(
            || "not read yet".to_owned(),
            |position| format!("position {}", serde_json::to_string(position).unwrap_or_default()),
        );
        line(format!("{}: {position}, reached {}", owner(&source.owner), shown(source.reached)));
    }
    line("feeds".to_owned());
    for (name, reached) in &manifest.feeds {
        line(format!("  {name}: {}", shown(*reached)));
    }
    line("operators".to_owned());
    for operator in &manifest.operators {
        let bytes: u64 = operator.bundles.iter().map(|bundle| bundle.piece.bytes).sum();
        line(format!(
            "{}: state version {}, {bytes} bytes",
            owner(&operator.owner),
            operator.version
        ));
        for bundle in &operator.bundles {
            line(format!("    bundle {}: {}", bundle.number, piece(&bundle.piece)));
        }
    }
    line("sinks".to_owned());
    for sink in &manifest.sinks {
        line(format!("{}: {}", owner(&sink.owner), piece(&sink.state)));
    }
    text
}

fn shown(ns: i64) -> String {
    if ns == i64::MIN { "none".to_owned() } else { EventTime::from_ns(ns).to_string() }
}

//! Matching a checkpoint with a plan: state is kept per component, and never used silently by one
//! that is not what it was.

use std::collections::BTreeMap;

use proto::event_time::EventTime;
use proto::series::KeyGroup;

use crate::checkpoint::manifest::{Owner, Owners, checksum};
use crate::checkpoint::read::{Lately, Restored};
use crate::component::source::{Position, Promise};
use crate::driver::seam::Saved;
use crate::driver::seen::Seen;
use crate::driver::wire::running;
use crate::fault::Fault;
use crate::job::plan::{Origin, Plan};
use crate::job::state::OnChange;
use crate::moment::Epoch;

/// What the components of a plan go on from; by their numbers in the plan.
#[derive(Debug, Default)]
pub(crate) struct Resume {
    /// The epoch of the checkpoint; 0: there is none.
    pub(crate) base: Epoch,
    pub(crate) clock: Option<EventTime>,
    pub(crate) is_last: bool,
    pub(crate) feeds: BTreeMap<String, EventTime>,
    pub(crate) sources: Vec<SourceResume>,
    /// The states of an operator: version, and bytes by key group.
    pub(crate) operators: Vec<Option<(u16, BTreeMap<KeyGroup, Vec<u8>>)>>,
    /// What a sink has to go on from, and the epoch of that: 0 and nothing for one that began
    /// without state and was killed before its first checkpoint.
    pub(crate) sinks: Vec<Option<(Epoch, Vec<u8>)>>,
    /// A start before this one may have handed epochs to the sinks.
    pub(crate) has_begun: bool,
    /// A component has changed and wants everything to be read again.
    pub(crate) is_bootstrap: bool,
}

/// What a source goes on from.
#[derive(Debug, Default)]
pub(crate) struct SourceResume {
    pub(crate) position: Option<Position>,
    pub(crate) reached: Option<EventTime>,
    pub(crate) seen: Seen,
    /// Of one that is healed.
    pub(crate) seam: Option<Saved>,
}

/// Says of every component of a plan what it is, so that a change is noticed.
///
/// A sink is known by its type alone: where it writes says itself whether it is the same place
/// (passwords and addresses may change), by the progress that it keeps there.
pub(crate) fn owners(plan: &Plan) -> Owners {
    let words = |inputs: &[Origin]| -> String {
        inputs.iter().map(|origin| format!(" {}.{}", origin.id, origin.port)).collect()
    };
    let owner = |id: &str, kind: &str, rest: String| Owner {
        id: id.to_owned(),
        kind: kind.to_owned(),
        fingerprint: checksum(rest.as_bytes()),
    };
    let sources = plan.sources.iter();
    let operators = plan.operators.iter();
    Owners {
        sources: sources
            .map(|source| owner(&source.id, source.definition.name(), source.config.to_string()))
            .collect(),
        operators: operators
            .map(|operator| {
                let rest = format!("{}{}", operator.config, words(&operator.inputs));
                owner(&operator.id, operator.definition.name(), rest)
            })
            .collect(),
        sinks: plan
            .sinks
            .iter()
            .map(|sink| owner(&sink.id, sink.definition.name(), sink.kind.to_string()))
            .collect(),
    }
}

/// What is to be done with a component's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It has what the checkpoint holds.
    Keep,
    /// It began without state in a start that came to no checkpoint: it does so again, with the
    /// same epochs.
    Again,
    /// It begins without state.
    Reset,
    Bootstrap,
}

/// What is known of the components from the starts before.
struct Before<'log> {
    has_checkpoint: bool,
    /// What the newest start that has begun says they were.
    begun: Option<&'log Owners>,
}

/// Matches what was restored with the plan. `begun` is what the log says of the starts before: the
/// epochs behind the checkpoint, or all where there is none, may have been handed to sinks then.
///
/// # Errors
/// When a component has changed and the job file does not say what is to become of its state.
pub(crate) fn resume(
    plan: &Plan,
    owners: &Owners,
    restored: Option<Restored>,
    (has_begun, begun): (bool, Option<&Owners>),
) -> Result<Resume, Fault> {
    let before = Before { has_checkpoint: restored.is_some(), begun };
    let Some(restored) = restored else {
        return from_nothing(plan, owners, &before, has_begun);
    };
    let Restored { manifest, operators, sinks, lately } = restored;
    let mut resume = Resume {
        base: manifest.epoch,
        clock: Some(EventTime::from_ns(manifest.clock)),
        is_last: manifest.is_last,
        has_begun,
        feeds: manifest.feeds.iter().map(|(n, ns)| (n.clone(), EventTime::from_ns(*ns))).collect(),
        ..Resume::default()
    };
    let mut verdicts = Vec::new();
    let mut known: BTreeMap<String, _> = manifest
        .sources
        .into_iter()
        .zip(lately)
        .map(|(state, kept)| (state.owner.id.clone(), (state, kept)))
        .collect();
    for (source, owner) in plan.sources.iter().zip(&owners.sources) {
        let found = known.remove(&source.id);
        let was = found.as_ref().map(|(state, _)| &state.owner);
        let verdict = before.judge("sources", owner, was, source.on_change)?;
        verdicts.push(verdict);
        resume.sources.push(match found.filter(|_| verdict == Verdict::Keep) {
            Some((state, Lately { seen, seam })) => SourceResume {
                position: state.position.map(|position| Position(position.0)),
                reached: Some(EventTime::from_ns(state.reached)),
                seen: Seen::decode(&seen)?,
                seam: (!seam.is_empty()).then(|| Saved::decode(&seam)).transpose()?,
            },
            None => SourceResume::default(),
        });
    }
    tell_removed("sources", known.keys());
    let mut known: BTreeMap<String, _> = manifest
        .operators
        .into_iter()
        .zip(operators)
        .map(|(state, groups)| (state.owner.id.clone(), (state, groups)))
        .collect();
    let runs = running(plan);
    for ((operator, owner), runs) in plan.operators.iter().zip(&owners.operators).zip(runs) {
        if !runs {
            resume.operators.push(None);
            continue;
        }
        let found = known.remove(&operator.id);
        let was = found.as_ref().map(|(state, _)| &state.owner);
        let verdict = before.judge("operators", owner, was, operator.on_change)?;
        verdicts.push(verdict);
        let found = found.filter(|_| verdict == Verdict::Keep);
        resume.operators.push(found.map(|(state, groups)| (state.version, groups)));
    }
    tell_removed("operators", known.keys());
    let mut known: BTreeMap<String, _> = manifest
        .sinks
        .into_iter()
        .zip(sinks)
        .map(|(state, bytes)| (state.owner.id.clone(), (state, bytes)))
        .collect();
    for (sink, owner) in plan.sinks.iter().zip(&owners.sinks) {
        let found = known.remove(&sink.id);
        let was = found.as_ref().map(|(state, _)| &state.owner);
        let verdict = before.judge("sinks", owner, was, sink.on_change)?;
        verdicts.push(verdict);
        resume.sinks.push(match (verdict, found) {
            (Verdict::Keep, Some((_, bytes))) => Some((resume.base, bytes)),
            (Verdict::Again, _) => Some((0, Vec::new())),
            _ => None,
        });
    }
    tell_removed("sinks", known.keys());
    if verdicts.contains(&Verdict::Bootstrap) {
        check_bootstrap(plan)?;
        resume.is_bootstrap = true;
    }
    Ok(resume)
}

/// Without a checkpoint everything starts from nothing, at epoch 1. What the job was when those
/// epochs were handed on first is known from the start that did so.
fn from_nothing(
    plan: &Plan,
    owners: &Owners,
    before: &Before<'_>,
    has_begun: bool,
) -> Result<Resume, Fault> {
    let mut verdicts = Vec::new();
    for (source, owner) in plan.sources.iter().zip(&owners.sources) {
        verdicts.push(before.judge("sources", owner, None, source.on_change)?);
    }
    let operators = plan.operators.iter().zip(&owners.operators).zip(running(plan));
    for ((operator, owner), _) in operators.filter(|(_, runs)| *runs) {
        verdicts.push(before.judge("operators", owner, None, operator.on_change)?);
    }
    let mut sinks = Vec::new();
    for (sink, owner) in plan.sinks.iter().zip(&owners.sinks) {
        let verdict = before.judge("sinks", owner, None, sink.on_change)?;
        verdicts.push(verdict);
        let is_known = has_begun && verdict == Verdict::Again;
        sinks.push(is_known.then(|| (0, Vec::new())));
    }
    let is_bootstrap = verdicts.contains(&Verdict::Bootstrap);
    if is_bootstrap {
        check_bootstrap(plan)?;
    }
    Ok(Resume {
        sources: plan.sources.iter().map(|_| SourceResume::default()).collect(),
        operators: plan.operators.iter().map(|_| None).collect(),
        sinks,
        has_begun,
        is_bootstrap,
        ..Resume::default()
    })
}

impl Before<'_> {
    /// Decides what becomes of a component's state; `was` is what the checkpoint says of it.
    fn judge(
        &self,
        room: &str,
        is: &Owner,
        was: Option<&Owner>,
        on_change: OnChange,
    ) -> Result<Verdict, Fault> {
        if was == Some(is) {
            return Ok(Verdict::Keep);
        }
        let begun = self.begun.map(|begun| {
            let all = match room {
                "sources" => &begun.sources,
                "operators" => &begun.operators,
                _ => &begun.sinks,
            };
            all.iter().find(|owner| owner.id == is.id)
        });
        let (was, when) = match begun {
            Some(begun) if begun == Some(is) => return Ok(Verdict::Again),
            Some(begun) => (begun, "the job was started before"),
            None if self.has_checkpoint => (was, "the checkpoint was taken"),
            None => return Ok(Verdict::Again),
        };
        let what = match was {
            Some(was) if was.kind != is.kind => {
                format!("was a {} when {when}, and is a {} now", was.kind, is.kind)
            }
            Some(_) => format!("is not configured as it was when {when}"),
            None => format!("was not there when {when}"),
        };
        match on_change {
            OnChange::Refuse => Err(Fault::job(
                format!("{room}.{}", is.id),
                format!(
                    "it {what}; give it `on_change: reset` (it starts without state, from now on) or \
                     `on_change: bootstrap` (all input is read again), or start over with --fresh"
                ),
            )),
            OnChange::Reset => {
                tracing::warn!("{room}.{} {what}: it starts without state", is.id);
                Ok(Verdict::Reset)
            }
            OnChange::Bootstrap => {
                tracing::warn!("{room}.{} {what}: all input is read again", is.id);
                Ok(Verdict::Bootstrap)
            }
        }
    }
}

/// State of components that the job does not have any more is left behind: that is said.
fn tell_removed<'id>(room: &str, ids: impl Iterator<Item = &'id String>) {
    for id in ids {
        tracing::warn!("{room}.{id} is not in the job any more: its state is not kept");
    }
}

/// Reading everything again needs sources that can be read again.
fn check_bootstrap(plan: &Plan) -> Result<(), Fault> {
    for source in &plan.sources {
        if source.definition.promise(&source.config) != Promise::Replays {
            return Err(Fault::job(
                format!("sources.{}", source.id),
                "it cannot be read again, so nothing can be bootstrapped from it; use \
                 `on_change: reset`, and `tapeflow backfill` for the past",
            ));
        }
    }
    Ok(())
}

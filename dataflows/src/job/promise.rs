//! What a job promises about records when it is killed: when sources acknowledge, and how often
//! the effects of sinks happen.

use crate::component::sink::Guarantee;
use crate::component::source::Promise;
use crate::job::edges::Edges;
use crate::job::lint::Lint;
use crate::job::mistake::Mistake;
use crate::job::part::Part;
use crate::job::plan::{Origin, RunConfig, SourcePlan};
use crate::job::state::StateConfig;
use crate::job::tree::Place;
use crate::job::variables::join;

/// When a source that delivers again what was not acknowledged acknowledges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ack {
    /// When it is in the journal, payload and all.
    #[default]
    Journal,
    /// When a checkpoint covers it, which may lie farther away than the journal.
    Checkpoint,
    /// When every sink has applied what it brought: has written it, or has it confirmed.
    Applied,
    /// When it is received: what is under way when the job is killed is lost.
    Receive,
}

impl Ack {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Journal, Self::Checkpoint, Self::Applied, Self::Receive];

    /// The word in job files and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Checkpoint => "checkpoint",
            Self::Applied => "applied",
            Self::Receive => "receive",
        }
    }

    /// What comes of it: without a journal nothing waits for one.
    pub const fn effective(self, is_durable: bool) -> Self {
        match self {
            Self::Journal | Self::Checkpoint if !is_durable => Self::Applied,
            ack => ack,
        }
    }
}

/// The most that can be promised, as far as one thing is concerned, and why no more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    guarantee: Guarantee,
    why: String,
}

/// Says how often effects can happen at most where records come from a source.
///
/// `is_direct`: they come to the sink as they are, without an operator that could keep them.
fn of_source(
    id: &str,
    promise: Promise,
    ack: Ack,
    (is_durable, is_direct): (bool, bool),
) -> Option<Bound> {
    let bound = |guarantee, why| Some(Bound { guarantee, why });
    match (promise, ack) {
        (Promise::Forgets, _) => bound(
            Guarantee::BestEffort,
            format!("the source `{id}` cannot be asked again for what it lost when it was killed"),
        ),
        (Promise::Redelivers, Ack::Receive) => bound(
            Guarantee::BestEffort,
            format!(
                "the source `{id}` acknowledges what it has only received (`ack: receive`), so \
                 that it can be lost"
            ),
        ),
        (Promise::Redelivers, _) if !is_durable && is_direct => bound(
            Guarantee::AtLeastOnce,
            format!(
                "without a journal (`state.durable: false`), what the source `{id}` delivers again \
                 is not recognised"
            ),
        ),
        (Promise::Redelivers, _) if !is_durable => bound(
            Guarantee::BestEffort,
            format!(
                "without a journal (`state.durable: false`), what operators keep of what the \
                 source `{id}` has acknowledged can be lost"
            ),
        ),
        (Promise::Replays, _) if !is_durable => bound(
            Guarantee::AtLeastOnce,
            "without a journal (`state.durable: false`), a job that is killed does everything \
             again"
                .to_owned(),
        ),
        (Promise::Replays | Promise::Redelivers, _) => None,
    }
}

/// Lists all that bounds what a sink can promise: itself, and the sources that lead to it.
pub(crate) fn bounds(
    edges: &Edges,
    inputs: &[Origin],
    gives: Guarantee,
    state: &StateConfig,
) -> Vec<Bound> {
    let mut bounds =
        vec![Bound { guarantee: gives, why: format!("the sink gives {}", gives.name()) }];
    let mut open: Vec<&str> = inputs.iter().map(|origin| origin.id.as_str()).collect();
    let mut seen = open.clone();
    while let Some(id) = open.pop() {
        if let Some(source) = edges.sources.iter().find(|source| source.id == id) {
            let promise = source.definition.promise(&source.config);
            let is_direct = inputs.iter().any(|origin| origin.id == id);
            bounds.extend(of_source(id, promise, source.ack, (state.durable, is_direct)));
        }
        let reads = edges.operators.iter().filter(|operator| operator.id == id);
        for origin in reads.flat_map(|operator| &operator.inputs) {
            if !seen.contains(&origin.id.as_str()) {
                seen.push(&origin.id);
                open.push(&origin.id);
            }
        }
    }
    bounds
}

/// Gives what a sink promises; refuses what it cannot keep.
pub(crate) fn check_sink(lint: &mut Lint<'_>, part: &Part, bounds: &[Bound]) -> Guarantee {
    let least = bounds.iter().min_by_key(|bound| bound.guarantee);
    let most = least.map_or(Guarantee::ExactlyOnce, |bound| bound.guarantee);
    let Some((asked, place)) = part.keys.guarantee else { return most };
    if let Some(least) = least.filter(|least| least.guarantee < asked) {
        let path = join(&part.path(), "guarantee");
        let message = format!("`{}` cannot be promised: {}", asked.word(), least.why);
        let hint = format!("what can be promised here is `guarantee: {}`", most.word());
        lint.report(place, &path, message, Some(hint));
    }
    asked.min(most)
}

/// Refuses an `ack` that nothing would ever come of; warns of one that has no effect.
pub(crate) fn check_source(
    lint: &mut Lint<'_>,
    part: &Part,
    source: &SourcePlan,
    state: &StateConfig,
) -> Option<Mistake> {
    let (ack, place) = part.keys.ack?;
    let path = join(&part.path(), "ack");
    let promise = source.definition.promise(&source.config);
    if ack == Ack::Checkpoint && !state.durable && promise == Promise::Redelivers {
        let message = "`ack: checkpoint` waits for checkpoints, and with `state.durable: false` \
                       there are none";
        lint.report(place, &path, message, None);
        return None;
    }
    let why = match promise {
        Promise::Replays => "is read again from where it was, and acknowledges nothing",
        Promise::Forgets => "acknowledges nothing",
        Promise::Redelivers => return None,
    };
    let message = format!("`ack: {}` has no effect: the source `{}` {why}", ack.name(), part.id);
    (promise == Promise::Forgets || ack == Ack::Receive)
        .then(|| lint.mistake(place, &path, message, None))
}

/// A source that waits with its next message until one is acknowledged.
#[derive(Debug)]
pub(crate) struct Window {
    path: String,
    place: Place,
    messages: u64,
}

impl Window {
    /// The window of a source, if it has one.
    pub(crate) fn of(part: &Part, source: &SourcePlan) -> Option<Self> {
        let SourcePlan { definition, config, ack, .. } = source;
        let waits = definition.promise(config) == Promise::Redelivers && *ack != Ack::Receive;
        let messages = definition.window(config).filter(|_| waits)?;
        Some(Self { path: part.path(), place: part.place, messages })
    }

    /// Warns where by event time, with which an epoch closes when it is full, none would ever close:
    /// what is in an open epoch is not acknowledged.
    pub(crate) fn check(&self, lint: &Lint<'_>, run: &RunConfig) -> Option<Mistake> {
        let (messages, records) = (self.messages, run.epoch_records_max as u64);
        let message = format!(
            "it is handed {messages} messages before it acknowledges any, and by event time an \
             epoch closes at {records} records and not before: if its messages have one record \
             each, the job stands still"
        );
        let hint = "let `run.epoch.records` be less, or use `run.clock: wall`".to_owned();
        (messages < records).then(|| lint.mistake(self.place, &self.path, message, Some(hint)))
    }
}

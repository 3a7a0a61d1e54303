//! `heal:` of a source: the archive from which it gets what its queue has lost.

use serde_json::Value;

use crate::component::source::{Promise, SourceDefinition};
use crate::duration::Duration;
use crate::job::lint::Lint;
use crate::job::mistake::Mistake;
use crate::job::part::{Part, Room};
use crate::job::plan::SourcePlan;
use crate::job::state::StateConfig;
use crate::job::tree::{Data, Node};
use crate::job::variables::join;
use crate::kind::Kind;

/// Where a source that lost a part of its stream finds it.
#[derive(Clone)]
pub struct HealPlan {
    /// The source that reads the archive.
    pub definition: &'static dyn SourceDefinition,
    /// Its configuration, variables filled in.
    pub config: Value,
    /// So much may ticks of one feed be out of order: so far archive and queue are compared on
    /// both sides of a hole.
    pub overlap: Duration,
    /// So long the job waits for the archive to have the whole hole.
    pub wait: Duration,
}

impl std::fmt::Debug for HealPlan {
    /// A configuration may hold secrets, so it is not debugged.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { definition, config: _, overlap, wait } = self;
        formatter
            .debug_struct("HealPlan")
            .field("type", &definition.name())
            .field("overlap", overlap)
            .field("wait", wait)
            .finish_non_exhaustive()
    }
}

/// Unless the job says otherwise.
pub(crate) const OVERLAP: Duration = Duration::from_seconds(10);
/// Unless the job says otherwise.
pub(crate) const WAIT: Duration = Duration::from_seconds(300);

impl Lint<'_> {
    /// Reads the key; none where it is wrong.
    pub(crate) fn heal(&mut self, node: &Node, path: &str) -> Option<HealPlan> {
        let Data::Map(entries) = &node.data else {
            let message = format!(
                "expected the settings of the source that reads the archive, with the key `type`, \
                 found {}",
                node.found()
            );
            self.report(node.place, path, message, None);
            return None;
        };
        let mut kind = None;
        let (mut overlap, mut wait) = (Some(OVERLAP), Some(WAIT));
        let mut rest = Vec::new();
        for entry in entries {
            let at = join(path, &entry.key);
            match entry.key.as_str() {
                "type" => kind = Some(&entry.value),
                "overlap" => overlap = self.length(&entry.value, &at),
                "wait" => wait = self.length(&entry.value, &at),
                _ => rest.push(entry.clone()),
            }
        }
        let mut config = Node::new(node.place, Data::Map(rest), false);
        let is_full = self.fill(&mut config, path);
        let definition = self.definition(Room::Sources, kind, node.place, path)?;
        let fits = self.configuration(definition, &mut config, path, is_full);
        let definition = self.catalog.source(definition.name())?;
        let config = config.to_value();
        if !(definition.is_bounded(&config)
            && definition.promise(&config) == Promise::Replays
            && gives_ticks(definition, &config))
        {
            let place = kind.map_or(node.place, |kind| kind.place);
            let message = format!(
                "`{}` is no archive of ticks; expected a source such as `archive`",
                definition.name()
            );
            self.report(place, &join(path, "type"), message, None);
            return None;
        }
        let (overlap, wait) = (overlap?, wait?);
        fits.then_some(HealPlan { definition, config, overlap, wait })
    }

    fn length(&mut self, node: &Node, path: &str) -> Option<Duration> {
        let found = node.text().unwrap_or_default().parse::<Duration>();
        match found {
            Ok(length) => Some(length),
            Err(error) => {
                self.report(node.place, path, error.to_string(), None);
                None
            }
        }
    }
}

fn gives_ticks(definition: &dyn SourceDefinition, config: &Value) -> bool {
    definition.outputs_of(config).first().is_some_and(|output| output.kind == Some(Kind::Ticks))
}

/// Refuses to heal where nothing would come of it.
pub(crate) fn check(
    lint: &Lint<'_>,
    part: &Part,
    source: &SourcePlan,
    state: &StateConfig,
) -> Option<Mistake> {
    let (_, place) = part.keys.heal.as_ref()?;
    let SourcePlan { definition, config, .. } = source;
    let why = if !definition.tells_continuity(config) {
        "only a source can be healed that is told by its broker whether messages were lost: `amqp`"
    } else if !gives_ticks(*definition, config) {
        "only ticks can be healed"
    } else if !state.durable {
        "without a journal (`state.durable: false`) it is not known what was there before"
    } else {
        return None;
    };
    Some(lint.mistake(*place, &join(&part.path(), "heal"), why.to_owned(), None))
}

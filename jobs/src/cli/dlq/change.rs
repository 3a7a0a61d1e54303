//! `tapeflow dlq replay` and `drop`.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use brokers::amqp::outgoing::{Message, Outgoing};
use dataflows::crash;
use dataflows::fault::Fault;
use serde_json::json;

use super::route::{Route, connect};
use super::store::{Filter, PAGE, Tried};
use super::{How, Office};
use crate::cli::Session;
use crate::cli::failure::{Failure, inform, print};
use crate::cli::report::Output;

/// So many letters, or bytes of them, are removed in one transaction, as soon as the broker has
/// them all.
const BATCH: usize = 200;
const BATCH_BYTES: usize = 8 << 20;

/// So long the broker may take for a page of letters.
const PATIENCE: Duration = Duration::from_secs(30);

/// Letters of the same content: they are one attempt, and so are removed together.
struct Group {
    ids: Vec<String>,
    bytes: usize,
}

/// What a replay is to do.
#[derive(Default)]
struct Work {
    groups: Vec<Group>,
    /// How many go to which source and its queue.
    targets: BTreeMap<(String, String), usize>,
    /// Those that cannot be sent, and why.
    left: Vec<(String, String)>,
}

impl Work {
    fn count(&self) -> usize {
        self.targets.values().sum()
    }

    /// Looks at every letter that is asked for; changes nothing.
    fn plan(office: &mut Office, filter: &Filter, to: Option<&str>) -> Result<Self, Fault> {
        let mut work = Self::default();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for page in office.store.ids(filter, None)?.chunks(PAGE) {
            for letter in office.store.letters(page)? {
                let route = match Route::of(&office.plan, &letter, to) {
                    Ok(route) => route,
                    Err(why) => {
                        work.left.push((letter.id, why));
                        continue;
                    }
                };
                let target = (route.source.clone(), route.queue().to_owned());
                *work.targets.entry(target).or_default() += 1;
                let number = *known.entry(letter.identity()).or_insert_with(|| {
                    work.groups.push(Group { ids: Vec::new(), bytes: 0 });
                    work.groups.len() - 1
                });
                if let Some(group) = work.groups.get_mut(number) {
                    group.bytes += letter.payload.len();
                    group.ids.push(letter.id);
                }
            }
        }
        Ok(work)
    }

    fn say(&self, office: &Office, is_done: bool) -> Result<(), Failure> {
        let verb = if is_done { "sent" } else { "would send" };
        if office.output == Output::Json {
            let left: Vec<_> =
                self.left.iter().map(|(id, why)| json!({ "id": id, "why": why })).collect();
            return office.json(&json!({
                "sent": if is_done { self.count() } else { 0 },
                "would_send": if is_done { 0 } else { self.count() },
                "left": left,
            }));
        }
        let mut text = String::new();
        for ((source, queue), count) in &self.targets {
            text.push_str(&format!("{verb} {count} to source {source} (queue {queue})\n"));
        }
        let mut reasons: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for (id, why) in &self.left {
            reasons.entry(why).or_insert((0, id)).0 += 1;
        }
        for (why, (count, id)) in reasons {
            text.push_str(&format!("{count} cannot be replayed: {why} (one is {id})\n"));
        }
        if text.is_empty() {
            text.push_str("no dead letters\n");
        }
        print(&office.plan.secrets.redact(&text))
    }
}

pub(super) fn replay(
    office: &mut Office,
    filter: &Filter,
    how: &How,
    to: Option<&str>,
    session: &Session,
) -> Result<(), Failure> {
    let planned = Work::plan(office, filter, to);
    let work = planned.map_err(|fault| office.failed(&fault))?;
    if how.dry_run || work.count() == 0 {
        work.say(office, !how.dry_run)?;
        return if how.dry_run || work.left.is_empty() {
            Ok(())
        } else {
            Err(Failure::Fault("none of them can be replayed".to_owned()))
        };
    }
    agreed(&format!("send {} dead letters to the job once more?", work.count()), how.yes)?;
    let mut sending = Sending { to, session, links: BTreeMap::new() };
    let done = sending.all(office, &work);
    sending.links.values_mut().for_each(Outgoing::close);
    done.map_err(|fault| office.failed(&fault))?;
    work.say(office, true)
}

/// A replay under way.
struct Sending<'a> {
    to: Option<&'a str>,
    session: &'a Session,
    /// By source.
    links: BTreeMap<String, Outgoing>,
}

impl Sending<'_> {
    fn is_stopped(&self) -> bool {
        self.session.stop.load(Ordering::Relaxed)
    }

    fn all(&mut self, office: &mut Office, work: &Work) -> Result<(), Fault> {
        let mut rest = work.groups.as_slice();
        while !rest.is_empty() {
            if self.is_stopped() {
                return Err(Fault::Interrupted);
            }
            let (mut letters, mut bytes) = (0, 0);
            let has_room = |group: &&Group| {
                let has_room = letters < BATCH && bytes < BATCH_BYTES;
                letters += group.ids.len();
                bytes += group.bytes;
                has_room
            };
            let count = rest.iter().take_while(has_room).count();
            let (batch, behind) = rest.split_at(count.max(1));
            rest = behind;
            self.batch(office, batch)?;
        }
        Ok(())
    }

    /// Sends a batch, and removes it when the broker has it.
    fn batch(&mut self, office: &mut Office, batch: &[Group]) -> Result<(), Fault> {
        let ids: Vec<String> = batch.iter().flat_map(|group| group.ids.iter().cloned()).collect();
        let mut tried: BTreeMap<String, Tried> = BTreeMap::new();
        let mut sent = Vec::with_capacity(ids.len());
        for page in ids.chunks(PAGE) {
            let mut messages: BTreeMap<String, Vec<Message>> = BTreeMap::new();
            // What has gone meanwhile, somebody else has replayed or dropped.
            for letter in office.store.letters(page)? {
                let Ok(route) = Route::of(&office.plan, &letter, self.to) else { continue };
                let identity = letter.identity();
                let attempts = letter.attempts.saturating_add(1);
                let first_seen = letter.first_seen;
                let entry = tried.entry(identity.clone());
                let entry = entry.or_insert(Tried { identity, first_seen, attempts });
                entry.first_seen = entry.first_seen.min(first_seen);
                sent.push(letter.id.clone());
                messages.entry(route.source.clone()).or_default().push(route.message(&letter));
            }
            for (source, messages) in messages {
                self.publish(office, &source, &messages)?;
            }
        }
        crash::point("dlq.before_removal");
        let tried: Vec<Tried> = tried.into_values().collect();
        office.store.sent(&sent, &tried)
    }

    fn publish(
        &mut self,
        office: &Office,
        source: &str,
        messages: &[Message],
    ) -> Result<(), Fault> {
        if !self.links.contains_key(source) {
            let link = connect(&office.plan, source, &office.root)?;
            self.links.insert(source.to_owned(), link);
        }
        let Some(link) = self.links.get_mut(source) else { return Ok(()) };
        let (begun, stop) = (Instant::now(), &self.session.stop);
        let is_stopped = || stop.load(Ordering::Relaxed);
        let mut gives_up = || is_stopped() || begun.elapsed() >= PATIENCE;
        match link.publish(messages, &mut gives_up) {
            Err(Fault::Interrupted) if !is_stopped() => Err(Fault::stop(
                format!("sources.{source}"),
                "its broker has not confirmed within 30 s; what it has not confirmed is still \
                 here, and what it has is not taken twice: replay again",
            )),
            Err(Fault::Stop { place, message }) if place.starts_with("exchange") => {
                Err(Fault::stop(
                    format!("sources.{source}"),
                    format!("its queue is not there: run the job once ({message})"),
                ))
            }
            done => done,
        }
    }
}

pub(super) fn drop_letters(
    office: &mut Office,
    filter: &Filter,
    how: &How,
    session: &Session,
) -> Result<(), Failure> {
    let asked = office.store.ids(filter, None);
    let ids = asked.map_err(|fault| office.failed(&fault))?;
    if !how.dry_run && !ids.is_empty() {
        agreed(&format!("remove {} dead letters for good?", ids.len()), how.yes)?;
        for page in ids.chunks(PAGE) {
            if session.stop.load(Ordering::Relaxed) {
                return Err(Failure::Interrupted);
            }
            let done = office.store.letters(page).and_then(|letters| {
                let identities: Vec<String> =
                    letters.iter().map(super::letter::Letter::identity).collect();
                office.store.dropped(page, &identities)
            });
            done.map_err(|fault| office.failed(&fault))?;
        }
    }
    let count = ids.len();
    if office.output == Output::Json {
        return office.json(&json!({ "removed": ids, "dry_run": how.dry_run }));
    }
    let verb = if how.dry_run { "would remove" } else { "removed" };
    print(&format!("{verb} {count} dead letters\n"))
}

/// Asks, where there is somebody to ask.
fn agreed(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        let text = format!("{question} Say --yes, or --dry-run to see what would be done");
        return Err(Failure::Usage(text));
    }
    inform(&format!("{question} [y/N]"));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::Fault("nothing was done".to_owned()))
}

//! `feed_status`: tells a quiet market, a closed market and a dead feed apart.

use std::collections::BTreeSet;

use dataflows::component::operator::{OperatorContext, OperatorDefinition};
use dataflows::component::{Definition, Output, check_config, read_config};
use dataflows::duration::Duration;
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::machine::{AnyMachine, Emit, Machine};
use dataflows::moment::Moment;
use dataflows::state::Keyed;
use proto::event_time::EventTime;
use proto::feed_status::{Activity, FeedStatus};
use proto::series::{KeyGroup, SeriesId, SeriesTable};
use proto::tick::Tick;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::calendar::Calendar;
use crate::calendar::config::CalendarConfig;
use crate::record::{expect_version, with_state};

const STATE_VERSION: u16 = 1;
const STATUSES: usize = 0;

/// Sessions open and close on whole minutes: of a closed market it is looked at each.
const MINUTE: i64 = 60_000_000_000;
/// How often it is looked whether a dead feed lives again, for series that have no tick yet.
const RECHECK: i64 = 1_000_000_000;

/// Says of every series that has had a tick how it stands, whenever that changes:
///
/// - `closed`: by the calendar nothing is traded now, whatever comes.
/// - `dead`: the market is open, and for `dead_after` no tick of any instrument of its feed has
///   come.
/// - `quiet`: the feed delivers, but for `quiet_after` nothing of this series.
/// - `live`: none of these.
///
/// Silence is counted by the job clock, from the greatest event time or from the opening of the
/// market, whichever is later: a feed whose ticks are old is as dead as one that sends none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedStatusConfig {
    /// When the market is open.
    #[serde(default)]
    pub calendar: CalendarConfig,
    /// A series without a tick for so long is quiet.
    #[serde(default = "one_minute")]
    pub quiet_after: Duration,
    /// A feed without any tick for so long is dead.
    #[serde(default = "half_a_minute")]
    pub dead_after: Duration,
}

const fn one_minute() -> Duration {
    Duration::from_seconds(60)
}

const fn half_a_minute() -> Duration {
    Duration::from_seconds(30)
}

/// The definition of `feed_status`.
#[derive(Debug, Clone, Copy)]
pub struct FeedStatuses;

impl Definition for FeedStatuses {
    fn name(&self) -> &'static str {
        "feed_status"
    }

    fn summary(&self) -> &'static str {
        "Tells a quiet market, a closed market and a dead feed apart, by series."
    }

    fn config(&self) -> Schema {
        schema_for!(FeedStatusConfig)
    }

    fn check(&self, config: &Value) -> Vec<(String, String)> {
        let mut found = check_config::<FeedStatusConfig>(config);
        let Ok(config) = FeedStatusConfig::deserialize(config) else { return found };
        for (field, message) in config.calendar.check() {
            let dot = if field.is_empty() { "" } else { "." };
            found.push((format!("calendar{dot}{field}"), message));
        }
        let lengths = [("quiet_after", config.quiet_after), ("dead_after", config.dead_after)];
        for (field, length) in lengths {
            if length.is_zero() {
                found.push((field.to_owned(), "it is 0s; expected a time, such as 30s".to_owned()));
            }
        }
        found
    }
}

impl OperatorDefinition for FeedStatuses {
    fn takes(&self) -> &'static [Kind] {
        &[Kind::Ticks]
    }

    fn outputs(&self) -> &'static [Output] {
        &[Output {
            name: "statuses",
            kind: Some(Kind::Statuses),
            about: "How it stands with a series, from now on.",
        }]
    }

    fn build(&self, config: &Value, context: OperatorContext) -> Result<AnyMachine, Fault> {
        let path = format!("operators.{}", context.id);
        let config: FeedStatusConfig = read_config(&path, config)?;
        let calendar = config.calendar.build(&format!("{path}.calendar"), &context.root)?;
        Ok(AnyMachine::Ticks(Box::new(StatusMachine::new(&config, calendar, context.series))))
    }
}

/// One series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Slot {
    /// The greatest event time.
    last: EventTime,
    /// What was said last; none before the first epoch closes.
    status: Option<Activity>,
    /// The clock at which it may have changed; in the queue.
    due: EventTime,
}

impl Default for Slot {
    fn default() -> Self {
        Self { last: EventTime::MIN, status: None, due: EventTime::MIN }
    }
}

/// The machine of `feed_status`.
#[derive(Debug)]
struct StatusMachine {
    calendar: Calendar,
    quiet_after: i64,
    dead_after: i64,
    states: Keyed<Slot>,
    /// By when they may have changed.
    queue: BTreeSet<(EventTime, SeriesId)>,
    is_restored: bool,
}

impl StatusMachine {
    fn new(config: &FeedStatusConfig, calendar: Calendar, series: SeriesTable) -> Self {
        Self {
            calendar,
            quiet_after: config.quiet_after.ns(),
            dead_after: config.dead_after.ns(),
            states: Keyed::new(series),
            queue: BTreeSet::new(),
            is_restored: false,
        }
    }

    fn requeue(&mut self) {
        self.is_restored = false;
        for (id, slot) in self.states.iter_mut() {
            self.queue.insert((slot.due, id));
        }
    }
}

/// How it stands at a reading of the clock, and until when at least.
fn judge(
    clock: EventTime,
    (last, feed_last): (EventTime, EventTime),
    session: Option<(EventTime, EventTime)>,
    (quiet_after, dead_after): (i64, i64),
) -> (Activity, EventTime) {
    let now = clock.ns();
    let Some((open, close)) = session else {
        let next = now.saturating_add(MINUTE - now.rem_euclid(MINUTE));
        return (Activity::Closed, EventTime::from_ns(next));
    };
    let from = |last: EventTime| last.max(open).ns();
    let dead = from(feed_last.max(last)).saturating_add(dead_after);
    let quiet = from(last).saturating_add(quiet_after);
    let until = |due: i64| EventTime::from_ns(due.min(close.ns()));
    if now >= dead {
        (Activity::Dead, until(now.saturating_add(RECHECK)))
    } else if now >= quiet {
        (Activity::Quiet, until(dead))
    } else {
        (Activity::Live, until(quiet.min(dead)))
    }
}

impl Machine<Tick> for StatusMachine {
    fn apply(&mut self, rows: &mut Vec<Tick>, _: &mut Emit) {
        if self.is_restored {
            self.requeue();
        }
        let Self { states, queue, .. } = self;
        for tick in rows.drain(..) {
            with_state(states, tick.series, |slot| {
                slot.last = slot.last.max(tick.time);
                // One that is live finds out when it is due; any other is looked at now.
                if slot.status != Some(Activity::Live) && slot.due > EventTime::MIN {
                    queue.remove(&(slot.due, tick.series));
                    slot.due = EventTime::MIN;
                }
                if slot.due == EventTime::MIN {
                    queue.insert((slot.due, tick.series));
                }
            });
        }
    }

    fn seal(&mut self, moment: &Moment, emit: &mut Emit) {
        if self.is_restored {
            self.requeue();
        }
        let clock = moment.clock;
        let after = (self.quiet_after, self.dead_after);
        let mut session = None;
        let mut later = Vec::new();
        while let Some((due, id)) = self.queue.first().copied() {
            if due > clock {
                break;
            }
            self.queue.pop_first();
            let session =
                *session.get_or_insert_with(|| self.calendar.day_of(clock).session_at(clock));
            let Some(feed) = self.states.series(id).map(|series| series.feed) else { continue };
            let Some(slot) = self.states.get_mut(id) else { continue };
            let feed_last = moment.watermark(feed);
            let (status, due) = judge(clock, (slot.last, feed_last), session, after);
            // What is due now would be judged the same until the clock moves.
            slot.due = due.max(EventTime::from_ns(clock.ns().saturating_add(1)));
            later.push((slot.due, id));
            if slot.status.replace(status) != Some(status) {
                let last = slot.last;
                emit.statuses(STATUSES).push(FeedStatus {
                    series: id,
                    clock,
                    status,
                    last,
                    feed_last,
                });
            }
        }
        self.queue.extend(later);
    }

    fn state_version(&self) -> u16 {
        STATE_VERSION
    }

    fn snapshot(&self, group: KeyGroup, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.states.snapshot(group, out)
    }

    fn restore(&mut self, group: KeyGroup, version: u16, bytes: &[u8]) -> Result<(), Fault> {
        expect_version("feed_status", version, STATE_VERSION)?;
        self.is_restored = true;
        self.states.restore(group, bytes)
    }
}

#[cfg(test)]
mod tests {
    use dataflows::kind::Kind;
    use dataflows::machine::{Emit, Machine};
    use dataflows::moment::Moment;
    use proptest::prelude::*;
    use proto::event_time::EventTime;
    use proto::feed_status::Activity;
    use proto::series::{KEY_GROUPS, SeriesTable};
    use proto::tick::Tick;

    use super::{FeedStatusConfig, StatusMachine, judge};
    use crate::calendar::Calendar;
    use crate::calendar::config::CalendarConfig;

    const SECOND: i64 = 1_000_000_000;
    const INSTRUMENTS: [&str; 2] = ["EURUSD", "GBPUSD"];

    fn at(text: &str) -> EventTime {
        text.parse().unwrap()
    }

    struct Bench {
        series: SeriesTable,
        machine: StatusMachine,
        watermarks: Vec<EventTime>,
        epoch: u64,
    }

    fn machine(series: &SeriesTable) -> StatusMachine {
        let config = FeedStatusConfig {
            calendar: CalendarConfig::default(),
            quiet_after: super::one_minute(),
            dead_after: super::half_a_minute(),
        };
        StatusMachine::new(&config, Calendar::forex(), series.clone())
    }

    impl Bench {
        fn new() -> Self {
            let series = SeriesTable::new();
            let machine = machine(&series);
            Self { series, machine, watermarks: Vec::new(), epoch: 0 }
        }

        /// An epoch with a tick of each of these instruments at `clock`; gives what is said.
        fn epoch(&mut self, clock: EventTime, instruments: &[&str]) -> Vec<(String, Activity)> {
            self.epoch += 1;
            let mut emit = Emit::new(&[Kind::Statuses]);
            let mut ticks: Vec<Tick> = Vec::new();
            for instrument in instruments {
                let series = self.series.intern("mt4", instrument).unwrap();
                ticks.push(Tick { series, time: clock, ..Tick::default() });
                self.watermarks.resize(1, EventTime::MIN);
                self.watermarks[0] = self.watermarks[0].max(clock);
            }
            self.machine.apply(&mut ticks, &mut emit);
            let watermarks = self.watermarks.clone();
            let moment = Moment { epoch: self.epoch, clock, watermarks, is_last: false };
            self.machine.seal(&moment, &mut emit);
            let mut known = Vec::new();
            self.series.refresh(&mut known);
            let mut said: Vec<(String, Activity)> = emit
                .statuses(0)
                .iter()
                .map(|said| (known[said.series.index()].instrument.to_string(), said.status))
                .collect();
            said.sort();
            said
        }

        fn restart(&mut self) {
            let mut next = machine(&self.series);
            for group in 0..KEY_GROUPS {
                let mut bytes = Vec::new();
                self.machine.snapshot(group, &mut bytes).unwrap();
                if !bytes.is_empty() {
                    next.restore(group, 1, &bytes).unwrap();
                }
            }
            self.machine = next;
        }
    }

    fn said(instrument: &str, status: Activity) -> (String, Activity) {
        (instrument.to_owned(), status)
    }

    #[test]
    fn silence_has_three_meanings() {
        let mut bench = Bench::new();
        let friday = at("2024-03-08T21:55:00Z"); // five minutes before New York's 17:00
        let after = |seconds: i64| EventTime::from_ns(friday.ns() + seconds * SECOND);
        let both = [said("EURUSD", Activity::Live), said("GBPUSD", Activity::Live)];
        assert_eq!(bench.epoch(friday, &INSTRUMENTS), both);
        for second in (20..60).step_by(20) {
            assert_eq!(bench.epoch(after(second), &["EURUSD"]), []);
        }
        assert_eq!(bench.epoch(after(60), &["EURUSD"]), [said("GBPUSD", Activity::Quiet)]);
        assert_eq!(bench.epoch(after(89), &[]), []);
        bench.restart();
        let dead = [said("EURUSD", Activity::Dead), said("GBPUSD", Activity::Dead)];
        assert_eq!(bench.epoch(after(90), &[]), dead, "for 30 s nothing at all");
        // The feed is there again, and one of its series.
        let back = [said("EURUSD", Activity::Live), said("GBPUSD", Activity::Quiet)];
        assert_eq!(bench.epoch(after(100), &["EURUSD"]), back);
        let closed = [said("EURUSD", Activity::Closed), said("GBPUSD", Activity::Closed)];
        assert_eq!(bench.epoch(at("2024-03-08T22:00:00Z"), &["EURUSD"]), closed);
        bench.restart();
        let sunday = at("2024-03-10T21:00:00Z"); // daylight saving has begun
        assert_eq!(bench.epoch(EventTime::from_ns(sunday.ns() - 1), &[]), []);
        let open = [said("EURUSD", Activity::Live), said("GBPUSD", Activity::Live)];
        assert_eq!(bench.epoch(sunday, &[]), open, "nothing can be said against it yet");
        let later = EventTime::from_ns(sunday.ns() + 30 * SECOND);
        assert_eq!(bench.epoch(later, &[]), dead);
    }

    proptest! {
        /// Whatever the epochs: what was said last is what a look at everything gives, and nothing
        /// is said twice.
        #[test]
        fn what_was_said_last_holds(
            steps in prop::collection::vec((1..40_i64, prop::option::of(0..2_usize), any::<bool>()), 1..80),
            start in 0..600_i64,
        ) {
            let mut bench = Bench::new();
            let mut clock = at("2024-03-08T21:50:00Z").ns() + start * SECOND;
            let mut last: [Option<i64>; 2] = [None; 2];
            let mut standing: [Option<Activity>; 2] = [None; 2];
            for (on, tick, is_restart) in steps {
                clock += on * SECOND;
                let names: Vec<&str> = tick.iter().map(|at| INSTRUMENTS[*at]).collect();
                for (name, status) in bench.epoch(EventTime::from_ns(clock), &names) {
                    let at = INSTRUMENTS.iter().position(|other| *other == name).unwrap();
                    prop_assert_ne!(standing[at], Some(status), "said twice");
                    standing[at] = Some(status);
                }
                if let Some(at) = tick {
                    last[at] = Some(clock);
                }
                let now = EventTime::from_ns(clock);
                let session = Calendar::forex().day_of(now).session_at(now);
                let feed = last.iter().flatten().max().copied();
                for at in 0..2 {
                    let expected = last[at].map(|last| {
                        let times = (EventTime::from_ns(last), EventTime::from_ns(feed.unwrap()));
                        judge(now, times, session, (60 * SECOND, 30 * SECOND)).0
                    });
                    prop_assert_eq!(standing[at], expected);
                }
                if is_restart {
                    bench.restart();
                }
            }
        }
    }
}

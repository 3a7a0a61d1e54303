//! The running simulator: the market, in handfuls, at its pace.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dataflows::batch::Rows;
use dataflows::component::source::{Intake, Position, Source, SourceContext};
use dataflows::fault::Fault;
use proto::event_time::EventTime;
use proto::reject::Reject;
use proto::series::SeriesId;
use proto::tick::Tick;

use super::gateway::Gap;
use super::market::{Delivery, Market, State};
use super::{Feed, SimulatorConfig, Speed, Word, duration_ns};

/// The longest that it waits without looking up.
const NAP: Duration = Duration::from_millis(50);
/// A day in nanoseconds.
const DAY: i64 = 86_400_000_000_000;
/// Monday, 2025-01-06, in nanoseconds.
const MONDAY: i64 = 1_736_121_600_000_000_000;

/// Simulated time against the wall clock.
#[derive(Debug)]
enum Pace {
    /// So many times as fast, from when it was opened.
    Factor { begun: Instant, from: i64, factor: f64 },
    /// The same time.
    Live,
}

impl Pace {
    /// How long it is until the simulated time `time`.
    fn until(&self, time: i64) -> Duration {
        match self {
            Self::Factor { begun, from, factor } => {
                let due = (time - from).max(0) as f64 / 1e9 / factor;
                let due = Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX);
                due.saturating_sub(begun.elapsed())
            }
            Self::Live => {
                let wait = time.saturating_sub(dataflows::clock::wall().ns());
                Duration::from_nanos(u64::try_from(wait).unwrap_or(0))
            }
        }
    }
}

/// The running source.
#[derive(Debug)]
pub(super) struct SimulatorReader {
    component: String,
    /// Deliveries at once, at most.
    batch: usize,
    market: Market,
    /// The numbers of the market's series.
    series: Vec<SeriesId>,
    pace: Option<Pace>,
    /// A delivery that is not due yet, and the state before it.
    early: Option<(i64, Delivery)>,
    before_early: Option<State>,
}

impl SimulatorReader {
    /// Opens the market, behind a position if there is one.
    ///
    /// # Errors
    /// When the position is of another configuration.
    pub(super) fn new(
        config: &SimulatorConfig,
        behind: Option<Position>,
        context: &SourceContext,
    ) -> Result<Self, Fault> {
        let place = |name: &str| format!("sources.{}.{name}", context.id);
        let is_live = config.speed == Speed::Word(Word::Live);
        let duration = match config.duration.as_deref() {
            Some(text) => duration_ns(text)
                .ok_or_else(|| Fault::job(place("duration"), "expected a duration such as `5d`"))?,
            None if is_live => i64::MAX,
            None => DAY,
        };
        let start = match (&config.from, &config.speed) {
            (Some(from), _) => from
                .parse::<EventTime>()
                .map(EventTime::ns)
                .map_err(|error| Fault::job(place("from"), error))?,
            (None, Speed::Word(Word::Max)) => MONDAY,
            (None, Speed::Word(Word::Live) | Speed::Factor(_)) => dataflows::clock::wall().ns(),
        };
        let state: Option<State> = behind
            .map(|position| postcard::from_bytes::<State>(&position.0))
            .transpose()
            .map_err(|error| {
                let what = format!("its position is not one of a simulator: {error}");
                Fault::stop(&context.id, what)
            })?;
        let from = state.as_ref().map_or(start, |state| state.now);
        let market = Market::new(config, (start, duration), state).ok_or_else(|| {
            let what = "its position is one of other instruments or sources; start anew";
            Fault::stop(&context.id, what)
        })?;
        let mut series = Vec::with_capacity(market.series.len());
        for quoted in &market.series {
            let id = context.series.intern(quoted.feed.name(), quoted.instrument.name);
            series.push(id.map_err(|error| Fault::defect("simulator", error))?);
        }
        let pace = match config.speed {
            Speed::Word(Word::Max) => None,
            Speed::Word(Word::Live) => Some(Pace::Live),
            Speed::Factor(factor) => Some(Pace::Factor { begun: Instant::now(), from, factor }),
        };
        let component = context.id.clone();
        let batch = config.batch.max(1);
        Ok(Self { component, batch, market, series, pace, early: None, before_early: None })
    }

    fn reject(&self, bits: u64) -> Reject {
        Reject {
            component: self.component.clone(),
            reason: "malformed".to_owned(),
            detail: "the bytes are no tick".to_owned(),
            place: Some(format!("delivery {}", self.market.state.delivered)),
            clock: EventTime::default(),
            tick: None,
            payload: bits.to_le_bytes().to_vec(),
        }
    }

    fn gap(&self, gap: Gap) -> Reject {
        let time = EventTime::from_ns;
        let feed = Feed::ALL.get(usize::from(gap.feed)).map_or("", |feed| feed.name());
        Reject {
            component: self.component.clone(),
            reason: "session_reset".to_owned(),
            detail: format!("{feed}: nothing came from {} to {}", time(gap.from), time(gap.to)),
            place: Some(format!("delivery {}", self.market.state.delivered)),
            clock: time(gap.to),
            tick: None,
            payload: Vec::new(),
        }
    }

    fn position(&self) -> Result<Position, Fault> {
        let state = self.before_early.as_ref().unwrap_or(&self.market.state);
        let bytes = postcard::to_stdvec(state);
        bytes.map(Position).map_err(|error| Fault::defect("simulator", error))
    }

    /// Gives the next delivery that is due; none at the end, or when it has to wait.
    fn due(&mut self) -> Option<Delivery> {
        let Some(pace) = &self.pace else {
            return self.market.next().map(|(_, delivery)| delivery);
        };
        if self.early.is_none() {
            self.before_early = Some(self.market.state.clone());
            self.early = self.market.next();
        }
        let (time, delivery) = self.early?;
        if pace.until(time) > Duration::ZERO {
            return None;
        }
        (self.early, self.before_early) = (None, None);
        Some(delivery)
    }
}

impl Source for SimulatorReader {
    fn next(&mut self, stop: &AtomicBool) -> Result<Option<Intake>, Fault> {
        let mut ticks: Vec<Tick> = Vec::new();
        let mut rejects = Vec::new();
        loop {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            while ticks.len() + rejects.len() < self.batch {
                match self.due() {
                    Some(Delivery::Tick(mut tick)) => {
                        let series = self.series.get(tick.series.index()).copied();
                        tick.series = series.unwrap_or_default();
                        ticks.push(tick);
                    }
                    Some(Delivery::Garbled(bits)) => rejects.push(self.reject(bits)),
                    Some(Delivery::Gap(gap)) => rejects.push(self.gap(gap)),
                    None => break,
                }
            }
            if !ticks.is_empty() || !rejects.is_empty() {
                let position = self.position()?;
                return Ok(Some(Intake {
                    rows: Rows::Ticks(ticks),
                    rejects,
                    position,
                    deliveries: Vec::new(),
                }));
            }
            let wait = match (&self.pace, &self.early) {
                (Some(pace), Some((time, _))) => pace.until(*time),
                _ => return Ok(None),
            };
            std::thread::sleep(wait.min(NAP));
        }
    }

    fn settle(&mut self, _position: &Position) -> Result<(), Fault> {
        Ok(())
    }

    fn progress(&self) -> Option<u32> {
        self.market.progress()
    }
}

//! The running sink: gathers rows over epochs and writes them with the job's progress.

use std::sync::Arc;
use std::time::{Duration, Instant};

use brokers::backoff::Backoff;
use dataflows::batch::Rows;
use dataflows::component::sink::{Ending, Sealed, Sink, SinkContext, SinkReport};
use dataflows::component::source::Range;
use dataflows::crash;
use dataflows::fault::Fault;
use dataflows::moment::Epoch;
use proto::columns::Names;
use proto::event_time::EventTime;
use proto::row::{ColumnType, Values, candle_values, reject_values, tick_values};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use super::Config;
use super::connection::Connection;
use super::fault::Failure;
use super::layout::{Dialect, Layout, TableName};
use super::occurrences::Occurrences;
use super::progress::{Progress, literal};
use super::sqlite::time_text;
use super::url::Place;
use crate::period::Period;
use crate::replace::covers;

/// A running `table`.
pub(super) struct TableSink {
    runtime: Runtime,
    place: Place,
    /// None once it is closed.
    connection: Option<Connection>,
    layout: Layout,
    name: TableName,
    context: SinkContext,
    names: Names,
    batch: usize,
    flush_every: Period,
    waiting: Rows,
    /// How many bytes of undecodable records wait.
    waiting_bytes: usize,
    /// When the oldest waiting row came. Decides when rows become visible, never what they are.
    waiting_since: Option<Instant>,
    progress: Progress,
    /// The last epoch whose rows wait or are written.
    epoch: Epoch,
    /// The last epoch that the table's progress covers, of a durable run: epochs up to it that
    /// come again change nothing.
    applied: Epoch,
    occurrences: Occurrences,
    written: u64,
}

/// So long a run that is to end waits for a server that is away.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);
/// How often it looks whether the run is to end.
const LOOK: Duration = Duration::from_millis(100);

/// Rows are written when so many bytes of undecodable records wait, however few they are.
const BYTES_MAX: usize = 8 << 20;

/// What a checkpoint holds of the sink: nothing waits when it is made.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    version: u8,
    epoch: Epoch,
    occurrences: Occurrences,
}

const SAVED_VERSION: u8 = 1;

impl TableSink {
    pub(super) fn open(config: &Config, context: SinkContext) -> Result<Self, Fault> {
        let path = format!("sinks.{}", context.id);
        let place = Place::parse(&config.url)
            .map_err(|message| Fault::job(format!("{path}.url"), message))?;
        // An id may have a hyphen, which a name of a table may not.
        let default = context.id.replace('-', "_");
        let name = TableName::parse(config.table.as_deref().unwrap_or(&default))
            .map_err(|message| Fault::job(format!("{path}.table"), message))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Fault::stop(&path, format!("no thread for the database: {error}")))?;
        let layout = Layout::new(context.kind)?;
        let is_durable = context.durable.is_some() && context.replace.is_none();
        let restored = context.durable.as_ref().and_then(|durable| durable.restored.as_ref());
        let saved = restored.map(|(epoch, bytes)| restore(&path, *epoch, bytes)).transpose()?;
        let (connection, progress, applied) = runtime.block_on(async {
            let mut connection = Connection::open(place.clone(), &context.root).await?;
            if let Err(error) = connection.prepare(&layout, &name).await {
                connection.rollback().await;
                return Err(error);
            }
            if context.replace.is_some() {
                let staged = staged(connection.dialect());
                for statement in layout.create(staged, connection.dialect(), true) {
                    connection.run(&statement).await?;
                }
            }
            let progress = Progress::new(&name, &connection.place, &context);
            let mut applied = 0;
            if is_durable {
                connection.wait_for_commits().await?;
                connection.end_when_idle().await?;
                applied = progress.claim(&mut connection, saved.is_some()).await?;
            }
            Ok::<_, Failure>((connection, progress, applied))
        })?;
        Ok(Self {
            runtime,
            place,
            connection: Some(connection),
            layout,
            name,
            names: Names::new(context.series.clone()),
            batch: config.batch.max(1),
            flush_every: config.flush_every,
            waiting: Rows::empty(context.kind),
            waiting_bytes: 0,
            waiting_since: None,
            progress,
            epoch: saved.as_ref().map_or(0, |saved| saved.epoch),
            applied,
            occurrences: saved.map(|saved| saved.occurrences).unwrap_or_default(),
            written: 0,
            context,
        })
    }

    /// Adds rows to those that wait; of a replacement only those within its range.
    fn take(&mut self, rows: Rows) -> Result<(), Fault> {
        let (range, names) = (self.context.replace.as_ref(), &self.names);
        let is_wanted = |time, series| range.is_none_or(|r| covers(r, time, series, names));
        match (&mut self.waiting, rows) {
            (Rows::Ticks(waiting), Rows::Ticks(rows)) => waiting
                .extend(rows.into_iter().filter(|tick| is_wanted(tick.time, Some(tick.series)))),
            (Rows::Candles(waiting), Rows::Candles(rows)) => {
                let wanted = rows.into_iter().filter(|row| is_wanted(row.start, Some(row.series)));
                waiting.extend(wanted);
            }
            (Rows::Rejects(waiting), Rows::Rejects(mut rows)) => {
                self.waiting_bytes += rows.iter().map(|row| row.payload.len()).sum::<usize>();
                waiting.append(&mut rows);
            }
            (Rows::Statuses(waiting), Rows::Statuses(mut rows)) => waiting.append(&mut rows),
            (waiting, rows) => {
                let message = format!("expected {}, got {}", waiting.kind(), rows.kind());
                return Err(Fault::defect(format!("sinks.{}", self.context.id), message));
            }
        }
        Ok(())
    }

    /// The values of the waiting rows, each key once.
    fn values(&mut self, rows: Rows) -> Vec<Values> {
        match rows {
            Rows::Ticks(mut ticks) => {
                ticks.sort_by(crate::order::ticks);
                tick_values(&ticks, &self.names)
            }
            Rows::Candles(mut candles) => {
                let key = |candle: &proto::candle::Candle| {
                    (candle.series, candle.timeframe, candle.start)
                };
                candles.sort_by_key(|candle| (key(candle), candle.revision));
                // The last of a key stays: the greatest revision.
                candles.reverse();
                candles.dedup_by_key(|candle| key(candle));
                candles.reverse();
                candle_values(&candles, &self.names)
            }
            Rows::Rejects(rejects) => {
                let ids = rejects.iter().map(|reject| {
                    let id = self.occurrences.id(reject, &self.names);
                    Some(format!("{id:032x}").into())
                });
                let ids = Values::Text(ids.collect::<Vec<Option<Arc<str>>>>());
                let job: Arc<str> = self.context.job.as_str().into();
                let jobs = Values::Text(vec![Some(job); rejects.len()]);
                [ids, jobs].into_iter().chain(reject_values(&rejects, &self.names)).collect()
            }
            rows @ (Rows::Payloads(_) | Rows::Statuses(_)) => rows.values(&self.names),
        }
    }

    /// Writes what waits, with the progress, in one transaction. A connection that is lost meanwhile
    /// is made anew.
    fn flush(&mut self) -> Result<(), Fault> {
        self.waiting_since = None;
        self.waiting_bytes = 0;
        let rows = std::mem::replace(&mut self.waiting, Rows::empty(self.context.kind));
        let values = self.values(rows);
        let count = values.first().map_or(0, Values::len) as u64;
        while let Err(failure) = self.write(&values) {
            self.come_back(failure)?;
            if self.applied >= self.epoch {
                break; // it was done, only the answer was lost
            }
        }
        self.applied = self.applied.max(self.epoch);
        self.written += count;
        Ok(())
    }

    /// Writes rows and the progress in one transaction.
    fn write(&mut self, values: &[Values]) -> Result<(), Failure> {
        let Some(connection) = &mut self.connection else {
            return Err(Fault::defect("sinks.table", "used after it was closed").into());
        };
        let is_staged = self.context.replace.is_some();
        let target =
            if is_staged { staged(connection.dialect()).to_owned() } else { self.name.sql() };
        let (layout, progress, epoch) = (&self.layout, &self.progress, self.epoch);
        self.runtime.block_on(async {
            connection.begin().await?;
            let done = async {
                if !is_staged {
                    // First: it keeps a newer start from beginning before this is done.
                    progress.advance(connection, epoch).await?;
                }
                connection.insert(layout, &target, values).await?;
                crash::point("table.before_commit");
                connection.commit().await
            };
            match done.await {
                Ok(()) => {
                    crash::point("table.after_commit");
                    Ok(())
                }
                Err(error) => {
                    connection.rollback().await;
                    Err(error)
                }
            }
        })
    }

    /// Connects again after the connection was lost, as often as it takes, and looks how far the
    /// table has come. Without progress in the table nobody could tell.
    fn come_back(&mut self, failure: Failure) -> Result<(), Fault> {
        let is_server = matches!(self.place, Place::Postgres(_));
        if !failure.is_lost || !is_server || !self.is_durable() {
            return Err(failure.fault);
        }
        let health = self.context.health.clone();
        let (mut backoff, mut asked) = (Backoff::new(), None);
        let mut why = failure.fault;
        loop {
            tracing::warn!(sink = self.context.id, %why, "the connection is lost; trying again");
            health.down(&why);
            self.pause(backoff.wait(), &mut asked)?;
            health.retried();
            match self.runtime.block_on(self.connect_again()) {
                Ok((connection, applied)) => {
                    tracing::info!(sink = self.context.id, "connected again");
                    health.up();
                    self.connection = Some(connection);
                    self.applied = self.applied.max(applied);
                    return Ok(());
                }
                Err(Failure { fault, is_lost: true }) => why = fault,
                Err(Failure { fault, .. }) => return Err(fault),
            }
        }
    }

    async fn connect_again(&self) -> Result<(Connection, Epoch), Failure> {
        let mut connection = Connection::open(self.place.clone(), &self.context.root).await?;
        connection.wait_for_commits().await?;
        connection.end_when_idle().await?;
        let applied = self.progress.find_again(&mut connection).await?;
        Ok((connection, applied))
    }

    /// Waits, but not for long when the run is to end.
    fn pause(&self, wait: Duration, asked: &mut Option<Instant>) -> Result<(), Fault> {
        let (begun, stop) = (Instant::now(), &self.context.stop);
        loop {
            let gives_up =
                stop.is_asked() && asked.get_or_insert_with(Instant::now).elapsed() >= DRAIN_WITHIN;
            if stop.has_failed() || gives_up {
                return Err(Fault::Interrupted);
            }
            let rest = wait.saturating_sub(begun.elapsed());
            if rest.is_zero() {
                return Ok(());
            }
            std::thread::sleep(rest.min(LOOK));
        }
    }

    /// Writes what waits, and that there was nothing where nothing waits.
    fn flush_owed(&mut self) -> Result<(), Fault> {
        let is_owed = !self.waiting.is_empty() || self.applied < self.epoch;
        if is_owed || !self.is_durable() { self.flush() } else { Ok(()) }
    }

    /// Puts the staged rows in the place of the rows of `range`, in one transaction.
    fn swap(&mut self, range: &Range) -> Result<(), Fault> {
        let Some(connection) = &mut self.connection else {
            return Err(Fault::defect("sinks.table", "used after it was closed"));
        };
        let dialect = connection.dialect();
        let condition = condition(&self.layout, range, dialect);
        let statements = self.layout.replace(&self.name.sql(), staged(dialect), &condition);
        self.runtime.block_on(async {
            connection.begin().await?;
            for statement in &statements {
                if let Err(error) = connection.run(statement).await {
                    connection.rollback().await;
                    return Err(error.fault);
                }
            }
            Ok(connection.commit().await?)
        })
    }

    const fn is_durable(&self) -> bool {
        self.context.durable.is_some() && self.context.replace.is_none()
    }

    fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.runtime.block_on(connection.close());
        }
    }
}

impl Sink for TableSink {
    fn applied(&mut self) -> Result<Option<Epoch>, Fault> {
        let Some(connection) = &mut self.connection else { return Ok(None) };
        Ok(self.runtime.block_on(self.progress.read(connection))?)
    }

    fn apply(&mut self, sealed: Sealed) -> Result<(), Fault> {
        self.names.refresh();
        let epoch = sealed.moment.epoch;
        for run in sealed.runs {
            self.take(run)?;
        }
        self.epoch = epoch;
        if self.is_durable() && epoch <= self.applied {
            // It is in the table. What later rows depend on goes on as it did then.
            let rows = std::mem::replace(&mut self.waiting, Rows::empty(self.context.kind));
            self.waiting_bytes = 0;
            if let Rows::Rejects(rejects) = rows {
                for reject in &rejects {
                    self.occurrences.id(reject, &self.names);
                }
            }
            return Ok(());
        }
        if self.waiting.is_empty() {
            return Ok(());
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let is_full = self.waiting.len() >= self.batch || self.waiting_bytes >= BYTES_MAX;
        if is_full || since.elapsed() >= self.flush_every.0 {
            self.flush()?;
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<Vec<u8>, Fault> {
        if !self.is_durable() {
            return Ok(Vec::new());
        }
        self.flush_owed()?;
        let occurrences = std::mem::take(&mut self.occurrences);
        let saved = Saved { version: SAVED_VERSION, epoch: self.epoch, occurrences };
        let bytes = postcard::to_allocvec(&saved);
        self.occurrences = saved.occurrences;
        bytes.map_err(|error| Fault::defect(format!("sinks.{}", self.context.id), error))
    }

    fn finish(&mut self, ending: Ending) -> Result<SinkReport, Fault> {
        let replace = self.context.replace.clone();
        let done = match (ending, replace) {
            (Ending::Failed, _) | (Ending::Interrupted, Some(_)) => {
                self.written = 0; // nothing of what was staged remains
                Ok(())
            }
            (Ending::Interrupted | Ending::Complete, None) => self.flush_owed(),
            (Ending::Complete, Some(range)) => self.flush().and_then(|()| self.swap(&range)),
        };
        let place = self.connection.as_ref().map(|connection| connection.place.clone());
        self.close();
        done?;
        let place = place.unwrap_or_default();
        let place = format!("{place}, table {}", self.name.sql().replace('"', ""));
        Ok(SinkReport { rows: self.written, places: vec![place], bytes: None })
    }
}

/// The temporary table that a replacement is staged in: it ends with the connection, however the
/// connection ends.
const fn staged(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "temp._tapeflow_staged",
        Dialect::Postgres => "pg_temp._tapeflow_staged",
    }
}

/// Understands what a checkpoint holds. A run that was killed before its first one goes on from
/// none at all, at epoch 0.
fn restore(path: &str, epoch: Epoch, bytes: &[u8]) -> Result<Saved, Fault> {
    if epoch == 0 && bytes.is_empty() {
        return Ok(Saved { version: SAVED_VERSION, epoch, occurrences: Occurrences::default() });
    }
    let saved = postcard::from_bytes::<Saved>(bytes).ok();
    saved.filter(|saved| saved.version == SAVED_VERSION).ok_or_else(|| {
        Fault::stop(
            path,
            "the checkpoint does not hold what this tapeflow's tables write; use the tapeflow \
             that wrote it, or start the job with `--fresh`",
        )
    })
}

/// The SQL that holds for the rows of a range.
fn condition(layout: &Layout, range: &Range, dialect: Dialect) -> String {
    let unit = match (dialect, layout.time.kind) {
        (Dialect::Sqlite, ColumnType::Second) => 1_000_000_000,
        _ => 1_000,
    };
    let bound = |time: EventTime| {
        // A row's time is cut down to the unit, so a bound within a unit is the next unit's start.
        let up =
            time.ns().div_euclid(unit).saturating_add(i64::from(time.ns().rem_euclid(unit) > 0));
        literal(&time_text(up.saturating_mul(unit), layout.time.kind))
    };
    let time = layout.time.name;
    let mut condition =
        format!("t.\"{time}\" >= {} AND t.\"{time}\" < {}", bound(range.from), bound(range.to));
    if !range.instruments.is_empty() {
        let names: Vec<String> = range.instruments.iter().map(|name| literal(name)).collect();
        condition.push_str(&format!(" AND t.\"instrument\" IN ({})", names.join(", ")));
    }
    condition
}

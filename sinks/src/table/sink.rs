//! The running sink: gathers rows over epochs and writes them with the job's progress.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use dataflows::batch::Rows;
use dataflows::component::sink::{Ending, Sealed, Sink, SinkContext, SinkReport};
use dataflows::component::source::Range;
use dataflows::fault::Fault;
use dataflows::moment::Epoch;
use proto::columns::Names;
use proto::event_time::EventTime;
use proto::reject::Reject;
use proto::row::{ColumnType, Values, candle_values, reject_values, tick_values};
use tokio::runtime::Runtime;

use super::Config;
use super::connection::Connection;
use super::layout::{Dialect, Layout, TableName};
use super::reject_id::reject_id;
use super::sqlite::time_text;
use super::url::Place;
use crate::period::Period;
use crate::replace::covers;

/// A running `table`.
pub(super) struct TableSink {
    runtime: Runtime,
    /// None once it is closed.
    connection: Option<Connection>,
    layout: Layout,
    name: TableName,
    context: SinkContext,
    names: Names,
    batch: usize,
    flush_every: Period,
    waiting: Rows,
    /// When the oldest waiting row came. Decides when rows become visible, never what they are.
    waiting_since: Option<Instant>,
    /// The last epoch whose rows wait or are written.
    epoch: Epoch,
    occurrences: Occurrences,
    written: u64,
}

/// How often rejects that say the same have come at one reading of the clock.
#[derive(Debug, Default)]
struct Occurrences {
    clock: EventTime,
    counts: BTreeMap<u128, u64>,
}

impl Occurrences {
    fn next(&mut self, reject: &Reject, names: &Names) -> u64 {
        if self.clock != reject.clock {
            self.clock = reject.clock;
            self.counts.clear();
        }
        let count = self.counts.entry(reject_id(reject, names, 0)).or_default();
        *count += 1;
        *count - 1
    }
}

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
        let layout = Layout::new(context.kind);
        let connection = runtime.block_on(async {
            let mut connection = Connection::open(place, &context.root).await?;
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
            Ok(connection)
        })?;
        Ok(Self {
            runtime,
            connection: Some(connection),
            layout,
            name,
            names: Names::new(context.series.clone()),
            batch: config.batch.max(1),
            flush_every: config.flush_every,
            waiting: Rows::empty(context.kind),
            waiting_since: None,
            epoch: 0,
            occurrences: Occurrences::default(),
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
            (Rows::Rejects(waiting), Rows::Rejects(mut rows)) => waiting.append(&mut rows),
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
                    let occurrence = self.occurrences.next(reject, &self.names);
                    Some(format!("{:032x}", reject_id(reject, &self.names, occurrence)).into())
                });
                let ids = Values::Text(ids.collect::<Vec<Option<Arc<str>>>>());
                std::iter::once(ids).chain(reject_values(&rejects, &self.names)).collect()
            }
        }
    }

    /// Writes what waits, with the progress, in one transaction.
    fn flush(&mut self) -> Result<(), Fault> {
        self.waiting_since = None;
        let rows = std::mem::replace(&mut self.waiting, Rows::empty(self.context.kind));
        let values = self.values(rows);
        let count = values.first().map_or(0, Values::len) as u64;
        let Some(connection) = &mut self.connection else {
            return Err(Fault::defect("sinks.table", "used after it was closed"));
        };
        let is_staged = self.context.replace.is_some();
        let target =
            if is_staged { staged(connection.dialect()).to_owned() } else { self.name.sql() };
        let progress = (!is_staged).then(|| progress(&self.name, &self.context, self.epoch));
        let layout = &self.layout;
        self.runtime.block_on(async {
            connection.begin().await?;
            let done = async {
                connection.insert(layout, &target, &values).await?;
                if let Some(progress) = progress {
                    connection.run(&progress).await?;
                }
                connection.commit().await
            };
            match done.await {
                Ok(()) => Ok(()),
                Err(error) => {
                    connection.rollback().await;
                    Err(error)
                }
            }
        })?;
        self.written += count;
        Ok(())
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
                    return Err(error);
                }
            }
            connection.commit().await
        })
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
        let sql = format!(
            "SELECT \"sink\", \"epoch\" FROM {} WHERE \"job\" = {} AND \"sink\" = {}",
            self.name.beside("_tapeflow_progress"),
            literal(&self.context.job),
            literal(&self.context.id)
        );
        let rows = self.runtime.block_on(connection.ask(&sql))?;
        Ok(rows.first().and_then(|(_, epoch)| u64::try_from(*epoch).ok()))
    }

    fn apply(&mut self, sealed: Sealed) -> Result<(), Fault> {
        self.names.refresh();
        for run in sealed.runs {
            self.take(run)?;
        }
        self.epoch = sealed.moment.epoch;
        if self.waiting.is_empty() {
            return Ok(());
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        if self.waiting.len() >= self.batch || since.elapsed() >= self.flush_every.0 {
            self.flush()?;
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<Vec<u8>, Fault> {
        Ok(Vec::new())
    }

    fn finish(&mut self, ending: Ending) -> Result<SinkReport, Fault> {
        let replace = self.context.replace.clone();
        let done = match (ending, replace) {
            (Ending::Failed, _) | (Ending::Interrupted, Some(_)) => {
                self.written = 0; // nothing of what was staged remains
                Ok(())
            }
            (Ending::Interrupted | Ending::Complete, None) => self.flush(),
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

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "''"))
}

fn progress(name: &TableName, context: &SinkContext, epoch: Epoch) -> String {
    format!(
        "INSERT INTO {} (\"job\", \"sink\", \"epoch\", \"generation\") VALUES ({}, {}, {epoch}, 0) \
         ON CONFLICT (\"job\", \"sink\") DO UPDATE SET \"epoch\" = excluded.\"epoch\", \
         \"generation\" = excluded.\"generation\"",
        name.beside("_tapeflow_progress"),
        literal(&context.job),
        literal(&context.id)
    )
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

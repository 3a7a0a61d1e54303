//! How far a job has come in a table, kept beside the table and written in the transaction of the
//! rows: what makes each epoch take effect once, and keeps out a start that was replaced.

use dataflows::component::sink::{Generation, SinkContext};
use dataflows::fault::Fault;
use dataflows::moment::Epoch;
use proto::row::ColumnType;

use super::connection::Connection;
use super::fault::Failure;
use super::layout::{Dialect, TableName, type_name};

/// The row of one job and sink in `_tapeflow_progress`.
#[derive(Debug)]
pub(super) struct Progress {
    /// The table, quoted.
    table: String,
    /// Holds for the row.
    condition: String,
    /// Job, sink and partition, as values.
    key: String,
    /// How a message names the table that is written.
    place: String,
    /// This start; none: a run that is not durable, which is not fenced.
    generation: Option<Generation>,
}

impl Progress {
    pub(super) fn new(name: &TableName, place: &str, context: &SinkContext) -> Self {
        let (job, sink) = (literal(&context.job), literal(&context.id));
        Self {
            table: progress_table(name).sql(),
            condition: format!("\"job\" = {job} AND \"sink\" = {sink} AND \"partition\" = 0"),
            key: format!("{job}, {sink}, 0"),
            place: format!("{place}, table {}", name.sql().replace('"', "")),
            generation: context.durable.as_ref().map(|durable| durable.generation),
        }
    }

    /// Tells how far the job has come, if anything is known of it.
    pub(super) async fn read(&self, connection: &mut Connection) -> Result<Option<Epoch>, Failure> {
        Ok(self.row(connection).await?.map(|(epoch, _)| epoch))
    }

    async fn row(
        &self,
        connection: &mut Connection,
    ) -> Result<Option<(Epoch, Generation)>, Failure> {
        let sql = format!(
            "SELECT CAST(\"epoch\" AS text), \"generation\" FROM {} WHERE {}",
            self.table, self.condition
        );
        let rows = connection.ask(&sql).await?;
        let Some((epoch, generation)) = rows.first() else { return Ok(None) };
        match (epoch.parse(), u64::try_from(*generation)) {
            (Ok(epoch), Ok(generation)) => Ok(Some((epoch, generation))),
            _ => {
                let message = "the job's row in _tapeflow_progress has a number below 0; delete \
                               the row and start the job with `--fresh`";
                Err(Fault::stop(&self.place, message).into())
            }
        }
    }

    /// Makes this start the one that writes, in a transaction of its own: a start before it can
    /// write no more. Gives the epoch from which on epochs are new: 0 for a run that starts from
    /// nothing, and for one that goes on where nothing is known of it.
    pub(super) async fn claim(
        &self,
        connection: &mut Connection,
        is_resumed: bool,
    ) -> Result<Epoch, Failure> {
        let Some(ours) = self.generation else { return Ok(0) };
        connection.begin().await?;
        let claimed = async {
            let epoch = if is_resumed { "" } else { ", \"epoch\" = 0" };
            // Waits for a flush of an earlier start that is under way, and sees what it wrote.
            let claim = format!(
                "UPDATE {} SET \"generation\" = {ours}{epoch} \
                 WHERE {} AND \"generation\" <= {ours}",
                self.table, self.condition
            );
            if connection.run(&claim).await? == 0 {
                if let Some((_, theirs)) = self.row(connection).await? {
                    return Err(Fault::stop(&self.place, newer(ours, theirs)).into());
                }
                let insert = format!(
                    "INSERT INTO {} ({COLUMNS}) VALUES ({}, 0, {ours})",
                    self.table, self.key
                );
                connection.run(&insert).await?;
            }
            let epoch = self.read(connection).await?;
            connection.commit().await.map(|()| epoch.unwrap_or(0))
        };
        let claimed = claimed.await;
        if claimed.is_err() {
            connection.rollback().await;
        }
        claimed
    }

    /// Writes that all up to `epoch` is in the table, within the caller's transaction; of a
    /// durable run only if no newer start has come.
    pub(super) async fn advance(
        &self,
        connection: &mut Connection,
        epoch: Epoch,
    ) -> Result<(), Failure> {
        let Some(ours) = self.generation else {
            // A durable run's row is left as it is: that run knows nothing of these epochs.
            let sql = format!(
                "INSERT INTO {} AS p ({COLUMNS}) VALUES ({}, {epoch}, 0) \
                 ON CONFLICT (\"job\", \"sink\", \"partition\") \
                 DO UPDATE SET \"epoch\" = excluded.\"epoch\" WHERE p.\"generation\" = 0",
                self.table, self.key
            );
            return connection.run(&sql).await.map(|_| ());
        };
        let sql = format!(
            "UPDATE {} SET \"epoch\" = {epoch} WHERE {} AND \"generation\" = {ours}",
            self.table, self.condition
        );
        if connection.run(&sql).await? == 1 {
            return Ok(());
        }
        Err(self.refused(connection, ours).await)
    }

    /// Tells, on a connection that was made anew, how far this start has come: after whatever it had
    /// begun on the one before is done or undone.
    pub(super) async fn find_again(&self, connection: &mut Connection) -> Result<Epoch, Failure> {
        let Some(ours) = self.generation else { return Ok(0) };
        connection.begin().await?;
        // A flush that is still under way has the row, and is waited for.
        let sql = format!(
            "UPDATE {} SET \"generation\" = {ours} WHERE {} AND \"generation\" = {ours}",
            self.table, self.condition
        );
        if connection.run(&sql).await? == 0 {
            return Err(self.refused(connection, ours).await);
        }
        let epoch = self.read(connection).await?;
        connection.commit().await.map(|()| epoch.unwrap_or(0))
    }

    /// Why this start may write no more.
    async fn refused(&self, connection: &mut Connection, ours: Generation) -> Failure {
        match self.row(connection).await {
            Ok(Some((_, theirs))) => Fault::stop(&self.place, newer(ours, theirs)).into(),
            Ok(None) => Fault::stop(
                &self.place,
                "the job's row in _tapeflow_progress was deleted while it ran; start the job \
                 with `--fresh`",
            )
            .into(),
            Err(failure) => failure,
        }
    }
}

/// What is said to a start that was replaced.
fn newer(ours: Generation, theirs: Generation) -> String {
    format!(
        "a newer start of this job (generation {theirs}) writes this table; this one (generation \
         {ours}) ends. If no other start runs, the job's state is older than the table: bring it \
         back, or start the job with `--fresh` and delete its row in _tapeflow_progress"
    )
}

const COLUMNS: &str = "\"job\", \"sink\", \"partition\", \"epoch\", \"generation\"";

/// The table of progress beside a table.
pub(super) fn progress_table(name: &TableName) -> TableName {
    TableName { schema: name.schema.clone(), table: "_tapeflow_progress".to_owned() }
}

/// Makes the table of progress. `partition` is 0: it is there for sinks that several processes
/// share.
pub(super) fn create(table: &str, dialect: Dialect) -> String {
    let bigint = type_name(ColumnType::Integer, dialect);
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (\"job\" text NOT NULL, \"sink\" text NOT NULL, \
         \"partition\" {bigint} NOT NULL, \"epoch\" {bigint} NOT NULL, \
         \"generation\" {bigint} NOT NULL, PRIMARY KEY (\"job\", \"sink\", \"partition\"))"
    )
}

/// A text as a value in SQL.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "''"))
}

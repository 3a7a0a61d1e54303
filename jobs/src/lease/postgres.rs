//! Leases in a table of PostgreSQL.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};
use tokio::runtime::Runtime;

use super::{ANSWER_WITHIN, Server};

const CREATE: &str = "CREATE TABLE IF NOT EXISTS _tapeflow_leases (job text PRIMARY KEY, \
                      holder text NOT NULL, number bigint NOT NULL, \
                      until timestamp with time zone NOT NULL)";

/// Nobody has had it, its time is over, or it is ours already.
const TAKE: &str = "INSERT INTO _tapeflow_leases AS l (job, holder, number, until) \
                    VALUES ($1, $2, 1, clock_timestamp() + $3::float8 * interval '1 second') \
                    ON CONFLICT (job) DO UPDATE SET holder = excluded.holder, \
                    number = l.number + 1, until = excluded.until \
                    WHERE l.until < clock_timestamp() RETURNING number";

const RENEW: &str = "UPDATE _tapeflow_leases SET until = clock_timestamp() \
                     + $3::float8 * interval '1 second' WHERE job = $1 AND holder = $2";

const GIVE_BACK: &str = "UPDATE _tapeflow_leases SET until = '-infinity' \
                         WHERE job = $1 AND holder = $2";

/// A server with a connection that is made again when it breaks.
pub(super) struct Postgres {
    url: String,
    runtime: Runtime,
    connection: Option<PgConnection>,
}

impl Postgres {
    pub(super) fn new(url: &str) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { url: url.to_owned(), runtime, connection: None })
    }

    /// Runs a statement with the job, the holder and a time; gives what it counts: the number that
    /// it returns, or the rows that it changed.
    fn ask(
        &mut self,
        sql: &'static str,
        job: &str,
        holder: &str,
        ttl: Option<Duration>,
    ) -> Result<(Option<i64>, u64), String> {
        let Self { url, runtime, connection } = self;
        let work = async {
            let open = match connection {
                Some(open) => open,
                None => {
                    let mut opened = PgConnection::connect(url).await?;
                    sqlx::query(CREATE).execute(&mut opened).await?;
                    connection.insert(opened)
                }
            };
            let query = sqlx::query(sql).bind(job).bind(holder);
            match ttl {
                Some(ttl) if sql == TAKE => {
                    let row = query.bind(ttl.as_secs_f64()).fetch_optional(open).await?;
                    let number = row.map(|row| row.try_get(0)).transpose()?;
                    Ok((number, 0))
                }
                Some(ttl) => {
                    Ok((None, query.bind(ttl.as_secs_f64()).execute(open).await?.rows_affected()))
                }
                None => Ok((None, query.execute(open).await?.rows_affected())),
            }
        };
        let answer = runtime.block_on(async { tokio::time::timeout(ANSWER_WITHIN, work).await });
        let answer: Result<_, sqlx::Error> = answer.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        answer.map_err(|error| {
            self.connection = None;
            format!("the PostgreSQL server that keeps it: {error}")
        })
    }
}

impl Server for Postgres {
    fn take(&mut self, job: &str, holder: &str, ttl: Duration) -> Result<Option<u64>, String> {
        let (number, _) = self.ask(TAKE, job, holder, Some(ttl))?;
        Ok(number.and_then(|number| u64::try_from(number).ok()))
    }

    fn renew(&mut self, job: &str, holder: &str, ttl: Duration) -> Result<bool, String> {
        Ok(self.ask(RENEW, job, holder, Some(ttl))?.1 > 0)
    }

    fn give_back(&mut self, job: &str, holder: &str) -> Result<(), String> {
        self.ask(GIVE_BACK, job, holder, None).map(|_| ())
    }
}

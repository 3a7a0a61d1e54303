//! Functions that SQLite lacks and questions about markets need: `time_bucket`, roots and powers,
//! and the standard deviation.

use dataflows::duration::Duration;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::{Connection, Error, Result};

use super::parquet::time_text;

const PURE: FunctionFlags = FunctionFlags::SQLITE_DETERMINISTIC
    .union(FunctionFlags::SQLITE_INNOCUOUS)
    .union(FunctionFlags::SQLITE_UTF8);

/// Numbers to numbers. Where there is no real result (the root of -1), it is null.
const OF_ONE: [(&str, fn(f64) -> f64); 5] = [
    ("sqrt", f64::sqrt),
    ("ln", f64::ln),
    ("exp", f64::exp),
    ("floor", f64::floor),
    ("ceil", f64::ceil),
];

/// Makes the functions known to a connection.
pub(super) fn register(connection: &Connection) -> Result<()> {
    for (name, function) in OF_ONE {
        connection.create_scalar_function(name, 1, PURE, move |context| {
            Ok(context.get::<Option<f64>>(0)?.map(function))
        })?;
    }
    connection.create_scalar_function("pow", 2, PURE, |context| {
        let (base, power): (Option<f64>, Option<f64>) = (context.get(0)?, context.get(1)?);
        Ok(base.zip(power).map(|(base, power)| base.powf(power)))
    })?;
    connection.create_scalar_function("time_bucket", 2, PURE, time_bucket)?;
    connection.create_aggregate_function("stddev", 1, PURE, StandardDeviation)
}

/// `time_bucket('15m', time)`: the start of the quarter of an hour that the time falls in. Buckets
/// are counted from 1970-01-01T00:00:00Z.
fn time_bucket(context: &Context<'_>) -> Result<Option<String>> {
    let refuse = |message: String| Error::UserFunctionError(message.into());
    let width: String = context.get(0)?;
    let width: Duration = width.parse().map_err(|error| refuse(format!("time_bucket: {error}")))?;
    if width.is_zero() {
        return Err(refuse("time_bucket: a bucket of no length; expected 15m or 1h".to_owned()));
    }
    let Some(time) = context.get::<Option<String>>(1)? else { return Ok(None) };
    let ns = time_text::parse(&time).ok_or_else(|| {
        refuse(format!(
            "time_bucket: `{time}` is no time; expected 2014-05-01 or 2014-05-01T12:00:00Z"
        ))
    })?;
    let start = i128::from(ns.div_euclid(width.ns())) * i128::from(width.ns());
    Ok(Some(time_text::time(start, 0)))
}

/// `stddev(x)`: of a sample (n - 1); null for fewer than two values.
struct StandardDeviation;

/// Welford's running mean and sum of squares about it.
#[derive(Debug, Default)]
struct Spread {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Aggregate<Spread, Option<f64>> for StandardDeviation {
    fn init(&self, _: &mut Context<'_>) -> Result<Spread> {
        Ok(Spread::default())
    }

    fn step(&self, context: &mut Context<'_>, spread: &mut Spread) -> Result<()> {
        if let Some(value) = context.get::<Option<f64>>(0)? {
            spread.count += 1;
            let distance = value - spread.mean;
            spread.mean += distance / spread.count as f64;
            spread.squares += distance * (value - spread.mean);
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, spread: Option<Spread>) -> Result<Option<f64>> {
        let spread = spread.filter(|spread| spread.count > 1);
        Ok(spread.map(|spread| (spread.squares / (spread.count - 1) as f64).sqrt()))
    }
}

"""4h and 1d candles of hourly bars from 17:00 in New York: DuckDB's time_bucket.

Prints `frame,start (UTC seconds),open,high,low,close`.
"""

import sys

import duckdb

db = duckdb.connect()
db.execute("SET TimeZone = 'UTC'")
db.execute(
    """
    CREATE TABLE bars AS
    SELECT ts, o, h, l, c, ts AT TIME ZONE 'America/New_York' AS local
    FROM read_parquet(?)
    """,
    [sys.argv[1]],
)
for frame, every in [("4h", "4 hours"), ("1d", "1 day")]:
    rows = db.execute(
        f"""
        WITH bucketed AS (
            SELECT
                *,
                time_bucket(INTERVAL '{every}', local, TIMESTAMP '2000-01-03 17:00:00') AS start
            FROM bars
            -- open from Sunday 17:00 to Friday 17:00
            WHERE NOT (
                (dayofweek(local) = 5 AND hour(local) >= 17)
                OR dayofweek(local) = 6
                OR (dayofweek(local) = 0 AND hour(local) < 17)
            )
        )
        SELECT epoch(start AT TIME ZONE 'America/New_York')::BIGINT,
               arg_min(o, ts), max(h), min(l), arg_max(c, ts)
        FROM bucketed GROUP BY start ORDER BY start
        """
    ).fetchall()
    for row in rows:
        print(frame, *row, sep=",")

"""duckdb_candles.py TICKS FOLDER: six timeframes of bid candles with DuckDB, each from the one below."""

import os
import sys

import duckdb

TICKS, FOLDER = sys.argv[1], sys.argv[2]
FRAMES = {"1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "4h": 14_400, "1d": 86_400}
os.makedirs(FOLDER, exist_ok=True)
db = duckdb.connect()
db.execute("SET threads = 2; SET preserve_insertion_order = false; SET TimeZone = 'UTC'")
below = None
for frame, seconds in FRAMES.items():
    if below is None:
        columns = "arg_min(bid, ts) o, max(bid) h, min(bid) l, arg_max(bid, ts) c, sum(volume)::BIGINT v, count(*) n"
        origin = f"read_parquet('{TICKS}/*.parquet')"
    else:
        columns = "arg_min(o, ts) o, max(h) h, min(l) l, arg_max(c, ts) c, sum(v)::BIGINT v, sum(n)::BIGINT n"
        origin = f"candles_{below}"
    db.execute(
        f"""CREATE TEMP TABLE candles_{frame} AS
            SELECT source, instrument, make_timestamp(w * {seconds * 1_000_000}) AS ts, o, h, l, c, v, n
            FROM (SELECT source, instrument, epoch_us(ts) // {seconds * 1_000_000} AS w, {columns}
                  FROM {origin} GROUP BY ALL)"""
    )
    db.execute(f"COPY candles_{frame} TO '{FOLDER}/{frame}.parquet' (FORMAT parquet, COMPRESSION zstd)")
    below = frame

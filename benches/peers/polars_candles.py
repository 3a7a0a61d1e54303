"""polars_candles.py TICKS FOLDER: six timeframes of bid candles with Polars, each from the one below."""

import glob
import os
import sys

os.environ["POLARS_MAX_THREADS"] = "2"
import polars as pl

TICKS, FOLDER = sys.argv[1], sys.argv[2]
KEY = ["source", "instrument", "ts"]
os.makedirs(FOLDER, exist_ok=True)
below = None
for frame in ["1m", "5m", "15m", "1h", "4h", "1d"]:
    if below is None:
        # The archive is in the order of time, and a group keeps the order of its rows.
        ticks = pl.scan_parquet(sorted(glob.glob(f"{TICKS}/*.parquet")))
        candles = ticks.with_columns(pl.col("ts").dt.truncate(frame)).group_by(KEY).agg(
            o=pl.col("bid").first(), h=pl.col("bid").max(), l=pl.col("bid").min(),
            c=pl.col("bid").last(), v=pl.col("volume").sum(), n=pl.len())
    else:
        candles = below.lazy().with_columns(pl.col("ts").dt.truncate(frame)).group_by(KEY).agg(
            pl.col("o").first(), pl.col("h").max(), pl.col("l").min(),
            pl.col("c").last(), pl.col("v").sum(), pl.col("n").sum())
    below = candles.sort("ts").collect(engine="streaming")
    below.write_parquet(f"{FOLDER}/{frame}.parquet", compression="zstd")

"""4h and 1d candles of hourly bars from 17:00 in New York: Polars, on naive New York time.

Seven hours after New York's clock the forex day is the civil day, Monday to Friday.
Prints `frame,start (UTC seconds),open,high,low,close`.
"""

import sys

import polars as pl

bars = pl.read_parquet(sys.argv[1]).sort("ts")
local = pl.col("ts").dt.convert_time_zone("America/New_York").dt.replace_time_zone(None)
bars = bars.with_columns((local + pl.duration(hours=7)).alias("shifted"))
bars = bars.filter(pl.col("shifted").dt.weekday() <= 5)
for frame, every in [("4h", "4h"), ("1d", "1d")]:
    bucket = pl.col("shifted").dt.truncate(every)
    start = (bucket - pl.duration(hours=7)).dt.replace_time_zone("America/New_York")
    folded = (
        bars.group_by(start.dt.epoch("s").alias("start"), maintain_order=True)
        .agg(pl.col("o").first(), pl.col("h").max(), pl.col("l").min(), pl.col("c").last())
        .sort("start")
    )
    for row in folded.iter_rows():
        print(frame, *row, sep=",")

"""generate.py TICKS FOLDER: a seeded tick archive of the shape that brokers' archives have.

Three sources, 200 instruments (Zipf), five trading days, one Parquet file a day in the order of time.
Columns: source, instrument (dictionaries), ts (microseconds UTC), bid, ask (floats), volume.
"""

import os
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TICKS, FOLDER = int(sys.argv[1]), sys.argv[2]
INSTRUMENTS, DAYS = 200, 5
MONDAY = 1_736_121_600  # 2025-01-06
SOURCES = ["mt4", "mt5", "ib"]
rng = np.random.default_rng(20250106)

weights = 1 / np.arange(1, INSTRUMENTS + 1)
weights /= weights.sum()
stems = ["EURUSD", "GBPUSD", "USDJPY", "XAUUSD", "NAS"]
names = [f"{stems[k % 5]}{k:03d}" for k in range(INSTRUMENTS)]
digits = rng.choice([2, 3, 5], INSTRUMENTS, p=[0.3, 0.2, 0.5])
level = np.where(digits == 5, rng.uniform(0.6, 1.8, INSTRUMENTS), rng.uniform(20, 4000, INSTRUMENTS))
points = np.round(level * 10.0**digits).astype(np.int64)
hours = np.array([3, 3, 3, 3, 3, 3, 4, 7, 9, 9, 8, 8, 9, 11, 12, 12, 11, 9, 6, 5, 4, 3, 3, 2], float)
hours /= hours.sum()

os.makedirs(FOLDER, exist_ok=True)
for day in range(DAYS):
    count = TICKS // DAYS + (TICKS % DAYS if day == DAYS - 1 else 0)
    hour = rng.choice(24, count, p=hours)
    base = (MONDAY + day * 86_400 + hour * 3_600) * 1_000_000
    time = np.sort(base + rng.integers(0, 3_600_000_000, count))
    instrument = rng.choice(INSTRUMENTS, count, p=weights).astype(np.int32)
    source = rng.choice(3, count, p=[0.45, 0.40, 0.15]).astype(np.int32)
    step = rng.integers(-3, 4, count)
    price = np.empty(count, np.int64)
    for k in range(INSTRUMENTS):
        rows = np.flatnonzero(instrument == k)
        if len(rows):
            price[rows] = np.maximum(points[k] + np.cumsum(step[rows]), 100)
            points[k] = price[rows[-1]]
    spread = rng.integers(1, 6, count)
    scale = 10.0 ** digits[instrument]
    table = pa.table(
        {
            "source": pa.DictionaryArray.from_arrays(source, pa.array(SOURCES)),
            "instrument": pa.DictionaryArray.from_arrays(instrument, pa.array(names)),
            "ts": pa.array(time, pa.timestamp("us", tz="UTC")),
            "bid": price / scale,
            "ask": (price + spread) / scale,
            "volume": np.minimum(rng.geometric(0.2, count), 500).astype(np.int64),
        }
    )
    pq.write_table(
        table,
        f"{FOLDER}/day={day}.parquet",
        compression="zstd",
        compression_level=3,
        row_group_size=262_144,
        use_dictionary=["source", "instrument"],
    )

"""compare.py: backfills candles with tapeflow, DuckDB and Polars, whole processes in turn, and checks that
all three agree cell for cell.

    python benches/compare.py --ticks 10000000 --rounds 3

Needs `pip install duckdb polars pyarrow numpy` and `cargo build --release -p jobs -p benches`.
Prints the medians of CPU seconds, wall seconds and peak memory, and tapeflow's ratio to the better peer
and to the limit (decoding the same columns, then encoding the very same candles; nothing between).
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent


def timed(command, environment=None):
    """Runs a command; gives (cpu seconds, wall seconds, peak MB, its output)."""
    started = time.perf_counter()
    child = subprocess.Popen(
        command, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE
    )
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{command} ended with {child.returncode}")
    wall = time.perf_counter() - started
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024, output


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--ticks", type=int, default=10_000_000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--folder", default="target/compare")
    arguments.add_argument("--binaries", default="target/release")
    options = arguments.parse_args()
    data = f"{options.folder}/ticks-{options.ticks}"
    if not os.path.isdir(data):
        subprocess.check_call([sys.executable, HERE / "peers/generate.py", str(options.ticks), data])
    out = {name: f"{options.folder}/{name}" for name in ["tapeflow", "duckdb", "polars", "limit"]}
    environment = {"TICKS": data, "OUT": out["tapeflow"]}
    contenders = {
        "tapeflow": ([f"{options.binaries}/tapeflow", "-q", "run", "--fresh", f"{HERE}/jobs/backfill.yaml"], environment),
        "duckdb": ([sys.executable, f"{HERE}/peers/duckdb_candles.py", data, out["duckdb"]], None),
        "polars": ([sys.executable, f"{HERE}/peers/polars_candles.py", data, out["polars"]], None),
    }
    figures = {name: [] for name in [*contenders, "limit"]}
    for number in range(options.rounds):
        for name, (command, extra) in contenders.items():
            shutil.rmtree(out[name], ignore_errors=True)
            figures[name].append(timed(command, extra)[:3])
        # The limit encodes the candles that tapeflow has just written.
        shutil.rmtree(out["limit"], ignore_errors=True)
        *_, printed = timed([f"{options.binaries}/limit", data, out["tapeflow"], out["limit"]])
        limit = json.loads(printed)
        figures["limit"].append((limit["cpu"], limit["wall"], 0))
        print(f"round {number + 1}: load {os.getloadavg()[0]:.1f}", {n: tuple(round(x, 2) for x in f[-1]) for n, f in figures.items()}, file=sys.stderr)
    medians = {n: [statistics.median(column) for column in zip(*rows)] for n, rows in figures.items()}
    print(f"{options.ticks} ticks, medians of {options.rounds} rounds")
    print(f"{'':12} {'cpu s':>8} {'wall s':>8} {'peak MB':>8}")
    for name, (cpu, wall, peak) in medians.items():
        print(f"{name:12} {cpu:8.2f} {wall:8.2f} {peak:8.0f}")
    cpu, wall, _ = medians["tapeflow"]
    peer_cpu = min(medians[name][0] for name in ["duckdb", "polars"])
    peer_wall = min(medians[name][1] for name in ["duckdb", "polars"])
    print(f"tapeflow to the limit: {cpu / medians['limit'][0]:.2f}x cpu")
    print(f"better peer to tapeflow: {peer_cpu / cpu:.2f}x cpu, {peer_wall / wall:.2f}x wall")
    agree(out)


def agree(out):
    """Compares all candles of all three, cell for cell."""
    import duckdb

    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    for frame in ["1m", "5m", "15m", "1h", "4h", "1d"]:
        ours = f"""SELECT source, instrument, start::TIMESTAMP AS ts, open::DOUBLE AS o, high::DOUBLE AS h,
                   low::DOUBLE AS l, close::DOUBLE AS c, volume::BIGINT AS v, ticks::BIGINT AS n
                   FROM read_parquet('{out['tapeflow']}/**/*.parquet', hive_partitioning = true)
                   WHERE timeframe = '{frame}'"""
        for peer in ["duckdb", "polars"]:
            theirs = f"""SELECT source::VARCHAR, instrument::VARCHAR, ts::TIMESTAMP, o, h, l, c, v::BIGINT, n::BIGINT
                         FROM read_parquet('{out[peer]}/{frame}.parquet')"""
            for left, right in [(ours, theirs), (theirs, ours)]:
                (count,) = db.execute(f"SELECT count(*) FROM ({left} EXCEPT ({right}))").fetchone()
                if count:
                    sys.exit(f"{frame}: {count} candles differ from {peer}'s")
        (rows,) = db.execute(f"SELECT count(*) FROM ({ours})").fetchone()
        print(f"{frame}: {rows} candles equal in all three")


main()

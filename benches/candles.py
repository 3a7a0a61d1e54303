"""candles.py: how long a tick takes to its running candle on MQTT, and the end of a window to its row in
PostgreSQL, in the shipped job `candles-live`.

    python benches/candles.py --binaries target/release --rate 500 --seconds 30

Needs `pip install pika paho-mqtt`, RabbitMQ, Mosquitto and PostgreSQL (a database `test`) on this machine,
and `psql`. Windows are of one second here, so that many end; every instrument ticks once in 1.3 s, so that
no running candle waits for its turn. Prints p50, p99 and p99.9 in milliseconds: of the running candle from
the publisher's clock to the subscriber's, of the row from the end of its window and its lateness to the
database's clock in the transaction that writes it.
"""

import argparse
import json
import os
import pathlib
import struct
import subprocess
import tempfile
import time

import paho.mqtt.client as mqtt
import pika

HERE = pathlib.Path(__file__).resolve().parent
AMQP = "amqp://guest:guest@127.0.0.1:5672/%2F"
DATABASE = "postgres://postgres@127.0.0.1:5432/test"
NAME = "bench-candles"
LATENESS = 2.0
PAUSE = 1.3


def varint(number):
    data = bytearray()
    while number >= 0x80:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*data, number])


def tick(instrument, number, now):
    """A tick in Protobuf, by hand. Its bid says which one it is."""
    meta = b"\x0a\x03mt5\x10" + varint(number) + b"\x19" + struct.pack("<q", now)
    price = (1_000_000_000 + number) << 1  # zigzag
    name = instrument.encode()
    return (b"\x0a" + varint(len(meta)) + meta + b"\x12" + varint(len(name)) + name
            + b"\x18" + varint(price) + b"\x20" + varint(price))


def sql(statement):
    command = ["psql", DATABASE, "-Atqc", "SET client_min_messages = error; " + statement]
    return subprocess.check_output(command, text=True).split()


def job():
    text = (HERE.parent / "jobs/candles-live/job.yaml").read_text().split("\ntests:")[0]
    return (text.replace("job: candles-live", f"job: {NAME}")
            .replace("exchange: market.", f"exchange: {NAME}.market.")
            .replace("topic: market/", f"topic: {NAME}/")
            .replace("[1m, 5m, 15m, 1h, 4h, 1d]", "[1s]")
            .replace("calendar: forex", "calendar: utc")
            .replace("    retain: true\n", "")
            .replace("    table: ", "    table: bench_candles."))


def show(what, latencies):
    latencies = sorted(latencies)
    at = [latencies[min(int(len(latencies) * share), len(latencies) - 1)] for share in (0.5, 0.99, 0.999)]
    figures = " ".join(f"{1_000 * latency:.1f}" for latency in at)
    print(f"{what}: {figures} ms ({len(latencies)} of them)")


def publish(channel, options, sent):
    instruments = max(1, int(options.rate * PAUSE))
    begun, number = time.monotonic(), 0
    while number < options.rate * options.seconds:
        due = int((time.monotonic() - begun) * options.rate)
        for number in range(number, due):
            now = time.time_ns()
            sent[number + 1] = now
            name = f"S{number % instruments}"
            channel.basic_publish(f"{NAME}.market.ticks", f"market.mt5.{name}.tick", tick(name, number + 1, now))
        number = max(number, due)
        channel.connection.sleep(0.001)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--binaries", default="target/release")
    arguments.add_argument("--rate", type=int, default=500)
    arguments.add_argument("--seconds", type=int, default=30)
    options = arguments.parse_args()
    sql("DROP SCHEMA IF EXISTS bench_candles CASCADE; CREATE SCHEMA bench_candles")
    sent, came = {}, []

    def receive(_client, _data, message):
        now = time.time_ns()
        number = round((json.loads(message.payload)["c"] - 1) * 1e9)
        if number in sent:
            came.append((now - sent[number]) / 1e9)

    subscriber = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    subscriber.on_message = receive
    subscriber.connect("127.0.0.1", 1883)
    subscriber.subscribe(f"{NAME}/+/+/ohlcv")
    subscriber.loop_start()
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "job.yaml").write_text(job())
        binary = pathlib.Path(options.binaries).resolve() / "tapeflow"
        environment = {**os.environ, "TRADING_DB_URL": DATABASE}
        running = subprocess.Popen([binary, "-q", "run", "job.yaml", "--fresh"], cwd=folder, env=environment,
                                   stdout=subprocess.DEVNULL)
        tables = "SELECT 1 FROM pg_tables WHERE schemaname = 'bench_candles' AND tablename = 'candles'"
        while not sql(tables):
            time.sleep(0.1)
        sql("ALTER TABLE bench_candles.candles ADD COLUMN seen timestamptz DEFAULT clock_timestamp()")
        connection = pika.BlockingConnection(pika.URLParameters(AMQP))
        channel = connection.channel()
        while True:
            try:
                channel.queue_declare(f"tapeflow.{NAME}.ticks", passive=True)
                break
            except pika.exceptions.ChannelClosedByBroker:
                channel = connection.channel()
                time.sleep(0.1)
        publish(channel, options, sent)
        time.sleep(LATENESS + 3)
        running.terminate()
        running.wait()
        late = sql(f"SELECT extract(epoch FROM seen - \"end\") - {LATENESS} FROM bench_candles.candles")
        show("a tick to its running candle", came)
        show("the end of a window to its row", [float(seconds) for seconds in late])
        channel.queue_delete(f"tapeflow.{NAME}.ticks")
        for exchange in ["ticks", "dead"]:
            channel.exchange_delete(f"{NAME}.market.{exchange}")
        connection.close()
    sql("DROP SCHEMA bench_candles CASCADE")


main()

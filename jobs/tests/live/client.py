"""The independent side of the live test: a publisher, a subscriber, and the truth.

Usage: client.py SETTINGS (a file with JSON). Publishes real ticks as Protobuf with pika, as a gateway
would; receives what the bridge makes of them with paho; and, told to on standard input, compares the
tables and the archive with what the files say. Speaks JSON lines on standard output.
"""

import collections
import csv
import datetime
import io
import json
import pathlib
import select
import sys
import threading
import time
import zipfile

import duckdb
import paho.mqtt.client as mqtt
import pika
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PATIENCE = 120


def tell(**what):
    print(json.dumps(what), flush=True)


def tick_class(descriptor):
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor)
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tapeflow.v1.Tick"))


def rows_of(settings, source):
    path = pathlib.Path(settings["data"]) / "ticks" / f"{source}-EURUSD-2014-05.parquet"
    sql = (
        "SELECT epoch_ns(ts), bid_pt, ask_pt, seq FROM read_parquet(?) ORDER BY seq LIMIT ?"
    )
    return duckdb.execute(sql, [str(path), settings["ticks"]]).fetchall()


class Subscriber:
    """Counts the payloads of every topic below the prefix."""

    def __init__(self, settings, keepalive=60):
        self.payloads = collections.Counter()
        self.count = 0
        self.last = {}
        self.ready = threading.Event()
        self.prefix = settings["prefix"]
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=f"{self.prefix}-seen", protocol=mqtt.MQTTv5
        )
        self.client.on_connect = lambda c, *_: c.subscribe(f"{self.prefix}/#", qos=0)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_disconnect = lambda *_: self.ready.clear()
        self.client.reconnect_delay_set(1, 1)
        self.client.on_message = self.on_message
        self.client.connect("127.0.0.1", settings["mqtt_port"], keepalive)
        self.client.loop_start()
        assert self.ready.wait(PATIENCE), "the subscription was not confirmed"

    def on_message(self, _client, _data, message):
        if message.topic.endswith("/tick"):
            self.payloads[(message.topic, message.payload)] += 1
            self.count += 1
        elif message.topic.endswith("/last"):
            self.last[message.topic] = message.payload

    def wait_for(self, count):
        until = time.monotonic() + PATIENCE
        while self.count < count and time.monotonic() < until:
            time.sleep(0.05)


def connect(settings):
    connection = pika.BlockingConnection(pika.URLParameters(settings["amqp"]))
    return connection, connection.channel()


def wait_for_queues(settings):
    until = time.monotonic() + PATIENCE
    for queue in settings["queues"]:
        while True:
            connection, channel = connect(settings)
            try:
                channel.queue_declare(queue, passive=True)
                break
            except pika.exceptions.ChannelClosedByBroker:
                assert time.monotonic() < until, f"nobody declared {queue}"
                time.sleep(0.1)
            finally:
                if connection.is_open:
                    connection.close()


def waiting(settings):
    """How many messages wait in the queues; those that a job has and did not acknowledge do not."""
    connection, channel = connect(settings)
    declared = [channel.queue_declare(q, passive=True) for q in settings["queues"]]
    connection.close()
    return sum(found.method.message_count for found in declared)


def wait_until(is_so):
    """Waits, but not for ever: what is wrong then shows in what is told."""
    until = time.monotonic() + PATIENCE
    while not is_so() and time.monotonic() < until:
        time.sleep(0.1)


def wait_until_empty(settings):
    """As long as they get emptier: a busy machine may take its time."""
    least, until = waiting(settings), time.monotonic() + PATIENCE
    while least:
        time.sleep(0.1)
        now = waiting(settings)
        if now < least:
            least, until = now, time.monotonic() + PATIENCE
        assert time.monotonic() < until, f"the queues do not get empty: {now}"


class Publisher:
    """Publishes, and again what the broker had not confirmed when it went away: with the same ids, in
    the same order."""

    WINDOW = 2_000

    def __init__(self, settings):
        self.settings = settings
        self.open()

    def open(self):
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self.connection, self.channel = connect(self.settings)
                self.number, self.unconfirmed = 0, {}
                if self.settings["confirms"]:
                    # The channel that blocks waits for every message; the one below it does not.
                    self.channel._impl.confirm_delivery(self.on_confirm)
                return
            except pika.exceptions.AMQPError:
                assert time.monotonic() < until, "RabbitMQ does not come back"
                time.sleep(0.2)

    def on_confirm(self, frame):
        assert isinstance(frame.method, pika.spec.Basic.Ack), "the broker refuses a message"
        last = frame.method.delivery_tag
        if frame.method.multiple:
            for tag in [tag for tag in self.unconfirmed if tag <= last]:
                del self.unconfirmed[tag]
        else:
            del self.unconfirmed[last]

    def publish(self, messages, most=WINDOW):
        """Publishes messages; returns when no more than so many are not confirmed."""
        while True:
            try:
                while messages:
                    if self.settings["confirms"]:
                        self.number += 1
                        self.unconfirmed[self.number] = messages[0]
                    message, messages = messages[0], messages[1:]
                    self.channel.basic_publish(self.settings["exchange"], *message)
                while len(self.unconfirmed) > most:
                    self.connection.process_data_events(1)
                return
            except pika.exceptions.AMQPError:
                if self.settings["confirms"]:
                    messages = list(self.unconfirmed.values()) + messages
                else:
                    messages = [message] + messages
                self.open()

    def wait(self, seconds):
        try:
            self.connection.sleep(seconds)
        except pika.exceptions.AMQPError:
            self.publish([])

    def close(self):
        self.publish([], 0)
        self.connection.close()


def hold(publisher, subscriber):
    """Waits until it is told to go on, and whoever subscribes is there."""
    publisher.publish([], 0)
    tell(what="held")
    while not select.select([sys.stdin], [], [], 0)[0]:
        publisher.wait(0.1)
    assert sys.stdin.readline() == "go on\n"
    while subscriber and not subscriber.ready.is_set():
        publisher.wait(0.1)


def publish(settings, tick, sent, subscriber):
    """Publishes all; gives the rows of each source, and what was held back."""
    publisher = Publisher(settings)
    sources = {source: rows_of(settings, source) for source in settings["sources"]}
    # In the order of time, as both gateways would.
    merged = sorted(
        (row[0], row[3], source, row) for source, rows in sources.items() for row in rows
    )
    held, begun = [], time.monotonic()
    for number, (ns, seq, source, (_, bid, ask, _)) in enumerate(merged):
        if subscriber and settings["paced"] and number % 100 == 0:
            # A broker drops what a subscriber is too slow for: no faster than this one.
            subscriber.wait_for(number - 500)
        if settings["rate"] and number % 50 == 0:
            publisher.wait(max(0, begun + number / settings["rate"] - time.monotonic()))
        if settings["hold"] and number == len(merged) - settings["hold"]:
            hold(publisher, subscriber)
        message = tick(instrument="EURUSD", bid=bid * 10_000, ask=ask * 10_000)
        message.meta.source = source
        message.meta.sequence = seq
        message.meta.event_time_ns = ns
        body = message.SerializeToString()
        seen = (f"{settings['prefix']}/{source}/EURUSD/tick", body)
        sent[seen] += 1
        if number >= len(merged) - settings["hold"]:
            held.append(seen)
        properties = pika.BasicProperties(
            content_type="application/x-protobuf",
            message_id=f"{source}-{seq}",
            delivery_mode=2,
            headers={"x-event-time-ns": time.time_ns()},
        )
        publisher.publish([(f"market.{source}.EURUSD.tick", body, properties)])
    publisher.close()
    return sources, held


def publisher_bars(settings, source, rows):
    """The one-minute bid and ask bars that the maker of the ticks published, as text by start."""
    shift = datetime.timedelta(hours=5) if source == "fxcm" else datetime.timedelta(0)
    first, last = (datetime.datetime.fromtimestamp(r[0] / 1e9, datetime.UTC) for r in (rows[0], rows[-1]))
    # A window waits for late ticks before it closes.
    last = (last - datetime.timedelta(seconds=3)).replace(second=0, microsecond=0)
    bars = {}
    folder = pathlib.Path(settings["data"]) / "bars" / f"{source}-EURUSD" / "minute"
    for path in sorted(folder.glob("*.zip")):
        day = datetime.datetime.strptime(path.name[:8], "%Y%m%d").replace(tzinfo=datetime.UTC)
        with zipfile.ZipFile(path) as archive:
            text = archive.read(archive.namelist()[0]).decode()
        for row in csv.reader(io.StringIO(text)):
            start = day + datetime.timedelta(milliseconds=int(row[0])) + shift
            if first <= start < last:
                bars[start.strftime("%Y-%m-%dT%H:%M:%SZ")] = [float(v) for v in row[1:5] + row[6:10]]
    return bars


def compare(settings, sources):
    for source, rows in sources.items():
        bars = publisher_bars(settings, source, rows)
        sql = "SELECT * FROM read_csv(?) WHERE source = ? AND timeframe = '1m'"
        found = duckdb.execute(sql, [settings["candles"], source])
        names = [column[0] for column in found.description]
        candles = {}
        for row in found.fetchall():
            row = dict(zip(names, row))
            start = row["start"].astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            prices = ["open", "high", "low", "close"]
            prices += [f"ask_{price}" for price in prices]
            candles[start] = [float(row[price]) for price in prices]
        wrong = [start for start, bar in bars.items() if candles.get(start) != bar]
        tell(what="bars", source=source, bars=len(bars), wrong=len(wrong),
             first=[wrong[0], bars[wrong[0]], candles.get(wrong[0])] if wrong else None)
        sql = (
            "SELECT epoch_us(time) * 1000 + nanos, (bid * 100000)::BIGINT, (ask * 100000)::BIGINT, "
            "sequence FROM read_parquet(?, union_by_name = true) WHERE source = ? ORDER BY sequence"
        )
        archived = duckdb.execute(sql, [f"{settings['archive']}/**/*.parquet", source]).fetchall()
        tell(what="archive", source=source, ticks=len(archived), same=archived == rows)


def main():
    settings = json.loads(pathlib.Path(sys.argv[1]).read_text())
    tick = tick_class(pathlib.Path(settings["descriptor"]).read_bytes())
    subscriber = Subscriber(settings) if settings["has_bridge"] else None
    wait_for_queues(settings)
    tell(what="begun")
    sent = collections.Counter()
    begun = time.monotonic()
    sources, held = publish(settings, tick, sent, subscriber)
    took = time.monotonic() - begun
    total = sum(sent.values())
    if subscriber:
        if settings["paced"]:
            subscriber.wait_for(total)
        newest = {topic[: -len("tick")] + "last": body for topic, body in sent}
        wait_until(lambda: subscriber.last == newest)
        wait_until(lambda: subscriber.payloads.keys() >= set(held))
        wait_until_empty(settings)
        missing = sent - subscriber.payloads
        extra = subscriber.payloads - sent
        wrong = [topic for topic, body in newest.items() if subscriber.last.get(topic) != body]
        tell(what="bridge", sent=total, seconds=round(took, 1), received=subscriber.count,
             missing=sum(missing.values()), extra=sum(extra.values()), last=len(subscriber.last),
             unknown=len(subscriber.payloads.keys() - sent.keys()), wrong=len(wrong),
             held=len(set(held) - subscriber.payloads.keys()))
    else:
        tell(what="published", sent=total, seconds=round(took, 1))
    for line in sys.stdin:
        if line == "compare\n":
            break
        if line == "empty\n":
            wait_until_empty(settings)
        tell(waiting=waiting(settings))
    compare(settings, sources)
    connection, channel = connect(settings)
    for queue in settings["queues"]:
        channel.queue_delete(queue)
    for exchange in settings["exchanges"]:
        channel.exchange_delete(exchange)
    connection.close()
    if subscriber:
        # The broker forgets what it keeps for late subscribers.
        for topic in subscriber.last:
            subscriber.client.publish(topic, b"", retain=True).wait_for_publish(PATIENCE)
        subscriber.client.loop_stop()


if __name__ == "__main__":
    main()

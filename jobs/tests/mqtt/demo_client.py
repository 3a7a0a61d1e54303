"""The independent side of the test of `demo --live`: clients of MQTT, and the candles once more.

Usage: demo_client.py SETTINGS (a file with JSON). One client speaks MQTT 3.1.1 over TCP, others MQTT 5
over WebSocket, one of which comes late. Says `{"ready": true}`, takes what comes until standard input
ends, then makes candles of the ticks that it has seen and compares them with the table.
"""

import collections
import decimal
import itertools
import json
import pathlib
import sqlite3
import sys
import threading

import paho.mqtt.client as mqtt
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PATIENCE = 60
SERIES = 9
WINDOW = 10


def tell(**what):
    print(json.dumps(what), flush=True)


def tick_class(descriptor):
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor)
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tapeflow.v1.Tick"))


class Seen:
    """A client and what it was sent."""

    def __init__(self, name, port, is_web, filters):
        self.messages = []
        self.news = threading.Condition()
        ready = threading.Event()
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=name,
            protocol=mqtt.MQTTv5 if is_web else mqtt.MQTTv311,
            transport="websockets" if is_web else "tcp",
            reconnect_on_failure=False,
        )
        if is_web:
            self.client.ws_set_options(path="/mqtt")
        self.client.on_connect = lambda c, *_: c.subscribe([(f, 1) for f in filters])
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.on_message = self.on_message
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert ready.wait(PATIENCE), f"{name}: the subscription was not confirmed"

    def on_message(self, _client, _data, message):
        with self.news:
            self.messages.append((message.topic, message.payload, message.retain))
            self.news.notify_all()

    def of(self, what):
        with self.news:
            return [m for m in self.messages if m[0].endswith(f"/{what}")]

    def wait_for(self, is_so):
        with self.news:
            assert self.news.wait_for(lambda: is_so(self.messages), PATIENCE), "it does not come"


def candles_of(ticks):
    """First and last by time, then by sequence where there is one, else by arrival."""
    windows = collections.defaultdict(list)
    for arrival, tick in enumerate(ticks):
        ns = tick.meta.event_time_ns
        start = ns // 1_000_000_000 // WINDOW * WINDOW
        order = tick.meta.sequence if tick.meta.HasField("sequence") else arrival
        windows[(tick.meta.source, tick.instrument, start)].append((ns, order, tick.bid))
    candles = {}
    for key, rows in windows.items():
        rows.sort()
        bids = [row[2] for row in rows]
        candles[key] = [bids[0], max(bids), min(bids), bids[-1], len(bids)]
    return candles


def main():
    settings = json.loads(pathlib.Path(sys.argv[1]).read_text())
    tick = tick_class(pathlib.Path(settings["descriptor"]).read_bytes())
    plain = Seen("plain", settings["tcp"], False, ["gateway/+/+/tick", "market/#"])
    web = Seen("web", settings["ws"], True, ["market/+/+/ohlcv", "market/+/+/closed"])
    plain.wait_for(lambda seen: len({t for t, _, _ in seen if t.endswith("/last")}) == SERIES)
    late = Seen("late", settings["ws"], True, ["market/+/+/last"])
    late.wait_for(lambda seen: len({t for t, _, r in seen if r}) == SERIES)
    tell(ready=True)
    sys.stdin.read()

    sent = plain.of("tick")
    gateway = collections.Counter(m[1] for m in sent if m[0].startswith("gateway/"))
    bridged = collections.defaultdict(list)
    for topic, payload, _ in sent:
        if topic.startswith("market/"):
            bridged[topic].append(payload)
    # What was on the bridge when the subscription was made had left its gateway before.
    bridged = [itertools.dropwhile(lambda p: p not in gateway, all) for all in bridged.values()]
    market = collections.Counter(itertools.chain(*bridged))
    ticks = [tick.FromString(m[1]) for m in sent if m[0].startswith("gateway/")]
    candles = candles_of(ticks)
    first = min(t.meta.event_time_ns for t in ticks) / 1e9
    rows = sqlite3.connect(settings["database"]).execute(
        "SELECT source, instrument, unixepoch(start), CAST(open AS TEXT), CAST(high AS TEXT), "
        "CAST(low AS TEXT), CAST(close AS TEXT), ticks FROM candles WHERE timeframe = '10s'"
    )
    # Of the first window a part came before the subscription.
    rows = [row for row in rows.fetchall() if row[2] > first]
    units = lambda text: int(decimal.Decimal(text).scaleb(9))
    wrong = [
        (row, candles.get(row[:3]))
        for row in rows
        if [*(units(price) for price in row[3:7]), row[7]] != candles.get(row[:3])
    ]
    chart = [json.loads(m[1]) for m in web.of("ohlcv")]
    closed = {(m[0], m[1]) for m in web.of("closed")}
    tell(
        gateway=gateway.total(),
        not_from_a_gateway=(market - gateway).total(),
        market_series=len({m[0] for m in sent if m[0].startswith("market/")}),
        rows=len(rows),
        row_series=len({row[:2] for row in rows}),
        wrong=len(wrong),
        first_wrong=str(wrong[:1]),
        chart_series=len({m[0] for m in web.of("ohlcv")}),
        chart_timeframes=sorted({candle["tf"] for candle in chart}),
        closed=len(closed),
    )


main()

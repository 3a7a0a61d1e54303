"""The independent side of the test of a sink that stands still: publishes prices all the time, and
looks how old they are when they come out.

Usage: fresh.py SETTINGS, as client.py. Told on standard input: `stopped`, `back`, `end`.
"""

import json
import pathlib
import select
import struct
import sys
import time

import pika

import client

INSTRUMENTS = 50
OLD_NS = 2 * 10**9


class Prices(client.Subscriber):
    """What was seen since the broker is back."""

    def __init__(self, settings):
        self.newest, self.ages = {}, []
        self.back = self.fresh = None
        self.stale = self.older = 0
        super().__init__(settings, keepalive=900)

    def on_message(self, _client, _data, message):
        (stamp,) = struct.unpack("<q", message.payload)
        if message.topic.endswith("/last"):
            self.last[message.topic] = stamp
            return
        self.count += 1
        self.older += stamp < self.newest.get(message.topic, 0)
        self.newest[message.topic] = stamp
        is_old = time.time_ns() - stamp > OLD_NS
        if self.back:
            self.stale += is_old
            if not is_old and self.fresh is None:
                self.fresh = time.monotonic() - self.back


def main():
    settings = json.loads(pathlib.Path(sys.argv[1]).read_text())
    prices = Prices(settings)
    client.wait_for_queues(settings)
    connection, channel = client.connect(settings)
    begun, number, sent = time.monotonic(), 0, {}
    is_flowing = is_fresh = False
    while True:
        connection.sleep(max(0, begun + number / settings["rate"] - time.monotonic()))
        for _ in range(10):
            number += 1
            name, stamp = f"S{number % INSTRUMENTS}", time.time_ns()
            sent[f"{settings['prefix']}/mt5/{name}/last"] = stamp
            properties = pika.BasicProperties(headers={"x-event-time-ns": stamp})
            key = f"market.mt5.{name}.tick"
            channel.basic_publish(settings["exchange"], key, struct.pack("<q", stamp), properties)
        if prices.fresh is not None and not is_fresh:
            is_fresh = True
            client.tell(what="fresh")
        if not is_flowing and prices.count > 1_000:
            is_flowing = True
            client.tell(what="flowing")
        if not select.select([sys.stdin], [], [], 0)[0]:
            continue
        match sys.stdin.readline().strip():
            case "stopped":
                before = number
            case "back":
                prices.back, meanwhile = time.monotonic(), number - before
            case "end":
                break
    client.wait_until(lambda: prices.last == sent)
    client.tell(what="ended", meanwhile=meanwhile, fresh=prices.fresh, stale=prices.stale,
                older=prices.older, wrong=sum(prices.last.get(t) != s for t, s in sent.items()))
    client.wait_until_empty(settings)
    connection.close()
    connection, channel = client.connect(settings)
    for queue in settings["queues"]:
        channel.queue_delete(queue)
    for exchange in settings["exchanges"]:
        channel.exchange_delete(exchange)
    connection.close()
    prices.client.loop_stop()


main()

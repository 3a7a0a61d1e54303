"""The independent side of the test of names: publishes hostile and odd ones, and says what became of
them.

Usage: names.py SETTINGS, as client.py. Every name is published twice: in the message, under a
harmless key, and in the key, with a harmless message.
"""

import json
import pathlib
import sys
import time

import duckdb
import pika

import client

HOSTILE = [
    b"EURUSD/#", b"+", b"../../etc", b"'); DROP TABLE candles;--", b"EUR\0USD",
    b"\xed\xa0\x80",  # a lone surrogate
    b"$SYS", b"..", b"%2F..%2F", b"a\nb", b"", b"x" * 65_536,
]
ODD = ["BRK.B", "S&P 500", "日経225", "a=b", "US$", "-", "a..b", "(x)~!^,:@"]


def can_be_key(key):
    """Whether it is short enough, and text: the clients of AMQP know no other keys."""
    return len(key) < 240 and key.decode(errors="replace").encode() == key


def field(number, data):
    """A field of Protobuf, by hand: no encoder writes such names."""
    length, head = len(data), bytearray([number << 3 | 2])
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + data


def main():
    settings = json.loads(pathlib.Path(sys.argv[1]).read_text())
    tick = client.tick_class(pathlib.Path(settings["descriptor"]).read_bytes())
    subscriber = client.Subscriber(settings)
    topics = set()
    subscriber.client.on_message = lambda _client, _data, message: topics.add(message.topic)
    client.wait_for_queues(settings)
    connection, channel = client.connect(settings)
    buried = settings["exchanges"][1]
    channel.exchange_declare(buried, "topic", durable=True)
    channel.queue_declare(buried)
    channel.queue_bind(buried, buried, "#")
    # All of one minute that is over.
    begun = time.time_ns() - 300 * 10**9
    start = begun - begun % (60 * 10**9)
    count = 0

    def publish(instrument, key, message_id):
        nonlocal count
        count += 1
        message = tick(bid=1_100_000_000, ask=1_100_020_000)
        message.meta.source = "mt5"
        message.meta.sequence = count
        message.meta.event_time_ns = start + count
        body = message.SerializeToString() + field(2, instrument)
        properties = pika.BasicProperties(
            content_type="application/x-protobuf", message_id=message_id, delivery_mode=2,
            headers={"x-event-time-ns": time.time_ns()},
        )
        channel.basic_publish(settings["exchange"], key, body, properties)

    for number, name in enumerate(HOSTILE):
        publish(name, "market.mt5.GOOD.tick", f"message-{number}")
        key = b"market.mt5." + name + b".tick"
        if can_be_key(key):
            publish(b"GOOD", key, f"key-{number}")
    for number, name in enumerate(ODD):
        publish(name.encode(), f"market.mt5.{name}.tick", f"odd-{number}")

    wanted = {f"message-{number}" for number in range(len(HOSTILE))}
    wanted |= {f"key-{number}" for number, name in enumerate(HOSTILE) if can_be_key(name)}
    dead = {}

    def is_buried():
        while True:
            _, properties, _ = channel.basic_get(buried, auto_ack=True)
            if properties is None:
                return wanted <= dead.keys()
            message_id = properties.headers["x-place"].split("message id ")[1]
            dead[message_id.split(",")[0]] = properties.headers["x-reason"]

    client.wait_until(is_buried)
    names = ["GOOD", *ODD]
    last = [f"{settings['prefix']}/mt5/{name}/{end}" for name in names for end in ["tick", "last", "ohlcv"]]
    client.wait_until(lambda: topics >= set(last))
    client.wait_until_empty(settings)
    # How a feed stands is told when it is known.
    told = {f"{settings['prefix']}/mt5/{name}/status" for name in names}
    client.tell(dead=dead, topics=sorted(topics - told), wanted=sorted(last), names=sorted(names))
    assert sys.stdin.readline() == "compare\n"
    archive = pathlib.Path(settings["archive"])
    sql = "SELECT DISTINCT instrument FROM read_parquet(?, union_by_name = true)"
    kept = duckdb.execute(sql, [f"{archive}/**/*.parquet"]).fetchall()
    sql = "SELECT place, reason FROM read_parquet(?, union_by_name = true)"
    refused = duckdb.execute(sql, [f"{archive.parent}/rejects/**/*.parquet"]).fetchall()
    refused = {place.split("message id ")[1].split(",")[0]: reason for place, reason in refused}
    client.tell(kept=sorted(name for (name,) in kept), refused=refused)
    for queue in [*settings["queues"], buried]:
        channel.queue_delete(queue)
    for exchange in settings["exchanges"]:
        channel.exchange_delete(exchange)
    connection.close()
    for topic in topics:
        subscriber.client.publish(topic, b"", retain=True).wait_for_publish(client.PATIENCE)
    subscriber.client.loop_stop()


main()

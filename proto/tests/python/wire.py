"""The independent side of the wire test: the same schemas through Python's own Protobuf.

Usage: wire.py DIR. In DIR stand descriptor.bin (a FileDescriptorSet) and frames.bin (records that
Rust wrote). Written are <Name>.bin for the example of every message, built here from literals, and
again.bin: the same frames, read and written by Python.
"""

import pathlib
import sys

import google.protobuf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal import api_implementation

TIME_NS = 1_536_935_412_123_456_789
START_NS = 1_536_935_400_000_000_000
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def meta(source):
    return {
        "source": source,
        "sequence": 42,
        "event_time_ns": TIME_NS,
        "traceparent": TRACE,
        "message_id": "m-1",
    }


EXAMPLES = {
    "Tick": {
        "meta": meta("ib"),
        "instrument": "EURUSD",
        "bid": 1_173_400_000,
        "ask": 1_173_600_000,
        "last": -1,
        "volume": 0,
    },
    "Depth": {
        "meta": meta("mt5"),
        "instrument": "EURUSD",
        "bids": [
            {"price": 1_173_400_000, "quantity": 150_000_000},
            {"price": 1_173_300_000, "quantity": 2_000_000_000},
        ],
        "asks": [{"price": 1_173_600_000, "quantity": 1}],
    },
    "Candle": {
        "meta": {"source": "mt4", "event_time_ns": START_NS},
        "instrument": "EURUSD",
        "timeframe_seconds": 60,
        "end_ns": START_NS + 60_000_000_000,
        "trading_date": 17_788,
        "price": {
            "open": 1_173_400_000,
            "high": 1_174_000_000,
            "low": 1_170_000_000,
            "close": 1_173_600_000,
        },
        "ask": {
            "open": 1_173_500_000,
            "high": 1_174_100_000,
            "low": 1_170_100_000,
            "close": 1_173_700_000,
        },
        "volume": 4_210_000_000_000,
        "ticks": 300,
        "first_time_ns": START_NS + 1,
        "last_time_ns": START_NS + 59_999_999_999,
        "first_sequence": 5,
        "last_sequence": 2**64 - 1,
        "revision": 2,
        "basis": "BASIS_BID",
        "reason": "CANDLE_REASON_LATE",
        "partial_start": True,
        "gap": True,
    },
    "TradeEvent": {
        "meta": meta("mt4"),
        "account": "acc-1",
        "instrument": "EURUSD",
        "position_id": "900719",
        "action": "TRADE_ACTION_PARTIAL_CLOSE",
        "side": "SIDE_SELL",
        "lots": 50_000_000,
        "lots_open": 125_000_000,
        "price": 1_173_600_000,
        "stop_loss": 1_190_000_000,
        "client_order_id": "k7x2",
    },
    "TradeSignal": {
        "meta": meta("mt5"),
        "leader": "anna",
        "instrument": "EURUSD",
        "position_id": "77",
        "action": "TRADE_ACTION_OPEN",
        "side": "SIDE_BUY",
        "lots": 250_000_000,
        "lots_open": 250_000_000,
        "price": 1_173_600_000,
        "take_profit": 1_200_000_000,
        "equity": 200_000_000_000,
    },
    "Order": {
        "meta": meta("copy"),
        "client_order_id": "abcdefgh234567abcdef",
        "venue_order_id": "v-9",
        "account": "bert",
        "instrument": "EURUSD",
        "kind": "ORDER_KIND_LIMIT",
        "side": "SIDE_BUY",
        "lots": 625_000_000,
        "lots_filled": 100_000_000,
        "limit_price": 1_173_600_000,
        "fill_price": 1_173_550_000,
        "stop_loss": 1_100_000_000,
        "take_profit": 1_200_000_000,
        "state": "ORDER_STATE_REJECTED",
        "reason": "margin",
        "signal_id": "m-1",
        "position_id": "77",
    },
    "ChatMessage": {
        "meta": meta("chat"),
        "uuid": "123e4567-e89b-12d3-a456-426614174000",
        "room_kind": "ROOM_KIND_DIRECT",
        "room": "anna_bert",
        "sender": "anna",
        "action": "CHAT_ACTION_POST",
        "text": "grüß dich\n📈",
        "room_sequence": 1,
        "reply_to": "00000000-0000-4000-8000-00000000000a",
    },
}
EXAMPLES["TickBatch"] = {
    "meta": {"source": "ib"},
    "ticks": [
        {**EXAMPLES["Tick"], "meta": {k: v for k, v in meta("").items() if k != "source"}}
    ]
    * 2,
}


def classes(descriptor_path):
    """Loads the schemas, as any Python program would that has no protoc."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_path.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"tapeflow.v1.{name}")
        )
        for name in EXAMPLES
    }


def frames(data):
    """Splits `name length, name, message length (4 bytes, little-endian), message`."""
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        name = data[at + 1 : name_end].decode()
        length = int.from_bytes(data[name_end : name_end + 4], "little")
        at = name_end + 4 + length
        yield name, data[name_end + 4 : at]


def main():
    directory = pathlib.Path(sys.argv[1])
    types = classes(directory / "descriptor.bin")
    for name, fields in EXAMPLES.items():
        message = types[name](**fields)
        (directory / f"{name}.bin").write_bytes(message.SerializeToString(deterministic=True))

    again = bytearray()
    count = 0
    for name, data in frames((directory / "frames.bin").read_bytes()):
        message = types[name].FromString(data)
        data = message.SerializeToString(deterministic=True)
        again += bytes([len(name)]) + name.encode() + len(data).to_bytes(4, "little") + data
        count += 1
    (directory / "again.bin").write_bytes(again)
    print(f"{count} frames, protobuf {google.protobuf.__version__} ({api_implementation.Type()})")


if __name__ == "__main__":
    main()

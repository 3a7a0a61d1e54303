//! The bytes of one record of each kind, written down: a change here breaks every reader out there.

use proto::protobuf::{Protobuf, TickBatch, encode_tick_batch};

use crate::examples;

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn holds<T: Protobuf + PartialEq + std::fmt::Debug>(record: &T, hex: &str) {
    let golden = bytes_of(hex);
    let mut bytes = Vec::new();
    record.encode(&mut bytes).unwrap();
    assert_eq!(bytes, golden, "{}", T::NAME);
    assert_eq!(&T::decode(&golden).unwrap(), record);
}

#[test]
fn every_record_has_the_bytes_it_always_had() {
    holds(&examples::tick(), include_str!("golden/Tick.hex"));
    holds(&examples::depth(), include_str!("golden/Depth.hex"));
    holds(&examples::candle(), include_str!("golden/Candle.hex"));
    holds(&examples::trade_event(), include_str!("golden/TradeEvent.hex"));
    holds(&examples::trade_signal(), include_str!("golden/TradeSignal.hex"));
    holds(&examples::order(), include_str!("golden/Order.hex"));
    holds(&examples::chat_message(), include_str!("golden/ChatMessage.hex"));
}

#[test]
fn a_batch_has_the_bytes_it_always_had() {
    let golden = bytes_of(include_str!("golden/TickBatch.hex"));
    let tick = examples::tick();
    let mut trace = String::new();
    let tick = tick.borrow(&mut trace);
    let mut bytes = Vec::new();
    encode_tick_batch("ib", &[tick, tick], &mut bytes).unwrap();
    assert_eq!(bytes, golden);
    let read: Vec<_> = TickBatch::decode(&golden).unwrap().ticks().collect();
    assert_eq!(read, [Ok(tick), Ok(tick)]);
}

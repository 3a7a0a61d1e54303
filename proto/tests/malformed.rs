//! Whatever the bytes are, a codec gives a record that passes its check, or a reason on one line;
//! it never panics.

use std::fmt::Debug;

use proptest::prelude::{any, prop, prop_assert, proptest};
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;

use proto::candle_message::CandleMessage;
use proto::chat_message::ChatMessage;
use proto::depth::Depth;
use proto::json::{ChartCandle, Json, decode_tick};
use proto::order::Order;
use proto::protobuf::{Protobuf, TickBatch};
use proto::record::{MESSAGE_BYTES_MAX, Record, RecordError};
use proto::tick_message::TickMessage;
use proto::trade_event::TradeEvent;
use proto::trade_signal::TradeSignal;

use crate::examples;

fn settle<T: Record>(decoded: Result<T, RecordError>) -> Result<(), TestCaseError> {
    match decoded {
        Ok(record) => prop_assert!(record.check().is_ok()),
        Err(error) => {
            let text = error.to_string();
            prop_assert!(!text.contains(char::is_control), "{text}");
            prop_assert!(!error.reason().is_empty());
        }
    }
    Ok(())
}

fn decode_all(bytes: &[u8]) -> Result<(), TestCaseError> {
    settle(TickMessage::decode(bytes))?;
    settle(Depth::decode(bytes))?;
    settle(CandleMessage::decode(bytes))?;
    settle(TradeEvent::decode(bytes))?;
    settle(TradeSignal::decode(bytes))?;
    settle(Order::decode(bytes))?;
    settle(ChatMessage::decode(bytes))?;
    settle(TickMessage::decode_json(bytes))?;
    settle(Depth::decode_json(bytes))?;
    settle(TradeEvent::decode_json(bytes))?;
    settle(TradeSignal::decode_json(bytes))?;
    settle(Order::decode_json(bytes))?;
    settle(ChatMessage::decode_json(bytes))?;
    settle(decode_tick(bytes, "mt4", "EURUSD").map(|tick| tick.to_message()))?;
    if let Err(error) = ChartCandle::decode(bytes) {
        prop_assert!(!error.to_string().contains(char::is_control));
    }
    if let Ok(batch) = TickBatch::decode(bytes) {
        prop_assert!(batch.ticks().count() == batch.len());
    }
    Ok(())
}

/// Every example in every codec.
fn seeds() -> Vec<Vec<u8>> {
    fn protobuf(record: &impl Protobuf) -> Vec<u8> {
        let mut bytes = Vec::new();
        record.encode(&mut bytes).unwrap();
        bytes
    }
    fn json(record: &impl Json) -> Vec<u8> {
        let mut bytes = Vec::new();
        record.encode_json(&mut bytes).unwrap();
        bytes
    }
    vec![
        protobuf(&examples::tick()),
        protobuf(&examples::depth()),
        protobuf(&examples::candle()),
        protobuf(&examples::trade_event()),
        protobuf(&examples::trade_signal()),
        protobuf(&examples::order()),
        protobuf(&examples::chat_message()),
        json(&examples::tick()),
        json(&examples::depth()),
        json(&examples::trade_event()),
        json(&examples::trade_signal()),
        json(&examples::order()),
        json(&examples::chat_message()),
        br#"{"b":226.4,"a":226.42,"t":1536935412,"v":300}"#.to_vec(),
        br#"{"o":1.1734,"h":1.174,"l":1.17,"c":1.1736,"v":42100,"tf":"1m","t":1536935400}"#
            .to_vec(),
    ]
}

proptest! {
    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        decode_all(&bytes)?;
    }

    #[test]
    fn flipped_bits(
        seed in any::<Index>(),
        flips in prop::collection::vec((any::<Index>(), 0..8_u8), 1..6),
    ) {
        let seeds = seeds();
        let mut bytes = seed.get(&seeds).clone();
        for (index, bit) in flips {
            let index = index.index(bytes.len());
            bytes[index] ^= 1 << bit;
        }
        decode_all(&bytes)?;
    }

    #[test]
    fn spliced_messages(
        seeds_of in (any::<Index>(), any::<Index>()),
        cuts in (any::<Index>(), any::<Index>()),
    ) {
        let seeds = seeds();
        let (head, tail) = (seeds_of.0.get(&seeds), seeds_of.1.get(&seeds));
        let mut bytes = head[..cuts.0.index(head.len())].to_vec();
        bytes.extend_from_slice(&tail[cuts.1.index(tail.len())..]);
        decode_all(&bytes)?;
    }
}

#[test]
fn every_truncation() {
    for seed in seeds() {
        for length in 0..seed.len() {
            decode_all(&seed[..length]).unwrap();
        }
    }
}

#[test]
fn a_message_over_the_limit_is_not_even_looked_at() {
    fn refused<T: Debug>(decoded: Result<T, RecordError>) {
        assert_eq!(decoded.unwrap_err(), RecordError::TooLarge(MESSAGE_BYTES_MAX + 1));
    }
    let bytes = vec![b'{'; MESSAGE_BYTES_MAX + 1];
    refused(TickMessage::decode(&bytes));
    refused(Order::decode(&bytes));
    refused(Order::decode_json(&bytes));
    refused(TickBatch::decode(&bytes));
    refused(decode_tick(&bytes, "mt4", "EURUSD"));
}

#[test]
fn hostile_protobuf_is_refused_quickly() {
    // A length of 100 MB, a varint that never ends, a million nested groups (as far as they fit),
    // a flood of unknown fields.
    let huge = [&[0x0a][..], &[0x80, 0xc2, 0xd7, 0x2f]].concat();
    let endless = vec![0xff; 64];
    let nested = vec![0x0b; MESSAGE_BYTES_MAX];
    for bytes in [huge, endless, nested] {
        assert_eq!(Order::decode(&bytes).unwrap_err().reason(), "malformed");
        assert_eq!(TickMessage::decode(&bytes).unwrap_err().reason(), "malformed");
    }
    let mut flood = Vec::new();
    examples::tick().encode(&mut flood).unwrap();
    while flood.len() < MESSAGE_BYTES_MAX - 8 {
        flood.extend_from_slice(&[0xf8, 0x7f, 0x01]);
    }
    assert_eq!(TickMessage::decode(&flood).unwrap(), examples::tick());
}

#[test]
fn an_unknown_enum_value_is_named_with_its_number() {
    let mut bytes = Vec::new();
    examples::trade_event().encode(&mut bytes).unwrap();
    bytes.extend_from_slice(&[0x28, 0x63]); // field 5, `action`, once more: 99
    let error = TradeEvent::decode(&bytes).unwrap_err();
    assert_eq!(error, RecordError::UnknownValue { field: "action", number: 99 });
}

#[test]
fn what_must_not_travel_is_not_written() {
    let mut order = examples::order();
    order.account = "a/b".to_owned();
    let mut out = vec![7];
    assert_eq!(order.encode(&mut out).unwrap_err().reason(), "bad_name");
    assert_eq!(order.encode_json(&mut out).unwrap_err().reason(), "bad_name");
    assert_eq!(out, [7]);
}

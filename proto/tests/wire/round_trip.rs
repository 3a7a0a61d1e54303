//! What is written is read back, whatever the record and the codec.

use std::fmt::Debug;

use proptest::prelude::{prop_assert_eq, proptest};
use proptest::test_runner::TestCaseError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use proto::candle_message::CandleMessage;
use proto::json::{Json, TimeUnit, decode_tick, encode_tick};
use proto::protobuf::Protobuf;
use proto::record::Record;
use proto::series::SeriesTable;
use proto::tick_message::TickMessage;

use crate::{examples, strategies};

fn through_protobuf<T: Protobuf + PartialEq + Debug>(record: &T) -> Result<(), TestCaseError> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes).unwrap();
    prop_assert_eq!(&T::decode(&bytes).unwrap(), record);
    Ok(())
}

fn through_json<T: Json + PartialEq + Debug>(record: &T) -> Result<(), TestCaseError> {
    let mut bytes = Vec::new();
    record.encode_json(&mut bytes).unwrap();
    prop_assert_eq!(&T::decode_json(&bytes).unwrap(), record);
    Ok(())
}

/// The binary form of operators' state uses the same serde implementations as JSON.
fn through_state<T>(record: &T) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let bytes = postcard::to_allocvec(record).unwrap();
    prop_assert_eq!(&postcard::from_bytes::<T>(&bytes).unwrap(), record);
    Ok(())
}

proptest! {
    #[test]
    fn a_tick_comes_back(record in strategies::tick()) {
        through_protobuf(&record)?;
        through_json(&record)?;
        through_state(&record)?;
        let table = SeriesTable::new();
        let tick = record.intern(&table).unwrap();
        let mut again = TickMessage::new(&table.get(tick.series).unwrap(), &tick);
        again.envelope.traceparent = record.envelope.traceparent;
        again.envelope.message_id = record.envelope.message_id.clone();
        prop_assert_eq!(again, record);
    }

    #[test]
    fn a_tick_after_1973_comes_back_from_the_short_json(
        record in strategies::tick(),
        ns in 100_000_000_000_000_000..=i64::MAX,
    ) {
        let mut trace = String::new();
        let mut tick = record.borrow(&mut trace);
        tick.time = proto::event_time::EventTime::from_ns(ns);
        tick.traceparent = "";
        tick.message_id = "";
        for unit in [TimeUnit::Seconds, TimeUnit::Milliseconds] {
            let mut bytes = Vec::new();
            encode_tick(&tick, unit, &mut bytes).unwrap();
            let again = decode_tick(&bytes, tick.source, tick.instrument).unwrap();
            prop_assert_eq!(again, tick);
        }
    }

    #[test]
    fn a_depth_comes_back(record in strategies::depth()) {
        through_protobuf(&record)?;
        through_json(&record)?;
        through_state(&record)?;
    }

    #[test]
    fn a_candle_comes_back(record in strategies::candle()) {
        through_protobuf(&record)?;
        let table = SeriesTable::new();
        let candle = record.intern(&table).unwrap();
        let mut again = CandleMessage::new(&table.get(candle.series).unwrap(), &candle);
        again.traceparent = record.traceparent;
        prop_assert_eq!(again, record);
    }

    #[test]
    fn a_trade_event_comes_back(record in strategies::trade_event()) {
        through_protobuf(&record)?;
        through_json(&record)?;
        through_state(&record)?;
    }

    #[test]
    fn a_trade_signal_comes_back(record in strategies::trade_signal()) {
        through_protobuf(&record)?;
        through_json(&record)?;
        through_state(&record)?;
    }

    #[test]
    fn an_order_comes_back(record in strategies::order()) {
        through_protobuf(&record)?;
        through_json(&record)?;
        through_state(&record)?;
    }

    #[test]
    fn a_chat_message_comes_back(record in strategies::chat_message()) {
        through_protobuf(&record)?;
        through_json(&record)?;
        through_state(&record)?;
    }
}

#[test]
fn the_json_of_a_signal_reads_as_it_is_documented() {
    let mut bytes = Vec::new();
    examples::trade_signal().encode_json(&mut bytes).unwrap();
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        r#"{"envelope":{"source":"mt5","sequence":42,"time":"2018-09-14T14:30:12.123456789Z","#
            .to_owned()
            + r#""traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","#
            + r#""message_id":"m-1"},"leader":"anna","instrument":"EURUSD","position_id":"77","#
            + r#""action":"open","side":"buy","lots":2.5,"lots_open":2.5,"price":1.1736,"#
            + r#""stop_loss":null,"take_profit":1.2,"equity":2000,"parent_id":null}"#
    );
}

#[test]
fn an_invalid_trace_is_dropped_and_the_message_is_not() {
    let mut bytes = Vec::new();
    examples::order().encode_json(&mut bytes).unwrap();
    let forged = String::from_utf8(bytes).unwrap().replace("00-4bf92f", "00-4BF92F");
    let order = proto::order::Order::decode_json(forged.as_bytes()).unwrap();
    assert_eq!(order.envelope.traceparent, None);
    assert_eq!(order.client_order_id, examples::order().client_order_id);
    order.check().unwrap();
}

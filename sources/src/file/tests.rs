//! What the file source promises, format by format, and on real files.

use std::path::Path;

use dataflows::fault::Fault;
use proto::tick::Tick;
use serde_json::{Value, json};

use super::File;
use crate::testing::{Drained, context, data, drain, resumes_everywhere};

/// Writes one file and reads it; gives what came and the texts (time, instrument, bid, ask).
fn read(name: &str, text: &str, config: &Value) -> Result<(Drained, Vec<[String; 4]>), Fault> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), text).unwrap();
    let mut config = config.clone();
    config["path"] = json!(name);
    let context = context(folder.path());
    let drained = drain(&File, &config, None, &context)?;
    resumes_everywhere(&File, &config, &context);
    let show = |tick: &Tick| {
        let series = context.series.get(tick.series).unwrap();
        let instrument = series.instrument.to_string();
        [tick.time.to_string(), instrument, tick.bid.to_string(), tick.ask.to_string()]
    };
    let rows = drained.ticks.iter().map(show).collect();
    Ok((drained, rows))
}

fn named() -> Value {
    json!({"source": "mt5", "instrument": "EURUSD"})
}

#[test]
fn a_csv_file_with_usual_names_needs_no_mapping() {
    let text = "\u{feff}time,symbol,source,bid,ask,volume,seq\r\n\
                2024-03-10T17:00:00.25Z,EURUSD,mt4,1.1734,1.17350,2.5,7\r\n\
                1710090001,\"GBPUSD\",mt4,1.3,,,8\r\n";
    let (drained, rows) = read("a.csv", text, &json!({})).unwrap();
    assert_eq!(rows[0], ["2024-03-10T17:00:00.250Z", "EURUSD", "1.1734", "1.1735"]);
    assert_eq!(rows[1], ["2024-03-10T17:00:01Z", "GBPUSD", "1.3", "0"]);
    assert_eq!(drained.ticks[0].flags, Tick::HAS_VOLUME | Tick::HAS_SEQUENCE);
    assert_eq!((drained.ticks[1].flags, drained.ticks[1].sequence), (Tick::HAS_SEQUENCE, 8));
}

#[test]
fn an_export_of_metatrader_5_is_read_as_it_is() {
    let text = "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\n\
                2024.03.11\t00:05:01.123\t1.09380\t1.09391\t\t\t6\n";
    let mut config = named();
    config["time_zone"] = json!("Europe/Athens");
    let (_, rows) = read("EURUSD.csv", text, &config).unwrap();
    assert_eq!(rows, [["2024-03-10T22:05:01.123Z", "EURUSD", "1.0938", "1.09391"]]);
}

#[test]
fn a_file_without_a_header_is_read_by_places() {
    let text = "20120201 000003660;1.306600;1.306700;0\n20120201 000004660;1.3065;1.3066;0\n";
    let mut config = named();
    config["columns"] = json!({"time": 0, "bid": 1, "ask": 2});
    config["time_zone"] = json!("-05:00");
    let (_, rows) = read("a.txt", text, &config).unwrap();
    assert_eq!(rows[0], ["2012-02-01T05:00:03.660Z", "EURUSD", "1.3066", "1.3067"]);
    assert_eq!(rows.len(), 2);
}

#[test]
fn a_broken_line_is_rejected_with_its_number_and_the_others_are_read() {
    let text = "time,bid\n1710090000,1.1\n1710090001\n1710090002,\"1.2\n1710090003,one\n\
                later,1.2\n1710090004,\n\n1710090005,1.23456789012\n1710090006,1.3\n";
    let (drained, rows) = read("a.csv", text, &named()).unwrap();
    assert_eq!(rows.len(), 2);
    let found: Vec<(&str, &str)> = drained
        .rejects
        .iter()
        .map(|reject| (reject.place.as_deref().unwrap(), reject.reason.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("a.csv:3", "malformed"),
            ("a.csv:4", "malformed"),
            ("a.csv:5", "bad_price"),
            ("a.csv:6", "bad_time"),
            ("a.csv:7", "no_price"),
            ("a.csv:9", "bad_price"),
        ]
    );
    assert_eq!(drained.rejects[0].payload, b"1710090001");
    let mut config = named();
    config["on_error"] = json!("stop");
    let stopped = read("a.csv", text, &config).unwrap_err().to_string();
    assert!(stopped.starts_with("a.csv:3: "), "{stopped}");
    config["on_error"] = json!("reject");
    config["too_fine"] = json!("round");
    assert_eq!(read("a.csv", text, &config).unwrap().1[1][2], "1.23456789");
}

#[test]
fn bytes_that_are_no_text_break_only_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = b"time,bid\n1710090000,1.1\n".to_vec();
    bytes.extend_from_slice(b"\xff\xfe\x00,\x01\n1710090001,1.2\n");
    std::fs::write(folder.path().join("a.csv"), bytes).unwrap();
    let mut config = named();
    config["path"] = json!("a.csv");
    let drained = drain(&File, &config, None, &context(folder.path())).unwrap();
    assert_eq!((drained.ticks.len(), drained.rejects.len()), (2, 1));
}

#[test]
fn numbers_never_go_through_a_float() {
    let text = "time,bid\n1710090000,999999999.999999999\n1710090000,0.100000000000\n";
    let (_, rows) = read("a.csv", text, &named()).unwrap();
    assert_eq!(rows[0][2], "999999999.999999999");
    let text = "{\"time\":1710090000,\"bid\":999999999.999999999}\n";
    assert_eq!(read("a.jsonl", text, &named()).unwrap().1[0][2], "999999999.999999999");
}

#[test]
fn json_lines_are_read_by_name_and_along_dots() {
    let text = "{\"s\":\"BTCUSDT\",\"E\":1710090000123,\"data\":{\"b\":\"61837.63\",\"a\":61838}}\n\
                {\"s\":\"BTCUSDT\",\"E\":1710090000124,\"data\":{\"b\":\"6\n\
                {\"s\":\"BTCUSDT\",\"E\":1710090000125,\"data\":{\"b\":null,\"a\":\"61839\"}}\n";
    let config = json!({
        "source": "binance",
        "columns": {"time": "E", "instrument": "s", "bid": "data.b", "ask": "data.a"},
    });
    let (drained, rows) = read("a.jsonl", text, &config).unwrap();
    assert_eq!(rows[0], ["2024-03-10T17:00:00.123Z", "BTCUSDT", "61837.63", "61838"]);
    assert_eq!(rows[1][2..], ["0", "61839"]);
    assert_eq!(drained.rejects[0].place.as_deref(), Some("a.jsonl:2"));
}

#[test]
fn json_arrays_lose_only_their_broken_records() {
    let text = "[\n{\"timestamp\":1710090000123,\"askPrice\":1.2,\"bidPrice\":1.1},\n\
                {\"timestamp\":1710090000124,\"askPrice\":},\n\
                {\"timestamp\":1710090000125,\"askPrice\":1.3,\"bidPrice\":1.2\n\
                {\"timestamp\":1710090000126,\"askPrice\":1.4,\"bidPrice\":1.3}\n]\n";
    let (drained, rows) = read("a.json", text, &named()).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1][2..], ["1.3", "1.4"]);
    let places: Vec<_> = drained.rejects.iter().map(|reject| reject.place.clone()).collect();
    assert_eq!(places, [Some("a.json:3".to_owned()), Some("a.json:4".to_owned())]);
}

#[test]
fn what_cannot_be_mapped_is_said_before_anything_is_read() {
    let fails = |name: &str, text: &str, config: &Value| {
        read(name, text, config).map(|_| ()).unwrap_err().to_string()
    };
    let mut config = named();
    config["columns"] = json!({"bid": "Bidd"});
    let message = fails("a.csv", "time,Bid\n1,1\n", &config);
    assert!(message.contains("did you mean `Bid`?"), "{message}");
    let message = fails("a.csv", "time,bid\n1,1\n", &json!({"source": "mt4"}));
    assert!(message.contains("nothing says the instrument"), "{message}");
    let message = fails("a.json", "[[1,2,3]]", &named());
    assert!(message.contains("give the places"), "{message}");
    let message = fails("a.csv", "1710090000,1.1\n", &named());
    assert!(message.contains("header: false"), "{message}");
    let message = fails("a.weird", "", &named());
    assert!(message.contains("`format`"), "{message}");
}

#[test]
fn a_text_that_was_cut_off_anywhere_gives_its_whole_records() {
    let whole = "[\n[1710090000000,1.2,1.1],\n[1710090000001,1.3,1.2]\n]";
    let mut config = named();
    config["columns"] = json!({"time": 0, "ask": 1, "bid": 2});
    for length in 0..whole.len() {
        let (drained, _) = read("a.json", &whole[..length], &config).unwrap();
        let rest = &whole[..length];
        let records = ["[1710090000000,1.2,1.1]", "[1710090000001,1.3,1.2]"];
        let closed = records.iter().filter(|record| rest.contains(*record)).count();
        assert_eq!(drained.rejects.len(), usize::from(length > 0), "the cut is told: {rest}");
        assert_eq!(drained.ticks.len(), closed, "{}", &whole[..length]);
    }
}

#[test]
fn files_are_read_in_the_order_of_their_paths() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bid) in [("b.csv", 2), ("a.csv", 1), ("c/a.csv", 3)] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("time,bid\n1710090000,{bid}\n")).unwrap();
    }
    let mut config = named();
    config["path"] = json!("**/*.csv");
    let context = context(folder.path());
    let drained = drain(&File, &config, None, &context).unwrap();
    let bids: Vec<String> = drained.ticks.iter().map(|tick| tick.bid.to_string()).collect();
    assert_eq!(bids, ["1", "2", "3"]);
    assert!(drained.ticks.is_sorted_by_key(|tick| tick.sequence));
    resumes_everywhere(&File, &config, &context);
}

#[test]
fn dukascopy_files_are_read_as_they_are() {
    let Some(folder) = data("dukascopy") else { return };
    let context = context(&folder);
    let config = json!({
        "path": "sample_tick_data.json", "source": "dukascopy", "instrument": "EURUSD",
        "columns": {"time": 0, "ask": 1, "bid": 2, "volume": 4},
    });
    let arrays = drain(&File, &config, None, &context).unwrap();
    let text = std::fs::read_to_string(folder.join("sample_tick_data.json")).unwrap();
    assert_eq!((arrays.ticks.len(), arrays.rejects.len()), (text.matches("  [").count(), 0));
    let first = arrays.ticks[0];
    assert_eq!(first.time.ns(), 1_549_238_400_994_000_000);
    assert_eq!(
        (first.bid.to_string(), first.volume.to_string()),
        ("1.14543".into(), "2.06".into())
    );
    let config = json!({
        "path": "btcusd-tick-*.json", "source": "dukascopy", "instrument": "BTCUSD",
    });
    let objects = drain(&File, &config, None, &context).unwrap();
    let path = folder.join("btcusd-tick-2023-02-20T12-2023-02-20T13.json");
    let lines = std::fs::read_to_string(path).unwrap().matches("timestamp").count();
    assert_eq!((objects.ticks.len(), objects.rejects.len()), (lines, 0));
    assert_eq!(objects.ticks[0].bid.to_string(), "24849.4");
    resumes_everywhere(&File, &config, &context);
}

#[test]
fn order_files_with_prices_are_read_as_they_are() {
    let Some(folder) = data("orders") else { return };
    let config = json!({
        "path": "mini_test_trade_df.csv", "source": "desk", "too_fine": "round",
        "columns": {"time": "date", "bid": "market_bid", "ask": "market_ask"},
    });
    let context = context(&folder);
    let drained = drain(&File, &config, None, &context).unwrap();
    let text = std::fs::read_to_string(folder.join("mini_test_trade_df.csv")).unwrap();
    assert_eq!(drained.ticks.len() + drained.rejects.len(), text.lines().count() - 1);
    assert_eq!(drained.rejects, []);
    assert_eq!(drained.ticks[0].bid.to_string(), "1.087949991");
}

#[test]
fn parquet_files_are_read_as_an_archive() {
    let Some(path) = data("ticks/oanda-EURUSD-2014-05.parquet") else { return };
    let config = json!({"path": path.to_str(), "source": "oanda", "instrument": "EURUSD"});
    let drained = drain(&File, &config, None, &context(Path::new("."))).unwrap();
    assert_eq!(drained.ticks.len(), 532_903);
}

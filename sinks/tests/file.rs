//! The sink `file`.

use dataflows::batch::Rows;
use dataflows::component::sink::Ending;
use serde_json::json;

use super::support::{Run, World, files};

#[test]
fn a_file_appears_when_it_is_whole() {
    let world = World::new();
    let rows = || Rows::Candles(vec![world.candle("EURUSD", "1m", "2014-05-01", "0.100000001")]);
    let run = |ending| {
        let config = json!({ "path": "out/candles.csv" });
        world.run(Run::of("file", config, rows()).ending(ending)).unwrap()
    };
    for ending in [Ending::Interrupted, Ending::Failed] {
        run(ending);
        assert!(files(world.path()).is_empty());
    }
    assert_eq!(run(Ending::Complete).rows, 1);
    let text = std::fs::read_to_string(world.path().join("out/candles.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("source,instrument,timeframe,start,end,trading_date,basis,open"));
    assert!(lines[1].starts_with(
        "mt4,EURUSD,1m,2014-05-01T00:00:00Z,2014-05-01T00:01:00Z,2014-05-01,bid,0.100000001"
    ));
    assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
    run(Ending::Interrupted);
    assert_eq!(std::fs::read_to_string(world.path().join("out/candles.csv")).unwrap(), text);
}

#[test]
fn json_lines_keep_all_digits_and_nanoseconds() {
    let world = World::new();
    let tick = world.tick("EURUSD", "2014-05-01T10:00:00.123456789Z", Some(3));
    let config = json!({ "path": "ticks.jsonl" });
    world.run(Run::of("file", config, Rows::Ticks(vec![tick]))).unwrap();
    let text = std::fs::read_to_string(world.path().join("ticks.jsonl")).unwrap();
    assert_eq!(
        text,
        "{\"source\":\"mt4\",\"instrument\":\"EURUSD\",\"time\":\"2014-05-01T10:00:00.123456789Z\",\
         \"sequence\":3,\"bid\":1.38684,\"ask\":1.38686,\"last\":null,\"volume\":null}\n"
    );
}

//! The job file: good ones give a plan, bad ones all of their mistakes, none gives a secret away.

use std::path::Path;
use std::time::Duration;

use dataflows::component::sink::Guarantee;
use dataflows::job::lint::check;
use dataflows::job::mistake::Mistakes;
use dataflows::job::plan::{ClockSource, Origin, Plan};
use dataflows::job::promise::Ack;
use dataflows::job::state::{OnChange, StateConfig};
use dataflows::job::tests::{ExpectPlace, Step};
use dataflows::kind::Kind;
use proptest::prelude::{any, prop};
use serde_json::json;

use crate::fakes::CATALOG;

/// What the variables of the tests hold; must be seen nowhere.
const CANARY: &str = "canary-s3cr3t";

const GOOD: &str = include_str!("../good/candles.yaml");

fn variables(name: &str) -> Option<String> {
    match name {
        "TRADING_AMQP_URL" => Some(format!("amqp://me:{CANARY}@broker/trading")),
        "TRADING_AMQP_PASSWORD" => Some("1234567".to_owned()),
        "SECRET" => Some(CANARY.to_owned()),
        "NUMBER" => Some("12".to_owned()),
        _ => None,
    }
}

fn checked(text: &str) -> Result<Plan, Mistakes> {
    check(text, Path::new("job.yaml"), &CATALOG, &variables)
}

fn good() -> Plan {
    checked(GOOD).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn a_good_job_gives_a_plan_in_the_order_of_its_edges() {
    let plan = good();
    assert_eq!(plan.name, "candles");
    assert!(plan.description.as_deref().is_some_and(|text| text.starts_with("Candles of all")));
    let run = &plan.run;
    assert_eq!((run.workers, run.epoch_records_max, run.epochs_in_flight_max), (2, 4096, 8));
    assert_eq!(run.epoch_every, std::time::Duration::from_millis(50));
    assert_eq!(run.clock, ClockSource::Event);
    let sources: Vec<_> = plan.sources.iter().map(|source| source.id.as_str()).collect();
    assert_eq!(sources, ["history", "ticks"]);
    let operators: Vec<_> = plan.operators.iter().map(|o| (o.id.as_str(), o.kind)).collect();
    assert_eq!(operators, [("candles", Kind::Ticks), ("live", Kind::Candles)]);
    let live = &plan.operators[1];
    assert_eq!(live.output_kinds(), [Kind::Candles]);
    assert_eq!((live.inputs[0].output, live.inputs[0].port), (1, "open"));
    let sinks: Vec<_> = plan.sinks.iter().map(|s| (s.id.as_str(), s.kind)).collect();
    let candles = Kind::Candles;
    assert_eq!(sinks, [("table", candles), ("chart", candles), ("rejects", Kind::Rejects)]);
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
}

#[test]
fn variables_reach_the_configuration_with_the_type_that_it_wants() {
    let plan = good();
    let ticks = &plan.sources[1].config;
    assert_eq!(ticks["url"], format!("amqp://me:{CANARY}@broker/trading"));
    assert_eq!(ticks["prefetch"], 5000, "a default is typed as if it stood in the file");
    assert_eq!(ticks["password"], "1234567", "a password of digits stays text");
    assert_eq!(plan.written["ticks"]["url"], "${TRADING_AMQP_URL}");
    assert_eq!(plan.sinks[0].config["url"], "sqlite:candles.db");
}

#[test]
fn what_survives_a_crash_and_what_is_promised_stands_in_the_plan() {
    let plan = good();
    let expected = StateConfig {
        durable: true,
        path: "state".into(),
        checkpoints: Some("s3://bucket/prefix".to_owned()),
        checkpoint_every: Duration::from_secs(30),
        checkpoints_kept: 5,
        sync_every: Duration::ZERO,
        segment_bytes: 16 << 20,
        on_change: OnChange::Reset,
    };
    assert!(plan.state == expected, "{:?}", plan.state);
    assert_eq!(plan.state.folder(&plan.name), Path::new("state/candles"));
    let sources: Vec<_> = plan.sources.iter().map(|s| (s.ack, s.on_change)).collect();
    assert_eq!(sources, [(Ack::Journal, OnChange::Reset), (Ack::Checkpoint, OnChange::Reset)]);
    let operators: Vec<_> = plan.operators.iter().map(|operator| operator.on_change).collect();
    assert_eq!(operators, [OnChange::Bootstrap, OnChange::Reset]);
    let sinks: Vec<_> = plan.sinks.iter().map(|s| (s.guarantee, s.is_promised)).collect();
    let (exactly, best) = ((Guarantee::ExactlyOnce, true), (Guarantee::BestEffort, true));
    assert_eq!(sinks, [exactly, best, (Guarantee::AtLeastOnce, false)]);
}

#[test]
fn a_sink_that_is_asked_for_nothing_gives_what_its_sources_and_the_run_allow() {
    let guarantee = |source: &str, durable: bool| {
        let text = format!(
            "job: j\nstate: {{ durable: {durable} }}\nsources:\n  s: {{ {source} }}\noperators:\n\
             \x20 c: {{ type: ohlcv, input: s, timeframes: [1m] }}\n\
             sinks:\n  t: {{ type: table, input: c, url: u, table: t }}\n"
        );
        let sink = checked(&text).unwrap_or_else(|mistakes| panic!("{mistakes}")).sinks.remove(0);
        assert!(!sink.is_promised);
        sink.guarantee
    };
    let (best, least, exactly) =
        (Guarantee::BestEffort, Guarantee::AtLeastOnce, Guarantee::ExactlyOnce);
    for (source, durable, not_durable) in [
        ("type: file, path: a", exactly, least),
        ("type: file, path: a, ack: receive", exactly, least),
        ("type: amqp, url: u, exchange: e", exactly, best),
        ("type: amqp, url: u, exchange: e, ack: receive", best, best),
        ("type: amqp, url: u, exchange: e, prefetch: 0", best, best),
    ] {
        assert_eq!(guarantee(source, true), durable, "{source}");
        assert_eq!(guarantee(source, false), not_durable, "{source}, not durable");
    }
}

#[test]
fn what_has_no_effect_and_a_test_that_cannot_fail_are_warnings() {
    let text = "job: j\nsources:\n  a: { type: file, path: a, ack: receive }\n\
                \x20 b: { type: amqp, url: u, exchange: e, prefetch: 0, ack: journal }\n\
                sinks:\n  c: { type: console, input: [a, b] }\n\
                tests:\n  - { name: nothing, steps: [ { end: {} } ] }\n";
    let warnings: Vec<_> =
        checked(text).unwrap().warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "job.yaml:3:34: `ack: receive` has no effect: the source `a` is read again from where \
             it was, and acknowledges nothing",
            "job.yaml:4:59: `ack: journal` has no effect: the source `b` acknowledges nothing",
            "job.yaml:8:5: the test `nothing` expects nothing",
        ]
    );
}

#[test]
fn a_queue_that_would_stand_still_by_event_time_is_a_warning() {
    let warnings = |run: &str, source: &str| -> Vec<String> {
        let text = format!(
            "job: j\nrun: {{ {run} }}\nsources:\n  q: {{ type: amqp, url: u, exchange: e, {source} }}\n\
             sinks:\n  c: {{ type: console, input: q }}\n"
        );
        checked(&text).unwrap().warnings.iter().map(ToString::to_string).collect()
    };
    for ack in ["journal", "checkpoint"] {
        let found = warnings("clock: event", &format!("prefetch: 500, ack: {ack}"));
        assert_eq!(found.len(), 1, "{found:?}");
        let is_told = found[0].starts_with("job.yaml:4:3: it is handed 500 messages before");
        assert!(is_told && found[0].contains("closes at 16384 records"), "{found:?}");
    }
    for (run, source) in [
        ("clock: wall", "prefetch: 500, ack: checkpoint"),
        ("clock: auto", "prefetch: 500, ack: checkpoint"),
        ("clock: event, epoch: { records: 500 }", "prefetch: 500, ack: checkpoint"),
        ("clock: event", "prefetch: 500, ack: receive"),
        ("clock: event", "ack: checkpoint"),
    ] {
        assert_eq!(warnings(run, source), [""; 0], "{run}, {source}");
    }
}

#[test]
fn a_test_becomes_steps_with_their_places_and_exact_numbers() {
    let plan = good();
    let [test] = plan.tests.as_slice() else { panic!("{:?}", plan.tests) };
    assert_eq!((test.name.as_str(), test.workers), ("a late tick makes a revision", 2));
    assert_eq!((test.steps[0].line, test.steps[0].column), (test.line + 3, 9));
    let steps: Vec<&Step> = test.steps.iter().map(|step| &step.step).collect();
    let Step::Feed { source: 1, records } = steps[0] else { panic!("{:?}", steps[0]) };
    let tick = json!({ "source": "mt4", "instrument": "EURUSD", "time": "2024-01-02T10:00:01Z",
                       "bid": "1.10421", "ask": "1.1043", "sequence": 7 });
    let trade = json!({ "source": "mt4", "instrument": "600519", "volume": "1000",
                        "time": "2024-01-02T08:00:01.500Z", "last": "0.987654321" });
    assert_eq!(records, &[tick, trade]);
    let with = json!({ "columns": { "time": "t", "bid": "b" }, "path": "cases/ticks.csv" });
    let path = "cases/ticks.csv".to_owned();
    assert_eq!(steps[1], &Step::FeedFile { source: 0, path, with });
    let noon = "2024-01-02T10:05:00Z".parse().unwrap();
    let between = [
        Step::Epoch,
        Step::Advance(Duration::from_secs(5)),
        Step::Clock(noon),
        Step::Checkpoint,
        Step::Crash,
        Step::Restart { workers: Some(4) },
        Step::Restart { workers: None },
        Step::End,
    ];
    assert!(steps[2..10].iter().zip(&between).all(|(step, expected)| *step == expected));
    let port =
        |id: &str, output, port| ExpectPlace::Port(Origin { id: id.to_owned(), output, port });
    let candle = json!({ "instrument": "EURUSD", "timeframe": "1h", "open": "1.10421",
                         "volume": null, "revision": 0 });
    let expectations = [
        (port("candles", 0, "closed"), vec![candle], true),
        (port("live", 0, "latest"), vec![], false),
        (ExpectPlace::Sink(2), vec![json!({ "reason": "late" })], false),
    ];
    let expectations =
        expectations.map(|(place, rows, unordered)| Step::Expect { place, rows, unordered });
    assert_eq!(steps[10..], expectations.iter().collect::<Vec<_>>());
}

#[test]
fn a_component_that_nobody_reads_from_is_a_warning() {
    let text = "job: j\nsources:\n  a: { type: file, path: a }\n  b: { type: file, path: b }\n\
                sinks:\n  c: { type: console, input: a }\n";
    let plan = checked(text).unwrap();
    let warnings: Vec<_> = plan.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["job.yaml:4:3: nothing reads from the source `b`"]);
}

/// Reads the lines `# expects: substring @line:column` at the head of a bad job.
fn expectations(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .map_while(|line| line.strip_prefix("# expects: "))
        .map(|line| line.rsplit_once(" @").unwrap())
        .collect()
}

#[test]
fn every_bad_job_is_refused_with_exactly_its_mistakes_at_their_places() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut failures = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let Err(mistakes) = checked(&text) else {
            failures.push(format!("{name}: accepted"));
            continue;
        };
        let mut expected = expectations(&text);
        assert!(!expected.is_empty(), "{name} expects nothing");
        for mistake in &mistakes.0 {
            let place = format!("{}:{}", mistake.line, mistake.column);
            let known = expected
                .iter()
                .position(|(part, at)| mistake.message.contains(part) && *at == place);
            match known {
                Some(known) => drop(expected.remove(known)),
                None => failures.push(format!("{name}: not expected: {mistake}")),
            }
        }
        failures
            .extend(expected.iter().map(|(part, at)| format!("{name}: not told: {part} @{at}")));
        assert!(!mistakes.to_string().contains(CANARY), "{name} gives a secret away: {mistakes}");
    }
    assert!(files.len() > 40, "only {} bad jobs", files.len());
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn five_mistakes_are_told_at_once_as_a_person_would() {
    let text = include_str!("../bad/five-mistakes.yaml");
    let mistakes = checked(text).unwrap_err().to_string();
    assert_eq!(mistakes, include_str!("../good/five-mistakes.txt").trim_end());
}

#[test]
fn secrets_are_seen_in_no_message_and_no_debug_output() {
    let debugged = format!("{:?}", good());
    assert!(!debugged.contains(CANARY) && !debugged.contains("1234567"), "{debugged}");
    // The component itself complains of a value that came from a variable.
    let text = "job: j\nsources:\n  a: { type: file, path: a }\noperators:\n\
                \x20 b: { type: throttle, input: a, every: \"${SECRET}\" }\n\
                sinks:\n  c: { type: console, input: b }\n";
    let mistakes = checked(text).unwrap_err();
    assert_eq!(mistakes.0.len(), 1);
    assert!(mistakes.to_string().contains("`***` is not a duration"), "{mistakes}");
    assert!(!format!("{mistakes} {mistakes:?}").contains(CANARY));
}

#[test]
fn no_text_makes_reading_expensive() {
    let deep = "[".repeat(1 << 19);
    let wide = format!("job: [{}]", "a,".repeat(1 << 18));
    let keys: String = (0..90_000).map(|key| format!("k{key}: 1\n")).collect();
    let line = format!("{{{}}}", (0..60_000).map(|k| format!("k{k}: x,")).collect::<String>());
    let big = " ".repeat(2 << 20);
    let chain: String = (1..30_000)
        .map(|at| format!("  o{at}: {{type: throttle, input: o{}}}\n", at - 1))
        .collect();
    let chain = format!("operators:\n{chain}");
    for text in [&deep, &wide, &keys, &line, &big, &chain] {
        let mistakes = checked(text).unwrap_err();
        assert!(mistakes.0.len() <= 501, "{} mistakes", mistakes.0.len());
        assert!(mistakes.to_string().len() < 1 << 20);
    }
}

/// What means something in YAML.
const SIGNS: &[u8] = b"{}[]:,&*!|>'\"%@`#?- \n\t$";

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]

    #[test]
    fn no_change_of_bytes_makes_the_check_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..12),
    ) {
        let mut bytes = GOOD.as_bytes().to_vec();
        for (at, byte, what) in changes {
            let at = at.index(bytes.len());
            match what {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, SIGNS[usize::from(byte) % SIGNS.len()]),
                _ => drop(bytes.drain(at..(at + usize::from(byte) % 9).min(bytes.len()))),
            }
            if bytes.is_empty() {
                break;
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Err(mistakes) = checked(&text) {
            proptest::prop_assert!(!mistakes.0.is_empty());
            proptest::prop_assert!(!mistakes.to_string().contains(CANARY));
        }
    }
}

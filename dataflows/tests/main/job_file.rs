//! The job file: good ones give a plan, bad ones all of their mistakes, none gives a secret away.

use std::path::Path;

use dataflows::job::lint::check;
use dataflows::job::mistake::Mistakes;
use dataflows::job::plan::{ClockSource, Plan};
use dataflows::kind::Kind;
use proptest::prelude::{any, prop};

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
    assert_eq!(ticks["prefetch"], 1000, "a default is typed as if it stood in the file");
    assert_eq!(ticks["password"], "1234567", "a password of digits stays text");
    assert_eq!(plan.written["ticks"]["url"], "${TRADING_AMQP_URL}");
    assert_eq!(plan.sinks[0].config["url"], "sqlite:candles.db");
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

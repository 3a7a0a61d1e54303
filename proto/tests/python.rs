//! Bytes compared both ways with Python's Protobuf, which shares no line with ours.
//!
//! Needs a Python with the package `protobuf`; `TAPEFLOW_PYTHON` names it, else `python3`.

use std::path::Path;
use std::process::Command;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use proto::protobuf::{DESCRIPTOR_SET, Protobuf, encode_tick_batch};

use crate::{examples, strategies};

/// How many random records of each kind are sent through Python.
const RECORDS: usize = 200;

fn python() -> String {
    std::env::var("TAPEFLOW_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Tells whether Python can take part; says loudly when it cannot.
fn has_python() -> bool {
    let probe = Command::new(python()).args(["-c", "import google.protobuf"]).output();
    let found = probe.is_ok_and(|output| output.status.success());
    if !found {
        let words = format!(
            "SKIPPED: `{}` has no package `protobuf`; set TAPEFLOW_PYTHON to one that has",
            python()
        );
        assert!(std::env::var("TAPEFLOW_REQUIRE_ALL").as_deref() != Ok("1"), "{words}");
        eprintln!("{words}");
    }
    found
}

fn run(directory: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/wire.py");
    let output = Command::new(python()).arg(script).arg(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    eprintln!("{}", String::from_utf8_lossy(&output.stdout).trim());
}

fn encoded(record: &impl Protobuf) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes).unwrap();
    bytes
}

fn frame<T: Protobuf>(strategy: &impl Strategy<Value = T>, out: &mut Vec<u8>) {
    let mut runner = TestRunner::deterministic();
    for _ in 0..RECORDS {
        let bytes = encoded(&strategy.new_tree(&mut runner).unwrap().current());
        out.push(u8::try_from(T::NAME.len()).unwrap());
        out.extend_from_slice(T::NAME.as_bytes());
        out.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
        out.extend_from_slice(&bytes);
    }
}

fn from_python<T: Protobuf + PartialEq + std::fmt::Debug>(directory: &Path, record: &T) {
    let bytes = std::fs::read(directory.join(format!("{}.bin", T::NAME))).unwrap();
    assert_eq!(bytes, encoded(record), "{}", T::NAME);
    assert_eq!(&T::decode(&bytes).unwrap(), record);
}

#[test]
fn python_and_rust_write_the_same_bytes_and_read_each_others() {
    if !has_python() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut frames = Vec::new();
    frame(&strategies::tick(), &mut frames);
    frame(&strategies::depth(), &mut frames);
    frame(&strategies::candle(), &mut frames);
    frame(&strategies::trade_event(), &mut frames);
    frame(&strategies::trade_signal(), &mut frames);
    frame(&strategies::order(), &mut frames);
    frame(&strategies::chat_message(), &mut frames);
    std::fs::write(directory.join("descriptor.bin"), DESCRIPTOR_SET).unwrap();
    std::fs::write(directory.join("frames.bin"), &frames).unwrap();
    run(directory);

    let again = std::fs::read(directory.join("again.bin")).unwrap();
    assert!(again == frames, "Python reads or writes a record differently");
    from_python(directory, &examples::tick());
    from_python(directory, &examples::depth());
    from_python(directory, &examples::candle());
    from_python(directory, &examples::trade_event());
    from_python(directory, &examples::trade_signal());
    from_python(directory, &examples::order());
    from_python(directory, &examples::chat_message());
    let tick = examples::tick();
    let mut trace = String::new();
    let tick = tick.borrow(&mut trace);
    let mut batch = Vec::new();
    encode_tick_batch("ib", &[tick, tick], &mut batch).unwrap();
    assert_eq!(std::fs::read(directory.join("TickBatch.bin")).unwrap(), batch);
}

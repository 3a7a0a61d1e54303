//! The input: seeded ticks of a few series, some late, some twice, some without a number; and what
//! cannot be decoded.

use proto::event_time::EventTime;
use proto::reject::Reject;
use proto::series::SeriesTable;
use proto::tick::Tick;

/// A small, fast, seeded generator: splitmix64.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// True once in `n`.
    pub(crate) fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A record of the input, by names.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    Tick { instrument: &'static str, tick: Tick },
    Broken(u64),
}

const INSTRUMENTS: [&str; 5] = ["EURUSD", "GBPUSD", "USDJPY", "XAUUSD", "US500"];
pub(crate) const START: i64 = 1_709_800_000_000_000_000;

/// Records of one feed.
pub(crate) fn records(seed: u64, count: u64) -> Vec<Record> {
    let mut random = Random::new(seed);
    let mut now = START;
    let mut records: Vec<Record> = Vec::new();
    for number in 0..count {
        if random.once_in(40) {
            records.push(Record::Broken(number));
            continue;
        }
        if random.once_in(20)
            && let Some(Record::Tick { .. }) = records.last()
        {
            let again = records[records.len() - 1].clone();
            records.push(again);
            continue;
        }
        now += i64::try_from(random.below(12_000_000_000)).unwrap();
        let late = if random.once_in(10) { random.below(90_000_000_000) } else { 0 };
        let has_number = !random.once_in(5);
        let price = |units: u64| proto::decimal::Price::from_units(i64::try_from(units).unwrap());
        let bid = 1_000_000_000 + random.below(1_000) * 10_000;
        let tick = Tick {
            time: EventTime::from_ns(now - i64::try_from(late).unwrap()),
            sequence: number,
            bid: price(bid),
            ask: price(bid + 20_000),
            flags: if has_number { Tick::HAS_SEQUENCE } else { 0 },
            ..Tick::default()
        };
        let instrument = INSTRUMENTS[usize::try_from(random.below(5)).unwrap()];
        records.push(Record::Tick { instrument, tick });
    }
    records
}

/// Makes rows and rejects of records, numbered as this run numbers series.
pub(crate) fn decode(
    records: &[Record],
    source: &str,
    table: &SeriesTable,
) -> (Vec<Tick>, Vec<Reject>) {
    let (mut ticks, mut rejects) = (Vec::new(), Vec::new());
    for record in records {
        match record {
            Record::Tick { instrument, tick } => {
                let series = table.intern(source, instrument).unwrap();
                ticks.push(Tick { series, ..*tick });
            }
            Record::Broken(number) => rejects.push(Reject {
                component: source.to_owned(),
                reason: "malformed".to_owned(),
                detail: "expected a tick".to_owned(),
                place: Some(format!("{source}:{number}")),
                clock: EventTime::default(),
                tick: None,
                payload: number.to_le_bytes().to_vec(),
            }),
        }
    }
    (ticks, rejects)
}

//! What the client of `demo --live` has seen, and what of it is printed: no clock, no connection.

use std::collections::BTreeMap;

use proto::decimal::Price;
use proto::event_time::EventTime;
use proto::json::ChartCandle;
use proto::protobuf::decode_tick;

/// A line to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    /// A candle that will not change any more.
    pub(super) is_closed: bool,
}

/// Something that changes faster than one can read: printed when it is its turn.
#[derive(Debug, Default)]
struct Waiting {
    text: String,
    is_new: bool,
    /// The turn in which it was last printed.
    printed: u64,
}

/// Source, instrument and, of a candle, timeframe.
type Key = (String, String, String);

/// Delays are counted in tenths of a millisecond, up to this many.
const TENTHS_MAX: u64 = 100_000;

/// Counters, and what waits to be printed.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// Ticks that came.
    pub(super) ticks: u64,
    /// Closed candles that came.
    pub(super) closed: u64,
    prices: BTreeMap<Key, Waiting>,
    open: BTreeMap<Key, Waiting>,
    turn: u64,
    /// Digits behind the point that an instrument was seen with.
    digits: BTreeMap<String, usize>,
    /// When the newest message came.
    now: EventTime,
    /// How many ticks came after so many tenths of a millisecond.
    delays: BTreeMap<u64, u64>,
}

impl Board {
    /// Takes a message; gives a line if it is to be printed at once.
    ///
    /// # Errors
    /// Why it was not understood.
    pub(super) fn take(
        &mut self,
        topic: &str,
        payload: &[u8],
        time: Option<EventTime>,
        received: EventTime,
    ) -> Result<Option<Line>, String> {
        let levels: Vec<&str> = topic.split('/').collect();
        let &["market", source, instrument, what] = levels.as_slice() else {
            return Err("no topic of the market".to_owned());
        };
        self.now = received;
        match what {
            "tick" => {
                let tick = decode_tick(payload).map_err(|error| error.to_string())?;
                self.ticks += 1;
                // mt4 tells whole seconds: what a delay is cannot be seen.
                if source != "mt4" {
                    self.delay(received.ns() - time.unwrap_or(tick.time).ns());
                }
                let [bid, ask] = [tick.bid, tick.ask].map(|price| self.price(instrument, price));
                let head = head("price", source, instrument);
                let text = format!("{head}  bid {bid}  ask {ask}");
                wait(&mut self.prices, (source, instrument, ""), text);
                Ok(None)
            }
            "ohlcv" | "closed" => {
                let candle = ChartCandle::decode(payload).map_err(|error| error.to_string())?;
                let is_closed = what == "closed";
                let word = if is_closed { "closed" } else { "open" };
                let head = head(word, source, instrument);
                let text = format!("{head}  {}", self.candle(instrument, &candle));
                let timeframe = candle.timeframe.to_string();
                if is_closed {
                    self.closed += 1;
                    let text = format!("{}  {text}", clock(received));
                    return Ok(Some(Line { text, is_closed }));
                }
                wait(&mut self.open, (source, instrument, &timeframe), text);
                Ok(None)
            }
            _ => Err("no topic of the market".to_owned()),
        }
    }

    /// Gives a price and a running candle, of those that have changed the ones that were not printed
    /// for the longest time.
    pub(super) fn due(&mut self) -> Vec<Line> {
        self.turn += 1;
        let mut lines = Vec::new();
        for waiting in [&mut self.prices, &mut self.open] {
            let changed = waiting.values_mut().filter(|waiting| waiting.is_new);
            if let Some(next) = changed.min_by_key(|waiting| waiting.printed) {
                (next.is_new, next.printed) = (false, self.turn);
                let text = format!("{}  {}", clock(self.now), next.text);
                lines.push(Line { text, is_closed: false });
            }
        }
        lines
    }

    /// The delay that half of the ticks did not exceed, in milliseconds.
    pub(super) fn median_delay(&self) -> Option<f64> {
        let whole: u64 = self.delays.values().sum();
        let mut before = 0;
        let median = self.delays.iter().find(|(_, count)| {
            before += *count;
            before * 2 >= whole
        });
        median.map(|(tenths, _)| *tenths as f64 / 10.0)
    }

    /// The greatest delay of a tick, in milliseconds.
    pub(super) fn greatest_delay(&self) -> Option<f64> {
        self.delays.last_key_value().map(|(tenths, _)| *tenths as f64 / 10.0)
    }

    fn delay(&mut self, ns: i64) {
        let tenths = u64::try_from(ns / 100_000).unwrap_or(0).min(TENTHS_MAX);
        *self.delays.entry(tenths).or_default() += 1;
    }

    /// Writes a price with as many digits as the instrument has.
    fn price(&mut self, instrument: &str, price: Price) -> String {
        let text = price.to_string();
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let digits = match self.digits.get_mut(instrument) {
            Some(digits) => digits,
            None => self.digits.entry(instrument.to_owned()).or_default(),
        };
        *digits = (*digits).max(fraction.len());
        format!("{whole}.{fraction:0<width$}", width = *digits)
    }

    fn candle(&mut self, instrument: &str, candle: &ChartCandle) -> String {
        let ChartCandle { open, high, low, close, .. } = *candle;
        let [open, high, low, close] =
            [open, high, low, close].map(|price| self.price(instrument, price));
        let start = candle.start().map_or_else(String::new, clock);
        let timeframe = candle.timeframe.to_string();
        let ticks = candle.volume.map(|ticks| ticks.to_string());
        let ticks = ticks.map_or_else(String::new, |ticks| format!("  {ticks:>4} ticks"));
        format!("{timeframe:>3} {start}  o {open}  h {high}  l {low}  c {close}{ticks}")
    }
}

fn wait(
    all: &mut BTreeMap<Key, Waiting>,
    (source, instrument, of): (&str, &str, &str),
    text: String,
) {
    let key = (source.to_owned(), instrument.to_owned(), of.to_owned());
    let waiting = all.entry(key).or_default();
    (waiting.text, waiting.is_new) = (text, true);
}

fn head(what: &str, source: &str, instrument: &str) -> String {
    format!("{what:<6}  {source:<3} {instrument}")
}

/// The time of day, UTC, in whole seconds.
fn clock(time: EventTime) -> String {
    time.to_string().get(11..19).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use proto::protobuf::encode_tick;
    use proto::tick_message::TickRef;

    use super::{Board, EventTime};

    const SECOND: i64 = 1_000_000_000;

    fn tick(source: &str, instrument: &str, bid: &str, ask: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let tick = TickRef {
            source,
            instrument,
            time: EventTime::from_ns(0),
            sequence: None,
            bid: bid.parse().unwrap(),
            ask: ask.parse().unwrap(),
            last: "0".parse().unwrap(),
            volume: None,
            traceparent: "",
            message_id: "",
        };
        encode_tick(&tick, &mut bytes).unwrap();
        bytes
    }

    fn take(board: &mut Board, topic: &str, payload: &[u8], ms: i64) -> Option<String> {
        let (time, received) = (EventTime::from_ns(0), EventTime::from_ns(ms * 1_000_000));
        board.take(topic, payload, Some(time), received).unwrap().map(|line| line.text)
    }

    fn due(board: &mut Board) -> Vec<String> {
        board.due().into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn series_take_turns_and_the_newest_price_of_each_is_printed_once() {
        let mut board = Board::default();
        for (source, bid) in [("mt4", "1.1"), ("mt5", "1.12345"), ("mt4", "1.2")] {
            let payload = tick(source, "EURUSD", bid, "1.3");
            let topic = format!("market/{source}/EURUSD/tick");
            assert_eq!(take(&mut board, &topic, &payload, 1_000), None);
        }
        assert_eq!(due(&mut board), ["00:00:01  price   mt4 EURUSD  bid 1.20000  ask 1.30000"]);
        assert_eq!(due(&mut board), ["00:00:01  price   mt5 EURUSD  bid 1.12345  ask 1.30000"]);
        assert_eq!(due(&mut board), [""; 0]);
        assert_eq!(board.ticks, 3);
    }

    #[test]
    fn a_closed_candle_is_printed_at_once_and_a_running_one_in_its_turn() {
        let mut board = Board::default();
        let candle = br#"{"o":1.1,"h":1.25,"l":1,"c":1.2,"v":14,"tf":"10s","t":10}"#;
        assert_eq!(take(&mut board, "market/ib/EURUSD/ohlcv", candle, 20_000), None);
        let closed = take(&mut board, "market/ib/EURUSD/closed", candle, 21_000).unwrap();
        let told = "ib  EURUSD  10s 00:00:10  o 1.10  h 1.25  l 1.00  c 1.20    14 ticks";
        assert_eq!(closed, format!("00:00:21  closed  {told}"));
        // It was written before more digits were known.
        assert!(
            due(&mut board)[0].starts_with("00:00:21  open    ib  EURUSD  10s 00:00:10  o 1.1")
        );
        assert_eq!(board.closed, 1);
    }

    #[test]
    fn delays_are_told_where_the_gateway_tells_milliseconds() {
        let mut board = Board::default();
        let payload = tick("mt5", "EURUSD", "1.1", "1.2");
        for ms in [1, 2, 3, 400] {
            take(&mut board, "market/mt5/EURUSD/tick", &payload, ms);
        }
        take(&mut board, "market/mt4/EURUSD/tick", &payload, 900);
        assert_eq!((board.median_delay(), board.greatest_delay()), (Some(2.0), Some(400.0)));
    }

    #[test]
    fn what_is_no_message_of_the_market_is_told() {
        let mut board = Board::default();
        let time = EventTime::from_ns(SECOND);
        for (topic, payload) in
            [("market/mt5/EURUSD/tick", &[0xff][..]), ("market/x", b""), ("market/a/b/ohlcv", b"{")]
        {
            assert!(board.take(topic, payload, None, time).is_err(), "{topic}");
        }
    }
}

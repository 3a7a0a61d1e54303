//! The sink `console`: rows on standard output as they come, for people or as JSON lines.

use std::io::{self, Write};

use dataflows::component::sink::{
    Ending, Guarantee, Sealed, Sink, SinkContext, SinkDefinition, SinkReport,
};
use dataflows::component::{Definition, check_config, read_config};
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::moment::Epoch;
use proto::columns::Names;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use serde_json::Value;

use crate::lines::Sheet;
use crate::order;

/// The definition of `console`.
#[derive(Debug)]
pub struct Console;

/// Prints rows on standard output as they come.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How rows are printed.
    #[serde(default)]
    pub format: Format,
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The main columns, under one another.
    #[default]
    Table,
    /// All columns, an object a line.
    Jsonl,
}

impl Definition for Console {
    fn name(&self) -> &'static str {
        "console"
    }

    fn summary(&self) -> &'static str {
        "Prints rows on standard output, as a table or as JSON lines."
    }

    fn config(&self) -> Schema {
        schema_for!(Config)
    }

    fn check(&self, config: &Value) -> Vec<(String, String)> {
        check_config::<Config>(config)
    }
}

impl SinkDefinition for Console {
    fn takes(&self) -> &'static [Kind] {
        Kind::ALL
    }

    fn within(&self, config: &Value, _: &str) -> Option<Value> {
        Some(config.clone())
    }

    fn guarantee(&self, _: &Value, _: Kind) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn open(&self, config: &Value, context: SinkContext) -> Result<Box<dyn Sink>, Fault> {
        let config: Config = read_config(&format!("sinks.{}", context.id), config)?;
        Ok(Box::new(ConsoleSink::new(config.format, context, io::stdout())))
    }
}

/// The columns of the table for people.
const fn shown(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Ticks => &["source", "instrument", "time", "bid", "ask", "last", "volume"],
        Kind::Candles => &[
            "source",
            "instrument",
            "timeframe",
            "start",
            "open",
            "high",
            "low",
            "close",
            "volume",
            "ticks",
            "revision",
            "reason",
            "flags",
        ],
        Kind::Rejects => &["clock", "component", "reason", "place", "detail"],
        Kind::Payloads => &["source", "instrument", "time", "content_type", "payload"],
        Kind::Statuses => &["source", "instrument", "clock", "status", "last_time", "feed_time"],
    }
}

struct ConsoleSink<W> {
    out: W,
    format: Format,
    kind: Kind,
    names: Names,
    /// How wide columns have become; they do not shrink, so that rows stay under one another.
    widths: Vec<usize>,
    /// The reader has gone away: nothing more is printed.
    is_closed: bool,
    rows: u64,
}

impl<W: Write> ConsoleSink<W> {
    fn new(format: Format, context: SinkContext, out: W) -> Self {
        Self {
            out,
            format,
            kind: context.kind,
            names: Names::new(context.series),
            widths: Vec::new(),
            is_closed: false,
            rows: 0,
        }
    }

    fn table(&mut self, sheet: &Sheet, text: &mut String) {
        let names = shown(self.kind);
        let fields: Vec<Vec<String>> = (0..sheet.rows)
            .map(|row| names.iter().map(|name| sheet.field(name, row)).collect())
            .collect();
        let mut widths = self.widths.clone();
        widths.resize(names.len(), 0);
        for (index, name) in names.iter().enumerate() {
            let longest = fields.iter().map(|row| row[index].chars().count()).max().unwrap_or(0);
            widths[index] = widths[index].max(name.len()).max(longest);
        }
        if widths != self.widths {
            self.widths = widths;
            let header: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            self.line(&header, text);
        }
        for row in &fields {
            self.line(row, text);
        }
    }

    fn line(&self, fields: &[String], text: &mut String) {
        let start = text.len();
        for (field, width) in fields.iter().zip(&self.widths) {
            text.push_str(field);
            text.extend(std::iter::repeat_n(' ', width + 2 - field.chars().count().min(*width)));
        }
        let end = start + text[start..].trim_end().len();
        text.truncate(end);
        text.push('\n');
    }
}

impl<W: Write + Send> Sink for ConsoleSink<W> {
    fn applied(&mut self) -> Result<Option<Epoch>, Fault> {
        Ok(None)
    }

    fn apply(&mut self, sealed: Sealed) -> Result<(), Fault> {
        self.names.refresh();
        let Some(rows) = order::canonical(sealed.runs, &self.names) else { return Ok(()) };
        if rows.is_empty() || self.is_closed {
            return Ok(());
        }
        let sheet = Sheet::new(&rows, &self.names);
        let mut text = String::new();
        match self.format {
            Format::Table => self.table(&sheet, &mut text),
            Format::Jsonl => (0..sheet.rows).for_each(|row| sheet.write_json(row, &mut text)),
        }
        match self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()) {
            Ok(()) => {
                self.rows += sheet.rows as u64;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            Err(error) => Err(Fault::stop("standard output", error)),
        }
    }

    fn checkpoint(&mut self) -> Result<Vec<u8>, Fault> {
        Ok(Vec::new())
    }

    fn finish(&mut self, _ending: Ending) -> Result<SinkReport, Fault> {
        let places = vec!["standard output".to_owned()];
        Ok(SinkReport { rows: self.rows, places, bytes: None })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use dataflows::batch::Rows;
    use dataflows::component::sink::{Sealed, Sink, SinkContext};
    use dataflows::kind::Kind;
    use dataflows::moment::Moment;
    use proto::event_time::EventTime;
    use proto::series::SeriesTable;
    use proto::tick::Tick;

    use super::{ConsoleSink, Format};

    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>, bool);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.1 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn print(format: Format, screen: &Screen) -> Result<String, dataflows::fault::Fault> {
        let series = SeriesTable::new();
        let late = series.intern("mt5", "EURUSD").unwrap();
        let early = series.intern("mt4", "EURUSD").unwrap();
        let tick =
            |series, bid: &str| Tick { series, bid: bid.parse().unwrap(), ..Tick::default() };
        let context = SinkContext {
            stop: dataflows::component::sink::Stop::default(),
            job: "job".to_owned(),
            id: "out".to_owned(),
            root: ".".into(),
            series,
            kind: Kind::Ticks,
            replace: None,
            durable: None,
            health: Arc::default(),
        };
        let mut sink = ConsoleSink::new(format, context, screen.clone());
        let clock = EventTime::default();
        let moment = Moment { epoch: 1, clock, watermarks: Vec::new(), is_last: true };
        let rows = Rows::Ticks(vec![tick(late, "1.1"), tick(early, "0.100000001")]);
        sink.apply(Sealed { moment: Arc::new(moment), runs: vec![rows] })?;
        let text = String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
        Ok(text)
    }

    #[test]
    fn rows_stand_in_order_of_their_names() {
        let text = print(Format::Table, &Screen::default()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "source  instrument  time                  bid          ask  last  volume"
        );
        assert_eq!(lines[1], "mt4     EURUSD      1970-01-01T00:00:00Z  0.100000001");
        assert_eq!(lines[2], "mt5     EURUSD      1970-01-01T00:00:00Z  1.1");
    }

    #[test]
    fn json_keeps_every_digit() {
        let text = print(Format::Jsonl, &Screen::default()).unwrap();
        assert_eq!(
            text.lines().next().unwrap(),
            "{\"source\":\"mt4\",\"instrument\":\"EURUSD\",\"time\":\"1970-01-01T00:00:00Z\",\
             \"sequence\":null,\"bid\":0.100000001,\"ask\":null,\"last\":null,\"volume\":null}"
        );
    }

    #[test]
    fn a_reader_that_goes_away_is_no_error() {
        assert!(print(Format::Table, &Screen(Arc::default(), true)).is_ok());
    }
}

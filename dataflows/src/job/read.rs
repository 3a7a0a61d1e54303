//! From the text of a job file to its tree: YAML, with every mistake in it at its place.
//!
//! Only what a job needs of YAML: one document, maps with text keys, no anchors, aliases or tags.
//! Size, depth and count are bounded, so no text can make reading expensive.

use std::collections::BTreeSet;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput};

use crate::job::mistake::short;
use crate::job::tree::{Data, Entry, Node, Place, resolve};

/// A job file may have so many bytes.
pub const BYTES_MAX: usize = 1 << 20;
/// Lists and maps may be so deep in one another.
pub const DEPTH_MAX: usize = 32;
/// A job file may have so many values.
pub const NODES_MAX: usize = 100_000;

/// What is wrong, and where.
pub(crate) type Complaint = (Place, String, Option<String>);

/// Reads the text. The tree is missing when the text is no YAML or exceeds a bound.
pub(crate) fn read(text: &str) -> (Option<Node>, Vec<Complaint>) {
    if text.len() > BYTES_MAX {
        let message = format!("a job file may have {BYTES_MAX} bytes; this one has {}", text.len());
        return (None, vec![(Place::START, message, None)]);
    }
    let mut reader = Reader { open: Vec::new(), root: None, nodes: 0, complaints: Vec::new() };
    match reader.run(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        Ok(()) => (reader.root, reader.complaints),
        Err(complaint) => {
            reader.complaints.push(complaint);
            (None, reader.complaints)
        }
    }
}

/// A key that waits for its value.
struct Key {
    text: String,
    place: Place,
    /// Of a key that stands twice, the first one counts.
    is_second: bool,
}

/// A list or a map that is being read.
enum Open {
    List(Place, Vec<Node>),
    Map { place: Place, entries: Vec<Entry>, key: Option<Key>, seen: BTreeSet<String> },
}

struct Reader {
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    complaints: Vec<Complaint>,
}

impl Reader {
    fn run(&mut self, text: &str) -> Result<(), Complaint> {
        let mut parser = Parser::<StrInput<'_>>::new_from_str(text);
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| syntax(error.marker(), error.info()))?;
            if let Event::DocumentStart(_) = event {
                documents += 1;
                if documents > 1 {
                    let message = "a second document starts here; a job file holds one job";
                    return Err((place(&span.start), message.to_owned(), None));
                }
            }
            self.take(event, &span)?;
        }
        Ok(())
    }

    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Complaint> {
        let at = place(&span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_extras(at, anchor, tag.is_some());
                let plain = style == ScalarStyle::Plain;
                self.scalar(at, text.into_owned(), plain)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_extras(at, anchor, tag.is_some());
                self.enter(at, Open::List(at, Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_extras(at, anchor, tag.is_some());
                let (entries, seen) = (Vec::new(), BTreeSet::new());
                self.enter(at, Open::Map { place: at, entries, key: None, seen })
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(place, items)) => {
                    self.put(Node::new(place, Data::List(items), false))
                }
                Some(Open::Map { place, entries, .. }) => {
                    self.put(Node::new(place, Data::Map(entries), false))
                }
                None => Ok(()),
            },
            Event::Alias(_) => Err((
                at,
                "aliases (`*name`) are not supported in a job file".to_owned(),
                Some("write the value out where it is used".to_owned()),
            )),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    /// Anchors and tags change no value here; whoever writes them expects otherwise.
    fn refuse_extras(&mut self, at: Place, anchor: usize, tagged: bool) {
        if anchor != 0 {
            let message = "anchors (`&name`) are not supported in a job file";
            self.complaints.push((at, message.to_owned(), None));
        }
        if tagged {
            let message = "tags (`!name`) are not supported in a job file";
            let hint = "put text that looks like a number in quotes";
            self.complaints.push((at, message.to_owned(), Some(hint.to_owned())));
        }
    }

    fn enter(&mut self, at: Place, open: Open) -> Result<(), Complaint> {
        if let Some(Open::Map { key: None, .. }) = self.open.last() {
            return Err((at, "a list or mapping stands where a key should".to_owned(), None));
        }
        if self.open.len() >= DEPTH_MAX {
            let message = format!("lists and mappings are more than {DEPTH_MAX} deep");
            return Err((at, message, None));
        }
        self.open.push(open);
        Ok(())
    }

    fn scalar(&mut self, at: Place, text: String, plain: bool) -> Result<(), Complaint> {
        if let Some(Open::Map { key: key @ None, seen, .. }) = self.open.last_mut() {
            let is_second = !seen.insert(text.clone());
            if is_second {
                let message = format!("the key `{}` stands twice in this mapping", short(&text));
                self.complaints.push((at, message, None));
            }
            *key = Some(Key { text, place: at, is_second });
            return Ok(());
        }
        let data = if plain { resolve(&text) } else { Some(Data::Text(text.clone())) };
        let data = data.unwrap_or_else(|| {
            let message = format!("`{}` is a number that 64 bits cannot hold", short(&text));
            let hint = "put it in quotes if it is meant as text";
            self.complaints.push((at, message, Some(hint.to_owned())));
            Data::Unknown
        });
        let digits = matches!(data, Data::Number(_)).then_some(text);
        self.put(Node { digits, ..Node::new(at, data, plain) })
    }

    /// Puts a finished value where it belongs.
    fn put(&mut self, node: Node) -> Result<(), Complaint> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let message = format!("the job file has more than {NODES_MAX} values");
            return Err((node.place, message, None));
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map { entries, key, .. }) => {
                if let Some(Key { text, place, is_second: false }) = key.take() {
                    entries.push(Entry { key: text, place, value: node });
                }
            }
        }
        Ok(())
    }
}

fn place(marker: &Marker) -> Place {
    Place { line: marker.line().max(1), column: marker.col() + 1 }
}

fn syntax(marker: &Marker, info: &str) -> Complaint {
    let hint = if info.contains("tab") {
        Some("YAML is indented with spaces".to_owned())
    } else if info.contains("mapping values are not allowed") {
        Some("put text that contains `: ` in quotes".to_owned())
    } else {
        None
    };
    (place(marker), format!("not valid YAML: {info}"), hint)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn values_are_typed_as_yaml_does_and_words_that_start_like_numbers_stay_words() {
        let text = "a: 1\nb: 1m\nc: 2024-01-01\nd: '1'\ne: true\nf: 1.5\ng: ~\nh: -3\ni: 0x1f\n\
                    j: 1e3\nk: no\nl: [1d, 4h]\nm: {n: .5}\no: 18446744073709551615\n";
        let (node, complaints) = read(text);
        assert!(complaints.is_empty());
        assert_eq!(
            node.unwrap().to_value(),
            serde_json::json!({
                "a": 1, "b": "1m", "c": "2024-01-01", "d": "1", "e": true, "f": 1.5, "g": null,
                "h": -3, "i": 31, "j": 1000.0, "k": "no", "l": ["1d", "4h"], "m": {"n": 0.5},
                "o": 18_446_744_073_709_551_615_u64,
            })
        );
    }

    #[test]
    fn a_value_knows_its_line_and_column() {
        let (node, _) = read("a:\n  b: [x, {c: d}]\n");
        let node = node.unwrap();
        let at = node.place_of("a.b[1].c");
        assert_eq!((at.line, at.column), (2, 14));
        let near = node.place_of("a.b[1].nothing");
        assert_eq!((near.line, near.column), (2, 10));
    }
}

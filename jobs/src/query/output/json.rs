//! Rows as JSON objects: one array of them, or one a line. Bytes are hexadecimal digits; a number
//! that JSON cannot write (infinity) is null.

use std::io::{self, Write};

use super::{Rows, distinct_names};
use crate::query::value::{Column, Value};

#[derive(Debug)]
pub(super) struct JsonRows {
    is_array: bool,
    /// The keys, each as it stands in the text: `"instrument":`.
    keys: Vec<String>,
    rows: u64,
    line: Vec<u8>,
}

impl JsonRows {
    pub(super) const fn array() -> Self {
        Self { is_array: true, keys: Vec::new(), rows: 0, line: Vec::new() }
    }

    pub(super) const fn lines() -> Self {
        Self { is_array: false, keys: Vec::new(), rows: 0, line: Vec::new() }
    }
}

impl Rows for JsonRows {
    fn start(&mut self, columns: &[Column], to: &mut dyn Write) -> io::Result<()> {
        for name in distinct_names(columns) {
            self.keys.push(format!("{}:", serde_json::to_string(&name)?));
        }
        if self.is_array { to.write_all(b"[") } else { Ok(()) }
    }

    fn row(&mut self, values: &[Value<'_>], to: &mut dyn Write) -> io::Result<()> {
        let line = &mut self.line;
        line.clear();
        if self.is_array {
            line.extend_from_slice(if self.rows == 0 { b"\n" } else { b",\n" });
        }
        for (index, (key, value)) in self.keys.iter().zip(values).enumerate() {
            line.push(if index == 0 { b'{' } else { b',' });
            line.extend_from_slice(key.as_bytes());
            match value {
                Value::Null => line.extend_from_slice(b"null"),
                Value::Integer(value) => serde_json::to_writer(&mut *line, value)?,
                Value::Real(value) => serde_json::to_writer(&mut *line, value)?,
                Value::Text(text) => serde_json::to_writer(&mut *line, text)?,
                Value::Blob(_) => {
                    let mut text = String::new();
                    value.write_text(&mut text);
                    serde_json::to_writer(&mut *line, &text)?;
                }
            }
        }
        line.push(b'}');
        if !self.is_array {
            line.push(b'\n');
        }
        self.rows += 1;
        to.write_all(line)
    }

    fn finish(&mut self, to: &mut dyn Write) -> io::Result<()> {
        if self.is_array { to.write_all(b"\n]\n") } else { Ok(()) }
    }
}

//! Lines of a text file, each with its number, none longer than a bound.

use std::io::{BufRead, Result};

use serde::{Deserialize, Serialize};

/// The longest record that is read, in bytes.
pub(super) const RECORD_BYTES_MAX: usize = 1 << 20;

/// A record of a file, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raw {
    /// The line that it begins in, from 1.
    pub(super) line: u64,
    /// Why it is no record, if that is known already.
    pub(super) broken: Option<String>,
}

/// How far reading has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reached {
    /// Bytes read.
    pub(super) offset: u64,
    /// Line breaks passed.
    pub(super) breaks: u64,
    /// Of a JSON array: its end was seen, or there is none to wait for.
    pub(super) is_closed: bool,
}

/// Reads the next line that is not empty into `buffer`, without its end; none at the end of the
/// file. Of a line that is too long only the beginning is kept.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn next_line(
    input: &mut impl BufRead,
    reached: &mut Reached,
    buffer: &mut Vec<u8>,
) -> Result<Option<Raw>> {
    loop {
        buffer.clear();
        let mut length = 0;
        let mut ended = false;
        while !ended {
            let available = input.fill_buf()?;
            if available.is_empty() {
                break;
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            ended = end.is_some();
            let line = available.get(..end.unwrap_or(available.len())).unwrap_or(&[]);
            let room = RECORD_BYTES_MAX - buffer.len().min(RECORD_BYTES_MAX);
            buffer.extend_from_slice(line.get(..room.min(line.len())).unwrap_or(&[]));
            length += line.len();
            let used = line.len() + usize::from(ended);
            reached.offset += used as u64;
            input.consume(used);
        }
        if length == 0 && !ended {
            return Ok(None);
        }
        reached.breaks += u64::from(ended);
        let line = reached.breaks + u64::from(!ended);
        if buffer.last() == Some(&b'\r') {
            buffer.pop();
        }
        if line == 1 && buffer.starts_with(b"\xef\xbb\xbf") {
            buffer.drain(..3);
        }
        if buffer.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let broken = (length > RECORD_BYTES_MAX)
            .then(|| format!("it has {length} bytes; at most {RECORD_BYTES_MAX} are read"));
        return Ok(Some(Raw { line, broken }));
    }
}

/// Splits a line into fields; those in double quotes may have the delimiter in them, and a
/// doubled quote for a quote.
///
/// # Errors
/// When a quote is not closed: a record never goes on in the next line, so that one broken line
/// breaks no other.
pub(super) fn split(
    line: &str,
    delimiter: char,
    fields: &mut Vec<(usize, usize)>,
    text: &mut String,
) -> std::result::Result<(), String> {
    fields.clear();
    text.clear();
    if !line.contains('"') {
        text.push_str(line);
        let mut start = 0;
        for part in line.split(delimiter) {
            fields.push((start, start + part.len()));
            start += part.len() + delimiter.len_utf8();
        }
        return Ok(());
    }
    let mut characters = line.chars().peekable();
    let mut start = 0;
    let mut is_quoted = false;
    while let Some(c) = characters.next() {
        match c {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                characters.next();
                text.push('"');
            }
            '"' if is_quoted => is_quoted = false,
            '"' if text.len() == start => is_quoted = true,
            c if c == delimiter && !is_quoted => {
                fields.push((start, text.len()));
                start = text.len();
            }
            c => text.push(c),
        }
    }
    fields.push((start, text.len()));
    if is_quoted { Err("a double quote is not closed".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::{RECORD_BYTES_MAX, Reached, next_line, split};

    #[test]
    fn a_line_is_split_at_its_delimiters_but_not_in_quotes() {
        let parts = |line: &str| {
            let (mut fields, mut text) = (Vec::new(), String::new());
            split(line, ',', &mut fields, &mut text)
                .map(|()| fields.iter().map(|(a, b)| text[*a..*b].to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(parts("a,,c").unwrap(), ["a", "", "c"]);
        assert_eq!(parts(r#""a,b","c""d",e"#).unwrap(), ["a,b", "c\"d", "e"]);
        assert!(parts(r#"a,"b"#).is_err());
    }

    #[test]
    fn an_endless_line_is_cut_and_the_next_one_is_read() {
        let mut bytes = vec![b'x'; RECORD_BYTES_MAX * 3];
        bytes.extend_from_slice(b"\r\n\nnext");
        let (mut reached, mut buffer) = (Reached::default(), Vec::new());
        let mut input = bytes.as_slice();
        let raw = next_line(&mut input, &mut reached, &mut buffer).unwrap().unwrap();
        assert!(raw.broken.is_some() && buffer.len() == RECORD_BYTES_MAX);
        let raw = next_line(&mut input, &mut reached, &mut buffer).unwrap().unwrap();
        assert_eq!((raw.line, buffer.as_slice()), (3, &b"next"[..]));
        assert_eq!(next_line(&mut input, &mut reached, &mut buffer).unwrap(), None);
        assert_eq!(reached.offset, bytes.len() as u64);
    }
}

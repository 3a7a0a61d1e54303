//! Elements of one JSON array, without reading the whole of it.

use std::io::{BufRead, Result};

use super::line::{RECORD_BYTES_MAX, Raw, Reached};

/// Where in the array reading stands, within one element.
#[derive(Debug, Default)]
struct Scan {
    depth: usize,
    is_text: bool,
    is_escaped: bool,
    /// Only spaces so far in this line.
    is_line_start: bool,
}

/// Steps into the array at the beginning of a file. Objects one behind the other, with no array
/// around them, are read as well.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn enter(input: &mut impl BufRead, reached: &mut Reached) -> Result<()> {
    while let Some(byte) = input.fill_buf()?.first().copied() {
        if !(byte.is_ascii_whitespace() || b"\xef\xbb\xbf[".contains(&byte)) {
            break;
        }
        consume(input, reached, byte);
        if byte == b'[' {
            return Ok(());
        }
    }
    reached.is_closed = true;
    Ok(())
}

/// Reads the next element into `buffer`; none at the end of the array or of the file.
///
/// An element that is not closed ends where a line begins with another one of its kind, so that
/// it takes no other with it; a text ends with its line at the latest.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn next_element(
    input: &mut impl BufRead,
    reached: &mut Reached,
    buffer: &mut Vec<u8>,
) -> Result<Option<Raw>> {
    buffer.clear();
    let mut scan = Scan::default();
    let mut length = 0;
    let mut line = 0;
    loop {
        let Some(byte) = input.fill_buf()?.first().copied() else {
            if length == 0 && reached.is_closed {
                return Ok(None);
            }
            reached.is_closed = true;
            if length == 0 {
                line = reached.breaks + 1;
                let broken = Some("the file ends before its array does".to_owned());
                return Ok(Some(Raw { line, broken }));
            }
            let broken = Some("the file ends within it".to_owned());
            return Ok(Some(Raw { line, broken }));
        };
        if length == 0 {
            match byte {
                b',' | b']' | b' ' | b'\t' | b'\r' | b'\n' => {
                    reached.is_closed |= byte == b']';
                    consume(input, reached, byte);
                    continue;
                }
                _ => line = reached.breaks + 1,
            }
        } else if scan.is_line_start && scan.depth > 0 && Some(&byte) == buffer.first() {
            let broken = Some("it is not closed before the next one begins".to_owned());
            return Ok(Some(Raw { line, broken }));
        }
        if scan.depth == 0 && length > 0 && matches!(byte, b',' | b']' | b'\n') {
            return Ok(Some(whole(line, length)));
        }
        consume(input, reached, byte);
        length += 1;
        if buffer.len() < RECORD_BYTES_MAX {
            buffer.push(byte);
        }
        scan.take(byte);
        if scan.depth == 0 && matches!(byte, b'}' | b']') {
            return Ok(Some(whole(line, length)));
        }
    }
}

fn whole(line: u64, length: usize) -> Raw {
    let broken = (length > RECORD_BYTES_MAX)
        .then(|| format!("it has {length} bytes; at most {RECORD_BYTES_MAX} are read"));
    Raw { line, broken }
}

fn consume(input: &mut impl BufRead, reached: &mut Reached, byte: u8) {
    input.consume(1);
    reached.offset += 1;
    reached.breaks += u64::from(byte == b'\n');
}

impl Scan {
    fn take(&mut self, byte: u8) {
        if byte == b'\n' {
            (self.is_text, self.is_escaped, self.is_line_start) = (false, false, true);
            return;
        }
        self.is_line_start &= byte.is_ascii_whitespace();
        if self.is_text {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.is_text = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => self.is_text = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Reached, enter, next_element};

    fn elements(text: &str) -> Vec<(String, u64, bool)> {
        let (mut reached, mut buffer) = (Reached::default(), Vec::new());
        let mut input = text.as_bytes();
        let mut found = Vec::new();
        enter(&mut input, &mut reached).unwrap();
        while let Some(raw) = next_element(&mut input, &mut reached, &mut buffer).unwrap() {
            let text = String::from_utf8(buffer.clone()).unwrap();
            found.push((text, raw.line, raw.broken.is_some()));
        }
        assert_eq!(reached.offset, text.len() as u64);
        found
    }

    #[test]
    fn elements_are_cut_out_of_their_array() {
        let found = elements("[[1, 2],\n [3,\"a]\"], {\"a\": {\"b\": [1]}}]\n");
        assert_eq!(
            found,
            [
                ("[1, 2]".to_owned(), 1, false),
                ("[3,\"a]\"]".to_owned(), 2, false),
                ("{\"a\": {\"b\": [1]}}".to_owned(), 2, false),
            ]
        );
    }

    #[test]
    fn an_element_that_is_not_closed_takes_no_other_with_it() {
        let found = elements("[\n{\"a\": 1},\n{\"a\": \"2,\n{\"a\": 3},\n{\"a\": 4");
        let broken: Vec<bool> = found.iter().map(|(_, _, broken)| *broken).collect();
        assert_eq!(broken, [false, true, false, true], "{found:?}");
        assert_eq!(found[2].0, "{\"a\": 3}");
    }
}

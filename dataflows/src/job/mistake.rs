//! Mistakes in a job file: each with its place, what was expected, and the line it stands in.

use std::fmt;
use std::path::PathBuf;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The job file.
    pub file: PathBuf,
    /// The line, from one.
    pub line: usize,
    /// The column in characters, from one.
    pub column: usize,
    /// The place in the job: `operators.candles.timeframes[2]`; empty for the file as a whole.
    pub path: String,
    /// What was found and what was expected.
    pub message: String,
    /// What to do, where that can be said.
    pub hint: Option<String>,
    /// The line of the file that it stands in; empty if there is none.
    pub source: String,
}

/// All mistakes of a job file, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, .. } = self;
        write!(formatter, "{}:{line}:{column}: {message}", file.display())
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, mistake) in self.0.iter().enumerate() {
            if number > 0 {
                writeln!(formatter)?;
            }
            write!(formatter, "{mistake}")?;
            excerpt(mistake, formatter)?;
            if let Some(hint) = &mistake.hint {
                write!(formatter, "\n  hint: {hint}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Mistake {}
impl std::error::Error for Mistakes {}

/// So many characters of a line are shown, at most.
const LINE_CHARS_MAX: usize = 96;

/// Writes the line with a caret below the mistake.
fn excerpt(mistake: &Mistake, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    if mistake.source.trim().is_empty() {
        return Ok(());
    }
    // A long line is shown from a little before the mistake on.
    let at = mistake.column.saturating_sub(1);
    let skip = if at < LINE_CHARS_MAX - 16 { 0 } else { at - 32 };
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let shown: String = mistake.source.chars().skip(skip).take(LINE_CHARS_MAX).map(clean).collect();
    let number = mistake.line.to_string();
    let margin = number.len();
    write!(formatter, "\n  {number} | {}", shown.trim_end())?;
    write!(formatter, "\n  {:margin$} | {:>caret$}", "", "^", caret = at - skip + 1)
}

/// Shortens text for a message and takes control characters out of it.
pub(crate) fn short(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut shown: String = text
        .chars()
        .take(CHARS_MAX)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

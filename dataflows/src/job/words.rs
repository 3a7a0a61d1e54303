//! Adding formatted words to a text.

/// Appends to a `String`.
macro_rules! add {
    ($text:expr, $($words:tt)*) => { $text.push_str(&format!($($words)*)) };
}

/// Appends a line to a `String`.
macro_rules! add_line {
    ($text:expr, $($words:tt)*) => {{
        $text.push_str(&format!($($words)*));
        $text.push('\n');
    }};
}

pub(crate) use {add, add_line};

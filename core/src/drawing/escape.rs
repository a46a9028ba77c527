//! Text that cannot become anything else in the language that it is written into.

use std::fmt::Write;

use crate::diagnostic::shown;

/// A stranger's text as a label: one line, at most so many characters.
pub fn label(text: &str, chars_max: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text: String =
        shown(&text).chars().map(|c| if misleads(c) { char::REPLACEMENT_CHARACTER } else { c }).collect();
    match text.char_indices().nth(chars_max) {
        Some(_) => format!("{}…", text.chars().take(chars_max.saturating_sub(1)).collect::<String>().trim_end()),
        None => text,
    }
}

/// What turns the direction of the text around it, has no width, or may not stand in XML.
fn misleads(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Inside of `"…"`. Whatever is not plain is written as a number, so that nothing of Mermaid's own,
/// of Markdown or of HTML is left in it.
pub fn mermaid(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-' | ',' | '·' | '…') {
            escaped.push(c);
        } else {
            write!(escaped, "#{};", c as u32).expect("a string takes everything");
        }
    }
    escaped
}

/// Inside of `"…"`. Graphviz reads a backslash as the beginning of an escape, and entities of HTML.
pub fn dot(text: &str) -> String {
    replaced(text, |c| match c {
        '\\' => Some("\\\\"),
        '"' => Some("\\\""),
        '&' => Some("&amp;"),
        _ => None,
    })
}

/// As text or inside of `"…"`.
pub fn xml(text: &str) -> String {
    replaced(text, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    })
}

fn replaced(text: &str, replacement: impl Fn(char) -> Option<&'static str>) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match replacement(c) {
            Some(replacement) => escaped.push_str(replacement),
            None => escaped.push(c),
        }
    }
    escaped
}

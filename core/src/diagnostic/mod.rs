//! Problems of a document, as data: where, what, which rule, and what would be right.
//!
//! Whoever reads a document reports every problem at once. The API sends them as `Located`, the
//! command line prints them the way compilers do. Every code has an explanation in `CODES`.

pub mod codes;
mod render;

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use codes::CODES;
pub use render::render;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// Stable, from `CODES`.
    pub code: &'static str,
    pub message: String,
    /// Bytes of the source; none when the problem has no place in it.
    pub span: Option<Range<usize>>,
    /// What to say at the place itself, when the message alone would not do.
    pub label: Option<String>,
    /// What would be right.
    pub help: Option<String>,
    /// Other places that take part in it.
    pub also: Vec<(Range<usize>, String)>,
}

impl Diagnostic {
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message.into())
    }

    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message.into())
    }

    fn new(severity: Severity, code: &'static str, message: String) -> Self {
        Self { severity, code, message, span: None, label: None, help: None, also: Vec::new() }
    }

    #[must_use]
    pub fn at(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }

    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }

    #[must_use]
    pub fn also(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.also.push((span, label.into()));
        self
    }

    /// For bytes that were to be a document and are not even text.
    pub fn not_utf8(bytes: &[u8], error: &std::str::Utf8Error) -> Self {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        let byte = error.valid_up_to() + 1;
        Self::error(codes::NOT_UTF8, format!("the document is not UTF-8: see line {line}, byte {byte} of the file"))
            .help(Some("save the file with the encoding UTF-8".to_owned()))
    }
}

/// The code's title and explanation.
pub fn explain(code: &str) -> Option<(&'static str, &'static str)> {
    CODES.iter().find(|(known, ..)| known.eq_ignore_ascii_case(code)).map(|(_, title, text)| (*title, *text))
}

/// A diagnostic as the API gives it. Lines and columns count from 1; columns count characters, and
/// the end is the column after the last one. Without a place in the source it is at 1:1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    pub code: String,
    pub severity: Severity,
    pub message: String,
    pub line: u32,
    pub column: u32,
    pub end_line: u32,
    pub end_column: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

pub fn locate(diagnostics: &[Diagnostic], source: &str) -> Vec<Located> {
    let places = Places::of(source);
    diagnostics.iter().map(|diagnostic| places.locate(diagnostic)).collect()
}

/// Where the lines of a source begin.
struct Places<'s> {
    source: &'s str,
    starts: Vec<usize>,
}

impl<'s> Places<'s> {
    fn of(source: &'s str) -> Self {
        let starts = std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { source, starts }
    }

    fn locate(&self, diagnostic: &Diagnostic) -> Located {
        let span = diagnostic.span.clone().unwrap_or(0..0);
        let (line, column) = self.line_and_column(span.start);
        let (end_line, end_column) = self.line_and_column(span.end.max(span.start));
        Located {
            code: diagnostic.code.to_owned(),
            severity: diagnostic.severity,
            message: diagnostic.message.clone(),
            line,
            column,
            end_line,
            end_column,
            help: diagnostic.help.clone(),
        }
    }

    fn line_and_column(&self, at: usize) -> (u32, u32) {
        let at = self.source.floor_char_boundary(at);
        let line = self.line(at);
        let column = self.source[self.starts[line]..at].chars().count();
        (line as u32 + 1, column as u32 + 1)
    }

    /// The index, from 0, of the line that holds a byte.
    fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|&start| start <= at) - 1
    }

    /// The bytes of a line without its line break.
    fn line_range(&self, line: usize) -> Range<usize> {
        let start = self.starts[line];
        let end = self.starts.get(line + 1).map_or(self.source.len(), |next| next - 1);
        start..end.max(start)
    }
}

/// A stranger's text as it may stand in a message: one line, no control characters, not endless.
pub fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let mut shown: String =
        text.chars().take(CHARS_MAX).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let source = "{\n  \"ä\": tru\n}";
        let start = source.find("tru").expect("it is there");
        let diagnostic = Diagnostic::error(codes::NOT_JSON, "unexpected word").at(start..start + 3);
        let located = &locate(&[diagnostic], source)[0];
        assert_eq!((located.line, located.column, located.end_line, located.end_column), (2, 8, 2, 11));
        let text = serde_json::to_string(located).expect("it can be written");
        assert_eq!(serde_json::from_str::<Located>(&text).expect("and read"), *located);
    }

    #[test]
    fn a_place_outside_the_source_or_inside_a_character_is_moved_to_the_nearest_one() {
        let diagnostic = Diagnostic::error(codes::NOT_JSON, "x").at(1..99);
        let located = &locate(std::slice::from_ref(&diagnostic), "ä\n")[0];
        assert_eq!((located.line, located.column, located.end_line, located.end_column), (1, 1, 2, 1));
        assert!(render(&[diagnostic], "ä\n", "x.json", false).contains("x.json:1:1"));
    }

    #[test]
    fn a_problem_in_an_endless_line_is_shown_by_its_place_alone() {
        let source = format!("{{\n{}", "x".repeat(100_000));
        let text = render(&[Diagnostic::error(codes::NOT_JSON, "x").at(50_001..50_002)], &source, "x.json", false);
        assert!(text.contains("x.json:2:50000") && text.len() < 200, "{text}");
    }

    #[test]
    fn what_is_not_utf8_is_told_with_its_line() {
        let bytes = [b"{\n\"a\": \"".as_slice(), b"\xff\"}"].concat();
        let error = std::str::from_utf8(&bytes).expect_err("not UTF-8");
        assert!(Diagnostic::not_utf8(&bytes, &error).message.contains("line 2"));
    }

    #[test]
    fn shown_text_is_one_line_and_short() {
        assert_eq!(shown("a\nb\x1b[31m"), "a\u{fffd}b\u{fffd}[31m");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), 81);
    }
}

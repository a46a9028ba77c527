//! Reads just enough of CEL's letters to know where an expression ends and how deep it can nest,
//! before any parser that recurses sees it.

use std::ops::Range;

use super::Invalid;

/// The deepest that the parser may be asked to go. A rough measure from above: what passes here is
/// measured exactly once it is parsed.
const NESTING_MAX: usize = 160;
/// Each bracket costs the parser several calls, so fewer of them are allowed.
const BRACKETS_MAX: usize = 48;

/// One string of a template, cut at its expressions.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    /// What is between `${` and `}`.
    Expression(Range<usize>),
}

/// Where the CEL is in a text that is either bare CEL or exactly one `${…}`.
pub fn unwrapped(text: &str) -> Result<Range<usize>, Invalid> {
    let trimmed = text.trim();
    if !trimmed.starts_with("${") {
        return Ok(0..text.len());
    }
    let start = text.len() - text.trim_start().len();
    let end = expression_end(text, start + 2).ok_or_else(|| never_closed(start..text.len()))?;
    if end + 1 < start + trimmed.len() {
        let message = "an expression is one `${…}` without text around it";
        let help = "combine inside of it: `${a && b}`, `${a + \" and \" + b}`".to_owned();
        return Err(Invalid::new(message, Some(help), end + 1..start + trimmed.len()));
    }
    Ok(start + 2..end)
}

/// Cuts a string at its `${…}`; `$${` stands for a literal `${`.
pub fn pieces(text: &str) -> Result<Vec<Piece>, Invalid> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(offset) = text[at..].find('$') {
        literal.push_str(&text[at..at + offset]);
        at += offset;
        let rest = &text[at..];
        if rest.starts_with("$${") {
            literal.push_str("${");
            at += 3;
        } else if rest.starts_with("${") {
            let end = expression_end(text, at + 2).ok_or_else(|| never_closed(at..text.len()))?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Expression(at + 2..end));
            at = end + 1;
        } else {
            literal.push('$');
            at += 1;
        }
    }
    literal.push_str(&text[at..]);
    if !literal.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}

fn never_closed(span: Range<usize>) -> Invalid {
    let help = "close it with `}`, or write `$${` for a literal `${`".to_owned();
    Invalid::new("this `${` is never closed", Some(help), span)
}

/// The `}` that ends the expression which begins at `start`: not one in a string, a comment or a
/// map literal.
fn expression_end(text: &str, start: usize) -> Option<usize> {
    let mut braces = 0usize;
    for (at, letter) in Letters::new(text, start) {
        match letter {
            Letter::Open(b'{') => braces += 1,
            Letter::Close(b'}') if braces == 0 => return Some(at),
            Letter::Close(b'}') => braces -= 1,
            _ => {}
        }
    }
    None
}

/// Refuses what might take the parser too deep.
pub fn check_nesting(source: &str) -> Result<(), Invalid> {
    let mut open: Vec<Level> = Vec::new();
    let mut level = Level::default();
    for (at, letter) in Letters::new(source, 0) {
        match letter {
            Letter::Open(_) => {
                level.chain += 1;
                open.push(std::mem::take(&mut level));
            }
            Letter::Close(_) => level = open.pop().unwrap_or_default(),
            Letter::Comma => level = Level::default(),
            Letter::Question => level.questions += 1,
            Letter::AndOr => level.chain = 0,
            Letter::Operator => level.chain += 1,
        }
        let depth: usize = open.iter().chain([&level]).map(|level| 1 + level.chain + level.questions).sum();
        if open.len() > BRACKETS_MAX || depth > NESTING_MAX {
            return Err(too_deep(at..source.len()));
        }
    }
    Ok(())
}

pub fn too_deep(span: Range<usize>) -> Invalid {
    let help = "compute parts of it in earlier steps".to_owned();
    Invalid::new("the expression nests too deep", Some(help), span)
}

/// What may still become deep between two brackets.
#[derive(Default)]
struct Level {
    chain: usize,
    questions: usize,
}

#[derive(Clone, Copy)]
enum Letter {
    Open(u8),
    Close(u8),
    Comma,
    Question,
    AndOr,
    Operator,
}

/// The letters of a source that matter for its shape, without strings, comments and names.
struct Letters<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Letters<'a> {
    fn new(text: &'a str, at: usize) -> Self {
        Self { bytes: text.as_bytes(), at }
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// Steps over a name or a number, or over the string that such letters prefix; whether it is
    /// `in`, an operator that is spelled like a name.
    fn skip_word(&mut self) -> bool {
        let start = self.at;
        while self.peek(0).is_ascii_alphanumeric() || self.peek(0) == b'_' {
            self.at += 1;
        }
        let word = &self.bytes[start..self.at];
        let is_prefix = word.len() <= 2 && word.iter().all(|byte| b"rRbB".contains(byte));
        if is_prefix && matches!(self.peek(0), b'"' | b'\'') {
            self.skip_string(word.iter().any(|byte| b"rR".contains(byte)));
        }
        word == b"in"
    }

    fn skip_string(&mut self, raw: bool) {
        let quote = self.peek(0);
        let triple = self.peek(1) == quote && self.peek(2) == quote;
        self.at += if triple { 3 } else { 1 };
        while self.at < self.bytes.len() {
            match self.peek(0) {
                b'\\' if !raw => self.at += 2,
                b'\n' if !triple => return,
                byte if byte == quote && !triple => {
                    self.at += 1;
                    return;
                }
                byte if byte == quote && self.peek(1) == quote && self.peek(2) == quote => {
                    self.at += 3;
                    return;
                }
                _ => self.at += 1,
            }
        }
    }

    fn skip_past(&mut self, end: u8) {
        while self.at < self.bytes.len() && self.peek(0) != end {
            self.at += 1;
        }
        self.at += 1;
    }
}

impl Iterator for Letters<'_> {
    type Item = (usize, Letter);

    fn next(&mut self) -> Option<(usize, Letter)> {
        while self.at < self.bytes.len() {
            let at = self.at;
            let letter = match (self.peek(0), self.peek(1)) {
                (b'"' | b'\'', _) => {
                    self.skip_string(false);
                    continue;
                }
                (b'`', _) => {
                    self.at += 1;
                    self.skip_past(b'`');
                    continue;
                }
                (b'/', b'/') => {
                    self.skip_past(b'\n');
                    continue;
                }
                (byte, _) if byte.is_ascii_alphanumeric() || byte == b'_' => {
                    if self.skip_word() {
                        return Some((at, Letter::Operator));
                    }
                    continue;
                }
                (open @ (b'(' | b'[' | b'{'), _) => Letter::Open(open),
                (close @ (b')' | b']' | b'}'), _) => Letter::Close(close),
                (b',', _) => Letter::Comma,
                (b'?', _) => Letter::Question,
                (b'&', b'&') | (b'|', b'|') => Letter::AndOr,
                (b'=' | b'!' | b'<' | b'>' | b'+' | b'-' | b'*' | b'/' | b'%' | b'.', _) => Letter::Operator,
                _ => {
                    self.at += 1;
                    continue;
                }
            };
            self.at += if matches!(letter, Letter::AndOr) || self.peek(1) == b'=' { 2 } else { 1 };
            return Some((at, letter));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::bare("a.b", "a.b")]
    #[case::wrapped("${a.b}", "a.b")]
    #[case::brace_in_a_string("${a == '}'}", "a == '}'")]
    #[case::brace_in_a_double_quoted_string(r#"${"}" + a}"#, r#""}" + a"#)]
    #[case::escaped_quote(r"${'\'}' + a}", r"'\'}' + a")]
    #[case::raw_string(r"${r'\' + '}'}", r"r'\' + '}'")]
    #[case::triple_quotes(r#"${"""}"}""" + a}"#, r#""""}"}""" + a"#)]
    #[case::map_literal("${{'a': {'b': 1}}}", "{'a': {'b': 1}}")]
    #[case::comment("${a // }\n + b}", "a // }\n + b")]
    fn an_expression_ends_at_its_own_brace(#[case] text: &str, #[case] inside: &str) {
        assert_eq!(&text[unwrapped(text).expect("one expression")], inside);
    }

    #[rstest::rstest]
    #[case("plain", vec![Piece::Text("plain".into())])]
    #[case("", vec![Piece::Text(String::new())])]
    #[case("$5 and $", vec![Piece::Text("$5 and $".into())])]
    #[case("$${a}", vec![Piece::Text("${a}".into())])]
    #[case("${a}", vec![Piece::Expression(2..3)])]
    #[case("Hi ${a}!", vec![Piece::Text("Hi ".into()), Piece::Expression(5..6), Piece::Text("!".into())])]
    #[case("${a}${b}", vec![Piece::Expression(2..3), Piece::Expression(6..7)])]
    #[case("ä$${x}${b}", vec![Piece::Text("ä${x}".into()), Piece::Expression(9..10)])]
    fn a_string_is_cut_at_its_expressions(#[case] text: &str, #[case] expected: Vec<Piece>) {
        assert_eq!(pieces(text), Ok(expected));
    }

    #[rstest::rstest]
    #[case("${a", 0)]
    #[case("x ${'}", 2)]
    #[case("${b'\\", 0)]
    #[case("${a} ${ {'b': 1}", 5)]
    fn what_is_never_closed_is_refused_where_it_opens(#[case] text: &str, #[case] at: usize) {
        assert_eq!(pieces(text).expect_err(text).span.start, at);
    }

    #[rstest::rstest]
    #[case::brackets("(".repeat(4000))]
    #[case::lists("[".repeat(4000))]
    #[case::selects("a".to_owned() + &".a".repeat(2000))]
    #[case::sums("a".to_owned() + &"+a".repeat(2000))]
    #[case::ternaries("a?a:".repeat(1000))]
    #[case::unary("!-".repeat(2000))]
    #[case::membership("a in ".repeat(800))]
    fn deep_text_is_refused_before_it_is_parsed(#[case] text: String) {
        assert!(check_nesting(&text).is_err());
    }

    #[test]
    fn long_but_flat_text_passes() {
        let text = vec!["signal.payload.a == 'x'"; 160].join(" || ");
        assert_eq!(check_nesting(&text), Ok(()));
        let list = format!("[{}]", vec!["signal.payload.a + 1"; 180].join(", "));
        assert_eq!(check_nesting(&list), Ok(()));
    }
}

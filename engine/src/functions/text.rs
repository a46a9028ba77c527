//! `text.*`: everyday work on texts. Lengths count characters, not bytes.

use serde_json::{Value, json};

use super::field::{Kind, invalid, may, need};
use super::value::{Growing, as_text, too_large};
use super::{Example, Function};

/// Pieces cost more memory than their letters; more of them than this is not a text anymore.
const PIECES_MAX: usize = 10_000;

pub static UPPER: Function = Function {
    name: "text.upper",
    summary: "Writes a text in upper case.",
    input: &[need("text", Kind::Text, "what to change")],
    output: "the changed text",
    example: Example { input: r#"{"text": "straße"}"#, output: r#""STRASSE""# },
    call: |input| Ok(input.text("text").to_uppercase().into()),
};

pub static LOWER: Function = Function {
    name: "text.lower",
    summary: "Writes a text in lower case.",
    input: &[need("text", Kind::Text, "what to change")],
    output: "the changed text",
    example: Example { input: r#"{"text": "Order 7B"}"#, output: r#""order 7b""# },
    call: |input| Ok(input.text("text").to_lowercase().into()),
};

pub static TRIM: Function = Function {
    name: "text.trim",
    summary: "Takes white space off both ends; `collapse` also makes each run of it inside one space.",
    input: &[need("text", Kind::Text, "what to change"), may("collapse", Kind::Bool, "also inside the text")],
    output: "the changed text",
    example: Example { input: r#"{"text": "  a \n b ", "collapse": true}"#, output: r#""a b""# },
    call: |input| {
        let text = input.text("text").trim();
        if !input.flag("collapse") {
            return Ok(text.into());
        }
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" ").into())
    },
};

pub static JOIN: Function = Function {
    name: "text.join",
    summary: "Puts the items of a list together; numbers and objects are written as JSON, null as nothing.",
    input: &[need("list", Kind::List, "the parts"), may("with", Kind::Text, "goes between the parts")],
    output: "one text",
    example: Example { input: r#"{"list": ["a", 2, "c"], "with": ", "}"#, output: r#""a, 2, c""# },
    call: |input| {
        let between = input.text("with");
        let mut joined = Growing::default();
        for (index, item) in input.list("list").iter().enumerate() {
            if index > 0 {
                joined.push(between)?;
            }
            joined.push(&as_text(item))?;
        }
        Ok(joined.finish().into())
    },
};

pub static SPLIT: Function = Function {
    name: "text.split",
    summary: "Cuts a text at every place where `by` stands, at most 10,000 pieces.",
    input: &[
        need("text", Kind::Text, "what to cut"),
        need("by", Kind::Text, "where to cut; not empty"),
        may("max", Kind::Integer, "at most so many pieces; the last one keeps the rest"),
    ],
    output: "a list of texts",
    example: Example { input: r#"{"text": "a, b, c", "by": ", "}"#, output: r#"["a", "b", "c"]"# },
    call: |input| {
        let (text, by) = (input.text("text"), input.text("by"));
        if by.is_empty() {
            return Err(invalid("`by` must not be empty"));
        }
        let max = input.count_or("max", usize::MAX, 1)?;
        pieces(text.splitn(max, by))
    },
};

pub static LINES: Function = Function {
    name: "text.lines",
    summary: "The lines of a text, at most 10,000; `skip_empty` leaves out those with only white space.",
    input: &[need("text", Kind::Text, "what to read"), may("skip_empty", Kind::Bool, "leave out empty lines")],
    output: "a list of texts",
    example: Example { input: r#"{"text": "a\n\nb\n", "skip_empty": true}"#, output: r#"["a", "b"]"# },
    call: |input| {
        let skip_empty = input.flag("skip_empty");
        pieces(input.text("text").lines().filter(|line| !skip_empty || !line.trim().is_empty()))
    },
};

pub static REPLACE: Function = Function {
    name: "text.replace",
    summary: "Puts `with` wherever `find` stands, letter for letter.",
    input: &[
        need("text", Kind::Text, "what to change"),
        need("find", Kind::Text, "what to look for; not empty"),
        need("with", Kind::Text, "what to put there"),
    ],
    output: "the changed text",
    example: Example { input: r#"{"text": "2026/11/22", "find": "/", "with": "-"}"#, output: r#""2026-11-22""# },
    call: |input| {
        let find = input.text("find");
        if find.is_empty() {
            return Err(invalid("`find` must not be empty"));
        }
        let mut replaced = Growing::default();
        for (index, part) in input.text("text").split(find).enumerate() {
            if index > 0 {
                replaced.push(input.text("with"))?;
            }
            replaced.push(part)?;
        }
        Ok(replaced.finish().into())
    },
};

pub static TRUNCATE: Function = Function {
    name: "text.truncate",
    summary: "Keeps the beginning of a text, cut between words where possible and marked with `…`.",
    input: &[
        need("text", Kind::Text, "what to shorten"),
        need("max", Kind::Integer, "at most so many characters, the mark included"),
    ],
    output: "a text of at most `max` characters",
    example: Example { input: r#"{"text": "a long sentence", "max": 9}"#, output: r#""a long…""# },
    call: |input| Ok(truncate(input.text("text"), input.count_or("max", 1, 1)?).into()),
};

pub static SENTENCES: Function = Function {
    name: "text.sentences",
    summary: "The first sentences of a text, word for word: an honest short form without a model.",
    input: &[
        need("text", Kind::Text, "what to read"),
        may("max", Kind::Integer, "how many sentences, 1 unless given, at most 100"),
    ],
    output: "the beginning of the text",
    example: Example {
        input: r#"{"text": "It is broken. Since v. 2 it does not start! Help."}"#,
        output: r#""It is broken.""#,
    },
    call: |input| Ok(sentences(input.text("text"), input.count_or("max", 1, 1)?.min(100)).into()),
};

pub static LENGTH: Function = Function {
    name: "text.length",
    summary: "Counts characters, words and lines.",
    input: &[need("text", Kind::Text, "what to count")],
    output: "{characters, words, lines}",
    example: Example {
        input: r#"{"text": "two words\nmore"}"#,
        output: r#"{"characters": 14, "words": 3, "lines": 2}"#,
    },
    call: |input| {
        let text = input.text("text");
        let words = text.split_whitespace().count();
        Ok(json!({"characters": text.chars().count(), "words": words, "lines": text.lines().count()}))
    },
};

pub static SLUGIFY: Function = Function {
    name: "text.slugify",
    summary: "A text as it may stand in an address: a-z, 0-9 and single dashes. Other letters are left out.",
    input: &[
        need("text", Kind::Text, "a title"),
        may("max", Kind::Integer, "at most so many characters, 80 unless given"),
    ],
    output: "a text, empty when no letter remains",
    example: Example { input: r#"{"text": "Refund (EU) – v2!"}"#, output: r#""refund-eu-v2""# },
    call: |input| {
        let max = input.count_or("max", 80, 1)?;
        let mut slug = String::new();
        for c in input.text("text").chars() {
            if c.is_ascii_alphanumeric() {
                slug.push(c.to_ascii_lowercase());
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
        }
        slug.truncate(max);
        Ok(slug.trim_end_matches('-').into())
    },
};

fn pieces<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Value, fleetprompt_core::Failure> {
    let pieces: Vec<Value> = parts.take(PIECES_MAX + 1).map(Value::from).collect();
    if pieces.len() > PIECES_MAX { Err(too_large()) } else { Ok(pieces.into()) }
}

/// The beginning of a text in at most `max` characters. Cuts inside a word only where cutting
/// before it would lose more than half.
pub fn truncate(text: &str, max: usize) -> String {
    if text.char_indices().nth(max).is_none() {
        return text.to_owned();
    }
    let end = text.char_indices().nth(max.saturating_sub(1)).map_or(0, |(end, _)| end);
    let kept = &text[..end];
    let splits_word = !text[end..].starts_with(char::is_whitespace);
    let kept = match kept.rfind(char::is_whitespace) {
        Some(space) if splits_word && space * 2 >= kept.len() => &kept[..space],
        _ => kept,
    };
    format!("{}…", kept.trim_end())
}

/// The first `max` words, with the white space between them as one space.
pub fn words(text: &str, max: usize) -> String {
    let mut rest = text.split_whitespace();
    let kept = rest.by_ref().take(max).collect::<Vec<_>>().join(" ");
    if rest.next().is_some() { format!("{kept}…") } else { kept }
}

/// The first `max` sentences. One ends at `.`, `!` or `?` before white space, unless a small letter
/// or a digit follows (`e.g. this`, `v. 2`), at `。`, `！` or `？`, or at an empty line.
pub fn sentences(text: &str, max: usize) -> &str {
    let text = text.trim();
    let mut found = 0;
    for (at, c) in text.char_indices() {
        let after = &text[at + c.len_utf8()..];
        let ends = match c {
            '.' | '!' | '?' => after.starts_with(char::is_whitespace) && !continues(after),
            '。' | '！' | '？' => true,
            '\n' => after.starts_with(['\n', '\r']),
            _ => false,
        };
        found += usize::from(ends);
        if ends && found == max {
            return text[..at + c.len_utf8()].trim_end();
        }
    }
    text
}

fn continues(after: &str) -> bool {
    after.trim_start().starts_with(|c: char| c.is_lowercase() || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncating_prefers_the_space_between_words() {
        assert_eq!(truncate("short", 5), "short");
        assert_eq!(truncate("one two three", 8), "one two…");
        assert_eq!(truncate("one two three", 10), "one two…");
        assert_eq!(truncate("unbreakable", 4), "unb…");
        assert_eq!(truncate("äöü", 1), "…");
    }

    #[test]
    fn a_sentence_ends_where_readers_say_it_does() {
        assert_eq!(sentences("Use e.g. this. Then that.", 1), "Use e.g. this.");
        assert_eq!(sentences("Is it? Yes! No.", 2), "Is it? Yes!");
        assert_eq!(sentences("壊れた。直して。", 1), "壊れた。");
        assert_eq!(sentences("no end", 3), "no end");
        assert_eq!(sentences("Title\n\nBody here.", 1), "Title");
    }
}

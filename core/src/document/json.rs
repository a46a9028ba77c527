//! JSON with comments. What other extensions allow is refused: a definition has one spelling.

use std::borrow::Cow;
use std::ops::Range;

use jsonc_parser::ast::{Object, ObjectPropName, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::{Key, Node, NodeValue, Refused, too_deep};
use crate::Json;
use crate::diagnostic::{Diagnostic, codes, shown};
use crate::json::depth;

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

pub fn parse(text: &str) -> Result<Node, Refused> {
    let plain = without_comments(text)?;
    if depth(&plain) > Json::DEPTH_MAX {
        return Err(too_deep(depth_exceeded_at(&plain)));
    }
    let parsed = parse_to_ast(&plain, &CollectOptions::default(), &STRICT).map_err(|error| syntax(&error))?;
    match parsed.value {
        Some(value) => node(&value, text),
        None => Err(Box::new(Diagnostic::error(codes::NOT_JSON, "the document is empty"))),
    }
}

/// Blanks comments and a byte order mark with as many spaces, so that places stay what they are
/// and the check of the depth sees what the parser will see.
fn without_comments(text: &str) -> Result<Cow<'_, str>, Refused> {
    if !text.contains('/') && !text.starts_with('\u{feff}') {
        return Ok(Cow::Borrowed(text));
    }
    let mut plain = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let (end, blank) = piece(text, at)?;
        let piece = &text[at..end];
        if blank {
            plain.extend(piece.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        } else {
            plain.push_str(piece);
        }
        at = end;
    }
    Ok(Cow::Owned(plain))
}

/// Where the piece that begins at `at` ends, and whether it is to be blanked.
fn piece(text: &str, at: usize) -> Result<(usize, bool), Refused> {
    let rest = &text[at..];
    let end_of = |found: Option<usize>| found.map_or(text.len(), |length| at + length);
    if at == 0 && rest.starts_with('\u{feff}') {
        Ok(('\u{feff}'.len_utf8(), true))
    } else if rest.starts_with("//") {
        Ok((end_of(rest.find(['\n', '\r'])), true))
    } else if let Some(comment) = rest.strip_prefix("/*") {
        let open = || Diagnostic::error(codes::NOT_JSON, "this comment is never closed").at(at..at + 2);
        comment.find("*/").map(|length| (at + 2 + length + 2, true)).ok_or_else(|| Box::new(open()))
    } else if rest.starts_with('"') {
        Ok((end_of(string_length(rest)), false))
    } else if rest.starts_with('/') {
        Ok((at + 1, false))
    } else {
        Ok((end_of(rest.find(['"', '/'])), false))
    }
}

/// The length of the string that a text begins with, quotes included.
fn string_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().enumerate().skip(1).find_map(|(at, byte)| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes.then_some(at + 1)
    })
}

fn depth_exceeded_at(text: &str) -> Option<Range<usize>> {
    let brackets = text.match_indices(['[', '{']).map(|(at, _)| at);
    // The depth of a prefix only grows with it, so the first one too many can be searched for.
    let places: Vec<usize> = brackets.collect();
    let first = places.partition_point(|&at| depth(&text[..=at]) <= Json::DEPTH_MAX);
    places.get(first).map(|&at| at..at + 1)
}

fn node(value: &Value<'_>, text: &str) -> Result<Node, Refused> {
    let span = value.range().start..value.range().end;
    let value = match value {
        Value::NullKeyword(_) => NodeValue::Null,
        Value::BooleanLit(literal) => NodeValue::Bool(literal.value),
        Value::NumberLit(literal) => number(literal.value, &span)?,
        Value::StringLit(literal) => NodeValue::String(string(&literal.value, text, &span)?),
        Value::Array(array) => {
            NodeValue::Array(array.elements.iter().map(|item| node(item, text)).collect::<Result<_, _>>()?)
        }
        Value::Object(object) => NodeValue::Object(entries(object, text)?),
    };
    Ok(Node { value, span })
}

fn entries(object: &Object<'_>, text: &str) -> Result<Vec<(Key, Node)>, Refused> {
    let entry = |property: &jsonc_parser::ast::ObjectProp<'_>| {
        let range = property.name.range();
        let span = range.start..range.end;
        let name = match &property.name {
            ObjectPropName::String(literal) => string(&literal.value, text, &span)?,
            ObjectPropName::Word(word) => word.value.to_owned(),
        };
        Ok((Key { text: name, span }, node(&property.value, text)?))
    };
    object.properties.iter().map(entry).collect()
}

/// The parser lets line breaks and other control characters pass; JSON does not.
fn string(content: &str, text: &str, span: &Range<usize>) -> Result<String, Refused> {
    let raw = text.get(span.clone()).unwrap_or_default();
    match raw.bytes().position(|byte| byte < b' ') {
        None => Ok(content.to_owned()),
        Some(at) => {
            let at = span.start + at;
            let problem = Diagnostic::error(codes::NOT_JSON, "a control character or line break inside of a string");
            let help = "close the string on its line, or write `\\n` for a line break and `\\t` for a tab";
            Err(Box::new(problem.at(at..at + 1).help(Some(help.to_owned()))))
        }
    }
}

fn number(literal: &str, span: &Range<usize>) -> Result<NodeValue, Refused> {
    let refused = |_| {
        let message = format!("the number {} cannot be represented", shown(literal));
        Box::new(Diagnostic::error(codes::NUMBER_RANGE, message).at(span.clone()))
    };
    serde_json::from_str(literal).map(NodeValue::Number).map_err(refused)
}

fn syntax(error: &ParseError) -> Refused {
    let range = error.range();
    let message = error.kind().to_string();
    let message = message.chars().take(1).flat_map(char::to_lowercase).chain(message.chars().skip(1));
    let help = match error.kind() {
        ParseErrorKind::TrailingCommasNotAllowed => Some("remove the comma"),
        ParseErrorKind::SingleQuotedStringsNotAllowed => Some("use double quotes"),
        ParseErrorKind::ExpectedStringObjectProperty | ParseErrorKind::UnexpectedWord => {
            Some("text and names stand in double quotes")
        }
        ParseErrorKind::ExpectedComma => Some("entries are separated by commas"),
        _ => None,
    };
    let problem = Diagnostic::error(codes::NOT_JSON, message.collect::<String>()).at(range.start..range.end);
    Box::new(problem.help(help.map(str::to_owned)))
}

/// Where in a quoted string a part of its content stands, read through the escapes.
pub fn place_of_content(raw: &str, content: &str, part: &Range<usize>) -> Option<Range<usize>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    let (mut at_raw, mut at_content) = (0, 0);
    let mut place = Range { start: None, end: None };
    while at_raw < inner.len() {
        if at_content >= part.start {
            place.start.get_or_insert(at_raw);
        }
        if at_content >= part.end {
            place.end.get_or_insert(at_raw);
        }
        let (raw_length, content_length) = character(&inner[at_raw..])?;
        at_raw += raw_length;
        at_content += content_length;
    }
    let (start, end) = (place.start.unwrap_or(inner.len()), place.end.unwrap_or(inner.len()));
    (at_content == content.len()).then_some(1 + start..1 + end)
}

/// How many bytes the next character takes in the text, and how many in the content.
fn character(raw: &str) -> Option<(usize, usize)> {
    let first = raw.chars().next()?;
    if first != '\\' {
        return Some((first.len_utf8(), first.len_utf8()));
    }
    if raw.as_bytes().get(1) != Some(&b'u') {
        return Some((2, 1));
    }
    let unit = |text: &str| u32::from_str_radix(text.get(2..6)?, 16).ok();
    match unit(raw)? {
        0xd800..=0xdfff => Some((12, 4)),
        code => Some((6, char::from_u32(code)?.len_utf8())),
    }
}

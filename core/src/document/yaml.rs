//! YAML 1.2 with its core schema, as another spelling of JSON. What JSON cannot say (anchors,
//! aliases, merge keys, tags, several documents) is refused by name.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use serde_json::Number;

use super::{Key, Node, NodeValue, Refused, too_deep};
use crate::Json;
use crate::diagnostic::{Diagnostic, codes, shown};

pub fn parse(text: &str) -> Result<Node, Refused> {
    let mut events = Events::of(text);
    let mut tree = Tree::default();
    while let Some((event, span)) = events.next()? {
        tree.take(event, span, events.text)?;
    }
    tree.root.ok_or_else(|| Box::new(Diagnostic::error(codes::NOT_YAML, "the document is empty")))
}

/// The parser's events with places in bytes.
struct Events<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    offsets: Offsets,
}

impl<'t> Events<'t> {
    fn of(text: &'t str) -> Self {
        let content = text.strip_prefix('\u{feff}').unwrap_or(text);
        let offsets = Offsets::of(content, text.len() - content.len());
        Self { text, parser: Parser::new_from_str(content), offsets }
    }

    fn next(&mut self) -> Result<Option<(Event<'t>, Range<usize>)>, Refused> {
        match self.parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, self.offsets.span(span)))),
            Some(Err(error)) => Err(self.syntax(&error)),
        }
    }

    fn syntax(&self, error: &ScanError) -> Refused {
        // The parser looks ahead of its events, and has a limit of its own.
        const TOO_DEEP: &str = "recursion limit exceeded";
        let at = self.offsets.byte(error.marker().index()).min(self.text.len());
        let end = self.text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
        if error.info() == TOO_DEEP {
            return too_deep(Some(at..end));
        }
        Box::new(Diagnostic::error(codes::NOT_YAML, shown(error.info())).at(at..end))
    }
}

/// The parser counts characters; everybody else counts bytes.
struct Offsets {
    before: usize,
    /// Where each character begins; empty when each is one byte.
    bytes: Vec<u32>,
    length: usize,
}

impl Offsets {
    fn of(content: &str, before: usize) -> Self {
        let starts = content.char_indices().map(|(at, _)| at as u32);
        let bytes = if content.is_ascii() { Vec::new() } else { starts.collect() };
        Self { before, bytes, length: content.len() }
    }

    fn byte(&self, index: usize) -> usize {
        let at = match self.bytes.get(index) {
            Some(&at) => at as usize,
            None if self.bytes.is_empty() => index.min(self.length),
            None => self.length,
        };
        self.before + at
    }

    fn span(&self, span: Span) -> Range<usize> {
        let start = self.byte(span.start.index());
        start..self.byte(span.end.index()).max(start)
    }
}

/// The tree as far as it is read: the open lists and objects on a stack, never on ours.
#[derive(Default)]
struct Tree {
    root: Option<Node>,
    open: Vec<Open>,
    documents: usize,
}

struct Open {
    start: usize,
    /// Where its last child ended: a block ends there, though its end event comes lines later.
    end: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Object(Vec<(Key, Node)>, Option<Key>),
}

impl Tree {
    fn take(&mut self, event: Event<'_>, span: Range<usize>, text: &str) -> Result<(), Refused> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => self.document(span),
            Event::Alias(_) => Err(unsupported("aliases (`*name`)", span)),
            Event::Scalar(content, style, anchor, tag) => {
                refuse_properties(anchor, tag.is_some(), &span)?;
                self.scalar(&content, style, span, text)
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_properties(anchor, tag.is_some(), &span)?;
                self.start(span, Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                refuse_properties(anchor, tag.is_some(), &span)?;
                self.start(span, Content::Object(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span, text),
        }
    }

    fn document(&mut self, span: Range<usize>) -> Result<(), Refused> {
        self.documents += 1;
        if self.documents > 1 { Err(unsupported("several documents in one text", span)) } else { Ok(()) }
    }

    fn start(&mut self, span: Range<usize>, content: Content) -> Result<(), Refused> {
        if self.open.len() >= Json::DEPTH_MAX {
            return Err(too_deep(Some(span)));
        }
        if self.key_is_next() {
            return Err(unsupported("keys that are lists or objects", span));
        }
        self.open.push(Open { start: span.start, end: span.end, content });
        Ok(())
    }

    fn end(&mut self, span: Range<usize>, text: &str) -> Result<(), Refused> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let flow = matches!(text.as_bytes().get(open.start), Some(b'[' | b'{'));
        let end = if flow { span.end.max(open.end) } else { open.end };
        let value = match open.content {
            Content::List(items) => NodeValue::Array(items),
            Content::Object(entries, _) => NodeValue::Object(entries),
        };
        self.add(Node { value, span: open.start..end.max(open.start) });
        Ok(())
    }

    fn scalar(&mut self, content: &str, style: ScalarStyle, span: Range<usize>, text: &str) -> Result<(), Refused> {
        let span = trimmed(span, text);
        if self.key_is_next() {
            self.key(content, style, span)
        } else {
            let value = if style == ScalarStyle::Plain { plain(content, &span)? } else { string(content) };
            self.add(Node { value, span });
            Ok(())
        }
    }

    fn key_is_next(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Object(_, None), .. }))
    }

    fn key(&mut self, content: &str, style: ScalarStyle, span: Range<usize>) -> Result<(), Refused> {
        if style == ScalarStyle::Plain && content == "<<" {
            return Err(unsupported("merge keys (`<<`)", span));
        }
        if span.is_empty() {
            return Err(unsupported("keys without a name", span));
        }
        if let Some(Open { content: Content::Object(_, key), .. }) = self.open.last_mut() {
            *key = Some(Key { text: content.to_owned(), span });
        }
        Ok(())
    }

    fn add(&mut self, node: Node) {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        open.end = open.end.max(node.span.end);
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Object(entries, key) => {
                if let Some(key) = key.take() {
                    entries.push((key, node));
                }
            }
        }
    }
}

fn refuse_properties(anchor: usize, tagged: bool, span: &Range<usize>) -> Result<(), Refused> {
    match (anchor, tagged) {
        (0, false) => Ok(()),
        (0, true) => Err(unsupported("tags (`!name`)", span.clone())),
        _ => Err(unsupported("anchors (`&name`)", span.clone())),
    }
}

fn unsupported(what: &str, span: Range<usize>) -> Refused {
    let message = format!("{what} are not supported: YAML is read as a spelling of JSON");
    let help = "write the value out where it is used; put text in quotes".to_owned();
    Box::new(Diagnostic::error(codes::YAML_FEATURE, message).at(span).help(Some(help)))
}

/// Plain text's span may run on to the next line.
fn trimmed(span: Range<usize>, text: &str) -> Range<usize> {
    let length = text.get(span.clone()).map_or(span.len(), |raw| raw.trim_end().len());
    span.start..span.start + length
}

fn string(content: &str) -> NodeValue {
    NodeValue::String(content.to_owned())
}

/// What the core schema (YAML 1.2.2 §10.3.2) takes an unquoted text for.
fn plain(content: &str, span: &Range<usize>) -> Result<NodeValue, Refused> {
    Ok(match content {
        "" | "~" | "null" | "Null" | "NULL" => NodeValue::Null,
        "true" | "True" | "TRUE" => NodeValue::Bool(true),
        "false" | "False" | "FALSE" => NodeValue::Bool(false),
        _ if is_not_finite(content) => return Err(unsupported("the numbers `.inf` and `.nan`", span.clone())),
        _ => match number(content) {
            Some(Some(number)) => NodeValue::Number(number),
            Some(None) => {
                let message = format!("the number {} cannot be represented", shown(content));
                return Err(Box::new(Diagnostic::error(codes::NUMBER_RANGE, message).at(span.clone())));
            }
            None => string(content),
        },
    })
}

fn is_not_finite(content: &str) -> bool {
    let unsigned = content.strip_prefix(['-', '+']).unwrap_or(content);
    matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(content, ".nan" | ".NaN" | ".NAN")
}

/// None: not a number. Some(None): a number that no JSON number is.
fn number(content: &str) -> Option<Option<Number>> {
    if let Some(digits) = content.strip_prefix("0o").filter(|digits| !digits.is_empty()) {
        return digits.bytes().all(|b| matches!(b, b'0'..=b'7')).then(|| whole(digits, 8));
    }
    if let Some(digits) = content.strip_prefix("0x").filter(|digits| !digits.is_empty()) {
        return digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| whole(digits, 16));
    }
    let unsigned = content.strip_prefix(['-', '+']).unwrap_or(content);
    if !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit()) {
        let signed = content.parse::<i64>().map(Number::from).or_else(|_| content.parse::<u64>().map(Number::from));
        return Some(signed.ok().or_else(|| content.parse().ok().and_then(Number::from_f64)));
    }
    is_float(unsigned).then(|| content.parse().ok().and_then(Number::from_f64))
}

fn whole(digits: &str, radix: u32) -> Option<Number> {
    u64::from_str_radix(digits, radix).ok().map(Number::from)
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(unsigned: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(before)
        && digits(after)
        && !(before.is_empty() && after.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

//! Definitions as people write them, JSON or YAML, read into one tree that remembers where in the
//! text each value stands.
//!
//! The text is a stranger's: its size and depth are checked before anything recursive looks at it.
//! What a document means is not known here; that is its reader's business.

mod compiled;
mod json;
mod reader;
mod yaml;

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use serde_json::{Map, Number, Value};

use crate::Json;
use crate::diagnostic::{Diagnostic, codes, shown};

pub use reader::{Fields, Known, Outcome, Reader};

/// Larger definitions are data in disguise.
pub const BYTES_MAX: usize = 4 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Yaml,
}

/// Reads a whole document, or says what is wrong with its text.
pub fn parse(text: &str, format: Format) -> Result<Node, Vec<Diagnostic>> {
    if text.len() > BYTES_MAX {
        let message = format!("the document has {} bytes; at most {BYTES_MAX} are read", text.len());
        return Err(vec![Diagnostic::error(codes::TOO_LARGE, message)]);
    }
    let root = match format {
        Format::Json => json::parse(text),
        Format::Yaml => yaml::parse(text),
    }
    .map_err(|problem| vec![*problem])?;
    let mut twice = Vec::new();
    root.find_duplicate_keys(&mut twice);
    if twice.is_empty() { Ok(root) } else { Err(twice) }
}

impl Format {
    /// By the file's extension, or none when that says nothing.
    pub fn of_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" | "jsonc" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }

    /// By the file's name, or else by how the text begins.
    pub fn of(path: &Path, text: &str) -> Self {
        Self::of_path(path).unwrap_or_else(|| Self::of_text(text))
    }

    /// By the first character: definitions are objects, and only JSON's begin with a brace or with
    /// JSON's comments.
    pub fn of_text(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_start();
        if text.starts_with(['{', '[', '/']) { Self::Json } else { Self::Yaml }
    }
}

/// A value and the bytes of the text that it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub value: NodeValue,
    pub span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum NodeValue {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Node>),
    Object(Vec<(Key, Node)>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub text: String,
    pub span: Range<usize>,
}

impl Node {
    pub fn to_value(&self) -> Value {
        match &self.value {
            NodeValue::Null => Value::Null,
            NodeValue::Bool(flag) => Value::Bool(*flag),
            NodeValue::Number(number) => Value::Number(number.clone()),
            NodeValue::String(text) => Value::String(text.clone()),
            NodeValue::Array(items) => items.iter().map(Self::to_value).collect(),
            NodeValue::Object(entries) => {
                let entries = entries.iter().map(|(key, node)| (key.text.clone(), node.to_value()));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    /// What stands at a JSON pointer (RFC 6901) inside this node.
    pub fn at(&self, pointer: &str) -> Option<&Node> {
        pointer.split('/').skip(1).try_fold(self, |node, segment| match &node.value {
            NodeValue::Array(items) => items.get(segment.parse::<usize>().ok()?),
            NodeValue::Object(_) => node.get(&segment.replace("~1", "/").replace("~0", "~")),
            _ => None,
        })
    }

    /// The value under a key, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            NodeValue::Object(entries) => entries.iter().find(|(known, _)| known.text == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// `a string`, `an object`: how messages call it.
    pub fn kind(&self) -> &'static str {
        match self.value {
            NodeValue::Null => "null",
            NodeValue::Bool(_) => "a boolean",
            NodeValue::Number(_) => "a number",
            NodeValue::String(_) => "a string",
            NodeValue::Array(_) => "a list",
            NodeValue::Object(_) => "an object",
        }
    }

    /// Where to point at when the whole of it would be too much: the first line's worth.
    pub fn place(&self, source: &str) -> Range<usize> {
        let first = source.as_bytes().get(self.span.start);
        match &self.value {
            NodeValue::Array(_) | NodeValue::Object(_) if matches!(first, Some(b'{' | b'[')) => {
                self.span.start..self.span.start + 1
            }
            NodeValue::Array(items) => items.first().map_or(self.span.clone(), |item| item.place(source)),
            NodeValue::Object(entries) => entries.first().map_or(self.span.clone(), |(key, _)| key.span.clone()),
            _ => self.span.clone(),
        }
    }

    /// Where in the source a part of this string's content stands; the whole string if the two
    /// cannot be matched, as in folded YAML text.
    pub fn place_within(&self, source: &str, part: Range<usize>) -> Range<usize> {
        let (NodeValue::String(content), Some(raw)) = (&self.value, source.get(self.span.clone())) else {
            return self.span.clone();
        };
        let found = match raw.find(content.as_str()) {
            Some(at) => Some(at + part.start..at + part.end),
            None => json::place_of_content(raw, content, &part)
                .or_else(|| place_in_line(raw, content, &part))
                .or_else(|| sole_occurrence(raw, content.get(part)?)),
        };
        found.map_or(self.span.clone(), |part| {
            let end = (self.span.start + part.end).min(self.span.end);
            (self.span.start + part.start).min(end)..end
        })
    }

    fn find_duplicate_keys(&self, into: &mut Vec<Diagnostic>) {
        const SHOWN_MAX: usize = 50;
        match &self.value {
            NodeValue::Array(items) => items.iter().for_each(|item| item.find_duplicate_keys(into)),
            NodeValue::Object(entries) => {
                let mut first_places = HashMap::with_capacity(entries.len());
                for (key, node) in entries {
                    match first_places.get(key.text.as_str()) {
                        Some(first) if into.len() < SHOWN_MAX => into.push(duplicate_key(key, first)),
                        Some(_) => {}
                        None => _ = first_places.insert(key.text.as_str(), key.span.clone()),
                    }
                    node.find_duplicate_keys(into);
                }
            }
            _ => {}
        }
    }
}

fn duplicate_key(key: &Key, first: &Range<usize>) -> Diagnostic {
    Diagnostic::error(codes::DUPLICATE_KEY, format!("the key `{}` is given twice", shown(&key.text)))
        .at(key.span.clone())
        .label("given again here")
        .also(first.clone(), "first given here")
        .help(Some("remove or rename one of the two".to_owned()))
}

/// For YAML's blocks, whose lines stand in the source as they are, behind an indentation.
fn place_in_line(raw: &str, content: &str, part: &Range<usize>) -> Option<Range<usize>> {
    let start = content.get(..part.start)?.rfind('\n').map_or(0, |at| at + 1);
    let end = content[part.start..].find('\n').map_or(content.len(), |length| part.start + length);
    let line = sole_occurrence(raw, &content[start..end])?;
    Some(line.start + part.start - start..line.start + part.end.min(end) - start)
}

fn sole_occurrence(raw: &str, part: &str) -> Option<Range<usize>> {
    let mut places = raw.match_indices(part).filter(|_| !part.is_empty());
    let (at, _) = places.next()?;
    places.next().is_none().then(|| at..at + part.len())
}

/// Syntax ends at the first problem.
type Refused = Box<Diagnostic>;

fn too_deep(at: Option<Range<usize>>) -> Refused {
    let message = format!("the document nests deeper than {} levels", Json::DEPTH_MAX);
    Box::new(Diagnostic { span: at, ..Diagnostic::error(codes::TOO_DEEP, message) })
}

#[cfg(test)]
mod tests;

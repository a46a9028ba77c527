//! Takes a tree apart, field by field, and collects every problem on the way.
//!
//! Each method reads one kind of value: it gives the value, or reports and gives none, so that a
//! reader simply goes on to the next field. Unknown fields are always reported.

use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

use super::{Key, Node, NodeValue};
use crate::diagnostic::{Diagnostic, Severity, codes, shown};
use crate::time::InvalidTimestamp;
use crate::{Span, Timestamp};

/// A value with the warnings about it, or all problems.
pub type Outcome<T> = Result<(T, Vec<Diagnostic>), Vec<Diagnostic>>;

pub struct Reader<'s> {
    source: &'s str,
    diagnostics: Vec<Diagnostic>,
    unshown: usize,
    suggestions: usize,
}

/// What an object may have.
pub struct Known {
    /// How messages call the object, like `a step`.
    pub what: &'static str,
    /// Its place in the document, where a field's name alone would not say which: `retry.`
    pub path: &'static str,
    pub fields: &'static [&'static str],
    /// Part of the language, but not of this version.
    pub later: &'static [&'static str],
}

/// An object whose fields are all known.
pub struct Fields<'n> {
    node: &'n Node,
    what: &'static str,
    entries: &'n [(Key, Node)],
}

impl<'s> Reader<'s> {
    /// Nobody reads more; a hostile document could have a hundred thousand.
    pub const SHOWN_MAX: usize = 200;
    /// A search for a near name compares with all names, so there are not endlessly many.
    const SUGGESTIONS_MAX: usize = 40;

    pub fn new(source: &'s str) -> Self {
        Self { source, diagnostics: Vec::new(), unshown: 0, suggestions: 0 }
    }

    /// Errors, if there are any, and then warnings as well; all in the order of the text.
    pub fn finish<T>(mut self, value: Option<T>) -> Outcome<T> {
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.span.as_ref().map_or(0, |span| span.start));
        if self.unshown > 0 {
            let message = format!("there are {} more problems", self.unshown);
            self.diagnostics.push(Diagnostic::error(codes::MORE_PROBLEMS, message));
        }
        let failed = self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        match value {
            Some(value) if !failed => Ok((value, self.diagnostics)),
            _ => Err(self.diagnostics),
        }
    }

    pub fn report(&mut self, diagnostic: Diagnostic) {
        if self.is_full() {
            self.unshown += 1;
        } else {
            self.diagnostics.push(diagnostic);
        }
    }

    pub fn is_full(&self) -> bool {
        self.diagnostics.len() >= Self::SHOWN_MAX
    }

    pub fn source(&self) -> &'s str {
        self.source
    }

    /// Where to point at for a node.
    pub fn place(&self, node: &Node) -> Range<usize> {
        node.place(self.source)
    }

    pub fn error(&mut self, code: &'static str, node: &Node, message: impl Into<String>) {
        let place = self.place(node);
        self.report(Diagnostic::error(code, message).at(place));
    }

    /// The name that was probably meant.
    pub fn near<'k>(&mut self, text: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
        if self.is_full() || self.suggestions >= Self::SUGGESTIONS_MAX || text.len() > 255 {
            return None;
        }
        self.suggestions += 1;
        let allowed = text.len().div_ceil(3);
        let close = known.into_iter().filter(|name| name.len().abs_diff(text.len()) <= allowed);
        let measured = close.map(|name| (strsim::osa_distance(text, name), name));
        measured
            .filter(|(distance, _)| *distance <= allowed)
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, name)| name)
    }

    pub fn fields<'n>(&mut self, node: &'n Node, known: &Known) -> Option<Fields<'n>> {
        let NodeValue::Object(entries) = &node.value else {
            self.wrong_type(node, "an object");
            return None;
        };
        for (key, _) in entries {
            if known.later.contains(&key.text.as_str()) {
                self.not_supported_yet(&format!("{}{}", known.path, key.text), key.span.clone());
            } else if !known.fields.contains(&key.text.as_str()) {
                self.unknown_field(key, known);
            }
        }
        Some(Fields { node, what: known.what, entries })
    }

    /// What a document is about: `{"workflow": {…}}`.
    pub fn envelope<'n>(&mut self, document: &'n Node, known: &Known, name: &str) -> Option<&'n Node> {
        if matches!(document.value, NodeValue::Object(_)) && document.get(name).is_none() {
            // Without it every other field would be reported as unknown, which helps nobody.
            let message = format!("{} lacks the field `{name}`", known.what);
            let help = format!("a definition is wrapped in its kind: {{\"{name}\": {{…}}}}");
            let place = self.place(document);
            self.report(Diagnostic::error(codes::MISSING_FIELD, message).at(place).help(Some(help)));
            return None;
        }
        self.fields(document, known)?.get(name)
    }

    fn unknown_field(&mut self, key: &Key, known: &Known) {
        let near = self.near(&key.text, known.fields.iter().copied());
        let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
        let message = format!("unknown field `{}` in {}", shown(&key.text), known.what);
        let help = format!("{near}known here: {}", known.fields.join(", "));
        self.report(Diagnostic::error(codes::UNKNOWN_FIELD, message).at(key.span.clone()).help(Some(help)));
    }

    pub fn not_supported_yet(&mut self, what: &str, span: Range<usize>) {
        self.report(Diagnostic::error(codes::NOT_SUPPORTED_YET, format!("not supported yet: {what}")).at(span));
    }

    pub fn wrong_type(&mut self, node: &Node, expected: &str) {
        self.error(codes::WRONG_TYPE, node, format!("expected {expected}, found {}", node.kind()));
    }

    pub fn string<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        match &node.value {
            NodeValue::String(text) => Some(text),
            NodeValue::Number(number) => {
                let message = format!("expected a string, found {}", node.kind());
                let help = format!("text that looks like a number wants quotes: \"{number}\"");
                self.report(Diagnostic::error(codes::WRONG_TYPE, message).at(node.span.clone()).help(Some(help)));
                None
            }
            _ => {
                self.wrong_type(node, "a string");
                None
            }
        }
    }

    /// Text for people: not empty, and at most so many characters.
    pub fn text(&mut self, node: &Node, chars_max: usize) -> Option<String> {
        let text = self.string(node)?;
        if text.trim().is_empty() {
            self.error(codes::WRONG_VALUE, node, "expected some text, found none");
            return None;
        }
        if text.chars().nth(chars_max).is_some() {
            let message = format!("{} characters where at most {chars_max} are allowed", text.chars().count());
            self.error(codes::TOO_MANY, node, message);
            return None;
        }
        Some(text.to_owned())
    }

    pub fn list<'n>(&mut self, node: &'n Node, entries_max: usize) -> Option<&'n [Node]> {
        let NodeValue::Array(items) = &node.value else {
            self.wrong_type(node, "a list");
            return None;
        };
        if items.len() > entries_max {
            let message = format!("{} entries where at most {entries_max} are allowed", items.len());
            self.error(codes::TOO_MANY, node, message);
            return None;
        }
        Some(items)
    }

    pub fn boolean(&mut self, node: &Node) -> Option<bool> {
        match node.value {
            NodeValue::Bool(flag) => Some(flag),
            _ => {
                self.wrong_type(node, "a boolean");
                None
            }
        }
    }

    pub fn whole(&mut self, node: &Node, range: RangeInclusive<u32>) -> Option<u32> {
        let NodeValue::Number(number) = &node.value else {
            self.wrong_type(node, "a number");
            return None;
        };
        let value = number.as_u64().and_then(|value| u32::try_from(value).ok());
        if let Some(value) = value.filter(|value| range.contains(value)) {
            return Some(value);
        }
        let message = format!("expected a whole number from {} to {}, found {number}", range.start(), range.end());
        self.error(codes::WRONG_VALUE, node, message);
        None
    }

    pub fn number(&mut self, node: &Node, range: RangeInclusive<f64>) -> Option<f64> {
        let NodeValue::Number(number) = &node.value else {
            self.wrong_type(node, "a number");
            return None;
        };
        if let Some(value) = number.as_f64().filter(|value| range.contains(value)) {
            return Some(value);
        }
        let message = format!("expected a number from {} to {}, found {number}", range.start(), range.end());
        self.error(codes::WRONG_VALUE, node, message);
        None
    }

    /// More than nothing, and written with its unit.
    pub fn duration(&mut self, node: &Node) -> Option<Span> {
        let problem = |message: String| Diagnostic::error(codes::NOT_A_DURATION, message).at(node.span.clone());
        let problem = match &node.value {
            NodeValue::String(text) => match text.parse::<Span>() {
                Ok(span) if span.0 > 0 => return Some(span),
                Ok(_) => problem("a duration is more than zero".to_owned()),
                Err(error) => problem(format!("`{}` is {error}", shown(text))).help(with_seconds(text)),
            },
            NodeValue::Number(number) => {
                problem("expected a duration, found a number".to_owned()).help(with_seconds(&number.to_string()))
            }
            _ => {
                self.wrong_type(node, "a duration");
                return None;
            }
        };
        self.report(problem);
        None
    }

    /// A moment, as RFC 3339 has it.
    pub fn time(&mut self, node: &Node) -> Option<Timestamp> {
        let text = self.string(node)?;
        let refused =
            |error: InvalidTimestamp| self.error(codes::NOT_A_TIME, node, format!("`{}` is {error}", shown(text)));
        text.parse().map_err(refused).ok()
    }

    /// A string that is a name, a slug, or whatever else says itself what is wrong with a text.
    pub fn named<T: FromStr<Err: std::fmt::Display>>(&mut self, node: &Node) -> Option<T> {
        let text = self.string(node)?;
        text.parse().map_err(|error: T::Err| self.error(codes::NOT_A_NAME, node, error.to_string())).ok()
    }

    /// One of a few words.
    pub fn choice<'n>(&mut self, node: &'n Node, field: &str, known: &[&str], later: &[&str]) -> Option<&'n str> {
        let text = self.string(node)?;
        if known.contains(&text) {
            return Some(text);
        }
        if later.contains(&text) {
            self.not_supported_yet(&format!("{field}: {text}"), node.span.clone());
            return None;
        }
        let near = self.near(text, known.iter().copied());
        let message = format!("`{}` is not a value of `{field}`: expected {}", shown(text), one_of(known));
        let help = near.map(|near| format!("did you mean `{near}`?"));
        self.report(Diagnostic::error(codes::WRONG_VALUE, message).at(node.span.clone()).help(help));
        None
    }
}

impl<'n> Fields<'n> {
    pub fn get(&self, name: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node)
    }

    pub fn key(&self, name: &str) -> Option<&'n Key> {
        self.entries.iter().find(|(key, _)| key.text == name).map(|(key, _)| key)
    }

    /// None: it is given and wrong.
    pub fn optional<T>(&self, name: &str, read: impl FnOnce(&'n Node) -> Option<T>) -> Option<Option<T>> {
        match self.get(name) {
            Some(node) => read(node).map(Some),
            None => Some(None),
        }
    }

    pub fn need(&self, name: &str, reader: &mut Reader<'_>) -> Option<&'n Node> {
        let found = self.get(name);
        if found.is_none() {
            reader.error(codes::MISSING_FIELD, self.node, format!("{} lacks the field `{name}`", self.what));
        }
        found
    }
}

fn with_seconds(number: &str) -> Option<String> {
    let is_whole = number.len() <= 12 && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    is_whole.then(|| format!("write \"{number}s\", if seconds were meant"))
}

fn one_of(known: &[&str]) -> String {
    let quoted: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}

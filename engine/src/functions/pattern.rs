//! `text.*` that search: by keywords, and by regular expressions.
//!
//! Expressions are matched in linear time, so no pattern can hang the engine; pattern, text and the
//! number of matches are capped because linear is still a product.

use fleetprompt_core::Failure;
use regex::{Captures, Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::field::{Input, Kind, invalid, may, need};
use super::value::{measure, too_large};
use super::{Example, Function};

const PATTERN_BYTES_MAX: usize = 500;
/// Ordinary patterns with a few `\w` need more than 128 KiB: Unicode has many letters.
const PROGRAM_BYTES_MAX: usize = 512 << 10;
const TEXT_BYTES_MAX: usize = 64 << 10;
const MATCHES_MAX: usize = 100;
/// Letters times keywords, for searches that try each keyword on the whole text.
const KEYWORD_WORK_MAX: usize = 16 << 20;

const PATTERN: super::Field = need("pattern", Kind::Text, "a regular expression, at most 500 bytes");
const IGNORE_CASE: super::Field = may("ignore_case", Kind::Bool, "whether `A` matches `a`");

pub static MATCH: Function = Function {
    name: "text.match",
    summary: "Whether a regular expression matches somewhere in a text of at most 64 KiB.",
    input: &[need("text", Kind::Text, "where to look"), PATTERN, IGNORE_CASE],
    output: "true or false",
    example: Example { input: r#"{"text": "order A-17", "pattern": "\\b[A-Z]-\\d+\\b"}"#, output: "true" },
    call: |input| {
        let (regex, text) = (regex(input)?, searched(input)?);
        Ok(regex.is_match(text).into())
    },
};

pub static EXTRACT: Function = Function {
    name: "text.extract",
    summary: "What a regular expression finds in a text of at most 64 KiB. Each match is an object of its \
              named groups, or of its groups by number, `0` being all of it.",
    input: &[
        need("text", Kind::Text, "where to look"),
        PATTERN,
        IGNORE_CASE,
        may("max", Kind::Integer, "at most so many matches, 100 unless given, at most 100"),
    ],
    output: "a list of objects; a group that took no part is null",
    example: Example {
        input: r#"{"text": "A-17 and B-4", "pattern": "(?P<row>[A-Z])-(?P<seat>\\d+)"}"#,
        output: r#"[{"row": "A", "seat": "17"}, {"row": "B", "seat": "4"}]"#,
    },
    call: extract,
};

pub static CONTAINS_ANY: Function = Function {
    name: "text.contains_any",
    summary: "Whether any of the words stands in a text, in whatever case, also inside other words.",
    input: &[need("text", Kind::Text, "where to look"), need("words", Kind::Texts, "what to look for")],
    output: "true or false",
    example: Example { input: r#"{"text": "Please REFUND me", "words": ["refund", "chargeback"]}"#, output: "true" },
    call: |input| {
        let words = input.texts("words");
        let text = keyword_text(input, words.len())?;
        Ok(words.iter().any(|word| occurs(&text, word)).into())
    },
};

pub static CLASSIFY: Function = Function {
    name: "text.classify",
    summary: "The label of the first rule of which a keyword stands in the text, in whatever case, also inside \
              other words.",
    input: &[
        need("text", Kind::Text, "what to classify"),
        need("rules", Kind::Objects, "in order of precedence, each {label, keywords}"),
        may("otherwise", Kind::Text, "the label when no rule matches"),
    ],
    output: "{label, keyword}; both null when nothing matches and there is no `otherwise`",
    example: Example {
        input: r#"{"text": "I was charged twice", "rules": [{"label": "bug", "keywords": ["crash", "error"]},
                  {"label": "billing", "keywords": ["charged", "invoice"]}], "otherwise": "general"}"#,
        output: r#"{"label": "billing", "keyword": "charged"}"#,
    },
    call: classify,
};

fn extract(input: &Input<'_>) -> Result<Value, Failure> {
    let (regex, text) = (regex(input)?, searched(input)?);
    let max = input.count_or("max", MATCHES_MAX, 1)?.min(MATCHES_MAX);
    let mut found = Vec::new();
    let mut bytes_left = super::value::BYTES_MAX;
    for captures in regex.captures_iter(text).take(max) {
        let groups = groups(&regex, &captures);
        bytes_left -= measure(&groups, bytes_left).ok_or_else(too_large)?;
        found.push(groups);
    }
    Ok(found.into())
}

fn groups(regex: &Regex, captures: &Captures<'_>) -> Value {
    let text = |group: Option<regex::Match<'_>>| group.map_or(Value::Null, |group| group.as_str().into());
    let mut groups: Map<String, Value> =
        regex.capture_names().flatten().map(|name| (name.to_owned(), text(captures.name(name)))).collect();
    if groups.is_empty() {
        groups = captures.iter().enumerate().map(|(index, group)| (index.to_string(), text(group))).collect();
    }
    Value::Object(groups)
}

fn classify(input: &Input<'_>) -> Result<Value, Failure> {
    let rules = input.list("rules").iter().enumerate().map(rule).collect::<Result<Vec<_>, _>>()?;
    let text = keyword_text(input, rules.iter().map(|(_, keywords)| keywords.len()).sum())?;
    for (label, keywords) in rules {
        if let Some(keyword) = keywords.into_iter().find(|keyword| occurs(&text, keyword)) {
            return Ok(serde_json::json!({"label": label, "keyword": keyword}));
        }
    }
    Ok(serde_json::json!({"label": input.get("otherwise"), "keyword": null}))
}

fn rule((index, rule): (usize, &Value)) -> Result<(&str, Vec<&str>), Failure> {
    const FIELDS: &[super::Field] =
        &[need("label", Kind::Text, "the answer"), need("keywords", Kind::Texts, "what to look for")];
    let rule =
        Input::check(FIELDS, rule).map_err(|failure| invalid(format!("`rules.{index}`: {}", failure.message)))?;
    Ok((rule.text("label"), rule.texts("keywords")))
}

/// The text in lower case, when searching it for that many keywords is bounded work.
fn keyword_text(input: &Input<'_>, keywords: usize) -> Result<String, Failure> {
    let text = input.text("text");
    if text.len().saturating_mul(keywords) > KEYWORD_WORK_MAX {
        return Err(invalid("too many keywords for a text of this length: together at most 16 Mi letters to look at"));
    }
    Ok(text.to_lowercase())
}

/// `text` in lower case already. An empty keyword would occur everywhere, so it occurs nowhere.
pub fn occurs(text: &str, keyword: &str) -> bool {
    !keyword.is_empty() && text.contains(&keyword.to_lowercase())
}

fn regex(input: &Input<'_>) -> Result<Regex, Failure> {
    let pattern = input.text("pattern");
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(invalid(format!("`pattern` may have at most {PATTERN_BYTES_MAX} bytes")));
    }
    let mut builder = RegexBuilder::new(pattern);
    builder.case_insensitive(input.flag("ignore_case")).size_limit(PROGRAM_BYTES_MAX).nest_limit(32);
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => invalid("`pattern` is too complex: use fewer or smaller repetitions"),
        error => invalid(format!("`pattern` is not a regular expression: {error}")),
    })
}

fn searched<'a>(input: &Input<'a>) -> Result<&'a str, Failure> {
    let text = input.text("text");
    if text.len() > TEXT_BYTES_MAX {
        return Err(invalid("`text` may have at most 64 KiB here; shorten it with `text.truncate` first"));
    }
    Ok(text)
}

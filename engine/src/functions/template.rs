//! Templates: `{{path}}` stands for what is there, `{{path | filter | filter}}` for what the filters
//! make of it. There are no loops and no conditions; a path that leads nowhere is an error.
//!
//! Scripted agents write their answers with the same templates, so the filters are those from which
//! one can build an honest, extractive answer. All filling in draws on one allowance of work.

use fleetprompt_core::Failure;
use serde_json::{Map, Value};

use super::field::{Kind, invalid, need};
use super::text::{sentences, truncate, words};
use super::value::{BYTES_MAX, Growing, as_text, look_up, measure, too_large};
use super::{Example, Function};

const FILTERS: &str = "`default`, `first_sentence`, `json`, `length`, `lower`, `trim`, `truncate`, `upper`, `words`";

pub static TEXT_TEMPLATE: Function = Function {
    name: "text.template",
    summary: "Fills in a text: `{{path}}` stands for what `with` has there. Filters: default, first_sentence, json, \
              length, lower, trim, truncate N, upper, words N.",
    input: &[need("template", Kind::Text, "with `{{path}}`"), need("with", Kind::Any, "what paths lead into")],
    output: "one text",
    example: Example {
        input: r#"{"template": "Dear {{customer.name}}: {{body | first_sentence}}",
                  "with": {"customer": {"name": "Ann"}, "body": "It is on its way. We promise."}}"#,
        output: r#""Dear Ann: It is on its way.""#,
    },
    call: |input| {
        let mut filling = Filling::new(input.any("with"));
        let filled = filling.text(input.text("template"))?;
        Ok(as_text(&filled).into())
    },
};

pub static JSON_TEMPLATE: Function = Function {
    name: "json.template",
    summary: "Fills in every text inside any JSON. A text that is one placeholder keeps the JSON type of what it \
              stands for.",
    input: &[
        need("template", Kind::Any, "JSON with `{{path}}` in texts"),
        need("with", Kind::Any, "what paths lead into"),
    ],
    output: "JSON of the template's shape",
    example: Example {
        input: r#"{"template": {"title": "Re: {{subject}}", "votes": "{{votes}}"},
                  "with": {"subject": "Hi", "votes": 3}}"#,
        output: r#"{"title": "Re: Hi", "votes": 3}"#,
    },
    call: |input| fill(input.any("template"), input.any("with")),
};

/// Fills in every text of `template` from `root`.
pub fn fill(template: &Value, root: &Value) -> Result<Value, Failure> {
    measure(template, BYTES_MAX).ok_or_else(too_large)?;
    Filling::new(root).value(template)
}

struct Filling<'a> {
    root: &'a Value,
    /// Bytes that may still be copied or filtered: many placeholders times one large value is the
    /// work to fear here.
    work_left: usize,
}

impl<'a> Filling<'a> {
    const WORK_MAX: usize = 8 * BYTES_MAX;

    fn new(root: &'a Value) -> Self {
        Self { root, work_left: Self::WORK_MAX }
    }

    /// As deep as the template, which was measured.
    fn value(&mut self, template: &Value) -> Result<Value, Failure> {
        Ok(match template {
            Value::String(text) => self.text(text)?,
            Value::Array(items) => Value::Array(items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?),
            Value::Object(entries) => {
                let filled = entries.iter().map(|(key, entry)| Ok((key.clone(), self.value(entry)?)));
                Value::Object(filled.collect::<Result<Map<_, _>, Failure>>()?)
            }
            scalar => scalar.clone(),
        })
    }

    fn text(&mut self, template: &str) -> Result<Value, Failure> {
        let Some((before, placeholder, mut rest)) = next_placeholder(template)? else {
            return Ok(template.into());
        };
        if before.is_empty() && rest.is_empty() {
            return self.placeholder(placeholder);
        }
        let mut filled = Growing::default();
        filled.push(before)?;
        filled.push(&as_text(&self.placeholder(placeholder)?))?;
        while let Some((before, placeholder, after)) = next_placeholder(rest)? {
            filled.push(before)?;
            filled.push(&as_text(&self.placeholder(placeholder)?))?;
            rest = after;
        }
        filled.push(rest)?;
        Ok(filled.finish().into())
    }

    /// `path | filter | filter`.
    fn placeholder(&mut self, placeholder: &str) -> Result<Value, Failure> {
        let mut parts = placeholder.split('|').map(str::trim);
        let path = parts.next().unwrap_or_default();
        let found = match path {
            "." => Some(self.root),
            path => look_up(self.root, path),
        };
        let mut filters = parts.peekable();
        let mut value = match (found, filters.peek()) {
            (Some(found), _) => {
                self.spend(found)?;
                found.clone()
            }
            (None, Some(filter)) if split_filter(filter).0 == "default" => Value::Null,
            (None, _) => return Err(nowhere(self.root, path)),
        };
        for filter in filters {
            value = apply(filter, value)?;
            self.spend(&value)?;
        }
        Ok(value)
    }

    fn spend(&mut self, value: &Value) -> Result<(), Failure> {
        let bytes = measure(value, self.work_left).ok_or_else(too_large)?;
        self.work_left -= bytes;
        Ok(())
    }
}

/// What stands before the next placeholder, its inside, and what follows.
fn next_placeholder(template: &str) -> Result<Option<(&str, &str, &str)>, Failure> {
    let Some((before, rest)) = template.split_once("{{") else { return Ok(None) };
    match rest.split_once("}}") {
        Some((placeholder, after)) if placeholder.len() <= 500 => Ok(Some((before, placeholder, after))),
        Some(_) => Err(invalid("a placeholder may have at most 500 bytes")),
        None => Err(invalid(format!("`{{{{{}` is not closed by `}}}}`", rest.chars().take(40).collect::<String>()))),
    }
}

fn apply(filter: &str, value: Value) -> Result<Value, Failure> {
    let (name, argument) = split_filter(filter);
    let count = || argument.parse::<usize>().map_err(|_| invalid(format!("`{name}` needs a number, like `{name} 12`")));
    let text = |change: fn(&str) -> String| Value::from(change(&as_text(&value)));
    Ok(match name {
        "default" if value.is_null() || value == "" => argument.trim_matches(['"', '\'']).into(),
        "default" => value,
        "first_sentence" => text(|text| sentences(text, 1).to_owned()),
        "json" => super::value::canonical(&value).into(),
        "length" => length(&value).into(),
        "lower" => text(str::to_lowercase),
        "trim" => text(|text| text.trim().to_owned()),
        "truncate" => truncate(&as_text(&value), count()?.max(1)).into(),
        "upper" => text(str::to_uppercase),
        "words" => words(&as_text(&value), count()?).into(),
        unknown => return Err(invalid(format!("unknown filter `{unknown}`; known are {FILTERS}"))),
    })
}

fn split_filter(filter: &str) -> (&str, &str) {
    let (name, argument) = filter.split_once(char::is_whitespace).unwrap_or((filter, ""));
    (name, argument.trim())
}

fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Object(entries) => entries.len(),
        _ => 0,
    }
}

fn nowhere(root: &Value, path: &str) -> Failure {
    let there = match root {
        Value::Object(entries) => {
            let keys: Vec<_> = entries.keys().take(20).map(|key| format!("`{}`", shortened(key))).collect();
            if keys.is_empty() { "nothing".into() } else { keys.join(", ") }
        }
        other => super::value::kind_of(other).to_owned(),
    };
    invalid(format!("`{}` leads nowhere; there is {there}", shortened(path)))
}

fn shortened(text: &str) -> String {
    truncate(text, 80)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_placeholder_keeps_its_type_and_mixed_text_does_not() {
        let root = json!({"n": 3, "list": [1, 2], "none": null});
        let filled = fill(&json!(["{{n}}", "{{ list }}", "n={{n}}, {{list.1}}{{none}}"]), &root);
        assert_eq!(filled, Ok(json!([3, [1, 2], "n=3, 2"])));
    }

    #[test]
    fn filters_are_applied_from_left_to_right() {
        let root = json!({"body": "It IS broken. Help me.", "tags": ["a", "b"]});
        let filled = |template: &str| fill(&json!(template), &root);
        assert_eq!(filled("{{body | first_sentence | lower}}"), Ok(json!("it is broken.")));
        assert_eq!(filled("{{body | words 2}}"), Ok(json!("It IS…")));
        assert_eq!(filled("{{body | truncate 6}}"), Ok(json!("It IS…")));
        assert_eq!(filled("{{tags | length}}"), Ok(json!(2)));
        assert_eq!(filled("{{missing | default 'none'}}"), Ok(json!("none")));
        assert_eq!(filled("{{. | json}}").map(|value| value.is_string()), Ok(true));
    }

    #[test]
    fn a_mistake_says_what_would_be_right() {
        let refusal = |template: &str| fill(&json!(template), &json!({"body": ""})).expect_err("refused").message;
        assert_eq!(refusal("{{title}}"), "`title` leads nowhere; there is `body`");
        assert_eq!(refusal("{{body | shout}}"), format!("unknown filter `shout`; known are {FILTERS}"));
        assert_eq!(refusal("{{body | words}}"), "`words` needs a number, like `words 12`");
        assert_eq!(refusal("a {{body"), "`{{body` is not closed by `}}`");
    }

    #[test]
    fn many_placeholders_of_a_large_value_are_refused_early() {
        let root = json!({"a": "x".repeat(400_000)});
        let failure = fill(&json!("{{a | truncate 1}}".repeat(50_000)), &root).expect_err("refused");
        assert_eq!(failure.code, "output_too_large");
    }
}

//! `json.*`: taking values apart and putting them together. Paths are written `thread.tags.0`, or as
//! JSON pointers (`/thread/tags/0`) where keys have dots.

use fleetprompt_core::{Failure, Json};
use serde_json::{Map, Value, json};

use super::field::{ANYTHING, Input, Kind, invalid, may, need};
use super::value::{BYTES_MAX, canonical, kind_of, look_up, same, too_large};
use super::{Example, Function};

const PATH_SEGMENTS_MAX: usize = 32;
const DIFFERENCES_MAX: usize = 1_000;

pub static IDENTITY: Function = Function {
    name: "json.identity",
    summary: "Gives back its input, to name a value or to end a branch.",
    input: ANYTHING,
    output: "the input",
    example: Example { input: r#"{"a": [1, null]}"#, output: r#"{"a": [1, null]}"# },
    call: |input| Ok(input.whole().clone()),
};

pub static GET: Function = Function {
    name: "json.get",
    summary: "What is at a path. Nothing there is an error, unless `otherwise` is given.",
    input: &[
        need("value", Kind::Any, "where to look"),
        need("path", Kind::Text, "like `thread.tags.0` or `/thread/tags/0`"),
        may("otherwise", Kind::Any, "the answer when nothing is there"),
    ],
    output: "any JSON",
    example: Example { input: r#"{"value": {"tags": ["a", "b"]}, "path": "tags.1"}"#, output: r#""b""# },
    call: |input| {
        let path = input.text("path");
        let given = input.whole().get("otherwise");
        let found = look_up(input.any("value"), path).or(given);
        found.cloned().ok_or_else(|| invalid(format!("nothing at `{}`", path.chars().take(80).collect::<String>())))
    },
};

pub static SET: Function = Function {
    name: "json.set",
    summary: "The value with something else at a path. Missing objects on the way are made; in a list the place \
              must exist, or be the next one.",
    input: &[
        need("value", Kind::Any, "what to change"),
        need("path", Kind::Text, "like `thread.tags.0` or `/thread/tags/0`, at most 32 segments"),
        need("to", Kind::Any, "what to put there"),
    ],
    output: "the changed value",
    example: Example {
        input: r#"{"value": {"a": 1}, "path": "b.c", "to": [true]}"#,
        output: r#"{"a": 1, "b": {"c": [true]}}"#,
    },
    call: |input| {
        let mut value = input.any("value").clone();
        *place(&mut value, input.text("path"))? = input.any("to").clone();
        Ok(value)
    },
};

pub static PICK: Function = Function {
    name: "json.pick",
    summary: "An object with only the named fields; those that it does not have stay away.",
    input: &[need("value", Kind::Object, "where to take from"), need("fields", Kind::Texts, "what to keep")],
    output: "an object",
    example: Example { input: r#"{"value": {"a": 1, "b": 2}, "fields": ["a", "z"]}"#, output: r#"{"a": 1}"# },
    call: |input| Ok(selected(input, true)),
};

pub static OMIT: Function = Function {
    name: "json.omit",
    summary: "An object without the named fields.",
    input: &[need("value", Kind::Object, "where to take from"), need("fields", Kind::Texts, "what to leave out")],
    output: "an object",
    example: Example { input: r#"{"value": {"a": 1, "b": 2}, "fields": ["a"]}"#, output: r#"{"b": 2}"# },
    call: |input| Ok(selected(input, false)),
};

pub static MERGE: Function = Function {
    name: "json.merge",
    summary: "Two objects as one, objects inside them too; where both say something, `with` wins.",
    input: &[need("value", Kind::Object, "the base"), need("with", Kind::Object, "what is laid over it")],
    output: "an object",
    example: Example {
        input: r#"{"value": {"a": {"x": 1}, "b": 1}, "with": {"a": {"y": 2}, "b": null}}"#,
        output: r#"{"a": {"x": 1, "y": 2}, "b": null}"#,
    },
    call: |input| {
        let mut merged = input.any("value").clone();
        lay_over(&mut merged, input.any("with"));
        Ok(merged)
    },
};

pub static KEYS: Function = Function {
    name: "json.keys",
    summary: "The names of an object's fields, sorted.",
    input: &[need("value", Kind::Object, "where to look")],
    output: "a list of texts",
    example: Example { input: r#"{"value": {"b": 1, "a": 2}}"#, output: r#"["a", "b"]"# },
    call: |input| {
        let mut keys: Vec<_> = input.object("value").into_iter().flat_map(Map::keys).collect();
        keys.sort();
        Ok(json!(keys))
    },
};

pub static PARSE: Function = Function {
    name: "json.parse",
    summary: "Reads a text that is JSON.",
    input: &[need("text", Kind::Text, "JSON, at most 64 levels deep")],
    output: "what it says",
    example: Example { input: r#"{"text": "{\"a\": [1]}"}"#, output: r#"{"a": [1]}"# },
    call: |input| {
        let parsed =
            Json::parse(input.text("text")).map_err(|error| invalid(format!("`text` is not JSON: {error}")))?;
        Ok(parsed.value().clone())
    },
};

pub static STRINGIFY: Function = Function {
    name: "json.stringify",
    summary: "Writes a value as JSON with sorted keys, so that equal values give equal texts.",
    input: &[need("value", Kind::Any, "what to write"), may("pretty", Kind::Bool, "with line breaks, for people")],
    output: "a text",
    example: Example { input: r#"{"value": {"b": 1, "a": [true]}}"#, output: r#""{\"a\":[true],\"b\":1}""# },
    call: |input| {
        let compact = canonical(input.any("value"));
        if !input.flag("pretty") {
            return Ok(compact.into());
        }
        let pretty = serde_json::to_string_pretty(input.any("value")).map_err(|_| too_large())?;
        Ok(pretty.into())
    },
};

pub static COMPARE: Function = Function {
    name: "json.compare",
    summary: "What changed between two values, as JSON pointers; at most 1,000 differences.",
    input: &[need("from", Kind::Any, "as it was"), need("to", Kind::Any, "as it is")],
    output: "{same, added, removed, changed}",
    example: Example {
        input: r#"{"from": {"a": 1, "b": {"c": 1}}, "to": {"b": {"c": 2}, "d": 1}}"#,
        output: r#"{"same": false, "added": ["/d"], "removed": ["/a"], "changed": ["/b/c"]}"#,
    },
    call: |input| {
        let mut differences = Differences { bytes_left: 4 * BYTES_MAX, ..Differences::default() };
        differences.between(input.any("from"), input.any("to"), "")?;
        let Differences { added, removed, changed, .. } = differences;
        let same = added.is_empty() && removed.is_empty() && changed.is_empty();
        Ok(json!({"same": same, "added": added, "removed": removed, "changed": changed}))
    },
};

fn selected(input: &Input<'_>, keep: bool) -> Value {
    let fields: std::collections::HashSet<_> = input.texts("fields").into_iter().collect();
    let entries = input.object("value").into_iter().flatten();
    let selected = entries.filter(|(key, _)| fields.contains(key.as_str()) == keep);
    Value::Object(selected.map(|(key, entry)| (key.clone(), entry.clone())).collect())
}

fn lay_over(base: &mut Value, with: &Value) {
    match (base, with) {
        (Value::Object(base), Value::Object(with)) => {
            for (key, entry) in with {
                lay_over(base.entry(key.clone()).or_insert(Value::Null), entry);
            }
        }
        (base, with) => *base = with.clone(),
    }
}

/// The place that a path names, made where it does not exist yet.
fn place<'a>(value: &'a mut Value, path: &str) -> Result<&'a mut Value, Failure> {
    let segments = segments(path);
    if segments.len() > PATH_SEGMENTS_MAX {
        return Err(invalid(format!("`path` may have at most {PATH_SEGMENTS_MAX} segments")));
    }
    segments.into_iter().try_fold(value, |inside, segment| {
        if inside.is_null() {
            *inside = Value::Object(Map::new());
        }
        match inside {
            Value::Object(entries) => Ok(entries.entry(segment).or_insert(Value::Null)),
            Value::Array(items) => {
                let index = segment.parse::<usize>().ok().filter(|index| *index <= items.len());
                let index =
                    index.ok_or_else(|| invalid(format!("a list of {} has no place `{segment}`", items.len())))?;
                if index == items.len() {
                    items.push(Value::Null);
                }
                Ok(&mut items[index])
            }
            other => Err(invalid(format!("`{segment}` of `path` would lie inside {}", kind_of(other)))),
        }
    })
}

fn segments(path: &str) -> Vec<String> {
    match path.strip_prefix('/') {
        Some(pointer) => pointer.split('/').map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect(),
        None if path.is_empty() => Vec::new(),
        None => path.split('.').map(str::to_owned).collect(),
    }
}

#[derive(Default)]
struct Differences {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
    /// Pointers to deep places are long, and each place looked at has a whole one.
    bytes_left: usize,
}

impl Differences {
    fn between(&mut self, from: &Value, to: &Value, at: &str) -> Result<(), Failure> {
        match (from, to) {
            (Value::Object(from), Value::Object(to)) => {
                for (key, before) in from {
                    let at = || format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                    self.entry(Some(before), to.get(key), at)?;
                }
                for (key, after) in to.iter().filter(|(key, _)| !from.contains_key(*key)) {
                    let at = || format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                    self.entry(None, Some(after), at)?;
                }
                Ok(())
            }
            (Value::Array(from), Value::Array(to)) => (0..from.len().max(to.len()))
                .try_for_each(|index| self.entry(from.get(index), to.get(index), || format!("{at}/{index}"))),
            (from, to) if same(from, to) => Ok(()),
            _ => self.note(|this| &mut this.changed, at.to_owned()),
        }
    }

    fn entry(&mut self, from: Option<&Value>, to: Option<&Value>, at: impl Fn() -> String) -> Result<(), Failure> {
        match (from, to) {
            (Some(from), Some(to)) if from == to => Ok(()),
            (Some(from), Some(to)) => {
                let at = at();
                self.spend(&at)?;
                self.between(from, to, &at)
            }
            (None, Some(_)) => self.note(|this| &mut this.added, at()),
            (Some(_), None) => self.note(|this| &mut this.removed, at()),
            (None, None) => Ok(()),
        }
    }

    fn spend(&mut self, pointer: &str) -> Result<(), Failure> {
        self.bytes_left = self.bytes_left.checked_sub(pointer.len()).ok_or_else(too_large)?;
        Ok(())
    }

    fn note(&mut self, list: fn(&mut Self) -> &mut Vec<String>, pointer: String) -> Result<(), Failure> {
        let count = self.added.len() + self.removed.len() + self.changed.len();
        self.spend(&pointer)?;
        if count == DIFFERENCES_MAX {
            return Err(too_large());
        }
        list(self).push(pointer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_makes_the_objects_on_the_way() {
        let set = |path: &str| {
            let mut value = json!({"list": [1], "n": 1});
            place(&mut value, path).map(|place| *place = json!("x")).map(|()| value).map_err(|failure| failure.message)
        };
        assert_eq!(set("a.b"), Ok(json!({"a": {"b": "x"}, "list": [1], "n": 1})));
        assert_eq!(set("list.1"), Ok(json!({"list": [1, "x"], "n": 1})));
        assert_eq!(set("/a~1b"), Ok(json!({"a/b": "x", "list": [1], "n": 1})));
        assert_eq!(set("list.2"), Err("a list of 1 has no place `2`".into()));
        assert_eq!(set("n.x"), Err("`x` of `path` would lie inside a number".into()));
    }
}

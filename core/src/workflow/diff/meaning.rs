//! One form for what can be written in several: `90s` and `1m30s`, `"${LIST}"` and `{"items":
//! "${LIST}"}`, a default and nothing. Inputs, payloads and schemas are a stranger's data, and stay
//! as they are.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::Span;
use crate::expression::Expression;
use crate::workflow::{ForEach, Workflow};

pub struct Meaning {
    /// Without steps, edges and permissions, which are compared by themselves.
    pub whole: Value,
    /// By id, without the id and what is an edge.
    pub steps: BTreeMap<String, Value>,
}

/// Told by edges, permissions or the steps themselves.
const APART: [&str; 3] = ["transitions", "may_request_directives", "version"];
const DATA: [&str; 8] =
    ["input", "payload", "output", "input_schema", "output_schema", "schema", "name", "description"];
const DURATIONS: [&str; 11] =
    ["timeout", "heartbeat", "delay", "initial", "max", "max_elapsed", "per", "period", "for", "lookback", "after"];
const CONDITIONS: [&str; 2] = ["when", "while"];
/// Lists of names whose order means nothing.
const SETS: [&str; 2] = ["signals", "on"];

pub fn of(workflow: &Workflow) -> Meaning {
    let mut whole = fields_of(workflow.document.value().get("workflow"));
    let steps = whole.remove("steps");
    APART.iter().for_each(|field| drop(whole.remove(*field)));
    whole.insert("slug".to_owned(), workflow.slug.as_str().into());
    if let Some(Value::Object(trigger)) = whole.get_mut("trigger") {
        one_is_a_list(trigger, "signal", "signals");
    }
    let mut whole = Value::Object(whole);
    for (place, field, default) in [
        ("", "on_error", json!("fail")),
        ("", "priority", json!("normal")),
        ("/trigger", "allow_recursion", json!(false)),
        ("/concurrency", "on_limit", json!("queue")),
        ("/singleton", "on_conflict", json!("drop")),
    ] {
        leave_out(&mut whole, place, field, &default);
    }
    normalize(&mut whole, &DATA);
    let steps = steps.as_ref().and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    Meaning { whole, steps: steps.iter().filter_map(of_step).collect() }
}

fn of_step(step: &Value) -> Option<(String, Value)> {
    let mut fields = fields_of(Some(step));
    let id = fields.remove("id")?.as_str()?.to_owned();
    let kind = fields.get("type")?.as_str()?.to_owned();
    fields.remove("needs");
    if kind == "wait" {
        in_full_wait(&mut fields);
    }
    if let Some(for_each) = fields.get_mut("for_each") {
        in_full(for_each, "items");
    }
    let mut step = Value::Object(fields);
    replace(&mut step, "join", &json!("any"), json!({"at_least": 1}));
    replace(&mut step, "input", &json!({"from_signal": true}), json!("${signal}"));
    let input = if kind == "agent" { json!("${signal}") } else { Value::Null };
    for (place, field, default) in [
        ("", "input", input),
        ("", "on_error", json!("fail")),
        ("", "join", json!("all")),
        ("", "cancel_rest", json!(false)),
        ("", "wait", json!(true)),
        ("", "consume", json!(true)),
        ("", "on_cancel", json!("cancel")),
        ("", "status", json!("completed")),
        ("/for_each", "max_parallel", json!(ForEach::MAX_PARALLEL_DEFAULT)),
        ("/for_each", "tolerate", json!(0)),
        ("/input", "role", json!("member")),
    ] {
        if place != "/input" || kind == "wait" {
            leave_out(&mut step, place, field, &default);
        }
    }
    // What a wait asks for is part of the language, and not data.
    normalize(&mut step, if kind == "wait" { &DATA[1..] } else { &DATA });
    Some((id, step))
}

fn fields_of(value: Option<&Value>) -> Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

fn in_full_wait(fields: &mut Map<String, Value>) {
    one_is_a_list(fields, "signal", "signals");
    if let Some(Value::Array(signals)) = fields.get_mut("signals") {
        signals.iter_mut().for_each(|signal| in_full(signal, "name"));
    }
    if fields.get("callback") == Some(&json!(true)) {
        fields.insert("callback".to_owned(), json!({}));
    }
}

fn one_is_a_list(fields: &mut Map<String, Value>, one: &str, list: &str) {
    if let Some(value) = fields.remove(one) {
        fields.insert(list.to_owned(), json!([value]));
    }
}

/// `"x"` for `{"NAME": "x"}`.
fn in_full(value: &mut Value, name: &str) {
    if value.is_string() {
        *value = json!({name: value.take()});
    }
}

fn replace(step: &mut Value, field: &str, short: &Value, full: Value) {
    if step.get(field) == Some(short) {
        step[field] = full;
    }
}

fn leave_out(value: &mut Value, place: &str, field: &str, default: &Value) {
    if let Some(Value::Object(fields)) = value.pointer_mut(place)
        && fields.get(field) == Some(default)
    {
        fields.remove(field);
    }
}

/// Durations, conditions and sets, wherever the language has them.
fn normalize(value: &mut Value, data: &[&str]) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut().filter(|(name, _)| !data.contains(&name.as_str())) {
                normalize_field(name, value, data);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| normalize(item, data)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn normalize_field(name: &str, value: &mut Value, data: &[&str]) {
    match value {
        Value::String(text) if DURATIONS.contains(&name) => {
            if let Ok(span) = text.parse::<Span>() {
                *text = span.to_string();
            }
        }
        Value::String(text) if CONDITIONS.contains(&name) => {
            if let Ok(condition) = Expression::compile(text) {
                *text = condition.source().to_owned();
            }
        }
        Value::Array(items) if SETS.contains(&name) && items.iter().all(Value::is_string) => {
            items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        }
        value => normalize(value, data),
    }
}

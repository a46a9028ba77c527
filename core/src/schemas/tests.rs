//! Each schema is put to the same documents as its reader: where the reader names what it knows, the
//! schema has to know the same, and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::SCHEMAS;
use crate::diagnostic::{CODES, Diagnostic, codes};
use crate::directive::DirectiveType;
use crate::document::{self, Format};
use crate::function::Function;
use crate::workflow::{Catalog, StepKind};
use crate::{Json, agent, schedule, workflow};

fn schema(kind: &str) -> Value {
    let (_, text) = SCHEMAS.iter().find(|(known, _)| *known == kind).expect("a kind");
    serde_json::from_str(text).expect("a schema is JSON")
}

fn validator(kind: &str) -> Validator {
    jsonschema::draft202012::new(&schema(kind)).expect("a schema")
}

const KINDS: [&str; 5] = ["workflow", "agent", "directive-type", "function", "schedule"];

fn envelope(kind: &str) -> String {
    kind.replace('-', "_")
}

/// The reader's problems.
fn problems(kind: &str, document: &Value) -> Vec<Diagnostic> {
    let text = document.to_string();
    match kind {
        "workflow" => workflow::read(&text, Format::Json, &Catalog::default()).err().unwrap_or_default(),
        "agent" => agent::read(&text, Format::Json).err().unwrap_or_default(),
        "schedule" => schedule::read(&text, Format::Json).err().unwrap_or_default(),
        _ => match refused(kind, &Json::from(document.clone())) {
            None => Vec::new(),
            // As the others say it.
            Some(said) => {
                let known = said.split_once("expected ").map_or("", |(_, known)| known);
                let known = known.split_once(" at line").map_or(known, |(known, _)| known);
                let known: Vec<_> = known.split('`').skip(1).step_by(2).collect();
                let help = Some(format!("known here: {}", known.join(", ")));
                vec![Diagnostic::error(codes::UNKNOWN_FIELD, said).help(help)]
            }
        },
    }
}

/// By a reader that names one problem only.
fn refused(kind: &str, document: &Json) -> Option<String> {
    match kind {
        "function" => Function::read(document).err().map(|error| error.to_string()),
        _ => DirectiveType::read(document).err().map(|error| error.to_string()),
    }
}

fn is_read(kind: &str, document: &Value) -> bool {
    problems(kind, document).is_empty()
}

/// Definitions that between them have every field.
fn full(kind: &str) -> Vec<Value> {
    let retry = || {
        json!({"max_attempts": 3, "initial": "1s", "factor": 2, "max": "1m", "jitter": true,
               "on": ["timeout", "http_*"], "max_elapsed": "1h"})
    };
    match kind {
        "workflow" => vec![
            json!({"$schema": "workflow.json", "workflow": {
                "name": "Orders", "slug": "orders", "version": "1.0.0", "description": "All of it",
                "trigger": {"signal": "order.placed", "when": "signal.payload.total > 0"},
                "input_schema": {"type": "object"}, "may_request_directives": ["stock.reserve", "stock.release", "a.b"],
                "timeout": "7d", "on_error": "compensate",
                "concurrency": {"limit": 5, "key": "${signal.payload.customer}", "on_limit": "drop"},
                "throttle": {"limit": 5, "per": "1m", "key": "${tenant.id}"},
                "debounce": {"period": "1s", "max": "1m", "key": "${tenant.id}"},
                "output": {"status": "${steps.reserve.status}"},
                "steps": [
                    {"id": "ask", "type": "agent", "name": "Ask", "description": "Asks", "agent_ref": {"slug": "risk"},
                     "input": "${signal}", "when": "true", "repeat": {"while": "repeat.iteration < 2", "max": 3, "delay": "1s"},
                     "lock": "a", "retry": retry(), "timeout": "1m", "on_error": "continue", "output_schema": true,
                     "compensate": {"directive": "a.b"}},
                    {"id": "pick", "type": "function", "function": "json.pick", "input": {}, "output_schema": {},
                     "for_each": {"items": "${signal.payload.items}", "max_parallel": 2, "tolerate": "10%", "at_least": 1}},
                    {"id": "reserve", "type": "directive", "needs": ["pick"], "directive": "stock.reserve", "payload": {},
                     "retry": retry(), "heartbeat": "1m",
                     "compensate": {"directive": "stock.release", "payload": {}, "retry": retry(), "timeout": "1m"}},
                    {"id": "paid", "type": "wait", "needs": ["reserve"], "lookback": "run",
                     "signals": ["a.b", {"name": "c.d", "match": {"payload.id": "${signal.payload.id}"}, "when": "true"}]},
                    {"id": "allowed", "type": "wait", "needs": ["reserve"], "timeout": "1d", "lock": "b",
                     "input": {"prompt": "May it?", "role": "admin", "schema": {}, "escalate": [{"after": "1h", "role": "owner"}]}},
                    {"id": "called", "type": "wait", "needs": ["reserve"], "callback": {"schema": {}}, "heartbeat": "1m"},
                    {"id": "ship", "type": "workflow", "needs": ["paid", "allowed", "called"], "join": {"at_least": 2},
                     "cancel_rest": true, "workflow_ref": {"slug": "ship", "version": "1.0.0"}, "input": {}, "wait": true,
                     "on_cancel": "abandon"},
                    {"id": "end", "type": "finish", "needs": ["ship"], "status": "completed", "output": {}},
                    {"id": "sorry", "type": "finish", "status": "failed", "error": {"code": "unpaid", "message": "No."}}
                ],
                "transitions": [{"from": "pick", "to": "sorry", "on": "failed", "when": "true"}]
            }}),
            json!({"workflow": {"name": "One", "version": "1.0.0", "singleton": {"key": "a", "on_conflict": "queue"},
                "trigger": {"signals": ["a.b", "c.d"]}, "steps": [
                {"id": "a", "type": "wait", "for": "5m", "for_each": "${signal.payload.items}"},
                {"id": "b", "type": "wait", "until": "2027-01-01T00:00:00Z"},
                {"id": "c", "type": "wait", "signal": "a.b", "lookback": "5m", "consume": false, "on_error": "continue"},
                {"id": "d", "type": "wait", "callback": true},
            ]}}),
        ],
        "agent" => vec![json!({"$schema": "agent.json", "agent": {
            "slug": "risk", "name": "Risk", "description": "Judges",
            "model": {"provider": "auto", "name": "m", "temperature": 0.5}, "instructions": "Judge.",
            "output_schema": {"type": "object"}, "limits": {"max_output_tokens": 100},
            "script": [{"when": {"field": "payload.title", "contains": ["a"]}, "output": 1}, {"output": {"a": 2}}]
        }})],
        "schedule" => vec![
            json!({"$schema": "schedule.json", "schedule": {
                "slug": "nightly", "name": "Nightly", "description": "At night", "cron": "0 7 * * MON-FRI",
                "time_zone": "Europe/Berlin", "starts_at": "2027-01-01T00:00:00Z", "ends_at": "2028-01-01T00:00:00Z",
                "jitter": "30s", "overlap": "skip", "catch_up": "all", "catch_up_window": "1h",
                "signal": "digest.due", "subject": {"type": "list", "id": "1"}, "payload": {"a": 1}}}),
            json!({"schedule": {"slug": "often", "every": "15m", "signal": "a.b"}}),
        ],
        "function" => {
            vec![json!({"$schema": "function.json", "function": {"name": "a.b", "description": "Does", "timeout": "1m",
                "retry": retry(), "input_schema": {"type": "object"}, "output_schema": true,
                "handler": {"type": "worker", "labels": {"region": "eu-1"}}}})]
        }
        _ => vec![
            json!({"$schema": "directive-type.json", "directive_type": {"name": "a.b", "description": "Does",
                "timeout": "1m", "callback_timeout": "1h", "retry": retry(), "payload_schema": {"type": "object"},
                "handler": {"type": "http", "url": "https://example.com", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}}),
            json!({"directive_type": {"name": "a.b", "handler": {"type": "manual"}}}),
            json!({"directive_type": {"name": "a.b", "handler": {"type": "worker", "labels": {"gpu": "1"}}}}),
        ],
    }
}

#[test]
fn every_schema_keeps_to_the_rules_for_schemas_and_shares_the_same_words() {
    let mut shared = BTreeMap::new();
    for (kind, _) in SCHEMAS {
        let schema = schema(kind);
        assert!(jsonschema::meta::is_valid(&schema), "{kind}");
        validator(kind);
        for (name, definition) in schema["$defs"].as_object().expect("definitions") {
            let (first, known) = shared.entry(name.clone()).or_insert((kind, definition.clone()));
            assert_eq!(known, definition, "`{name}` of {kind} is not the one of {first}");
        }
    }
}

#[test]
fn examples_and_definitions_with_every_field_fit() {
    let mut seen = BTreeSet::new();
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")) {
        let Some(format) = Format::of_path(&path) else { continue };
        let text = std::fs::read_to_string(&path).expect("an example is text");
        let Ok(document) = document::parse(&text, format) else { continue };
        let document = document.to_value();
        // A test file names its workflow; it is none.
        let is_meant = |kind: &str| document.get(envelope(kind)).is_some_and(Value::is_object);
        for (kind, _) in SCHEMAS.iter().filter(|(kind, _)| is_meant(kind)) {
            fits(kind, &document);
            seen.insert(*kind);
        }
    }
    assert!(["workflow", "agent", "directive-type"].iter().all(|kind| seen.contains(kind)), "{seen:?}");
    for kind in KINDS {
        for document in full(kind) {
            fits(kind, &document);
            assert!(is_read(kind, &document), "{:#?}", problems(kind, &document));
        }
    }
}

fn fits(kind: &str, document: &Value) {
    let errors: Vec<_> =
        validator(kind).iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{kind}: {errors:#?}\n{document:#}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// A field that nobody knows is put into each object; the reader then says what it does know there.
#[test]
fn every_field_that_the_reader_knows_is_in_the_schema_and_the_other_way_round() {
    for kind in KINDS {
        let schema = schema(kind);
        let mut visited = BTreeSet::new();
        for document in full(kind) {
            for (place, objects) in objects(&schema, &document) {
                let known = known_to_reader(kind, &document, &place);
                let described = described(&schema, &objects);
                assert_eq!(described, known, "{kind}, at `{place}`");
                visited.extend(objects);
            }
        }
        let mut all = BTreeSet::new();
        closed("", &schema, &mut all);
        let missed: Vec<_> = all.difference(&visited).collect();
        assert!(missed.is_empty(), "{kind}: no document above has {missed:?}");
    }
}

fn known_to_reader(kind: &str, document: &Value, place: &str) -> BTreeSet<String> {
    let mut with = document.clone();
    with.pointer_mut(place).and_then(Value::as_object_mut).expect("an object").insert("zzzz".into(), json!(1));
    let problems = problems(kind, &with);
    let unknown = problems.iter().find(|problem| problem.message.contains("zzzz"));
    let help = unknown.and_then(|problem| problem.help.as_deref());
    let help = help.unwrap_or_else(|| panic!("{kind}: nothing is said of `{place}/zzzz`: {problems:#?}"));
    let known = help.split_once("known here: ").expect("it lists them").1;
    let mut known: BTreeSet<String> = known.split(", ").map(str::to_owned).collect();
    if place.ends_with("/handler") {
        known.insert("type".into());
    }
    known.remove("");
    known
}

fn described(schema: &Value, objects: &BTreeSet<String>) -> BTreeSet<String> {
    let properties = |at: &String| schema.pointer(at).and_then(|at| at["properties"].as_object()).cloned();
    objects.iter().filter_map(properties).flat_map(|properties| properties.into_iter().map(|(name, _)| name)).collect()
}

/// Each object of a document with the closed objects of the schema that it is one of. All types of
/// step are one object to the reader.
fn objects(schema: &Value, document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    visit(schema, "", document, "", &mut found);
    for objects in found.values_mut() {
        let is_step = |at: &String| at.strip_prefix("/$defs/step_").is_some_and(|kind| !kind.contains('/'));
        if objects.iter().any(is_step) {
            objects.extend(StepKind::NAMES.map(|name| format!("/$defs/step_{name}")));
        }
    }
    found
}

fn visit(schema: &Value, at: &str, value: &Value, place: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    let here = schema.pointer(at).expect("a place in the schema");
    if let Some(reference) = here["$ref"].as_str() {
        visit(schema, reference.trim_start_matches('#'), value, place, found);
    }
    for word in ["anyOf", "oneOf", "allOf"] {
        for branch in 0..here[word].as_array().map_or(0, Vec::len) {
            let below = format!("{at}/{word}/{branch}");
            if is_one_of(schema, &below, value) {
                visit(schema, &below, value, place, found);
            }
        }
    }
    if let (Some(items), Some(list)) = (here.get("items"), value.as_array()) {
        assert!(items.is_object(), "{at}");
        list.iter().enumerate().for_each(|(index, item)| {
            visit(schema, &format!("{at}/items"), item, &format!("{place}/{index}"), found);
        });
    }
    if let (Some(properties), Some(fields)) = (here["properties"].as_object(), value.as_object()) {
        if here["additionalProperties"] == json!(false) {
            found.entry(place.to_owned()).or_default().insert(at.to_owned());
        }
        for (name, field) in fields.iter().filter(|(name, _)| properties.contains_key(*name)) {
            visit(schema, &format!("{at}/properties/{name}"), field, &format!("{place}/{name}"), found);
        }
    }
}

/// Whether a value fits a part of the schema.
fn is_one_of(schema: &Value, at: &str, value: &Value) -> bool {
    let part = json!({"$ref": format!("#{at}"), "$defs": schema["$defs"], "properties": {}});
    let part = if at.starts_with("/$defs") { part } else { schema.pointer(at).cloned().expect("a place") };
    let mut part = part;
    if let Some(fields) = part.as_object_mut() {
        fields.insert("$defs".into(), schema["$defs"].clone());
    }
    jsonschema::draft202012::new(&part).is_ok_and(|part| part.is_valid(value))
}

fn closed(at: &str, schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if fields.get("additionalProperties") == Some(&json!(false)) && fields.contains_key("properties") {
                found.insert(at.to_owned());
            }
            fields.iter().for_each(|(name, below)| closed(&format!("{at}/{name}"), below, found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| closed(&format!("{at}/{index}"), item, found));
        }
        _ => {}
    }
}

#[test]
fn each_type_of_step_has_the_fields_that_the_reader_lets_it_have() {
    let schema = schema("workflow");
    let of = |kind: &str| schema.pointer(&format!("/$defs/step_{kind}/properties")).and_then(Value::as_object).cloned();
    let all: BTreeSet<String> =
        StepKind::NAMES.iter().flat_map(|kind| of(kind).expect("a step").into_iter().map(|(name, _)| name)).collect();
    for kind in StepKind::NAMES {
        let has = of(kind).expect("a step");
        for field in &all {
            // Only whether it belongs there is asked; what is given is wrong in any case.
            let mut step = json!({"id": "a", "type": kind});
            if field != "id" && field != "type" {
                step[field] = Value::Null;
            }
            let document = json!({"workflow": {"name": "A", "version": "1.0.0", "steps": [step]}});
            let problems = problems("workflow", &document);
            let refused = format!("`{field}` does not belong to a step of type");
            let belongs = !problems.iter().any(|problem| problem.message.starts_with(&refused));
            assert_eq!(has.contains_key(field), belongs, "`{field}` of a step of type `{kind}`");
        }
    }
}

/// Whatever of the explanations is a piece of a definition.
#[test]
fn what_explanations_call_right_fits() {
    let validator = validator("workflow");
    let mut checked = 0;
    for (code, _, explanation) in CODES {
        let right = explanation.split_once("\n\nRight: ").expect("it says what is right").1;
        for piece in right.split('`').skip(1).step_by(2).filter_map(|piece| serde_json::from_str(piece).ok()) {
            let Some(document) = completed(&piece) else { continue };
            let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{code}: {errors:#?}\n{document:#}");
            checked += 1;
        }
    }
    assert!(checked >= 10, "only {checked} are pieces of a workflow");
}

/// A piece of a workflow or of a step, as part of a whole workflow.
fn completed(piece: &Value) -> Option<Value> {
    let fields = piece.as_object()?;
    let has = |place: &str| {
        let schema = schema("workflow");
        let known = schema.pointer(place)?["properties"].as_object()?.clone();
        Some(!fields.is_empty() && fields.keys().all(|name| known.contains_key(name)))
    };
    let step = |fields: &Map<String, Value>, kind: &str| {
        let kind = fields.get("type").and_then(Value::as_str).unwrap_or(kind);
        let mut step = json!({"id": "a", "type": kind});
        match kind {
            "agent" => step["agent_ref"] = json!({"slug": "a"}),
            "function" => step["function"] = json!("a.b"),
            "directive" => step["directive"] = json!("a.b"),
            "workflow" => step["workflow_ref"] = json!({"slug": "a"}),
            _ => {}
        }
        fields.iter().for_each(|(name, value)| step[name] = value.clone());
        step
    };
    let whole = |fields: Value| {
        let mut whole = json!({"name": "A", "version": "1.0.0", "steps": [step(&Map::new(), "agent")]});
        fields.as_object().into_iter().flatten().for_each(|(name, value)| whole[name] = value.clone());
        for given in whole["steps"].as_array_mut().into_iter().flatten() {
            *given = step(given.as_object().expect("a step"), "agent");
        }
        json!({"workflow": whole})
    };
    if has("/properties/workflow")? && !fields.contains_key("description") {
        return Some(whole(piece.clone()));
    }
    let kind = fields.get("type").and_then(Value::as_str);
    let kinds = StepKind::NAMES.into_iter().filter(|known| kind.is_none_or(|kind| kind == *known));
    let kind = kinds.into_iter().find(|kind| has(&format!("/$defs/step_{kind}")).unwrap_or_default())?;
    Some(whole(json!({"steps": [step(fields, kind)]})))
}

#[rstest::rstest]
#[case::unknown_field("/workflow/steps/0/time_out", json!("1m"))]
#[case::field_of_another_type("/workflow/steps/0/payload", json!({}))]
#[case::no_unit("/workflow/timeout", json!("60"))]
#[case::nothing("/workflow/timeout", json!("0s"))]
#[case::number("/workflow/timeout", json!(60))]
#[case::version("/workflow/version", json!("1.0"))]
#[case::name("/workflow/trigger/signal", json!("Order"))]
#[case::both_triggers("/workflow/trigger/signals", json!(["a.b"]))]
#[case::choice("/workflow/on_error", json!("stop"))]
#[case::no_steps("/workflow/steps", json!([]))]
#[case::id("/workflow/steps/0/id", json!("post-summary"))]
#[case::type_of_step("/workflow/steps/0/type", json!("script"))]
#[case::attempts("/workflow/steps/0/retry", json!({"max_attempts": 0}))]
#[case::repeat_without_max("/workflow/steps/0/repeat", json!({"while": "true"}))]
#[case::items("/workflow/steps/0/for_each", json!("items"))]
#[case::part("/workflow/steps/0/for_each", json!({"items": [1], "tolerate": "101%"}))]
#[case::two_waits("/workflow/steps/1/until", json!("2027-01-01T00:00:00Z"))]
#[case::lookback("/workflow/steps/1/lookback", json!("run"))]
#[case::consume("/workflow/steps/1/consume", json!(true))]
#[case::output_of_a_failure("/workflow/steps/2/output", json!({}))]
#[case::concurrency("/workflow/singleton", json!({}))]
#[case::transition("/workflow/transitions", json!([{"from": "a"}]))]
fn what_the_reader_refuses_by_shape_the_schema_refuses(#[case] place: &str, #[case] value: Value) {
    let mut document = json!({"workflow": {"name": "A", "version": "1.0.0", "trigger": {"signal": "a.b"},
        "concurrency": {"limit": 1}, "steps": [
        {"id": "a", "type": "agent", "agent_ref": {"slug": "a"}},
        {"id": "b", "type": "wait", "for": "5m"},
        {"id": "c", "type": "finish", "status": "failed", "error": {"code": "x", "message": "y"}},
    ]}});
    assert!(is_read("workflow", &document) && validator("workflow").is_valid(&document));
    let (parent, name) = place.rsplit_once('/').expect("a place");
    document.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object").insert(name.into(), value);
    assert!(!is_read("workflow", &document), "the reader takes it");
    assert!(!validator("workflow").is_valid(&document), "the schema takes it");
}

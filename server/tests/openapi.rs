//! The OpenAPI document is committed, so that every change of the API is seen in review.

use std::path::Path;

use serde_json::Value;

/// `UPDATE_OPENAPI=1 cargo nextest run -p fleetprompt openapi` writes the file anew.
#[test]
fn the_committed_openapi_document_is_the_one_that_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let document = fleetprompt::api::openapi_document().to_pretty_json().expect("it can be written") + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &document).expect("docs/ can be written to");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let hint = "docs/openapi.json is not current: run `UPDATE_OPENAPI=1 cargo nextest run -p fleetprompt openapi`";
    assert!(committed == document, "{hint}");
}

#[test]
fn every_operation_is_named_described_and_answers_with_problems() {
    let document = serde_json::to_value(fleetprompt::api::openapi_document()).expect("it is JSON");
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().expect("paths");
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("operations") {
            let place = format!("{method} {path}");
            assert!(operation["operationId"].is_string(), "{place} has no id");
            assert!(operation["summary"].is_string(), "{place} has no summary");
            assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{place} has one tag");
            assert!(operation["responses"]["500"].is_object(), "{place} does not say what goes wrong");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["schema"].is_object(), "{place}: {parameter} has no schema");
            }
        }
    }
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    let document = serde_json::to_value(fleetprompt::api::openapi_document()).expect("it is JSON");
    let mut references = Vec::new();
    gather(&document, &mut references);
    assert!(references.len() > 100, "{}", references.len());
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("references stay inside");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

/// What the document calls an operation, the clients in other languages are generated from; this one is written by hand.
#[test]
fn the_rust_client_has_a_method_of_the_name_of_each_operation() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../client/src/client");
    let sources: String = std::fs::read_dir(folder)
        .expect("the client's folder")
        .map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).expect("a source file"))
        .collect();
    let document = serde_json::to_value(fleetprompt::api::openapi_document()).expect("it is JSON");
    let operations = document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .flat_map(|item| item.as_object().expect("operations").values());
    let missing: Vec<&str> = operations
        .map(|operation| operation["operationId"].as_str().expect("an id"))
        .filter(|id| !["async fn", "fn"].iter().any(|kind| sources.contains(&format!("    pub {kind} {id}("))))
        .collect();
    assert!(missing.is_empty(), "`Client` has no method {missing:?}");
}

fn gather<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            into.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| gather(value, into));
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, into)),
        _ => {}
    }
}

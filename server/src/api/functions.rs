//! The functions that a workflow's steps may call.

use axum::extract::State;
use fleetprompt_client::wire;
use fleetprompt_core::Json;
use fleetprompt_core::function::Function;
use fleetprompt_core::registration::FunctionEntry;
use fleetprompt_core::tenant::Role;
use fleetprompt_engine::functions;

use super::answer::{Answer, made, ok};
use super::auth::Caller;
use super::body::Sent;
use super::request::Asked;
use super::workflows::RegisteredQuery;
use super::{Api, Problem, page};

/// Apply a function
///
/// One that workers perform, or that is called in a module of the tenant. Steps of type `function` call it by its
/// name, as they do the engine's own.
#[utoipa::path(
    post, path = "/v1/functions", tag = "workers",
    request_body(
        content = serde_json::Value,
        description = "The definition, as JSON.",
        example = json!({"function": {
            "name": "lead.score",
            "description": "How well a lead fits, from 0 to 100",
            "handler": {"type": "worker"},
            "input_schema": {"type": "object", "required": ["company"]},
            "retry": {"max_attempts": 3},
            "timeout": "30s"
        }}),
    ),
    responses(
        (status = 201, description = "It is kept.", body = wire::Function),
        (status = 200, description = "It was there already.", body = wire::Function),
    ),
)]
pub async fn function_apply(State(api): State<Api>, caller: Caller, Sent(document): Sent<Json>) -> Answer {
    caller.must_be(Role::Member)?;
    let applied = api.engine().function_apply(&caller.scope, document).await?;
    let function = Function::read(&applied.entry.document);
    let function = function.map_err(|error| Problem::internal("read the function that was kept", &error))?;
    made(applied.changed, &registered(&applied.entry, &function))
}

/// List functions
///
/// All of them, by name: those that the tenant registered, and the engine's own, which are pure and the same for
/// everybody.
#[utoipa::path(
    get, path = "/v1/functions", tag = "workflows", params(RegisteredQuery),
    responses((status = 200, description = "A page of functions.", body = wire::Page<wire::Function>)),
)]
pub async fn function_list(caller: Caller, Asked(query): Asked<RegisteredQuery>) -> Answer {
    let registered_here = &caller.registered()?.functions;
    let ours = functions::all().iter().filter(|function| !registered_here.contains_key(function.name));
    let own = registered_here.values().map(|(entry, function)| registered(entry, function));
    let mut items: Vec<wire::Function> = own.chain(ours.map(|function| view(function))).collect();
    items.sort_by(|one, other| one.name.cmp(&other.name));
    let all = items.iter().map(|function| (function.name.as_str(), function));
    ok(&page::of_registered(all, query.limit, query.cursor.as_deref(), Ok)?)
}

fn registered(entry: &FunctionEntry, function: &Function) -> wire::Function {
    wire::Function {
        name: function.name.to_string(),
        summary: function.description.clone(),
        handler: function.handler.as_str().to_owned(),
        module: function.module().map(ToString::to_string),
        input: Vec::new(),
        input_schema: function.input_schema.as_ref().map(|schema| schema.document().clone().into()),
        example_input: None,
        example_output: None,
        updated_at: Some(entry.updated_at),
    }
}

fn view(function: &functions::Function) -> wire::Function {
    let example = |text: &str| Json::parse(text).unwrap_or_else(|_| Json::null());
    let field = |field: &functions::Field| wire::FunctionField {
        name: field.name.to_owned(),
        kind: field.kind.to_string(),
        summary: format!("{}{}", field.what, if field.required { "" } else { " (may be left out)" }),
    };
    wire::Function {
        name: function.name.to_owned(),
        summary: function.summary.to_owned(),
        handler: "engine".to_owned(),
        module: None,
        input: function.input.iter().map(field).collect(),
        input_schema: None,
        example_input: Some(example(function.example.input)),
        example_output: Some(example(function.example.output)),
        updated_at: None,
    }
}

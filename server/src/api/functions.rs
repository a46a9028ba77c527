//! The functions that a workflow's steps may call.

use fleetprompt_client::wire;
use fleetprompt_core::Json;
use fleetprompt_engine::functions;

use super::answer::{Answer, ok};
use super::auth::Caller;

/// List functions
///
/// All of them, by name. They are the same for every tenant: pure, and part of the program.
#[utoipa::path(
    get, path = "/v1/functions", tag = "workflows",
    responses((status = 200, description = "Every function there is.", body = wire::Page<wire::Function>)),
)]
pub async fn function_list(_: Caller) -> Answer {
    let items = functions::all().iter().map(|function| view(function)).collect();
    ok(&wire::Page { items, next_cursor: None })
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
        input: function.input.iter().map(field).collect(),
        example_input: example(function.example.input),
        example_output: example(function.example.output),
    }
}

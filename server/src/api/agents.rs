//! Agents: applied and read. One that is applied again replaces the one before; executions say
//! which they ran by its digest.

use axum::extract::State;
use fleetprompt_client::wire;
use fleetprompt_core::Slug;
use fleetprompt_core::agent::Agent;
use fleetprompt_core::registration::AgentEntry;
use fleetprompt_core::tenant::Role;
use wire::schema;

use super::answer::{Answer, made, ok};
use super::auth::Caller;
use super::body::Document;
use super::request::{Asked, At};
use super::workflows::RegisteredQuery;
use super::{Api, Problem, page, view};

/// Apply an agent
///
/// The same document again changes nothing.
#[utoipa::path(
    post, path = "/v1/agents", tag = "agents",
    request_body(
        content((serde_json::Value = "application/json"), (String = "application/yaml")),
        description = "The agent's definition.",
        example = json!(super::openapi::agent_example()),
    ),
    responses(
        (status = 201, description = "It is kept.", body = wire::AppliedAgent),
        (status = 200, description = "It was there already.", body = wire::AppliedAgent),
    ),
)]
pub async fn agent_apply(State(api): State<Api>, caller: Caller, document: Document) -> Answer {
    caller.must_be(Role::Member)?;
    let applied = api.engine().agent_apply(&caller.scope, document.text, document.format).await?;
    let answer = wire::AppliedAgent {
        slug: applied.entry.slug,
        digest: applied.entry.digest,
        changed: applied.changed,
        diagnostics: applied.warnings,
    };
    made(answer.changed, &answer)
}

/// List agents
///
/// By slug.
#[utoipa::path(
    get, path = "/v1/agents", tag = "agents", params(RegisteredQuery),
    responses((status = 200, description = "A page of agents.", body = wire::Page<wire::Agent>)),
)]
pub async fn agent_list(State(api): State<Api>, caller: Caller, Asked(query): Asked<RegisteredQuery>) -> Answer {
    let all = caller.registered()?.agents.iter().map(|(slug, agent)| (slug.as_str(), agent));
    let page =
        page::of_registered(all, query.limit, query.cursor.as_deref(), |(entry, agent)| Ok(shown(&api, entry, agent)));
    ok(&page?)
}

/// Get an agent
#[utoipa::path(
    get, path = "/v1/agents/{slug}", tag = "agents",
    params(("slug" = schema::Slug, Path, description = "The agent's slug.")),
    responses((status = 200, description = "The agent and its document.", body = wire::Agent)),
)]
pub async fn agent_get(State(api): State<Api>, caller: Caller, At(slug): At<Slug>) -> Answer {
    let (entry, agent) = caller.registered()?.agents.get(&slug).ok_or_else(|| Problem::not_found("agent", &slug))?;
    ok(&shown(&api, entry, agent))
}

fn shown(api: &Api, entry: &AgentEntry, agent: &Agent) -> wire::Agent {
    view::agent(entry, &agent.name, api.engine().models().describe(agent))
}

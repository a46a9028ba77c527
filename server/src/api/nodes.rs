//! Nodes: the processes that share a database, and what each of them decides for. They are everybody's, so this is for
//! owners.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use fleetprompt_client::wire;
use fleetprompt_core::Timestamp;
use fleetprompt_core::tenant::Role;
use fleetprompt_store::postgres::{Cluster, Database, NodeEntry};

use super::answer::{Answer, ok};
use super::auth::Caller;
use super::request::{Asked, At};
use super::workflows::RegisteredQuery;
use super::{Api, Problem, now, page};

/// List nodes
///
/// Those that share the database, and for an hour those that are gone. Takes the role `owner`.
#[utoipa::path(
    get, path = "/v1/nodes", tag = "operations", params(RegisteredQuery),
    responses((status = 200, description = "A page of nodes.", body = wire::Page<wire::Node>)),
)]
pub async fn node_list(State(api): State<Api>, caller: Caller, Asked(query): Asked<RegisteredQuery>) -> Answer {
    caller.must_be(Role::Owner)?;
    let nodes = match api.among() {
        Some(among) => nodes(&among.database).await?,
        None => vec![alone(&api)],
    };
    let mut keyed: Vec<(String, &wire::Node)> =
        nodes.iter().map(|node| (format!("{}\n{}", node.name, node.id), node)).collect();
    keyed.sort_by(|(one, _), (other, _)| one.cmp(other));
    let all = keyed.iter().map(|(key, node)| (key.as_str(), *node));
    ok(&page::of_registered(all, query.limit, query.cursor.as_deref(), Ok)?)
}

/// Drain a node
///
/// It hands over what it decides for and takes nothing, until it is undrained or started anew. It still
/// answers. Takes the role `owner`.
#[utoipa::path(
    post, path = "/v1/nodes/{node}/drain", tag = "operations",
    params(("node" = String, Path, description = "The node's name or id.")),
    responses((status = 200, description = "The node as it is now.", body = wire::Node)),
)]
pub async fn node_drain(State(api): State<Api>, caller: Caller, At(node): At<String>) -> Answer {
    drain(&api, &caller, &node, true).await
}

/// Undrain a node
///
/// It takes its share again. Takes the role `owner`.
#[utoipa::path(
    post, path = "/v1/nodes/{node}/undrain", tag = "operations",
    params(("node" = String, Path, description = "The node's name or id.")),
    responses((status = 200, description = "The node as it is now.", body = wire::Node)),
)]
pub async fn node_undrain(State(api): State<Api>, caller: Caller, At(node): At<String>) -> Answer {
    drain(&api, &caller, &node, false).await
}

async fn drain(api: &Api, caller: &Caller, named: &str, is_draining: bool) -> Answer {
    caller.must_be(Role::Owner)?;
    let Some(among) = api.among() else {
        let detail = "this node is alone over its data folder: there is nobody to hand over to; stop it instead";
        return Err(Problem::new(StatusCode::CONFLICT, "node_alone", detail));
    };
    let database = &among.database;
    let cluster = database.cluster().await.map_err(fleetprompt_engine::Error::from)?;
    let is_meant = |node: &&NodeEntry| node.is_alive && (node.name == named || node.id.to_string() == named);
    let mut meant = cluster.nodes.iter().filter(is_meant);
    let node = meant.next().ok_or_else(|| Problem::not_found("node", named))?;
    if meant.next().is_some() {
        return Err(Problem::invalid_request(format!("several nodes are called `{named}`: name it by its id")));
    }
    let others = cluster.nodes.iter().filter(|other| other.is_alive && !other.is_draining && other.id != node.id);
    if is_draining && others.count() == 0 {
        let detail = "no other node could take over what this one decides for; start one first";
        return Err(Problem::new(StatusCode::CONFLICT, "node_alone", detail));
    }
    if !database.drain(node.id, is_draining).await.map_err(fleetprompt_engine::Error::from)? {
        return Err(Problem::not_found("node", named));
    }
    let all = nodes(database).await?;
    let id = node.id.to_string();
    ok(all.iter().find(|other| other.id == id).ok_or_else(|| Problem::not_found("node", named))?)
}

async fn nodes(database: &Database) -> Result<Vec<wire::Node>, Problem> {
    let cluster = database.cluster().await.map_err(fleetprompt_engine::Error::from)?;
    let waiting = database.waiting().await.map_err(fleetprompt_engine::Error::from)?;
    let shown = |node: &NodeEntry| {
        let partitions = owned(&cluster, node);
        let of_them = partitions.iter().filter_map(|number| waiting.get(usize::from(*number)));
        wire::Node {
            id: node.id.to_string(),
            name: node.name.clone(),
            version: node.version.clone(),
            status: match (node.is_alive, node.is_draining) {
                (false, _) => wire::NodeStatus::Gone,
                (true, true) => wire::NodeStatus::Draining,
                (true, false) => wire::NodeStatus::Up,
            },
            requests_waiting: of_them.clone().map(|waiting| waiting.requests).sum(),
            lag_ms: of_them.map(|waiting| micros(waiting.oldest) as u64 / 1_000).max().unwrap_or_default(),
            partitions,
            started_at: node.started_at,
            last_seen: Timestamp(now().0.saturating_sub(micros(node.silent_for))),
        }
    };
    Ok(cluster.nodes.iter().map(shown).collect())
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

fn owned(cluster: &Cluster, node: &NodeEntry) -> Vec<u16> {
    let all = (0..).zip(&cluster.partitions);
    all.filter(|(_, owner)| **owner == Some(node.id)).map(|(number, _)| number).collect()
}

fn alone(api: &Api) -> wire::Node {
    wire::Node {
        id: "alone".to_owned(),
        name: crate::place::node(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        status: wire::NodeStatus::Up,
        partitions: vec![0],
        requests_waiting: 0,
        lag_ms: 0,
        started_at: api.config().started_at,
        last_seen: now(),
    }
}

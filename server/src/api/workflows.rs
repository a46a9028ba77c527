//! Workflows: checked, applied, activated, read.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use fleetprompt_client::wire;
use fleetprompt_core::diagnostic::locate;
use fleetprompt_core::registration::{WorkflowEntry, WorkflowStatus, WorkflowVersion};
use fleetprompt_core::tenant::Role;
use fleetprompt_core::workflow::{self, Catalog};
use fleetprompt_core::{Slug, TenantId, WorkflowVersionId, run};
use fleetprompt_engine::Directory;
use fleetprompt_store::{Page as StorePage, Store};
use serde::Deserialize;
use utoipa::IntoParams;
use wire::schema;

use super::answer::{Answer, made, ok};
use super::auth::Caller;
use super::body::{Document, SentOrNot};
use super::request::{Asked, At};
use super::{Api, Problem, page, view};

/// Bytes of documents of drafts that are read for one page, unless a single one has more.
const DRAFTS_BYTES_MAX: usize = 4 << 20;
/// Refused signals that a workflow is shown with.
const REFUSALS_MAX: usize = 10;

/// Check a workflow
///
/// Reads the definition and reports everything that is wrong with it, all at once and each with its
/// place, without keeping anything. It is checked as if it were to be activated now.
#[utoipa::path(
    post, path = "/v1/workflows/validate", tag = "workflows",
    request_body(
        content((serde_json::Value = "application/json"), (String = "application/yaml")),
        description = "The definition, as it would be applied.",
        example = json!(super::openapi::workflow_example()),
    ),
    responses((status = 200, description = "Whether it is valid, and its diagnostics.", body = wire::Validated)),
)]
pub async fn workflow_validate(State(api): State<Api>, caller: Caller, document: Document) -> Answer {
    let catalog = caller.registered()?.catalog();
    let slots = api.engine().compile_slots();
    let check = move || page::written(&validated(&document, &catalog));
    ok(&slots.run(caller.tenant(), check).await??)
}

fn validated(document: &Document, catalog: &Catalog) -> wire::Validated {
    match workflow::read(&document.text, document.format, catalog) {
        Ok((workflow, warnings)) => wire::Validated {
            valid: true,
            slug: Some(workflow.slug),
            version: Some(workflow.version),
            diagnostics: locate(&warnings, &document.text),
        },
        Err(problems) => {
            let diagnostics = locate(&problems, &document.text);
            wire::Validated { valid: false, slug: None, version: None, diagnostics }
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ApplyQuery {
    /// Whether signals start this version from now on; a draft unless given.
    #[serde(default)]
    #[param(default = false)]
    activate: bool,
}

/// Apply a workflow
///
/// Keeps the definition as a version of its workflow. The same document again changes nothing; a
/// version that was ever active cannot become another document: give it a new version.
#[utoipa::path(
    post, path = "/v1/workflows", tag = "workflows", params(ApplyQuery),
    request_body(
        content((serde_json::Value = "application/json"), (String = "application/yaml")),
        description = "The definition.",
        example = json!(super::openapi::workflow_example()),
    ),
    responses(
        (status = 201, description = "It is kept.", body = wire::AppliedWorkflow),
        (status = 200, description = "It was there already.", body = wire::AppliedWorkflow),
    ),
)]
pub async fn workflow_apply(
    State(api): State<Api>,
    caller: Caller,
    Asked(query): Asked<ApplyQuery>,
    document: Document,
) -> Answer {
    caller.must_be(Role::Member)?;
    let Document { text, format } = document;
    let applied = api.engine().workflow_apply(&caller.scope, text, format, query.activate).await?;
    let answer = wire::AppliedWorkflow {
        slug: applied.entry.slug,
        version: applied.version.version,
        digest: applied.version.digest,
        status: applied.entry.status,
        changed: applied.changed,
        diagnostics: applied.warnings,
    };
    made(answer.changed, &answer)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RegisteredQuery {
    /// 1 to 1,000; 1,000 unless given.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// List workflows
///
/// By slug.
#[utoipa::path(
    get, path = "/v1/workflows", tag = "workflows", params(RegisteredQuery),
    responses((status = 200, description = "A page of workflows.", body = wire::Page<wire::Workflow>)),
)]
pub async fn workflow_list(State(api): State<Api>, caller: Caller, Asked(query): Asked<RegisteredQuery>) -> Answer {
    let all = caller.registered()?.workflows.iter().map(|(slug, workflows)| (slug.as_str(), &workflows.entry));
    let limit = page::limit_registered(query.limit)?;
    let behind = query.cursor.clone();
    let rest = all.filter(|(slug, _)| behind.as_deref().is_none_or(|behind| *slug > behind));
    let entries: Vec<WorkflowEntry> = rest.take(limit + 1).map(|(_, entry)| entry.clone()).collect();
    let (tenant, directory) = (caller.tenant(), api.engine().directory());
    let read = api.read(move |store| {
        let (mut workflows, mut bytes) = (Vec::new(), 0);
        for entry in entries.iter().take(limit) {
            let (workflow, read) = shown(store, &directory, tenant, entry)?;
            workflows.push(workflow);
            bytes += read;
            if bytes > DRAFTS_BYTES_MAX {
                break;
            }
        }
        let all = entries.iter().map(|entry| entry.slug.as_str()).zip(workflows.iter().map(Some).chain([None]));
        page::of_registered(all, Some(workflows.len().max(1)), None, Ok)
    });
    ok(&read.await?)
}

/// A draft has no compiled version in memory; its newest one says how it is called. Returns also how many bytes of
/// documents were read for that.
fn shown(
    store: &dyn Store,
    directory: &Directory,
    tenant: TenantId,
    entry: &WorkflowEntry,
) -> Result<(wire::Workflow, usize), Problem> {
    let workflows = directory.tenant(tenant).and_then(|registered| registered.workflows.get(&entry.slug));
    let active = workflows.and_then(|workflows| workflows.active.as_deref());
    let newest = match active {
        Some(_) => None,
        None => newest(store, tenant, &entry.slug)?,
    };
    let bytes = newest.as_ref().map_or(0, |newest| newest.document.text().len());
    Ok((view::workflow(entry, active, newest.as_ref()), bytes))
}

fn newest(store: &dyn Store, tenant: TenantId, slug: &Slug) -> Result<Option<WorkflowVersion>, Problem> {
    let newest = store.workflow_versions(tenant, slug, StorePage::newest(1))?.into_iter().next();
    let with_document = newest.map(|newest| store.workflow_version(tenant, slug, &newest.version));
    Ok(with_document.transpose()?.flatten())
}

/// Get a workflow
#[utoipa::path(
    get, path = "/v1/workflows/{slug}", tag = "workflows",
    params(("slug" = schema::Slug, Path, description = "The workflow's slug.")),
    responses((status = 200, description = "The workflow.", body = wire::Workflow)),
)]
pub async fn workflow_get(State(api): State<Api>, caller: Caller, At(slug): At<Slug>) -> Answer {
    let entry = entry(&caller, &slug)?;
    one(&api, &caller, entry).await
}

/// The runs of each version that have not ended, by status.
fn in_flight(
    store: &dyn Store,
    tenant: TenantId,
    slug: &Slug,
) -> Result<BTreeMap<String, BTreeMap<run::Status, u64>>, Problem> {
    let mut versions = BTreeMap::<String, BTreeMap<run::Status, u64>>::new();
    for (version, status, count) in store.runs_in_flight(tenant, slug)? {
        versions.entry(version).or_default().insert(status, count);
    }
    Ok(versions)
}

fn entry(caller: &Caller, slug: &Slug) -> Result<WorkflowEntry, Problem> {
    let found = caller.registered()?.workflows.get(slug);
    found.map(|workflows| workflows.entry.clone()).ok_or_else(|| Problem::not_found("workflow", slug))
}

async fn one(api: &Api, caller: &Caller, entry: WorkflowEntry) -> Answer {
    let (tenant, directory) = (caller.tenant(), api.engine().directory());
    let read = api.read(move |store| {
        let refusals = store.refusals(tenant, &entry.slug, REFUSALS_MAX)?;
        let refusals = refusals.iter().filter_map(view::refusal).collect();
        Ok((shown(store, &directory, tenant, &entry)?.0, in_flight(store, tenant, &entry.slug)?, refusals))
    });
    let (workflow, versions, refusals) = read.await?;
    let in_flight = versions.into_iter().map(|(version, by_status)| wire::InFlight { version, by_status }).collect();
    ok(&wire::Workflow { in_flight, refusals, ..workflow })
}

/// List a workflow's versions
///
/// Newest first, without their documents; each with its runs that have not ended.
#[utoipa::path(
    get, path = "/v1/workflows/{slug}/versions", tag = "workflows",
    params(("slug" = schema::Slug, Path, description = "The workflow's slug."), RegisteredQuery),
    responses((status = 200, description = "A page of versions.", body = wire::Page<wire::WorkflowVersion>)),
)]
pub async fn workflow_version_list(
    State(api): State<Api>,
    caller: Caller,
    At(slug): At<Slug>,
    Asked(query): Asked<RegisteredQuery>,
) -> Answer {
    let active = entry(&caller, &slug)?.active_version;
    let limit = page::limit_registered(query.limit)?;
    let cursor: Option<WorkflowVersionId> = page::cursor(query.cursor.as_deref())?;
    let (tenant, page) = (caller.tenant(), StorePage::before(cursor.map(|id| id.0), limit + 1));
    let read =
        api.read(move |store| Ok((store.workflow_versions(tenant, &slug, page)?, in_flight(store, tenant, &slug)?)));
    let (versions, mut in_flight) = read.await?;
    let view = |version: WorkflowVersion| wire::WorkflowVersion {
        in_flight: in_flight.remove(&version.version).unwrap_or_default(),
        ..view::workflow_version(&version, active.as_deref(), false)
    };
    ok(&page::of(versions, limit, |version| version.id.to_string(), view))
}

/// Get a version of a workflow
///
/// With its document.
#[utoipa::path(
    get, path = "/v1/workflows/{slug}/versions/{version}", tag = "workflows",
    params(
        ("slug" = schema::Slug, Path, description = "The workflow's slug."),
        ("version" = String, Path, description = "Its version, like `1.0.0`."),
    ),
    responses((status = 200, description = "The version.", body = wire::WorkflowVersion)),
)]
pub async fn workflow_version_get(
    State(api): State<Api>,
    caller: Caller,
    path: Result<Path<(String, String)>, axum::extract::rejection::PathRejection>,
) -> Answer {
    let Path((slug, version)) = path.map_err(|error| Problem::invalid_request(error.body_text()))?;
    let slug: Slug = slug.parse().map_err(|error| Problem::invalid_request(format!("{error}")))?;
    let active = entry(&caller, &slug)?.active_version;
    let tenant = caller.tenant();
    let read = api.read(move |store| {
        let found = store.workflow_version(tenant, &slug, &version)?;
        let missing = || {
            let version = fleetprompt_core::diagnostic::shown(&version);
            Problem::not_found("workflow version", format!("{slug} {version}"))
        };
        found.ok_or_else(missing)
    });
    ok(&view::workflow_version(&read.await?, active.as_deref(), true))
}

/// Activate a workflow
///
/// Signals start this version, or else the newest, from now on. Runs that have begun keep theirs.
#[utoipa::path(
    post, path = "/v1/workflows/{slug}/activate", tag = "workflows",
    params(("slug" = schema::Slug, Path, description = "The workflow's slug.")),
    request_body(content = Option<wire::Activate>, example = json!({"version": "1.0.0"})),
    responses((status = 200, description = "The workflow as it is now.", body = wire::Workflow)),
)]
pub async fn workflow_activate(
    State(api): State<Api>,
    caller: Caller,
    At(slug): At<Slug>,
    SentOrNot(activate): SentOrNot<wire::Activate>,
) -> Answer {
    status_set(&api, &caller, slug, WorkflowStatus::Active, activate.version).await
}

/// Pause a workflow
///
/// Signals for it are refused, by name; runs that have begun go on.
#[utoipa::path(
    post, path = "/v1/workflows/{slug}/pause", tag = "workflows",
    params(("slug" = schema::Slug, Path, description = "The workflow's slug.")),
    responses((status = 200, description = "The workflow as it is now.", body = wire::Workflow)),
)]
pub async fn workflow_pause(State(api): State<Api>, caller: Caller, At(slug): At<Slug>) -> Answer {
    status_set(&api, &caller, slug, WorkflowStatus::Paused, None).await
}

/// Archive a workflow
///
/// It subscribes to nothing any more; runs that have begun go on. It may be activated again.
#[utoipa::path(
    post, path = "/v1/workflows/{slug}/archive", tag = "workflows",
    params(("slug" = schema::Slug, Path, description = "The workflow's slug.")),
    responses((status = 200, description = "The workflow as it is now.", body = wire::Workflow)),
)]
pub async fn workflow_archive(State(api): State<Api>, caller: Caller, At(slug): At<Slug>) -> Answer {
    status_set(&api, &caller, slug, WorkflowStatus::Archived, None).await
}

async fn status_set(api: &Api, caller: &Caller, slug: Slug, to: WorkflowStatus, version: Option<String>) -> Answer {
    caller.must_be(Role::Member)?;
    let entry = api.engine().workflow_status_set(&caller.scope, slug, to, version).await?;
    one(api, caller, entry).await
}

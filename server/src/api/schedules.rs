//! Schedules: applied, read, previewed, and what operators order of them.

use axum::extract::State;
use fleetprompt_client::wire;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Slug, Timestamp};
use fleetprompt_engine::{OrderedSchedule, ScheduleOrder, Scheduled};
use serde::Deserialize;
use utoipa::IntoParams;
use wire::schema;

use super::answer::{Answer, made, ok};
use super::auth::Caller;
use super::body::{Document, Sent, SentOrNot};
use super::request::{Asked, At};
use super::workflows::RegisteredQuery;
use super::{Api, Problem, now, page, view};

/// Apply a schedule
///
/// The same document again changes nothing. A new one counts from now on; as long as it is due at the
/// same times, the schedule goes on where it was. One that was archived is active again.
#[utoipa::path(
    post, path = "/v1/schedules", tag = "schedules",
    request_body(
        content((serde_json::Value = "application/json"), (String = "application/yaml")),
        description = "The schedule's definition.",
        example = json!(super::openapi::schedule_example()),
    ),
    responses(
        (status = 201, description = "It is in force.", body = wire::AppliedSchedule),
        (status = 200, description = "It was in force already.", body = wire::AppliedSchedule),
    ),
)]
pub async fn schedule_apply(State(api): State<Api>, caller: Caller, document: Document) -> Answer {
    caller.must_be(Role::Member)?;
    let applied = api.engine().schedule_apply(&caller.scope, document.text, document.format).await?;
    let answer = wire::AppliedSchedule {
        slug: applied.entry.slug.clone(),
        digest: applied.entry.digest.clone(),
        status: applied.entry.state.status,
        next_at: applied.entry.state.next_at,
        changed: applied.changed,
        diagnostics: applied.warnings,
    };
    made(answer.changed, &answer)
}

/// List schedules
///
/// By slug.
#[utoipa::path(
    get, path = "/v1/schedules", tag = "schedules", params(RegisteredQuery),
    responses((status = 200, description = "A page of schedules.", body = wire::Page<wire::Schedule>)),
)]
pub async fn schedule_list(caller: Caller, Asked(query): Asked<RegisteredQuery>) -> Answer {
    let all = caller.registered()?.schedules.iter().map(|(slug, scheduled)| (slug.as_str(), scheduled));
    ok(&page::of_registered(all, query.limit, query.cursor.as_deref(), |scheduled| Ok(shown(scheduled)))?)
}

/// Get a schedule
#[utoipa::path(
    get, path = "/v1/schedules/{slug}", tag = "schedules",
    params(("slug" = schema::Slug, Path, description = "The schedule's slug.")),
    responses((status = 200, description = "The schedule and its document.", body = wire::Schedule)),
)]
pub async fn schedule_get(caller: Caller, At(slug): At<Slug>) -> Answer {
    ok(&shown(found(&caller, &slug)?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FiresQuery {
    /// Now unless given.
    #[param(value_type = Option<schema::Timestamp>)]
    after: Option<Timestamp>,
    /// 1 to 1,000; 50 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Preview a schedule's fires
///
/// What comes after a moment as long as nobody changes, pauses or archives it. Whether a fire will
/// overlap with the runs of the one before is not known ahead.
#[utoipa::path(
    get, path = "/v1/schedules/{slug}/fires", tag = "schedules",
    params(("slug" = schema::Slug, Path, description = "The schedule's slug."), FiresQuery),
    responses((status = 200, description = "The next fires.", body = wire::Page<wire::ScheduleFire>)),
)]
pub async fn schedule_fires(caller: Caller, At(slug): At<Slug>, Asked(query): Asked<FiresQuery>) -> Answer {
    let scheduled = found(&caller, &slug)?.clone();
    let (tenant, limit) = (caller.tenant(), page::limit(query.limit)?);
    let after = query.after.unwrap_or_else(now);
    let preview = move || {
        let (schedule, anchor) = (&scheduled.schedule, scheduled.entry().state.anchor_at);
        let fires = schedule.preview(tenant, anchor, after).take(limit);
        fires.map(|fire| view::schedule_fire(schedule, fire)).collect()
    };
    // A search for rare days goes through years of them.
    let items = tokio::task::spawn_blocking(preview).await;
    let items = items.map_err(|error| Problem::internal("preview the schedule", &error))?;
    ok(&wire::Page::<wire::ScheduleFire> { items, next_cursor: None })
}

/// Pause a schedule
///
/// Nothing fires by itself until it is resumed. Runs that have begun go on.
#[utoipa::path(
    post, path = "/v1/schedules/{slug}/pause", tag = "schedules",
    params(("slug" = schema::Slug, Path, description = "The schedule's slug.")),
    request_body(content = Option<wire::OrderSchedule>, example = json!({"reason": "holidays"})),
    responses((status = 200, description = "The schedule as it is now.", body = wire::Schedule)),
)]
pub async fn schedule_pause(
    State(api): State<Api>,
    caller: Caller,
    At(slug): At<Slug>,
    SentOrNot(order): SentOrNot<wire::OrderSchedule>,
) -> Answer {
    ordered(&api, &caller, slug, ScheduleOrder::Pause, order.reason).await.and_then(|done| ok(&done.schedule))
}

/// Resume a schedule
///
/// What was due meanwhile is caught up with as its `catch_up` says.
#[utoipa::path(
    post, path = "/v1/schedules/{slug}/resume", tag = "schedules",
    params(("slug" = schema::Slug, Path, description = "The schedule's slug.")),
    request_body(content = Option<wire::OrderSchedule>, example = json!({"reason": "back to work"})),
    responses((status = 200, description = "The schedule as it is now.", body = wire::Schedule)),
)]
pub async fn schedule_resume(
    State(api): State<Api>,
    caller: Caller,
    At(slug): At<Slug>,
    SentOrNot(order): SentOrNot<wire::OrderSchedule>,
) -> Answer {
    ordered(&api, &caller, slug, ScheduleOrder::Resume, order.reason).await.and_then(|done| ok(&done.schedule))
}

/// Archive a schedule
///
/// It does nothing any more; its record stays. Applied again, it is active again.
#[utoipa::path(
    post, path = "/v1/schedules/{slug}/archive", tag = "schedules",
    params(("slug" = schema::Slug, Path, description = "The schedule's slug.")),
    request_body(content = Option<wire::OrderSchedule>, example = json!({"reason": "nobody read it"})),
    responses((status = 200, description = "The schedule as it is now.", body = wire::Schedule)),
)]
pub async fn schedule_archive(
    State(api): State<Api>,
    caller: Caller,
    At(slug): At<Slug>,
    SentOrNot(order): SentOrNot<wire::OrderSchedule>,
) -> Answer {
    ordered(&api, &caller, slug, ScheduleOrder::Archive, order.reason).await.and_then(|done| ok(&done.schedule))
}

/// Trigger a schedule
///
/// It fires now, whatever is due, also when it is paused. Its due times stay what they are. When runs
/// of the last fire are open, `skip` and `queue` refuse it (`schedule_overlap`), and `cancel` cancels
/// them.
#[utoipa::path(
    post, path = "/v1/schedules/{slug}/trigger", tag = "schedules",
    params(("slug" = schema::Slug, Path, description = "The schedule's slug.")),
    request_body(content = Option<wire::OrderSchedule>, example = json!({"reason": "a demo"})),
    responses((status = 200, description = "The schedule, and its fire.", body = wire::FiredSchedule)),
)]
pub async fn schedule_trigger(
    State(api): State<Api>,
    caller: Caller,
    At(slug): At<Slug>,
    SentOrNot(order): SentOrNot<wire::OrderSchedule>,
) -> Answer {
    ordered(&api, &caller, slug, ScheduleOrder::Trigger, order.reason).await.and_then(|done| ok(&done))
}

/// Backfill a schedule
///
/// Fires every time that was due in a range of the past, at most 1,000; what has fired does not fire
/// again. All come at once, whatever `overlap` says.
#[utoipa::path(
    post, path = "/v1/schedules/{slug}/backfill", tag = "schedules",
    params(("slug" = schema::Slug, Path, description = "The schedule's slug.")),
    request_body(
        content = wire::BackfillSchedule,
        example = json!({"from": "2026-11-01T00:00:00Z", "to": "2026-11-08T00:00:00Z", "reason": "the outage"}),
    ),
    responses((status = 200, description = "The schedule, and its fires.", body = wire::FiredSchedule)),
)]
pub async fn schedule_backfill(
    State(api): State<Api>,
    caller: Caller,
    At(slug): At<Slug>,
    Sent(backfill): Sent<wire::BackfillSchedule>,
) -> Answer {
    let order = ScheduleOrder::Backfill { from: backfill.from, to: backfill.to };
    ordered(&api, &caller, slug, order, backfill.reason).await.and_then(|done| ok(&done))
}

async fn ordered(
    api: &Api,
    caller: &Caller,
    slug: Slug,
    order: ScheduleOrder,
    reason: Option<String>,
) -> Result<wire::FiredSchedule, Problem> {
    caller.must_be(Role::Member)?;
    let OrderedSchedule { entry, fires } = api.engine().schedule_order(&caller.scope, slug, order, reason).await?;
    let directory = api.engine().directory();
    let scheduled = directory.tenant(caller.tenant()).and_then(|tenant| tenant.schedules.get(&entry.slug));
    let scheduled = scheduled.ok_or_else(|| Problem::not_found("schedule", &entry.slug))?;
    let schedule = view::schedule(&scheduled.schedule, &entry);
    Ok(wire::FiredSchedule { schedule, fires: fires.iter().map(view::schedule_fired).collect() })
}

fn found<'c>(caller: &'c Caller, slug: &Slug) -> Result<&'c Scheduled, Problem> {
    caller.registered()?.schedules.get(slug).ok_or_else(|| Problem::not_found("schedule", slug))
}

fn shown(scheduled: &Scheduled) -> wire::Schedule {
    view::schedule(&scheduled.schedule, &scheduled.entry())
}

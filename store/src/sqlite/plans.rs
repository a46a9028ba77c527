//! No list looks through a table: which index answers each filter, as SQLite itself says.

use fleetprompt_core::tenant::{Tenant, Weight};
use fleetprompt_core::{RunId, SignalId, TenantId, Timestamp, directive, run};
use tempfile::TempDir;
use uuid::Uuid;

use super::page::Query;
use super::{SqliteStore, View, directives, fault, places, registrations, runs, signals};
use crate::{Batch, DirectiveFilter, Order, Page, RunFilter, SignalFilter, Store};

const ID: Uuid = Uuid::from_u128(7);

/// The plans of one list, in both orders, from the first page and from a later one.
fn plans(select: impl Fn(&View, i64, Page) -> fault::Result<Option<Query>>) -> Vec<String> {
    let folder = TempDir::new().expect("a temporary folder");
    let store = SqliteStore::open(&folder.path().join("store.db")).expect("a new file");
    let slug: fleetprompt_core::Slug = "acme".parse().expect("a slug");
    let weight = Weight::default();
    let tenant = Tenant { id: TenantId(ID), slug, name: "Acme".into(), weight, created_at: Timestamp(0) };
    store.commit(&Batch { tenants: vec![tenant], ..Batch::default() }).expect("committed");
    let writer = store.writer.lock();
    writer.sql.execute("INSERT INTO names (name) VALUES ('forum.thread.created'), ('triage')", []).expect("written");
    let view = View { sql: &writer.sql, interned: &store.interned };
    let pages = [Order::NewestFirst, Order::OldestFirst]
        .into_iter()
        .flat_map(|order| [None, Some(ID)].map(|cursor| Page { order, cursor, limit: 50, bytes: usize::MAX }));
    pages.map(|page| select(&view, 1, page).expect("read").expect("rows may match").plan(&writer.sql)).collect()
}

fn expect(plans: Vec<String>, searches: &str) {
    for plan in plans {
        assert!(plan.contains(searches), "expected `{searches}` in:\n{plan}");
        // What each of several values gave is short, and read as it is.
        let scanned = plan.lines().find(|line| line.contains("SCAN") && !line.contains("SCAN (subquery"));
        assert!(scanned.is_none(), "{plan}");
        assert!(!plan.contains("TEMP B-TREE") || plan.contains("LIST SUBQUERY"), "{plan}");
    }
}

fn names() -> Vec<fleetprompt_core::Name> {
    name().into_iter().cycle().take(3).collect()
}

fn name() -> Option<fleetprompt_core::Name> {
    Some("forum.thread.created".parse().expect("a name"))
}

#[test]
fn signals_are_searched_by_the_narrowest_of_their_filters() {
    let (run_id, group, since) = (Some(RunId(ID)), Some("a group".to_owned()), Some(Timestamp(0)));
    for (filter, searches) in [
        (SignalFilter::default(), "SEARCH s USING PRIMARY KEY (tenant=?"),
        (SignalFilter { name: name(), ..Default::default() }, "USING INDEX signals_by_name (tenant=? AND name=?"),
        (SignalFilter { run_id, ..Default::default() }, "USING INDEX signals_by_run (tenant=? AND run_id=?"),
        (
            SignalFilter { name: name(), run_id, correlation_id: group.clone(), ..Default::default() },
            "INDEX signals_by_run (tenant=? AND run_id=?",
        ),
        (SignalFilter { correlation_id: group.clone(), ..Default::default() }, "USING PRIMARY KEY (tenant=? AND id=?)"),
        (
            SignalFilter { name: name(), correlation_id: group, ..Default::default() },
            "USING PRIMARY KEY (tenant=? AND id=?)",
        ),
        (SignalFilter { names: names(), ..Default::default() }, "INDEX signals_by_name (tenant=? AND name=?"),
        (
            SignalFilter { names: names(), since, ..Default::default() },
            "INDEX signals_by_name (tenant=? AND name=? AND id>?",
        ),
        (SignalFilter { names: names(), run_id, ..Default::default() }, "INDEX signals_by_run (tenant=? AND run_id=?"),
        (SignalFilter { since, ..Default::default() }, "SEARCH s USING PRIMARY KEY (tenant=? AND id>?"),
    ] {
        expect(plans(|view, tenant, page| signals::select(view, tenant, &filter, page)), searches);
    }
}

#[test]
fn directives_are_searched_by_the_narrowest_of_their_filters() {
    let (run_id, status) = (Some(RunId(ID)), Some(directive::Status::Failed));
    for (filter, searches) in [
        (DirectiveFilter::default(), "SEARCH d USING PRIMARY KEY (tenant=?"),
        (DirectiveFilter { name: name(), ..Default::default() }, "INDEX directives_by_name (tenant=? AND name=?"),
        (DirectiveFilter { status, ..Default::default() }, "INDEX directives_by_status (tenant=? AND status=?"),
        (DirectiveFilter { name: name(), status, run_id: None }, "INDEX directives_by_status (tenant=? AND status=?"),
        (DirectiveFilter { name: name(), status, run_id }, "INDEX directives_by_run (tenant=? AND run_id=?"),
    ] {
        expect(plans(|view, tenant, page| directives::select(view, tenant, &filter, page)), searches);
    }
}

#[test]
fn runs_are_searched_by_the_narrowest_of_their_filters() {
    let all = RunFilter::default;
    let (workflow, version) = (Some("triage".parse().expect("a slug")), Some("triage".to_owned()));
    let (parent, since) = (Some(RunId(ID)), Some(Timestamp(1_800_000_000_000_000)));
    let (signal_id, status, group) = (Some(SignalId(ID)), Some(run::Status::Failed), Some("a group".to_owned()));
    for (filter, searches) in [
        (RunFilter::default(), "SEARCH r USING PRIMARY KEY (tenant=?"),
        (
            RunFilter { workflow: workflow.clone(), ..Default::default() },
            "INDEX runs_by_workflow (tenant=? AND workflow=?",
        ),
        (RunFilter { status, ..Default::default() }, "INDEX runs_by_status (tenant=? AND status=?"),
        (RunFilter { status, workflow: workflow.clone(), ..Default::default() }, "INDEX runs_by_status (tenant=?"),
        (RunFilter { correlation_id: group.clone(), ..Default::default() }, "INDEX runs_by_correlation (tenant=?"),
        (RunFilter { signal_id, ..Default::default() }, "SEARCH r USING PRIMARY KEY (tenant=? AND id=?)"),
        (
            RunFilter { signal_id, status, workflow: workflow.clone(), correlation_id: group, ..all() },
            "SEARCH r USING PRIMARY KEY (tenant=? AND id=?)",
        ),
        (RunFilter { parent, open: true, ..all() }, "INDEX runs_by_parent (tenant=? AND parent=?"),
        (RunFilter { source: parent, status, ..all() }, "INDEX runs_by_source (tenant=? AND source=?"),
        (
            RunFilter { statuses: vec![run::Status::Failed, run::Status::Parked], ..all() },
            "INDEX runs_by_status (tenant=? AND status=?",
        ),
        (
            RunFilter { statuses: vec![run::Status::Failed, run::Status::Completed], ..all() },
            "SEARCH r USING PRIMARY KEY (tenant=?",
        ),
        (RunFilter { open: true, ..all() }, "INDEX runs_by_status (tenant=? AND status=?"),
        (RunFilter { open: true, workflow, version, ..all() }, "INDEX runs_by_status (tenant=? AND status=?"),
        (RunFilter { since, until: since, ..all() }, "SEARCH r USING PRIMARY KEY (tenant=? AND id>? AND id<?"),
    ] {
        expect(plans(|view, tenant, page| runs::select(view, tenant, &filter, page)), searches);
    }
}

/// Neither looks through a table nor puts in order what an index has in order already.
#[test]
fn what_waits_and_what_is_counted_is_read_off_an_index() {
    let folder = TempDir::new().expect("a temporary folder");
    let store = SqliteStore::open(&folder.path().join("store.db")).expect("a new file");
    let writer = store.writer.lock();
    let waiting =
        |order| places::waiting_sql(places::BY_WORD, Page { order, cursor: Some(ID), limit: 50, bytes: 1 << 20 });
    for (sql, searches) in [
        (registrations::versions_sql(Page::newest(1)), "INDEX workflow_versions_by_id (tenant=? AND slug=?)"),
        (waiting(Order::NewestFirst), "INDEX places_waiting (tenant=? AND awaits=? AND signal_id<?"),
        (waiting(Order::OldestFirst), "INDEX places_waiting (tenant=? AND awaits=? AND signal_id>?"),
        (runs::IN_FLIGHT.to_owned(), "COVERING INDEX runs_open (tenant=? AND workflow=?"),
        (runs::BEGUN_SINCE.to_owned(), "INDEX runs_throttled (tenant=? AND workflow=? AND <expr>>?"),
    ] {
        let mut statement = writer.sql.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a statement");
        let unbound = vec![rusqlite::types::Null; statement.parameter_count()];
        let rows = statement.query_map(rusqlite::params_from_iter(unbound), |row| row.get::<_, String>(3));
        let rows = rows.expect("a plan");
        let plan: Vec<String> = rows.map(|row| row.expect("text")).collect();
        let plan = plan.join("\n");
        assert!(plan.contains(searches), "expected `{searches}` in:\n{plan}");
        assert!(!plan.contains("TEMP B-TREE") && !plan.contains("SCAN r") && !plan.contains("SCAN p"), "{plan}");
    }
}

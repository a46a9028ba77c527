use std::sync::Arc;

use fleetprompt_core::function::ModuleDigest;
use fleetprompt_core::performs::Performs;
use fleetprompt_core::registration::{
    AgentEntry, DirectiveTypeEntry, FunctionEntry, ModuleEntry, ScheduleEntry, WorkflowEntry, WorkflowStatus,
    WorkflowVersion,
};
use fleetprompt_core::schedule::{State, Status};
use fleetprompt_core::tenant::{Key, KeyHash, Role, Tenant, Weight};
use fleetprompt_core::workflow::LanguageRevision;
use fleetprompt_core::{Json, KeyId, SignalId, Span, WorkflowVersionId};
use fleetprompt_store::{Batch, Directory, Page};
use rstest::rstest;
use serde_json::json;

use crate::Backend::{self, Memory, Postgres, Sqlite};
use crate::samples::{Samples, name, slug, tenants};

fn key(samples: &mut Samples, tenant: &Tenant) -> Key {
    Key {
        id: KeyId(samples.moment.uuid()),
        tenant: tenant.id,
        name: "the forum’s".into(),
        role: Role::Member,
        performs: Some(Performs { names: vec!["mail.*".parse().expect("a pattern")], all_tenants: true }),
        hash: KeyHash::of(&tenant.name),
        created_at: samples.moment.now(),
        expires_at: Some(samples.moment.now() + Span::from_secs(60)),
        revoked_at: None,
    }
}

fn version(samples: &mut Samples, tenant: &Tenant, slug_text: &str, version: &str) -> WorkflowVersion {
    let document = Json::from_stored(format!(r#"{{ "workflow" : {{"version": "{version}"}}}}"#)).expect("JSON");
    WorkflowVersion {
        id: WorkflowVersionId(samples.moment.uuid()),
        tenant: tenant.id,
        slug: slug(slug_text),
        version: version.into(),
        digest: format!("digest of {version}"),
        document,
        created_at: samples.moment.now(),
        language: if version == "1.0.0" { LanguageRevision::FIRST } else { LanguageRevision::CURRENT },
    }
}

fn schedule(samples: &Samples, tenant: &Tenant, slug_text: &str) -> ScheduleEntry {
    let now = samples.moment.now();
    ScheduleEntry {
        tenant: tenant.id,
        slug: slug(slug_text),
        document: json!({"schedule": {"slug": slug_text}}).into(),
        digest: "d".into(),
        state: State {
            status: Status::Active,
            anchor_at: now,
            next_at: Some(now + Span::from_secs(60)),
            last_at: None,
            last_signal: None,
            queued_at: None,
            reason: None,
            updated_at: now,
        },
    }
}

fn workflow(samples: &Samples, tenant: &Tenant, slug_text: &str, active_version: Option<&str>) -> WorkflowEntry {
    WorkflowEntry {
        tenant: tenant.id,
        slug: slug(slug_text),
        status: if active_version.is_some() { WorkflowStatus::Active } else { WorkflowStatus::Draft },
        active_version: active_version.map(str::to_owned),
        updated_at: samples.moment.now(),
    }
}

fn module(tenant: &Tenant, bytes: &[u8]) -> (ModuleEntry, Arc<[u8]>) {
    let entry = ModuleEntry {
        tenant: tenant.id,
        digest: ModuleDigest::of_sha256([7; 32]),
        size: bytes.len() as u64,
        created_at: tenant.created_at,
    };
    (entry, bytes.into())
}

#[rstest]
fn the_directory_is_everything_that_is_registered_in_order(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let (second, first) = (samples.tenant("second"), samples.tenant("first"));
    store.commit(&tenants(&[&first])).expect("committed");
    let agent = |tenant: &Tenant, slug_text: &str| AgentEntry {
        tenant: tenant.id,
        slug: slug(slug_text),
        document: json!({"agent": {"slug": slug_text}}).into(),
        digest: "d".into(),
        updated_at: tenant.created_at,
    };
    let directive_type = |tenant: &Tenant| DirectiveTypeEntry {
        tenant: tenant.id,
        name: name("mail.send"),
        document: json!({"directive_type": {}}).into(),
        updated_at: tenant.created_at,
    };
    let function = |tenant: &Tenant| FunctionEntry {
        tenant: tenant.id,
        name: name("lead.score"),
        document: json!({"function": {}}).into(),
        updated_at: tenant.created_at,
    };
    let drafted = version(&mut samples, &second, "b", "0.1.0");
    let active = version(&mut samples, &second, "b", "1.0.0");
    let other = version(&mut samples, &first, "b", "1.0.0");
    let keys = vec![key(&mut samples, &first), key(&mut samples, &second)];
    let batch = Batch {
        tenants: vec![second.clone()],
        keys: keys.iter().rev().cloned().collect(),
        workflows: vec![
            workflow(&samples, &first, "b", Some("1.0.0")),
            workflow(&samples, &second, "b", Some("1.0.0")),
            workflow(&samples, &second, "a", None),
        ],
        workflow_versions: vec![other.clone(), active.clone(), drafted],
        agents: vec![agent(&first, "z"), agent(&second, "z"), agent(&second, "y")],
        directive_types: vec![directive_type(&first), directive_type(&second)],
        functions: vec![function(&first), function(&second)],
        modules: vec![module(&first, b"one"), module(&second, b"two")],
        schedules: vec![
            schedule(&samples, &first, "s"),
            schedule(&samples, &second, "s"),
            schedule(&samples, &second, "r"),
        ],
        ..Batch::default()
    };
    store.commit(&batch).expect("committed");
    let expected = Directory {
        tenants: vec![second.clone(), first.clone()],
        keys,
        workflows: batch.workflows.iter().rev().cloned().collect(),
        active_versions: vec![active, other],
        agents: batch.agents.iter().rev().cloned().collect(),
        directive_types: batch.directive_types.iter().rev().cloned().collect(),
        functions: batch.functions.iter().rev().cloned().collect(),
        modules: batch.modules.iter().rev().map(|(entry, _)| entry.clone()).collect(),
        schedules: batch.schedules.iter().rev().cloned().collect(),
    };
    assert_eq!(store.directory().expect("read"), expected);
}

#[rstest]
fn a_module_is_its_tenants_and_stays_as_it_is_until_it_is_removed(
    #[values(Memory, Sqlite, Postgres)] backend: Backend,
) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let (one, other) = (samples.tenant("one"), samples.tenant("other"));
    store.commit(&tenants(&[&one, &other])).expect("committed");
    let (entry, bytes) = module(&one, b"bytes");
    let digest = entry.digest.clone();
    let added = |bytes: &[u8]| Batch { modules: vec![(entry.clone(), bytes.into())], ..Batch::default() };
    store.commit(&added(&bytes)).expect("committed");
    store.commit(&added(b"something else")).expect("committed");
    assert_eq!(store.module(one.id, &digest).expect("read").as_deref(), Some(&*bytes));
    assert_eq!(store.module(other.id, &digest).expect("read"), None);

    let of = |tenant: &Tenant| vec![(tenant.id, digest.clone())];
    store.commit(&Batch { modules_removed: of(&other), ..Batch::default() }).expect("committed");
    assert!(store.module(one.id, &digest).expect("read").is_some());
    store.commit(&Batch { modules_removed: of(&one), ..Batch::default() }).expect("committed");
    assert_eq!(store.module(one.id, &digest).expect("read"), None);
    assert_eq!(store.directory().expect("read").modules, []);
}

#[rstest]
fn what_is_registered_again_is_replaced(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    let key = key(&mut samples, &tenant);
    let before = Batch {
        tenants: vec![tenant.clone()],
        keys: vec![key.clone()],
        workflows: vec![workflow(&samples, &tenant, "w", None)],
        ..Batch::default()
    };
    store.commit(&before).expect("committed");
    samples.wait(Span::from_secs(5));
    let now = samples.moment.now();
    let after = Batch {
        tenants: vec![Tenant {
            slug: slug("renamed"),
            name: "Renamed".into(),
            weight: Weight::try_from(7).expect("a weight"),
            ..tenant
        }],
        keys: vec![Key { role: Role::Admin, revoked_at: Some(now), expires_at: None, ..key }],
        workflows: vec![WorkflowEntry {
            status: WorkflowStatus::Archived,
            updated_at: now,
            ..before.workflows[0].clone()
        }],
        ..Batch::default()
    };
    store.commit(&after).expect("committed");
    let found = store.directory().expect("read");
    assert_eq!((found.tenants, found.keys, found.workflows), (after.tenants, after.keys, after.workflows));
}

#[rstest]
fn versions_are_listed_newest_first_and_a_draft_is_replaced(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let (tenant, other) = (samples.tenant("acme"), samples.tenant("other"));
    let one = version(&mut samples, &tenant, "w", "2.0.0");
    let two = version(&mut samples, &tenant, "w", "1.0.0");
    let elsewhere = version(&mut samples, &tenant, "v", "1.0.0");
    let workflow_versions = vec![one.clone(), two.clone(), elsewhere];
    let batch = Batch { tenants: vec![tenant.clone(), other.clone()], workflow_versions, ..Batch::default() };
    store.commit(&batch).expect("committed");
    let list = |page| store.workflow_versions(tenant.id, &slug("w"), page).expect("read");
    let versions = || list(Page::newest(9));
    let listed = |version: &WorkflowVersion| WorkflowVersion { document: Json::null(), ..version.clone() };
    assert_eq!(versions(), [listed(&two), listed(&one)]);
    assert_eq!(list(Page::newest(1)), [listed(&two)]);
    assert_eq!(list(Page::before(Some(two.id.0), 9)), [listed(&one)]);
    assert_eq!(list(Page::after(Some(one.id.0), 9)), [listed(&two)]);

    let draft = WorkflowVersion { document: json!({"changed": true}).into(), digest: "new".into(), ..one };
    store.commit(&Batch { workflow_versions: vec![draft.clone()], ..Batch::default() }).expect("committed");
    assert_eq!(versions(), [listed(&two), listed(&draft)]);
    let read = |tenant, version: &str| store.workflow_version(tenant, &slug("w"), version).expect("read");
    assert_eq!(read(tenant.id, "2.0.0"), Some(draft));
    assert_eq!(read(tenant.id, "3.0.0"), None);
    assert_eq!(read(other.id, "2.0.0"), None);
    assert_eq!(store.workflow_versions(other.id, &slug("w"), Page::newest(9)).expect("read"), []);
}

#[rstest]
fn a_schedule_s_fires_change_where_it_stands_and_a_new_document_its_document(
    #[values(Memory, Sqlite, Postgres)] backend: Backend,
) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    let applied = schedule(&samples, &tenant, "nightly");
    let commit = |entry: &ScheduleEntry| {
        let batch = Batch { tenants: vec![tenant.clone()], schedules: vec![entry.clone()], ..Batch::default() };
        store.commit(&batch).expect("committed");
        assert_eq!(store.directory().expect("read").schedules, std::slice::from_ref(entry));
    };
    commit(&applied);
    samples.wait(Span::from_secs(60));
    let now = samples.moment.now();
    let fired = State {
        next_at: None,
        last_at: Some(now),
        last_signal: Some(SignalId(samples.moment.uuid())),
        queued_at: Some(now),
        updated_at: now,
        ..applied.state.clone()
    };
    commit(&ScheduleEntry { state: fired.clone(), ..applied.clone() });
    let paused = State { status: Status::Paused, reason: Some("holidays".into()), ..fired };
    let document = json!({"schedule": {"slug": "nightly", "name": "Other"}}).into();
    commit(&ScheduleEntry { document, digest: "e".into(), state: paused, ..applied });
}

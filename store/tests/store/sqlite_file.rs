//! What only a file can do: outlive its process, be of another time, or not be ours.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use fleetprompt_core::directive::{Input, Request};
use fleetprompt_core::run::{Place, RunChange, StepChange};
use fleetprompt_core::{Failure, Signal, Span};
use fleetprompt_store::sqlite::{SqliteStore, restore};
use fleetprompt_store::{Batch, Error, Page, SignalFilter, Store};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::samples::{Samples, changed, facts, started_by, tenants, whole};

struct File {
    folder: TempDir,
}

impl File {
    fn new() -> Self {
        Self { folder: TempDir::new().expect("a temporary folder") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path()).expect("opened")
    }

    fn refusal(&self) -> Error {
        SqliteStore::open(&self.path()).err().expect("refused")
    }

    fn change(&self, sql: &str) {
        Connection::open(self.path()).expect("opened").execute_batch(sql).expect(sql);
    }
}

#[test]
fn a_file_that_is_opened_again_holds_what_was_committed() {
    let (file, mut samples) = (File::new(), Samples::new());
    let tenant = samples.tenant("acme");
    let (run, mut batch) = samples.cascade(tenant.id, "triage", 3);
    batch.tenants.push(tenant.clone());
    file.open().commit(&batch).expect("committed");
    assert!(!file.path().with_extension("db-wal").exists(), "a closed store is one file");

    let store = file.open();
    assert_eq!(store.run(tenant.id, run.id).expect("read"), Some(run));
    let (next, batch) = samples.cascade(tenant.id, "triage", 3);
    store.commit(&batch).expect("committed");
    assert_eq!(store.run(tenant.id, next.id).expect("read"), Some(next));
}

#[test]
fn the_log_begins_anew_while_commits_go_on_and_loses_nothing() {
    const COMMITS: usize = 160;
    let (file, mut samples) = (File::new(), Samples::new());
    let tenant = samples.tenant("acme");
    let store = file.open();
    store.commit(&tenants(&[&tenant])).expect("committed");
    for _ in 0..COMMITS {
        let payload = json!({"text": "x".repeat(1_000_000)});
        let fact = Signal { payload: payload.into(), ..samples.fact(tenant.id, "forum.thread.created") };
        store.commit(&facts([fact])).expect("committed");
    }
    let log = fs::metadata(file.path().with_extension("db-wal")).expect("a log").len();
    assert!(log < 100 << 20, "the log has {} MiB after {COMMITS} of them", log >> 20);
    let page = Page::newest(COMMITS * 2);
    assert_eq!(store.signals(tenant.id, &SignalFilter::default(), page).expect("read").len(), COMMITS);
    drop(store);
    assert!(!file.path().with_extension("db-wal").exists(), "a closed store is one file");
}

#[test]
fn a_file_whose_process_died_holds_what_was_committed() {
    let (file, mut samples) = (File::new(), Samples::new());
    let tenant = samples.tenant("acme");
    let store = file.open();
    let (run, mut batch) = samples.cascade(tenant.id, "triage", 3);
    batch.tenants.push(tenant.clone());
    store.commit(&batch).expect("committed");

    // What the disk holds at this moment, with the store still open.
    let copy = File::new();
    for extension in ["db", "db-wal"] {
        let to = copy.path().with_extension(extension);
        fs::copy(file.path().with_extension(extension), to).expect("copied");
    }
    assert_eq!(copy.open().run(tenant.id, run.id).expect("read"), Some(run));
}

#[test]
fn reads_go_on_beside_a_writer() {
    let (file, mut samples) = (File::new(), Samples::new());
    let tenant = samples.tenant("acme");
    let store = Arc::new(file.open());
    store.commit(&tenants(&[&tenant])).expect("committed");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                // Each read sees whole commits of ten.
                for _ in 0..50 {
                    let page = Page::newest(10_000);
                    let found = store.signals(tenant.id, &SignalFilter::default(), page).expect("read");
                    assert_eq!(found.len() % 10, 0);
                }
            });
        }
        for _ in 0..30 {
            let signals: Vec<_> = (0..10).map(|_| samples.fact(tenant.id, "a.b")).collect();
            store.commit(&facts(signals)).expect("committed");
        }
    });
}

#[test]
fn a_newer_schema_is_refused_by_its_version() {
    let file = File::new();
    drop(file.open());
    file.change("INSERT INTO migrations VALUES (99, 'from the future', 'x', 0)");
    let refusal = file.refusal();
    assert!(matches!(refusal, Error::Newer { found: 99, known: 12, .. }), "{refusal}");
}

/// The tables as they first were, with the same records in them.
fn of_the_first_schema(file: &File) -> File {
    const SCHEMA: &str = include_str!("../../src/sqlite/migrations/0001_initial.sql");
    let old = File::new();
    let sql = Connection::open(old.path()).expect("opened");
    sql.execute_batch(SCHEMA).expect("the first schema");
    sql.execute("ATTACH ?1 AS now", [file.path().to_str()]).expect("attached");
    let tables: Vec<String> = rows(&sql, "SELECT name FROM main.sqlite_schema WHERE type = 'table'");
    for table in tables {
        let columns = rows(&sql, &format!("SELECT name FROM pragma_table_info('{table}', 'main')")).join(", ");
        let from = if table == "steps" { "places" } else { &table };
        let renamed = columns.replace("ended_by", "status_by");
        let copy = format!("INSERT INTO main.{table} ({columns}) SELECT {renamed} FROM now.{from}");
        sql.execute(&copy, []).expect(&copy);
    }
    // Keys did not begin with the name of their signal.
    sql.execute("UPDATE main.dedupe_keys SET key = substr(key, instr(key, ':') + 1)", []).expect("old keys");
    let checksum = blake3::hash(SCHEMA.as_bytes()).to_hex();
    sql.execute_batch(&format!(
        "PRAGMA main.application_id = 0x466c6565;
         CREATE TABLE main.migrations (
           version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL
         ) STRICT;
         INSERT INTO main.migrations VALUES (1, 'initial', '{checksum}', 0)"
    ))
    .expect("as it was applied");
    old
}

fn rows(sql: &Connection, query: &str) -> Vec<String> {
    let mut statement = sql.prepare(query).expect(query);
    let rows = statement.query_map([], |row| row.get(0)).expect(query);
    rows.map(|row| row.expect("text")).collect()
}

#[test]
fn a_file_of_the_first_schema_is_read_as_it_was_and_goes_on() {
    let (file, mut samples) = (File::new(), Samples::new());
    let tenant = samples.tenant("acme");
    let (ended, mut batch) = samples.cascade(tenant.id, "triage", 3);
    let event = (Some("shop".into()), Some("17".into()));
    let keyed = |fact| Signal { dedupe_key: Some("a:b".into()), source: event.0, source_event_id: event.1, ..fact };
    let fact = keyed(samples.fact(tenant.id, "forum.thread.created"));
    let keys: Vec<_> = fact.dedupe_keys().into_iter().map(|key| (tenant.id, key)).collect();
    batch.dedupe_keys.extend(keys.iter().map(|(tenant, key)| (*tenant, key.clone(), fact.id)));
    let (mut open, started) = samples.run(tenant.id, "audit", 3, &fact);
    // A directive that waited for its turn, of a step that is not the first.
    let request = samples.request_of_step(&open, Place::step(2), "mail.send");
    let (directive, requested) = samples.requested(Request { timeout: Some(Span(7)), ..request });
    samples.wait(Span::from_secs(5));
    let (directive, begun) = samples.moved(directive, Input::Begin);
    let outcome =
        Input::Outcome { attempt: 1, result: Err(Failure::retry("busy", "later")), execution: None, logs: vec![] };
    let (directive, retried) = samples.moved(directive, outcome);
    assert_ne!(directive.started_at, Some(directive.requested_at));
    batch.tenants.push(tenant.clone());
    batch.dispositions.push(started_by(&fact, &open));
    let moves = [(0, StepChange::Completed), (1, StepChange::Retrying), (2, StepChange::Started)];
    let moves = moves.map(|(step, change)| samples.step(&mut open, step, change));
    let signals = [fact, started].into_iter().chain(requested).chain(begun).chain(retried).chain(moves);
    batch.signals.extend(signals.map(Arc::new));
    batch.directives.push(Arc::new(directive));
    batch.runs.push(whole(&open));
    file.open().commit(&batch).expect("committed");

    let old = of_the_first_schema(&file);
    let (old, now) = (old.open(), file.open());
    for run in [&ended, &open] {
        assert_eq!(old.run(tenant.id, run.id).expect("read").as_ref(), Some(run));
    }
    for directive in &batch.directives {
        assert_eq!(old.directive(tenant.id, directive.id).expect("read").as_ref(), Some(&**directive));
    }
    for signal in &batch.signals {
        let dispositions = now.dispositions(tenant.id, signal.id, usize::MAX).expect("read");
        assert_eq!(old.dispositions(tenant.id, signal.id, usize::MAX).expect("read"), dispositions);
    }
    assert_eq!(old.open_work().expect("read"), now.open_work().expect("read"));
    let known = old.deduplicate(&keys).expect("read");
    assert!(known.len() == 2 && known.iter().all(Option::is_some), "{known:?}");
    assert_eq!(known, now.deduplicate(&keys).expect("read"));

    let paused = samples.change(&mut open, RunChange::Paused);
    old.commit(&Batch { runs: vec![whole(&open)], ..facts([paused]) }).expect("committed");
    assert_eq!(old.run(tenant.id, open.id).expect("read"), Some(open));
}

#[test]
fn a_step_over_many_items_is_written_and_read_whole() {
    let (file, mut samples) = (File::new(), Samples::new());
    let tenant = samples.tenant("acme");
    let (mut run, started) = samples.run_with(tenant.id, "triage", 2, None, |_| {});
    let begun = samples.place(&mut run, Place::step(1), StepChange::Started, |record| record.items = Some(10_000));
    let items = samples.places(&mut run, (0..10_000).map(|item| Place::step(1).item(item)), StepChange::Completed);
    let batch = facts([started, begun].into_iter().chain(items));
    let store = file.open();
    store.commit(&Batch { tenants: vec![tenant.clone()], runs: vec![whole(&run)], ..batch }).expect("committed");
    assert_eq!(store.run(tenant.id, run.id).expect("read").as_ref(), Some(&run));

    // They all go with the step that they are of.
    let before = run.clone();
    let reset = samples.step(&mut run, 1, StepChange::Reset);
    store.commit(&Batch { runs: vec![changed(&before, &run)], ..facts([reset]) }).expect("committed");
    assert_eq!(store.run(tenant.id, run.id).expect("read"), Some(run));
    drop(store);
    let sql = Connection::open(file.path()).expect("opened");
    assert_eq!(rows(&sql, "SELECT step || ' ' || part FROM places"), ["1 0"]);
}

#[test]
fn a_migration_that_was_changed_after_it_was_applied_is_refused() {
    let file = File::new();
    drop(file.open());
    file.change("UPDATE migrations SET checksum = 'another'");
    let refusal = file.refusal();
    assert!(matches!(&refusal, Error::Damaged(why) if why.contains("migration 1 `initial`")), "{refusal}");
}

#[test]
fn another_program_s_file_is_refused_and_left_alone() {
    let file = File::new();
    file.change("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
    let before = fs::read(file.path()).expect("read");
    let refusal = file.refusal();
    assert!(matches!(&refusal, Error::Damaged(why) if why.contains("another program")), "{refusal}");
    assert_eq!(fs::read(file.path()).expect("read"), before);
}

#[test]
fn what_is_not_sqlite_is_refused() {
    let file = File::new();
    fs::write(file.path(), "These are my notes.\n".repeat(500)).expect("written");
    let refusal = file.refusal();
    assert!(matches!(&refusal, Error::Damaged(why) if why.contains("not a whole SQLite file")), "{refusal}");
}

#[test]
fn a_torn_file_is_refused() {
    let (file, mut samples) = (File::new(), Samples::new());
    let tenant = samples.tenant("acme");
    let (_, mut batch) = samples.cascade(tenant.id, "triage", 3);
    batch.tenants.push(tenant);
    file.open().commit(&batch).expect("committed");
    let bytes = fs::read(file.path()).expect("read");
    fs::write(file.path(), &bytes[..bytes.len() / 2]).expect("written");
    let refusal = file.refusal();
    assert!(matches!(&refusal, Error::Damaged(why) if why.contains("not a whole SQLite file")), "{refusal}");
}

#[test]
fn a_place_where_no_file_can_be_is_unavailable() {
    let folder = TempDir::new().expect("a temporary folder");
    let refusal = SqliteStore::open(&folder.path().join("no/such/folder/store.db")).err().expect("refused");
    assert!(matches!(refusal, Error::Unavailable { .. }), "{refusal}");
}

#[test]
fn a_row_that_we_cannot_have_written_is_damage_and_no_panic() {
    let (file, mut samples) = (File::new(), Samples::new());
    let tenant = samples.tenant("acme");
    let (run, mut batch) = samples.cascade(tenant.id, "triage", 3);
    batch.tenants.push(tenant.clone());
    file.open().commit(&batch).expect("committed");
    for change in [
        "UPDATE runs SET status = 'dancing'",
        "UPDATE runs SET status = 'completed', steps = 1",
        "UPDATE runs SET steps = 3, workflow = 4711",
        "UPDATE runs SET workflow = (SELECT workflow FROM dispositions); UPDATE places SET part = 3 WHERE step = 0",
        "UPDATE places SET part = 0; UPDATE signals SET payload = '{'",
    ] {
        file.change(change);
        let found = file.open().run(tenant.id, run.id);
        assert!(matches!(found, Err(Error::Damaged(_))), "{change}: {found:?}");
    }
}

#[test]
fn a_batch_that_fails_late_is_as_if_it_never_was() {
    let (file, mut samples) = (File::new(), Samples::new());
    let tenant = samples.tenant("acme");
    let store = file.open();
    store.commit(&tenants(&[&tenant])).expect("committed");
    let (run, batch) = samples.cascade(tenant.id, "not-yet-numbered", 1);
    let mut broken = batch.clone();
    broken.runs[0].places.push(Place::step(7));
    store.commit(&broken).expect_err("no such step");
    store.commit(&Batch { ..batch }).expect("committed");
    drop(store);
    assert_eq!(file.open().run(tenant.id, run.id).expect("read"), Some(run));
}

#[test]
fn a_backup_of_another_version_is_refused_by_its_name_or_brought_up_to_date() {
    let (file, mut samples) = (File::new(), Samples::new());
    let tenant = samples.tenant("acme");
    file.open().commit(&tenants(&[&tenant])).expect("committed");
    let old = of_the_first_schema(&file);
    restore(&old.path(), &file.folder.path().join("restored.db")).expect("restored");
    let restored = SqliteStore::open(&file.folder.path().join("restored.db")).expect("brought up to date");
    assert_eq!(restored.directory().expect("read").tenants, [tenant]);

    file.change("INSERT INTO migrations VALUES (99, 'from the future', 'x', 0)");
    let refusal = restore(&file.path(), &file.folder.path().join("newer.db")).expect_err("newer");
    assert!(matches!(&refusal, Error::Newer { path, found: 99, .. } if path.ends_with("store.db")), "{refusal}");
}

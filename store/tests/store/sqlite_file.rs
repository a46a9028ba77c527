//! What only a file can do: outlive its process, be of another time, or not be ours.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use fleetprompt_store::sqlite::SqliteStore;
use fleetprompt_store::{Batch, Error, Page, SignalFilter, Store};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::samples::{Samples, facts, tenants};

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
    assert!(matches!(refusal, Error::Newer { found: 99, known: 1, .. }), "{refusal}");
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
        "UPDATE signals SET payload = '{'",
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
    broken.runs[0].steps.push(7);
    store.commit(&broken).expect_err("no such step");
    store.commit(&Batch { ..batch }).expect("committed");
    drop(store);
    assert_eq!(file.open().run(tenant.id, run.id).expect("read"), Some(run));
}

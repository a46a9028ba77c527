//! A copy that is made while facts stream in holds one moment, and whatever it is put into goes on from there.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use fleetprompt_testing::Postgres;
use serde_json::{Value, json};
use support::{BINARY, Reach, Server, create_tenant, free_port, place, verify};

fn backup(from: &Path, file: &Path) -> Output {
    Command::new(BINARY).arg("backup").args(place(from)).arg(file).output().unwrap()
}

fn restore(file: &Path, to: &Path) -> Output {
    Command::new(BINARY).arg("restore").arg(file).args(place(to)).args(["--partitions", "3"]).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn is_refused(output: &Output, why: &str) {
    assert!(!output.status.success() && said(output).contains(why), "not `{why}`: {}", said(output));
}

#[track_caller]
fn is_done(output: &Output, how: &str) {
    assert!(output.status.success() && said(output).contains(how), "not `{how}`: {}", said(output));
}

fn lead(number: usize) -> Value {
    json!({"name": "lead.created", "dedupe_key": number.to_string(), "payload": {"number": number}})
}

/// What is known of leads.
async fn leads(reach: &Reach) -> BTreeSet<usize> {
    let all = reach.all("/v1/signals?name=lead.created").await;
    all.iter().map(|lead| lead["payload"]["number"].as_u64().unwrap() as usize).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_use_is_copied_whole_and_goes_on_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (data, copy, restored) = (path("data"), path("copy.db"), path("restored"));
    let server = Server::fresh(&data).await;
    for number in 0..200 {
        server.post("/v1/signals", &lead(number)).await;
    }
    let (from, to) = (data.clone(), copy.clone());
    let copying = tokio::task::spawn_blocking(move || backup(&from, &to));
    let mut after = 200;
    while !copying.is_finished() {
        server.post("/v1/signals", &lead(after)).await;
        after += 1;
    }
    is_done(&copying.await.unwrap(), "MiB");
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    is_refused(&backup(&data, &copy), "is there already");

    let key = server.key.clone();
    server.stop();
    let before = fs::read(&copy).unwrap();
    is_done(&restore(&copy, &restored), "of 1 tenants");
    assert_eq!(fs::metadata(&restored).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!((names(&restored).join(" "), names(folder.path()).len()), ("fleetprompt.db lock".to_owned(), 3));
    assert!(fs::read(&copy).unwrap() == before, "a backup is only read");
    verify(&restored);
    let server = Server::start(&restored, free_port(), key).await;
    let known = leads(&server).await.len();
    assert!((200..=after).contains(&known), "{known} of {after}");
    assert_eq!(server.post("/v1/signals", &lead(7)).await["deduplicated"], true);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_use_is_copied_as_of_one_moment_and_goes_on_elsewhere() {
    let (folder, postgres) = (tempfile::tempdir().unwrap(), Postgres::start());
    let (database, copy) = (postgres.database(), folder.path().join("copy.db"));
    let server = Server::fresh(Path::new(&database)).await;
    let waits = json!({"workflow": {
        "name": "Waits", "version": "1.0.0", "trigger": {"signal": "lead.created"},
        "steps": [{"id": "go", "type": "wait", "signal": "lead.ready"}],
    }});
    let other = server.post("/v1/tenants", &json!({"slug": "other"})).await;
    let other = server.with_key(other["key"]["secret"].as_str().unwrap());
    for tenant in [&*server, &other] {
        tenant.post("/v1/workflows?activate=true", &waits).await;
    }
    // The tenants take turns, so that what both know at one moment has no gap.
    let tell = async |number: usize| {
        let whose = if number.is_multiple_of(2) { &*server } else { &other };
        whose.post("/v1/signals", &lead(number)).await;
    };
    let (told, mut number) = (200, 0);
    while number < told {
        tell(number).await;
        number += 1;
    }
    // It cannot write.
    postgres.ask("CREATE ROLE reader LOGIN; GRANT pg_read_all_data TO reader");
    let (from, to) = (database.replace("fleetprompt@", "reader@"), copy.clone());
    let copying = tokio::task::spawn_blocking(move || backup(Path::new(&from), &to));
    while !copying.is_finished() {
        tell(number).await;
        number += 1;
    }
    is_done(&copying.await.unwrap(), "of 2 tenants");
    assert!(number > told + 10, "nothing came meanwhile");
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(names(folder.path()), ["copy.db"]);
    // As the header says, SQLite needs no log beside it, and so nothing that can be written.
    assert_eq!(fs::read(&copy).unwrap()[18..20], [1, 1]);
    let keys = [server.key.clone(), other.key.clone()];
    server.stop();

    let (data, elsewhere) = (folder.path().join("data"), postgres.database());
    for to in [&*data, Path::new(&elsewhere)] {
        is_done(&restore(&copy, to), "say the same");
        verify(to);
        let server = Server::start(to, free_port(), keys[0].clone()).await;
        let other = server.with_key(&keys[1]);
        let mut known = leads(&server).await;
        known.append(&mut leads(&other).await);
        assert!((told..number).contains(&known.len()), "{} of {number}", known.len());
        assert_eq!(known.last(), Some(&(known.len() - 1)), "two tenants as of two moments");
        assert_eq!(server.post("/v1/signals", &lead(8)).await["deduplicated"], true);
        let open = server.all("/v1/runs?status=running").await.len();
        assert_eq!(open, known.len().div_ceil(2));
        server.post("/v1/signals", &json!({"name": "lead.ready", "payload": {}})).await;
        server.until_quiet().await;
        assert_eq!(server.all("/v1/runs?status=completed").await.len(), open);
        assert_eq!(other.all("/v1/runs?status=running").await.len(), known.len() / 2);
        server.stop();
    }
    assert_eq!(postgres.ask("SELECT count(*) FROM partitions").trim(), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_in_the_log_is_restored_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let server = Server::fresh(&path("data")).await;
    let key = server.key.clone();
    server.post("/v1/signals", &lead(1)).await;
    server.kill();
    for ending in ["", "-wal"] {
        fs::copy(path(&format!("data/fleetprompt.db{ending}")), path(&format!("copy.db{ending}"))).unwrap();
    }
    is_done(&restore(&path("copy.db"), &path("restored")), "of 1 tenants");
    verify(&path("restored"));
    let server = Server::start(&path("restored"), free_port(), key).await;
    assert_eq!(leads(&server).await, BTreeSet::from([1]));
    server.stop();
}

#[test]
fn a_database_that_is_empty_or_newer_is_not_copied_and_stays_as_it_is() {
    let (folder, postgres) = (tempfile::tempdir().unwrap(), Postgres::start());
    let (database, copy) = (postgres.database(), folder.path().join("copy.db"));
    let database = Path::new(&database);
    is_refused(&backup(database, &copy), "it is empty");
    assert_eq!(postgres.ask("SELECT to_regclass('migrations') IS NULL").trim(), "t");
    create_tenant(database, "acme");
    postgres.ask("INSERT INTO migrations (version, name, checksum) VALUES (99, 'from the future', 'x')");
    is_refused(&backup(database, &copy), "schema version 99");
    assert_eq!(names(folder.path()), [""; 0]);
    postgres.ask("DELETE FROM migrations WHERE version = 99");
    fs::write(&copy, "somebody's").unwrap();
    is_refused(&backup(database, &copy), "is there already");
    assert_eq!(fs::read(&copy).unwrap(), b"somebody's");
}

#[test]
fn what_is_no_backup_leaves_nothing_behind_and_what_is_there_is_not_overwritten() {
    let (folder, postgres) = (tempfile::tempdir().unwrap(), Postgres::start());
    let path = |name: &str| folder.path().join(name);
    create_tenant(&path("data"), "acme");
    is_done(&backup(&path("data"), &path("copy.db")), "MiB");
    let whole = fs::read(path("copy.db")).unwrap();
    let anothers = [&whole[..68], b"else", &whole[72..]].concat();
    let broken = [&whole[..8_192], &[0x5a; 4_096], &whole[12_288..]].concat();
    let text = b"This is text, and longer than one page.\n".repeat(200);
    let bad: [(&[u8], &str); 6] = [
        (b"", "it is empty"),
        (&text, "not a whole"),
        (&anothers, "another program's"),
        (&broken, "damaged"),
        (&whole[..whole.len() / 2], "damaged"),
        (&whole[..700], "damaged"),
    ];
    let (empty, target) = (postgres.database(), path("target"));
    for (bytes, why) in bad {
        fs::write(path("bad.db"), bytes).unwrap();
        for to in [&*target, Path::new(&empty)] {
            let refused = restore(&path("bad.db"), to);
            is_refused(&refused, why);
            is_refused(&refused, "bad.db");
        }
        assert_eq!(names(folder.path()), ["bad.db", "copy.db", "data"], "{why}");
        assert!(fs::read(path("bad.db")).unwrap() == bytes, "{why}");
    }
    is_refused(&restore(&path("none.db"), &target), "none.db: No such file");
    // A device without an end would fill the disk.
    is_refused(&restore(Path::new("/dev/zero"), &target), "/dev/zero is not a file");
    assert_eq!(postgres.ask("SELECT to_regclass('migrations') IS NULL").trim(), "t");

    let before = fs::read(path("data/fleetprompt.db")).unwrap();
    is_refused(&restore(&path("copy.db"), &path("data")), "is there already");
    assert!(fs::read(path("data/fleetprompt.db")).unwrap() == before);
    is_done(&restore(&path("copy.db"), Path::new(&empty)), "1 tenants");
    is_refused(&restore(&path("copy.db"), Path::new(&empty)), "has tenants already");
}

#[test]
fn what_cannot_be_restored_gets_no_name_as_a_backup() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    create_tenant(&path("data"), "acme");
    is_done(&backup(&path("data"), &path("copy.db")), "MiB");
    let whole = fs::read(path("copy.db")).unwrap();
    let anothers = [&whole[..68], b"else", &whole[72..]].concat();
    fs::create_dir(path("bad")).unwrap();
    for (bytes, why) in [(&b""[..], "it is empty"), (&anothers[..], "another program's"), (&whole[..8_192], "damaged")]
    {
        fs::write(path("bad/fleetprompt.db"), bytes).unwrap();
        is_refused(&backup(&path("bad"), &path("bad.db")), why);
        assert_eq!(names(folder.path()), ["bad", "copy.db", "data"], "{why}");
    }
    let unspeakable = folder.path().join(OsStr::from_bytes(b"copy-\xff.db"));
    let refused = backup(&path("data"), &unspeakable);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
}

#[test]
fn what_others_have_put_there_stays_and_one_of_two_gets_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    create_tenant(&path("data"), "acme");
    fs::write(path("copy.db.partial"), "somebody's").unwrap();
    fs::write(path("copy.db.0.partial"), "somebody's").unwrap();
    symlink(path("nowhere.db"), path("link.db")).unwrap();
    is_refused(&backup(&path("data"), &path("link.db")), "is there already");

    let (data, copy) = (path("data"), path("copy.db"));
    let both = std::thread::scope(|scope| {
        let both = [scope.spawn(|| backup(&data, &copy)), scope.spawn(|| backup(&data, &copy))];
        both.map(|one| one.join().unwrap())
    });
    let (done, refused): (Vec<_>, Vec<_>) = both.iter().partition(|output| output.status.success());
    assert_eq!((done.len(), refused.len()), (1, 1), "{}{}", said(&both[0]), said(&both[1]));
    is_refused(refused[0], "is there already");
    is_done(&restore(&copy, &path("restored")), "of 1 tenants");
    let all = ["copy.db", "copy.db.0.partial", "copy.db.partial", "data", "link.db", "restored"];
    assert_eq!(names(folder.path()), all);
    assert_eq!(fs::read(path("copy.db.partial")).unwrap(), b"somebody's");
}

#[test]
fn a_backup_that_is_told_to_end_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    // It takes whoever comes, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let database = format!("postgres://ada@{}/x", silent.local_addr().unwrap());
    let from = ["backup", "--database", &database];
    for (name, status) in [("INT", 130), ("TERM", 143)] {
        let mut backup = Command::new(BINARY).args(from).arg(folder.path().join("copy.db")).spawn().unwrap();
        let _asked = silent.accept().unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        let pid = backup.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
        assert_eq!(backup.wait().unwrap().code(), Some(status));
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[test]
fn the_place_is_named_by_a_flag_or_else_by_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy.db"));
    create_tenant(&data, "acme");
    let run = |args: &[&OsStr], database: &str| {
        let mut command = Command::new(BINARY);
        command.args(args).env("FLEETPROMPT_DATA", &data).env("FLEETPROMPT_DATABASE", database).output().unwrap()
    };
    let nowhere = "postgres://ada:secret@127.0.0.1:1/x";
    let refused = run(&["backup".as_ref(), copy.as_ref()], nowhere);
    is_refused(&refused, "refused");
    assert!(!said(&refused).contains("secret"), "{}", said(&refused));
    is_done(&run(&["backup".as_ref(), copy.as_ref()], ""), "MiB");
    is_done(&run(&["verify".as_ref(), "--data".as_ref(), data.as_ref()], nowhere), "all as the log says");
    let unsaid = Command::new(BINARY).arg("verify").env_clear().output().unwrap();
    assert_eq!(unsaid.status.code(), Some(2), "{}", said(&unsaid));
}

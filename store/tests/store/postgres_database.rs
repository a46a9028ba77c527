//! What only a database can do: be somebody else's, be away, and lose an answer.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use fleetprompt_core::Signal;
use fleetprompt_store::postgres::{Database, Options, PostgresStore, Request};
use fleetprompt_store::{Batch, Error, Page, SignalFilter, Store};
use fleetprompt_testing::{Pgbouncer, Postgres};

use crate::options;
use crate::samples::{Samples, facts};

fn names(store: &dyn Store) -> Vec<String> {
    store.directory().expect("read").tenants.into_iter().map(|tenant| tenant.slug.to_string()).collect()
}

fn tenants(samples: &mut Samples, slug: &str) -> Batch {
    Batch { tenants: vec![samples.tenant(slug)], ..Batch::default() }
}

#[test]
fn one_node_writes_and_the_next_begins_when_it_has_ended() {
    let (server, mut samples) = (Postgres::start(), Samples::new());
    let url = server.database();
    let first = PostgresStore::open(&url, options("first")).expect("a new database");
    first.commit(&tenants(&mut samples, "acme")).expect("committed");
    match PostgresStore::open(&url, options("second")) {
        Err(Error::InUse { node }) => assert_eq!(node, "first"),
        other => panic!("{:?}", other.err()),
    }
    drop(first);
    let second = PostgresStore::open(&url, options("second")).expect("it was handed on");
    assert_eq!(names(&second), ["acme"]);
    second.commit(&tenants(&mut samples, "later")).expect("committed");
}

#[test]
fn a_node_that_was_taken_for_dead_writes_nothing() {
    let (server, mut samples) = (Postgres::start(), Samples::new());
    let url = server.database();
    let frozen = PostgresStore::open(&url, options("frozen")).expect("a new database");
    // As if it had not renewed its lease.
    server.ask("UPDATE nodes SET expires_at = '-infinity'");
    let next = PostgresStore::open(&url, options("next")).expect("the lease is over");
    let refused = frozen.commit(&tenants(&mut samples, "acme")).expect_err("it is fenced");
    assert!(matches!(refused, Error::Lost { .. }), "{refused}");
    assert!(!frozen.is_reachable());
    drop(frozen);
    assert_eq!(names(&next), [""; 0]);
    next.commit(&tenants(&mut samples, "acme")).expect("the end of the other changed nothing");
}

#[test]
fn a_partition_that_a_node_takes_anew_is_lost_to_whoever_in_it_had_it_before() {
    let (server, mut samples) = (Postgres::start(), Samples::new());
    let database = Database::open(&server.database(), options("a")).expect("a new database");
    let before = database.take(0).expect("asked").expect("it is free");
    before.commit(&tenants(&mut samples, "one")).expect("committed");
    let now = database.take(0).expect("asked").expect("it is this node's own");
    // Its first commit has the number that the other's next would have.
    now.commit(&tenants(&mut samples, "two")).expect("committed");
    let refused = before.commit(&tenants(&mut samples, "three")).expect_err("it has nothing to write any more");
    assert!(matches!(refused, Error::Lost { .. }), "{refused}");
    drop(before);
    now.commit(&tenants(&mut samples, "four")).expect("the end of the other changed nothing");
    assert_eq!(names(&now), ["one", "two", "four"]);
}

#[test]
fn a_read_that_nobody_waits_for_leaves_no_snapshot_behind() {
    let (server, mut samples) = (Postgres::start(), Samples::new());
    let store = PostgresStore::open(&server.database(), options("a")).expect("a new database");
    let database = Database::open(&server.database_address(), options("b")).expect("the same database");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for there in 1..200 {
        let within = Duration::from_micros(there * 15);
        runtime.block_on(async { drop(tokio::time::timeout(within, database.tenants()).await) });
        store.commit(&tenants(&mut samples, &format!("tenant-{there}"))).expect("committed");
        let seen = runtime.block_on(database.tenants()).expect("read");
        assert_eq!(seen.len() as u64, there, "it sees what was there when somebody else began to read");
    }
}

#[test]
fn a_database_that_goes_and_comes_back_loses_nothing() {
    let (mut server, mut samples) = (Postgres::start(), Samples::new());
    let store = PostgresStore::open(&server.database(), options("a")).expect("a new database");
    store.commit(&tenants(&mut samples, "before")).expect("committed");
    server.kill();
    assert!(matches!(store.directory(), Err(Error::Unavailable { .. })), "it is away");
    server.start_again();
    // The connections of before are gone, and somebody has to notice.
    while store.directory().is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let batch = tenants(&mut samples, "after");
    while store.commit(&batch).is_err() {
        assert_eq!(names(&store), ["before"], "what failed did not hold");
    }
    assert_eq!(names(&store), ["before", "after"]);
}

#[test]
fn a_commit_whose_answer_is_lost_is_looked_up() {
    let port = free_port();
    let (listen, at) = ("listen_addresses=127.0.0.1", format!("port={port}"));
    let (server, mut samples) = (Postgres::start_with(&[listen, &at]), Samples::new());
    let proxy = Proxy::before(port);
    let name = server.database().rsplit('/').next().expect("a name").to_owned();
    let url = format!("postgres://fleetprompt@127.0.0.1:{}/{name}?sslmode=disable", proxy.port);
    let store = PostgresStore::open(&url, options("a")).expect("a new database");
    store.commit(&tenants(&mut samples, "first")).expect("committed");

    proxy.cut(AFTER_COMMIT);
    store.commit(&tenants(&mut samples, "heard")).expect("it held, though nobody said so");
    assert_eq!(names(&store), ["first", "heard"]);

    proxy.cut(BEFORE_COMMIT);
    let batch = tenants(&mut samples, "unheard");
    store.commit(&batch).expect_err("it never came there");
    assert_eq!(names(&store), ["first", "heard"]);
    store.commit(&batch).expect("committed");
    assert_eq!(names(&store), ["first", "heard", "unheard"]);
}

#[test]
fn a_commit_whose_outcome_another_node_hides_is_unknown() {
    let port = free_port();
    let (listen, at) = ("listen_addresses=127.0.0.1", format!("port={port}"));
    let (server, mut samples) = (Postgres::start_with(&[listen, &at]), Samples::new());
    let proxy = Proxy::before(port);
    let name = server.database().rsplit('/').next().expect("a name").to_owned();
    let url = format!("postgres://fleetprompt@127.0.0.1:{}/{name}?sslmode=disable", proxy.port);
    let store = PostgresStore::open(&url, options("a")).expect("a new database");
    store.commit(&tenants(&mut samples, "first")).expect("committed");

    // A claim of another node, which comes with the commit.
    server.ask(
        "CREATE FUNCTION take_over() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN UPDATE partitions SET claim = gen_random_uuid(), epoch = epoch + 1; RETURN NULL; END $$;
         GRANT EXECUTE ON FUNCTION take_over TO fleetprompt;
         CREATE TRIGGER take_over AFTER INSERT ON tenants EXECUTE FUNCTION take_over();",
    );
    proxy.cut(AFTER_COMMIT);
    let unknown = store.commit(&tenants(&mut samples, "unheard")).expect_err("nobody says whether it is written");
    assert!(matches!(unknown, Error::OutcomeUnknown { is_lost: true, .. }), "{unknown}");
    assert_eq!(names(&store), ["first", "unheard"], "it is, so the caller must not hear that it is not");
    let refused = store.commit(&tenants(&mut samples, "next")).expect_err("another node writes");
    assert!(matches!(refused, Error::Lost { .. }), "{refused}");
}

#[test]
fn a_pooler_may_lend_whole_sessions_and_no_single_transactions() {
    let (server, mut samples) = (Postgres::start(), Samples::new());
    let address = server.database();
    let pooler = Pgbouncer::start(&server, "transaction");
    let refused = PostgresStore::open(&pooler.address(&address), options("a")).err().expect("refused").to_string();
    assert!(refused.contains("pool_mode = session"), "{refused}");
    assert_eq!(
        server.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").trim(),
        "0",
        "nothing was made"
    );

    let pooler = Pgbouncer::start(&server, "session");
    let store = PostgresStore::open(&pooler.address(&address), options("a")).expect("it has sessions of its own");
    store.commit(&tenants(&mut samples, "acme")).expect("committed");
    assert_eq!(names(&store), ["acme"]);
}

#[test]
fn the_way_there_is_kept_secret_as_the_address_says() {
    let port = free_port();
    let (listen, at) = ("listen_addresses=localhost", format!("port={port}"));
    let server = Postgres::start_with(&[listen, &at, "ssl=on"]);
    let name = server.database().rsplit('/').next().expect("a name").to_owned();
    let root = server.certificate().display().to_string();
    let open = |host: &str, query: &str| {
        let url = format!("postgres://fleetprompt@{host}:{port}/{name}?{query}");
        let store = PostgresStore::open(&url, options("a")).map_err(|error| error.to_string())?;
        let sql =
            "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'fleetprompt'";
        let is_secret = server.ask(sql).trim() == "t";
        drop(store);
        Ok::<_, String>(is_secret)
    };
    assert_eq!(open("localhost", "sslmode=disable"), Ok(false));
    assert_eq!(open("localhost", "sslmode=require"), Ok(true));
    assert_eq!(open("localhost", &format!("sslmode=verify-full&sslrootcert={root}")), Ok(true));
    let stranger = open("localhost", "sslmode=verify-full").expect_err("nobody vouches for it");
    assert!(stranger.contains("certificate"), "{stranger}");
    let other = open("127.0.0.1", &format!("sslmode=verify-full&sslrootcert={root}")).expect_err("another name");
    assert!(other.contains("certificate"), "{other}");
}

#[test]
fn a_session_sees_the_rows_of_the_tenant_that_it_names_and_no_others() {
    let (server, mut samples) = (Postgres::start(), Samples::new());
    let store = PostgresStore::open(&server.database(), options("a")).expect("a new database");
    let (acme, other) = (samples.tenant("acme"), samples.tenant("other"));
    let told = [samples.fact(acme.id, "a.b"), samples.fact(other.id, "a.b"), samples.fact(other.id, "a.b")];
    store.commit(&Batch { tenants: vec![acme.clone(), other.clone()], ..facts(told) }).expect("committed");
    let count = |whose: &str| {
        let sql = format!("SET ROLE fleetprompt; {whose} SELECT count(*) FROM signals");
        server.ask(&sql).lines().last().expect("a count").to_owned()
    };
    assert_eq!(count(""), "0");
    assert_eq!(count(&format!("SET fleetprompt.tenant = '{}';", acme.id.0)), "1");
    assert_eq!(count(&format!("SET fleetprompt.tenant = '{}';", other.id.0)), "2");
    assert_eq!(count("SET fleetprompt.tenant = '*';"), "3");
}

#[test]
fn text_holds_every_character() {
    let (server, mut samples) = (Postgres::start(), Samples::new());
    let store = PostgresStore::open(&server.database(), options("a")).expect("a new database");
    let tenant = samples.tenant("acme");
    let mut fact = samples.fact(tenant.id, "a.b");
    fact.source = Some("\0 \u{1}0 \u{1}\u{1}1 ü \u{10ffff}".to_owned());
    fact.lineage.correlation_id = "a\0b".into();
    store.commit(&Batch { tenants: vec![tenant.clone()], ..facts([fact.clone()]) }).expect("committed");
    let filter = SignalFilter { correlation_id: Some("a\0b".to_owned()), ..SignalFilter::default() };
    assert_eq!(store.signals(tenant.id, &filter, Page::newest(9)).expect("read"), [fact]);
}

#[test]
fn a_value_that_no_index_holds_costs_neither_the_connection_nor_the_epoch() {
    let (server, mut samples) = (Postgres::start(), Samples::new());
    let url = server.database();
    let store = PostgresStore::open(&url, options("a")).expect("a new database");
    let tenant = samples.tenant("acme");
    store.commit(&Batch { tenants: vec![tenant.clone()], ..Batch::default() }).expect("committed");
    let epoch = || server.ask("SELECT epoch || ' ' || commits FROM partitions");
    let before = epoch();
    let mut fact = samples.fact(tenant.id, "a.b");
    // More than a third of a page, and nothing in it repeats.
    fact.lineage.correlation_id = (0..3_000).filter_map(|n| char::from_u32(0x4e00 + n * 5)).collect::<String>().into();
    for _ in 0..3 {
        let error = store.commit(&facts([fact.clone()])).expect_err("it does not fit into the index");
        assert!(error.is_unstorable() && error.to_string().contains("54000"), "{error}");
    }
    assert_eq!(epoch(), before);
    store.commit(&facts([samples.fact(tenant.id, "a.b")])).expect("the next commit has the same connection");
}

/// Locks a table until it is dropped.
async fn lock(url: &str, table: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await.expect("locked");
    client
}

#[test]
fn a_heartbeat_does_not_wait_for_messages_and_fails_long_before_the_lease_ends() {
    let (server, lease) = (Postgres::start(), Duration::from_secs(4));
    let url = server.database();
    let database = Database::open(&url, Options { lease, ..options("a") }).expect("a new database");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let locked = lock(&url, "requests").await;
        let message = |database: Arc<Database>| async move {
            let (id, asker) = (uuid::Uuid::now_v7(), database.node());
            database.send_requests(&[Request { id, partition: 0, asker, message: Vec::new() }], &[]).await
        };
        // More than there are connections for what nodes tell each other.
        let messages: Vec<_> = (0..16).map(|_| tokio::spawn(message(database.clone()))).collect();
        for _ in 0..20 {
            database.beat().await.expect("it has a connection of its own");
        }
        assert!(messages.iter().all(|message| !message.is_finished()), "they still wait");
        drop(locked);

        let locked = lock(&url, "nodes").await;
        let begun = std::time::Instant::now();
        database.beat().await.expect_err("the database is at something else");
        assert!(begun.elapsed() < lease, "the node learns it before others take its partitions");
        assert!(!database.is_reachable());
        drop(locked);
        while database.beat().await.is_err() {}
        assert!(database.is_reachable());
    });
}

#[test]
fn a_schema_that_is_newer_or_was_changed_is_refused() {
    let server = Postgres::start();
    let url = server.database();
    drop(PostgresStore::open(&url, options("a")).expect("a new database"));
    server.ask("INSERT INTO migrations (version, name, checksum) VALUES (99, 'of tomorrow', '')");
    let newer = PostgresStore::open(&url, options("a")).err().expect("it is newer");
    assert!(matches!(newer, Error::Newer { found: 99, .. }), "{newer}");
    server.ask("DELETE FROM migrations WHERE version = 99; UPDATE migrations SET checksum = 'x' WHERE version = 1");
    let changed = PostgresStore::open(&url, options("a")).err().expect("it was changed");
    assert!(matches!(changed, Error::Damaged(_)), "{changed}");
}

#[test]
fn dedupe_keys_of_an_older_schema_are_known_under_the_names_of_their_signals() {
    const MIGRATION: &str = include_str!("../../src/postgres/migrations/0005_dedupe_by_name.sql");
    let (server, mut samples) = (Postgres::start(), Samples::new());
    let url = server.database();
    let store = PostgresStore::open(&url, options("a")).expect("a new database");
    let tenant = samples.tenant("acme");
    let fact = samples.fact(tenant.id, "forum.thread.created");
    let (source, source_event_id) = (Some("shop".into()), Some("17".into()));
    let fact = Signal { dedupe_key: Some("a:b".into()), source, source_event_id, ..fact };
    let keys: Vec<_> = fact.dedupe_keys().into_iter().map(|key| (tenant.id, key)).collect();
    let dedupe_keys = keys.iter().map(|(tenant, key)| (*tenant, key.clone(), fact.id)).collect();
    let id = fact.id;
    store.commit(&Batch { tenants: vec![tenant], dedupe_keys, ..facts([fact]) }).expect("committed");

    // Keys did not begin with the name of their signal.
    server.ask("UPDATE dedupe_keys SET key = substr(key, position(':' in key) + 1)");
    assert_eq!(store.deduplicate(&keys).expect("read"), [None, None]);
    server.ask(&format!("BEGIN; {MIGRATION} COMMIT"));
    assert_eq!(store.deduplicate(&keys).expect("read"), [Some(id), Some(id)]);
}

#[test]
fn an_address_that_is_none_is_refused_without_telling_it() {
    for (url, why) in [
        ("mysql://ada:secret@host/x", "expected `postgres://"),
        ("postgres://ada:secret@host/x?sslmode=allow", "`sslmode` is"),
        ("postgres://ada:secret@host/x?sslrootcert=/none", "is for `sslmode=verify-full`"),
        ("postgres://ada:secret@host/x?sslmode=verify-full&sslrootcert=/none", "`sslrootcert` /none"),
        ("postgres://ada:secret@127.0.0.1:1/x", "refused"),
    ] {
        let error = PostgresStore::open(url, options("a")).err().expect("refused").to_string();
        assert!(error.contains(why) && !error.contains("secret"), "{error}");
    }
}

const PASS: u8 = 0;
const BEFORE_COMMIT: u8 = 1;
const AFTER_COMMIT: u8 = 2;

/// Stands before a database, and can end the connection that sends the next commit: before the database has
/// got it, or when it has, and before anybody hears of it.
struct Proxy {
    port: u16,
    cut: Arc<AtomicU8>,
}

impl Proxy {
    fn before(database: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let cut = Arc::new(AtomicU8::new(PASS));
        let cuts = cut.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", database)) else { continue };
                let (to_client, from_server) = (client.try_clone(), server.try_clone());
                let (cuts, is_mute) = (cuts.clone(), Arc::new(AtomicBool::new(false)));
                let mute = is_mute.clone();
                let (committed, has_committed) = mpsc::channel();
                std::thread::spawn(move || ask(client, server, &cuts, &mute, &has_committed));
                std::thread::spawn(move || {
                    answer(from_server.expect("one"), to_client.expect("one"), &is_mute, &committed)
                });
            }
        });
        Self { port, cut }
    }

    fn cut(&self, when: u8) {
        self.cut.store(when, Ordering::SeqCst);
    }
}

fn position(piece: &[u8], text: &[u8]) -> Option<usize> {
    piece.windows(text.len()).position(|window| window == text)
}

/// What is this short comes in one piece.
fn ask(mut from: TcpStream, mut to: TcpStream, cut: &AtomicU8, mute: &AtomicBool, has_committed: &mpsc::Receiver<()>) {
    let (mut buffer, mut writes) = ([0; 1 << 16], false);
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let piece = &buffer[..length];
        let find = |text: &[u8]| position(piece, text);
        // Reads begin and commit as well, with more words.
        writes |= find(b"BEGIN\0").is_some();
        let commits = find(b"COMMIT\0").filter(|_| writes);
        writes &= commits.is_none();
        match (cut.load(Ordering::SeqCst), commits) {
            (BEFORE_COMMIT, Some(place)) => {
                cut.store(PASS, Ordering::SeqCst);
                // The message begins with its kind and its length.
                let _ = to.write_all(&piece[..place - 5]);
                break;
            }
            (AFTER_COMMIT, Some(_)) => {
                cut.store(PASS, Ordering::SeqCst);
                mute.store(true, Ordering::SeqCst);
                let _ = to.write_all(piece);
                // An error means that the database has ended the connection itself.
                let _ = has_committed.recv();
                break;
            }
            _ if to.write_all(piece).is_err() => break,
            _ => {}
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// Passes on what the database answers. While it is mute it only says that the database has committed.
fn answer(mut from: TcpStream, mut to: TcpStream, is_mute: &AtomicBool, committed: &mpsc::Sender<()>) {
    let mut buffer = [0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let piece = &buffer[..length];
        if !is_mute.load(Ordering::SeqCst) {
            if to.write_all(piece).is_err() {
                break;
            }
        } else if position(piece, b"COMMIT\0").is_some() {
            let _ = committed.send(());
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

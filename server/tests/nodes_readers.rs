//! Clients that ask one node for what another one has, and do not read it, or do not send what they announce: they use
//! the share of their own tenant, and nobody else's.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fleetprompt_client::Client;
use fleetprompt_testing::Postgres;
use serde_json::{Value, json};
use support::{BINARY, Reach, Server, create_tenant, free_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Only a test that has failed takes so long.
const SOON: Duration = Duration::from_secs(20);
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const STREAMS: &str = "fleetprompt_http_streams ";

/// An eighth of the memory, 5 MiB, is for the responses of one tenant, and as much for callers without a key.
async fn start(data: &Path, name: &str, owner: &str) -> Server {
    let mut serve = Command::new(BINARY);
    serve.args(["serve", "--node-lease-s", "2", "--node-name", name, "--request-memory-mib", "40"]);
    Server::launch(serve, &format!("127.0.0.1:{}", free_port()), data, owner.to_owned()).await
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < SOON, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn metric(reach: &Reach, name: &str) -> u64 {
    let (_, text) = reach.send(reach.request(reqwest::Method::GET, "/metrics")).await;
    let line = text.as_str().unwrap().lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim().parse().unwrap()
}

/// A connection whose client reads no more than it is asked to here.
async fn connect(reach: &Reach, request: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let mut stream = socket.connect(reach.url.trim_start_matches("http://").parse().unwrap()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn get(reach: &Reach, path: &str) -> TcpStream {
    connect(reach, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", reach.key)).await
}

async fn status(stream: &mut TcpStream) -> u16 {
    let mut begun = [0; 12];
    stream.read_exact(&mut begun).await.unwrap();
    std::str::from_utf8(&begun[9..]).unwrap().parse().unwrap()
}

/// A tenant that `two` decides for, reached through `one`, and another tenant.
async fn tenants(one: &Server, two: &Server) -> (Reach, Reach) {
    for number in 0..40 {
        let made = one.post("/v1/tenants", &json!({"slug": format!("tenant-{number}")})).await;
        let reach = one.with_key(made["key"]["secret"].as_str().unwrap());
        let mut stream = get(&reach, "/v1/signals/tail").await;
        assert_eq!(status(&mut stream).await, 200);
        if metric(two, STREAMS).await == 1 {
            drop(stream);
            until("its stream ends", async || metric(two, STREAMS).await == 0).await;
            return (reach, (**one).clone());
        }
    }
    panic!("each tenant belongs to one node");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_what_another_node_answers_use_the_share_of_their_tenant() {
    let postgres = Postgres::start();
    let address = postgres.database();
    let data = Path::new(&address);
    let owner = create_tenant(data, "acme");
    let (one, two) = (start(data, "one", &owner).await, start(data, "two", &owner).await);
    until("they share the partitions", async || {
        let nodes = one.get("/v1/nodes").await;
        nodes["items"].as_array().unwrap().iter().all(|node| node["partitions"].as_array().unwrap().len() == 8)
    })
    .await;
    let (tenant, other) = tenants(&one, &two).await;

    // A stream that is cut off at the node that was asked ends at the node that answers it.
    let mut stream = get(&tenant, "/v1/signals/tail").await;
    assert_eq!(status(&mut stream).await, 200);
    assert_eq!(metric(&two, STREAMS).await, 1);
    for number in 0..16 {
        let payload = json!({"number": number, "text": "x".repeat(900_000)});
        tenant.post("/v1/signals", &json!({"name": "file.read", "payload": payload})).await;
    }
    until("the stream ends", async || metric(&two, STREAMS).await == 0).await;
    drop(stream);

    let mut unread = Vec::new();
    until("there is room for a page", async || {
        unread = vec![get(&tenant, "/v1/signals?limit=1000").await];
        status(&mut unread[0]).await == 200
    })
    .await;
    let mut refused = get(&tenant, "/v1/signals?limit=1000").await;
    assert_eq!(status(&mut refused).await, 429, "its tenant has a page that is not read");
    tenant.get("/v1/signals?limit=1").await;
    other.post("/v1/signals", &json!({"name": "c.d"})).await;
    other.get("/v1/signals?limit=1000").await;
    drop(unread);
    until("there is room again", async || {
        let mut again = get(&tenant, "/v1/signals?limit=1000").await;
        status(&mut again).await == 200
    })
    .await;
}

/// A directive that its endpoint accepted; returns under which name it calls back.
async fn called_later(server: &Reach) -> (wiremock::MockServer, String) {
    let endpoint = wiremock::MockServer::start().await;
    let accepted = wiremock::ResponseTemplate::new(202);
    wiremock::Mock::given(wiremock::matchers::any()).respond_with(accepted).mount(&endpoint).await;
    let handler = json!({"type": "http", "url": endpoint.uri(), "secret": SECRET});
    server.post("/v1/directive-types", &json!({"directive_type": {"name": "film.render", "handler": handler}})).await;
    server.post("/v1/directives", &json!({"name": "film.render", "idempotency_key": "1"})).await;
    let mut callback = String::new();
    until("the endpoint is asked", async || {
        let requests = endpoint.received_requests().await.unwrap();
        let body = requests.first().map(|request| request.body_json::<Value>().unwrap());
        callback = body.map_or(String::new(), |body| body["callback"].as_str().unwrap().to_owned());
        !callback.is_empty()
    })
    .await;
    (endpoint, callback)
}

/// A callback of which so many bytes are announced, and so many sent.
async fn slow_callback(server: &Reach, callback: &str, announced: usize, sent: usize) -> TcpStream {
    let head = format!(
        "POST /v1/callbacks/{callback} HTTP/1.1\r\nhost: x\r\nwebhook-signature: v1,x\r\ncontent-length: {announced}\r\n\r\n"
    );
    connect(server, &(head + &"x".repeat(sent))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_without_a_key_do_not_hold_up_callbacks() {
    let postgres = Postgres::start();
    let address = postgres.database();
    let data = Path::new(&address);
    let owner = create_tenant(data, "acme");
    let server = start(data, "one", &owner).await;
    let (_endpoint, callback) = called_later(&server).await;
    let client = Client::new(&server.url, None).unwrap();
    let call_back = async |callback: &str, body: Value| {
        let said = serde_json::from_value(body).unwrap();
        client.callback(callback, &said, SECRET).await.err().map_or(200, |error| error.problem().unwrap().status)
    };
    let last = if callback.ends_with('0') { '1' } else { '0' };
    let unknown = format!("{}{last}", &callback[..callback.len() - 1]);
    let working = json!({"status": "working"});

    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(slow_callback(&server, &unknown, 1_100_000, 1).await);
    }
    assert_eq!(call_back(&unknown, working.clone()).await, 401, "what is only announced takes nothing");
    assert_eq!(call_back(&callback, working.clone()).await, 200);

    // What was sent takes memory of callers without a key, and not of the tenant that is called back.
    let refused = server.request(reqwest::Method::POST, &format!("/v1/callbacks/{unknown}"));
    let refused = refused.header("webhook-signature", "v1,x").header("content-type", "application/json");
    until("there is no room for unknown callers", async || {
        held.push(slow_callback(&server, &unknown, 1_100_000, 250_000).await);
        held.push(slow_callback(&server, &unknown, 1_100_000, 15_000).await);
        let again = refused.try_clone().unwrap().body("x".repeat(20_000));
        server.send(again).await.0 == 429
    })
    .await;
    assert_eq!(call_back(&callback, json!({"status": "succeeded", "output": 7})).await, 200);
    drop(held);
}

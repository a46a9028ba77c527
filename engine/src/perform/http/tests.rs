//! The ways to write an address of our own network, each put to the client that delivers.

use std::time::Duration;

use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

fn memory() -> Arc<RequestMemory> {
    Arc::new(RequestMemory::new(1 << 20, Arc::default()))
}

/// Hosts that lead to this machine, where a server listens at the port that follows.
const LOOPBACK: [&str; 42] = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7F.0.0.1",
    "0x7f.1",
    "0177.0.0.1",
    "0177.0.0.0x1",
    "00000177.1",
    "0",
    "0x0",
    "0.0.0.0",
    "127。0。0。1",
    "１２７.0.0.1",
    "①②⑦.⓪.⓪.①",
    "127%2e0%2e0%2e1",
    "%31%32%37.0.0.1",
    "127.0.0.\t1",
    "localhost",
    "LOCALHOST",
    "ⓛocalhost",
    "local\u{ad}host",
    "user@127.0.0.1",
    "user:secret@127.0.0.1",
    "example.com@127.0.0.1",
    "example.com%3A443@127.0.0.1",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::ffff:0:0]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
];

/// Hosts of networks that only their own machines can reach, metadata services of clouds among them.
const INNER: [&str; 33] = [
    "10.0.0.1",
    "10.1",
    "0xa000001",
    "012.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "192.168.257",
    "3232235777",
    "169.254.169.254",
    "169.254.43518",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169。254。169。254",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::7f00:1]",
    "[2002:a9fe:a9fe::]",
    "[2001:0:7f00:1::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[5f00::1]",
];

/// As a delivery goes: what the address itself tells first, then what the name resolves to.
async fn delivered(endpoints: &Endpoints, url: &str) -> Result<StatusCode, String> {
    let read = EndpointUrl::read(url).and_then(|url| endpoints.check(&url));
    read.map_err(|failure| failure.code.to_string())?;
    let sent = endpoints.client.post(url).timeout(Duration::from_secs(5)).send().await;
    sent.map(|response| response.status()).map_err(|error| causes(&error))
}

async fn server_here() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    server
}

#[tokio::test]
async fn however_an_address_of_our_own_is_written_nothing_reaches_it() {
    let server = server_here().await;
    let port = server.address().port();
    let endpoints = Endpoints::new(false, memory());
    let with_port = LOOPBACK.iter().map(|host| format!("http://{host}:{port}/hook"));
    let paths = ["127.0.0.1:{port}\\@example.com", "127.0.0.1:{port}#@example.com", "127.0.0.1:{port}?@example.com"];
    let tricks = paths.iter().map(|rest| format!("http://{}", rest.replace("{port}", &port.to_string())));
    let inner = INNER.iter().map(|host| format!("https://{host}/latest/meta-data"));
    for url in with_port.chain(tricks).chain(inner) {
        let refused = delivered(&endpoints, &url).await.expect_err(&url);
        let said = ["address_refused", "url_invalid"].contains(&refused.as_str());
        assert!(said || refused.contains("has no public address"), "{url}: {refused}");
    }
    assert_eq!(server.received_requests().await.map(|requests| requests.len()), Some(0));
}

#[tokio::test]
async fn the_switch_for_development_lets_this_machine_be_reached() {
    let server = server_here().await;
    let url = format!("http://localhost:{}/hook", server.address().port());
    assert_eq!(delivered(&Endpoints::new(true, memory()), &url).await, Ok(StatusCode::OK));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_a_way() {
    let (server, inner) = (MockServer::start().await, server_here().await);
    let redirect = ResponseTemplate::new(307).insert_header("location", inner.uri());
    Mock::given(any()).respond_with(redirect).mount(&server).await;
    assert_eq!(delivered(&Endpoints::new(true, memory()), &server.uri()).await, Ok(StatusCode::TEMPORARY_REDIRECT));
    assert_eq!(inner.received_requests().await.map(|requests| requests.len()), Some(0));
}

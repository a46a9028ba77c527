use crate::server::Server;

#[tokio::test]
async fn health_metrics_and_documentation_need_no_key() {
    let server = Server::start();
    assert_eq!(server.get_open("/healthz").await.ok()["status"], "ok");
    assert_eq!(server.get_open("/readyz").await.ok()["status"], "ok");

    let metrics = server.get_open("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.text().contains("fleetprompt_http_answers_total{status=\"2xx\"} 2"), "{}", metrics.text());
    assert!(metrics.text().ends_with("# EOF\n"));
    assert_eq!(metrics.text().matches("# EOF").count(), 1);

    assert_eq!(server.get_open("/openapi.json").await.ok()["openapi"], "3.1.0");
    let root = server.get_open("/").await;
    assert_eq!(root.status, 307);
    assert_eq!(root.headers["location"], "/docs");
}

#[tokio::test]
async fn the_documentation_asks_nobody_else_for_anything() {
    let server = Server::start();
    let page = server.get_open("/docs").await;
    assert!(!page.text().contains("http://") && !page.text().contains("https://"), "{}", page.text());
    assert!(page.text().contains("load-fonts=\"false\""));
    let policy = page.headers["content-security-policy"].to_str().expect("text");
    assert!(policy.starts_with("default-src 'none'"));
    let script = server.get_open("/docs/rapidoc.js").await;
    assert!(script.bytes.len() > 500_000);
    assert!(script.headers["cache-control"].to_str().expect("text").contains("immutable"));
}

#[tokio::test]
async fn a_server_that_stops_is_not_ready() {
    let server = Server::start();
    server.stopping.send_replace(true);
    let reply = server.get_open("/readyz").await;
    reply.is_problem(503, "unavailable");
    assert_eq!(reply.headers["retry-after"], "1");
    server.get_open("/healthz").await.ok();
}

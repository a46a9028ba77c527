use fleetprompt_core::tenant::Role;
use serde_json::{Value, json};

use crate::server::{Server, Tenant, text, thread};

/// A key of another role in the same tenant.
async fn key_of<'s>(admin: &Tenant<'s>, role: &str) -> Tenant<'s> {
    let made = admin.post("/v1/keys", json!({"name": role, "role": role})).await.is(201);
    Tenant { server: admin.server, secret: text(&made, "/secret").to_owned() }
}

#[tokio::test]
async fn an_owner_makes_a_tenant_whose_admin_makes_its_keys() {
    let server = Server::start();
    let owner = server.tenant("house", Role::Owner).await;
    let made = owner.post("/v1/tenants", json!({"slug": "acme", "name": "Acme Inc."})).await.is(201);
    assert_eq!(text(&made, "/tenant/name"), "Acme Inc.");
    assert_eq!(text(&made, "/key/role"), "admin");
    owner.post("/v1/tenants", json!({"slug": "acme"})).await.is_problem(409, "tenant_exists");
    let tenants = owner.get("/v1/tenants").await.ok();
    assert_eq!((text(&tenants, "/items/0/slug"), text(&tenants, "/items/1/slug")), ("acme", "house"));
    let page = owner.get("/v1/tenants?limit=1").await.ok();
    assert_eq!(text(&page, "/next_cursor"), "acme");
    assert_eq!(text(&owner.get("/v1/tenants?limit=1&cursor=acme").await.ok(), "/items/0/slug"), "house");

    let admin = Tenant { server: &server, secret: text(&made, "/key/secret").to_owned() };
    let who = admin.get("/v1/whoami").await.ok();
    assert_eq!((text(&who, "/tenant/slug"), text(&who, "/key/role")), ("acme", "admin"));
    assert!(who["key"].get("secret").is_none());
    let member = key_of(&admin, "member").await;
    member.post("/v1/signals", thread("1")).await.is(201);

    let listed = admin.get("/v1/keys").await;
    assert!(!listed.text().contains("fp_"), "{}", listed.text());
    let listed: Vec<Value> = listed.ok()["items"].as_array().expect("items").clone();
    assert_eq!(listed.len(), 2);
    let of_others = owner.get("/v1/keys?tenant=acme").await.ok();
    assert_eq!(of_others["items"].as_array().map(Vec::len), Some(2));

    let id = text(&listed[1], "/id");
    let revoked = admin.delete(&format!("/v1/keys/{id}")).await.ok();
    assert!(revoked["revoked_at"].is_string());
    member.get("/v1/whoami").await.is_problem(401, "unauthorized");
}

#[tokio::test]
async fn no_key_gives_more_than_it_has() {
    let server = Server::start();
    let admin = server.tenant("acme", Role::Admin).await;
    server.tenant("other", Role::Admin).await;
    let viewer = key_of(&admin, "viewer").await;
    let member = key_of(&admin, "member").await;

    viewer.get("/v1/signals").await.ok();
    viewer.post("/v1/signals", thread("1")).await.is_problem(403, "forbidden");
    viewer.post("/v1/workflows", json!({})).await.is_problem(403, "forbidden");
    viewer.post_nothing("/v1/workflows/x/pause").await.is_problem(403, "forbidden");
    member.get("/v1/keys").await.is_problem(403, "forbidden");
    member.post("/v1/keys", json!({"name": "x", "role": "viewer"})).await.is_problem(403, "forbidden");
    admin.post("/v1/keys", json!({"name": "x", "role": "owner"})).await.is_problem(403, "forbidden");
    admin.get("/v1/tenants").await.is_problem(403, "forbidden");
    admin.post("/v1/tenants", json!({"slug": "mine"})).await.is_problem(403, "forbidden");
    // Whether the other tenant exists makes no difference to somebody who may not know.
    let there = admin.get("/v1/keys?tenant=other").await.is_problem(403, "forbidden");
    let not_there = admin.get("/v1/keys?tenant=nobody").await.is_problem(403, "forbidden");
    assert_eq!(there, not_there);
}

#[tokio::test]
async fn an_admin_cannot_revoke_an_owner() {
    let server = Server::start();
    let owner = server.tenant("house", Role::Owner).await;
    let admin = key_of(&owner, "admin").await;
    let owner_id = text(&owner.get("/v1/whoami").await.ok(), "/key/id").to_owned();
    admin.delete(&format!("/v1/keys/{owner_id}")).await.is_problem(403, "forbidden");
    owner.get("/v1/whoami").await.ok();
}

#[tokio::test]
async fn a_key_is_needed_and_must_be_whole() {
    let server = Server::start();
    let acme = server.tenant("acme", Role::Member).await;
    let reply = server.get_open("/v1/signals").await;
    reply.is_problem(401, "unauthorized");
    assert_eq!(reply.headers["www-authenticate"], "Bearer");
    for secret in ["", "fp_", "fp_nonsense", &acme.secret[..acme.secret.len() - 1]] {
        let stranger = Tenant { server: &server, secret: secret.to_owned() };
        stranger.get("/v1/signals").await.is_problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_key_that_has_expired_is_refused() {
    let server = Server::start();
    let admin = server.tenant("acme", Role::Admin).await;
    let past = json!({"name": "x", "role": "viewer", "expires_at": "2020-01-01T00:00:00Z"});
    let refused = admin.post("/v1/keys", past).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    let future = json!({"name": "x", "role": "viewer", "expires_at": "2999-01-01T00:00:00Z"});
    let made = admin.post("/v1/keys", future).await.is(201);
    assert_eq!(text(&made, "/expires_at"), "2999-01-01T00:00:00.000000Z");
}

#[tokio::test]
async fn an_answer_with_a_secret_is_kept_by_no_cache() {
    let server = Server::start();
    let owner = server.tenant("house", Role::Owner).await;
    let http =
        json!({"directive_type": {"name": "mail.send", "handler": {"type": "http", "url": "https://example.com"}}});
    for (path, body) in [
        ("/v1/keys", json!({"name": "a key"})),
        ("/v1/tenants", json!({"slug": "acme"})),
        ("/v1/directive-types", http),
    ] {
        let reply = owner.post(path, body).await;
        reply.is(201);
        assert!(reply.text().contains("secret"), "{path}");
        assert_eq!(reply.headers["cache-control"], "no-store", "{path}");
    }
}

#[tokio::test]
async fn keys_that_are_refused_are_counted_by_the_reason() {
    let server = Server::start();
    let admin = server.tenant("acme", Role::Admin).await;
    let viewer = key_of(&admin, "viewer").await;
    let id = text(&viewer.get("/v1/whoami").await.ok(), "/key/id").to_owned();
    admin.delete(&format!("/v1/keys/{id}")).await.ok();
    let unknown = Tenant { server: &server, secret: "fp_nonsense".to_owned() };
    server.get_open("/v1/signals").await.is_problem(401, "unauthorized");
    let mut told = Vec::new();
    for _ in 0..2 {
        told.push(unknown.get("/v1/signals").await.is_problem(401, "unauthorized"));
    }
    for _ in 0..3 {
        told.push(viewer.post("/v1/signals", thread("1")).await.is_problem(401, "unauthorized"));
    }
    assert!(told.iter().all(|problem| problem == &told[0]), "the caller learns nothing of the reason");
    let metrics = server.get_open("/metrics").await;
    for (reason, count) in [("missing", 1), ("unknown", 2), ("expired", 0), ("revoked", 3)] {
        let line = format!("fleetprompt_keys_refused_total{{reason=\"{reason}\"}} {count}\n");
        assert!(metrics.text().contains(&line), "{line} in {}", metrics.text());
    }
}

//! A copy that is made while facts stream in is whole, and a server goes on from it.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::json;
use support::{BINARY, Server, free_port, verify};

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_folder_in_use_is_whole_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (data, restored) = (folder.path().join("data"), folder.path().join("restored"));
    let server = Server::fresh(&data).await;
    let told = |n: u32| json!({"name": "lead.created", "dedupe_key": format!("{n}"), "payload": {"n": n}});
    for n in 0..200 {
        server.post("/v1/signals", &told(n)).await;
    }
    std::fs::create_dir(&restored).unwrap();
    let copy = restored.join("fleetprompt.db");
    let backup = || Command::new(BINARY).args(["backup", "--data"]).arg(&data).arg(&copy).output().unwrap();
    let copying = tokio::task::spawn_blocking({
        let (data, copy) = (data.clone(), copy.clone());
        move || Command::new(BINARY).args(["backup", "--data"]).arg(data).arg(copy).output().unwrap()
    });
    let mut after = 200;
    while !copying.is_finished() {
        server.post("/v1/signals", &told(after)).await;
        after += 1;
    }
    let made = copying.await.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(String::from_utf8_lossy(&made.stdout).contains("MiB"));
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let again = backup();
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"));

    let key = server.key.clone();
    server.stop();
    verify(&restored);
    let server = Server::start(&restored, free_port(), key).await;
    let known = server.all("/v1/signals?name=lead.created").await.len() as u32;
    assert!((200..=after).contains(&known), "{known} of {after}");
    assert_eq!(server.post("/v1/signals", &told(7)).await["deduplicated"], true);
    server.stop();
}

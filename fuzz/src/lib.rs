//! What workers, endpoints and tenants send, against a server in this process: whatever it is, it is taken or
//! refused with a reason, the work ends, and the records hold.
//!
//! Each function is one input of a fuzz target (`scripts/fuzz`); the test gives them `seeds/`, with which the
//! fuzzer begins as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod house;

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fleetprompt_core::signature::sign;
use serde_json::{Value, json};

use house::{House, SECRET};

/// A house is left for a new one after so many inputs: it remembers everything.
const INPUTS_MAX: usize = 500;

/// Requests of a worker, one a line: `t`, `h` or `r` for take, heartbeat or report, and a body, in which `$ID`
/// stands for an attempt that is taken.
pub fn worker(data: &[u8]) {
    in_house(|house| async move {
        let run = house.want("mail.send").await;
        let take = json!({"worker": {"name": "sound"}, "performs": ["*"], "wait": "1s"});
        let (_, taken) = house.post("/v1/attempts/take", &house.worker_key, take.to_string().into_bytes()).await;
        let id = taken["attempts"][0]["id"].as_str().unwrap_or_else(|| panic!("nothing to take: {taken}")).to_owned();
        for line in data.split(|byte| *byte == b'\n').take(8) {
            let Some((kind, body)) = line.split_first() else { continue };
            let path = match kind {
                b't' => "/v1/attempts/take",
                b'h' => "/v1/attempts/heartbeat",
                _ => "/v1/attempts/report",
            };
            let body = replaced(body, b"$ID", id.as_bytes());
            // What waits for work that does not come is left alone, as by a worker that goes.
            let asked = house.post(path, &house.worker_key, body);
            if let Ok(answer) = tokio::time::timeout(Duration::from_millis(20), asked).await {
                expect_answer(path, &answer);
            }
        }
        let outcome =
            json!({"worker": {"name": "sound"}, "outcomes": [{"id": id, "status": "succeeded", "output": {}}]});
        let told = house.post("/v1/attempts/report", &house.worker_key, outcome.to_string().into_bytes()).await;
        expect_answer("report", &told);
        house.until_ended(&run).await;
    });
}

/// What is sent to a callback: its headers as they are and then, after an empty line, the body; or, after `!`,
/// the body alone, signed as it should be.
pub fn callback(data: &[u8]) {
    in_house(|house| async move {
        house.endpoint.answers_with(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
        let run = house.want("film.render").await;
        let delivery = house.endpoint.delivery().await;
        let callback = delivery["callback"].as_str().expect("a delivery has its callback").to_owned();
        let path = format!("/v1/callbacks/{callback}");
        let answer = match data.split_first() {
            Some((b'!', body)) => house.send(&path, &signed(&callback, body), body.to_vec()).await,
            _ => {
                let (headers, body) = parts(data);
                house.send(&path, &headers, body).await
            }
        };
        expect_answer("the callback", &answer);
        let over = br#"{"status": "succeeded", "output": {}}"#;
        let told = house.send(&path, &signed(&callback, over), over.to_vec()).await;
        expect_answer("the last callback", &told);
        house.until_ended(&run).await;
    });
}

/// What an endpoint answers to a delivery, on the wire.
pub fn endpoint(data: &[u8]) {
    in_house(|house| async move {
        house.endpoint.answers_with(data);
        let run = house.want("film.render").await;
        drop(house.endpoint.delivery().await);
        house.until_ended(&run).await;
    });
}

/// The bytes of a module, which is called if it is taken.
pub fn module(data: &[u8]) {
    in_house(|house| async move {
        let added = house.post("/v1/modules", &house.key, data.to_vec()).await;
        expect_answer("module", &added);
        let Some(digest) = added.1["digest"].as_str() else { return };
        let function = |handler: Value| json!({"function": {"name": "lead.score", "handler": handler}});
        let in_module = function(json!({"type": "wasm", "module": digest}));
        assert!(house.post("/v1/functions", &house.key, in_module.to_string().into_bytes()).await.0 < 300);
        let run = house.want("lead.score").await;
        let status = house.run(&run).await["status"].clone();
        assert!(status == "completed" || status == "failed", "its run is {status}");
        let by_worker = function(json!({"type": "worker"})).to_string();
        assert!(house.post("/v1/functions", &house.key, by_worker.into_bytes()).await.0 < 300);
        assert_eq!(house.delete(&format!("/v1/modules/{digest}")).await, 200);
    });
}

/// The house that inputs come to now, and how many have.
static HOUSE: Mutex<Option<(&'static House, usize)>> = Mutex::new(None);

fn in_house<F: Future<Output = ()>>(act: impl FnOnce(&'static House) -> F) {
    let mut current = HOUSE.lock().expect("no input broke off");
    let (house, inputs) = current.take().unwrap_or_else(|| (House::build(), 0));
    house.runtime.block_on(act(house));
    if inputs + 1 < INPUTS_MAX {
        *current = Some((house, inputs + 1));
    } else {
        house.close();
    }
}

/// Taken, or refused with a reason: never an error of the server's own.
fn expect_answer(what: &str, (status, answer): &(u16, Value)) {
    let is_said = (200..300).contains(status) || (400..500).contains(status) && answer["code"].is_string();
    assert!(is_said, "{what} answered {status} {answer}");
}

type Headers = Vec<(Vec<u8>, Vec<u8>)>;

fn signed(callback: &str, body: &[u8]) -> Headers {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
    let signature = sign(SECRET, callback, &now, body).expect("the secret is one");
    let headers = [("webhook-id", callback), ("webhook-timestamp", &now), ("webhook-signature", &signature)];
    headers.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).to_vec()
}

fn parts(data: &[u8]) -> (Headers, Vec<u8>) {
    let mut headers = Vec::new();
    let mut rest = data;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { break };
        headers.push((line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec()));
    }
    (headers, rest.to_vec())
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        all.extend_from_slice(&rest[..at]);
        all.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    all.extend_from_slice(rest);
    all
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    type Target = (&'static str, fn(&[u8]));
    const TARGETS: [Target; 4] = [
        ("worker", super::worker),
        ("callback", super::callback),
        ("endpoint", super::endpoint),
        ("module", super::module),
    ];

    fn seeds(target: &str) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect()
    }

    #[test]
    fn the_seeds_and_parts_of_them_are_taken_or_refused() {
        for (name, target) in TARGETS {
            let seeds = seeds(name);
            assert!(seeds.len() > 1, "{name} has {} seeds", seeds.len());
            for seed in seeds {
                let data = std::fs::read(&seed).unwrap();
                for end in [data.len(), data.len() / 2, data.len() / 3] {
                    target(&data[..end]);
                }
            }
        }
        let (house, inputs) = super::HOUSE.lock().unwrap().take().unwrap();
        assert!(inputs > 30);
        house.close();
    }

    /// `UPDATE_SEEDS=1` compiles them.
    #[test]
    fn modules_are_what_stands_beside_them_as_text() {
        for text in seeds("module").into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "wat")) {
            let (compiled, module) = (wat::parse_file(&text).unwrap(), text.with_extension("wasm"));
            if std::env::var_os("UPDATE_SEEDS").is_some() {
                std::fs::write(&module, &compiled).unwrap();
            }
            assert_eq!(std::fs::read(&module).unwrap(), compiled, "{}", module.display());
        }
    }
}

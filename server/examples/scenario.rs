//! A worker for the scenario that the SDKs are held against (`sdk/scenario.json`).
//!
//! With `SCENARIO_LEDGER` each notification is written to that file, a line with its idempotency key, before
//! it is reported: what happened in the world, whatever became of the worker.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::OnceLock;
use std::time::Duration;

use fleetprompt_client::Client;
use fleetprompt_client::worker::{Attempt, Failed, Worker};
use fleetprompt_core::Json;
use serde_json::json;
use tokio::sync::Barrier;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let setting = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let client = Client::new(&setting("FLEETPROMPT_URL")?, Some(&setting("FLEETPROMPT_KEY")?))?;
    let worker = Worker::new(client, setting("WORKER_NAME").unwrap_or("rust".into()))
        .slots(setting("WORKER_SLOTS").ok().and_then(|slots| slots.parse().ok()).unwrap_or(4))
        .performs("scenario.echo", |attempt| async move { Ok(attempt.input.clone()) })
        .performs("scenario.fail", |attempt| async move {
            let code = attempt.input.value()["code"].as_str().unwrap_or_default().to_owned();
            Err(Failed::fatal(&code, "as asked"))
        })
        .performs("scenario.retry", retry)
        .performs("scenario.raise", raise)
        .performs("scenario.slow", slow)
        .performs("scenario.large", |attempt| async move {
            let bytes = attempt.input.value()["bytes"].as_u64().unwrap_or_default();
            Ok(json!({"text": "x".repeat(bytes as usize)}).into())
        })
        .performs("scenario.log", |attempt| async move {
            attempt.log("one");
            attempt.log("two");
            attempt.progress(json!({"done": 1}));
            Ok(json!({"ok": true}).into())
        })
        .performs("scenario.together", together)
        .performs("scenario.notify", notify);
    println!("ready");
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    worker.run(async move { _ = term.recv().await }).await?;
    Ok(())
}

async fn retry(attempt: Attempt) -> Result<Json, Failed> {
    let input = attempt.input.value();
    if u64::from(attempt.attempt) < input["succeed_at"].as_u64().unwrap_or(1) {
        let failed = Failed::retry("busy", "not yet");
        let delay = input["delay"].as_str().and_then(|delay| delay.parse::<fleetprompt_core::Span>().ok());
        return Err(match delay {
            Some(delay) => failed.after(delay.to_std()),
            None => failed,
        });
    }
    Ok(json!({"attempt": attempt.attempt}).into())
}

async fn raise(attempt: Attempt) -> Result<Json, Failed> {
    if attempt.attempt == 1 {
        return Err(std::io::Error::other("broken").into());
    }
    Ok(json!({"attempt": attempt.attempt}).into())
}

async fn slow(attempt: Attempt) -> Result<Json, Failed> {
    let millis = attempt.input.value()["ms"].as_u64().unwrap_or_default();
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(millis)) => Ok(json!({"slept": millis}).into()),
        () = attempt.canceled() => Err(Failed::canceled()),
    }
}

/// Ends when `of` attempts are being made, so that their outcomes are reported together.
async fn together(attempt: Attempt) -> Result<Json, Failed> {
    static ALL: OnceLock<Barrier> = OnceLock::new();
    let input = attempt.input.value();
    let number = |field: &str| input[field].as_u64().unwrap_or_default();
    ALL.get_or_init(|| Barrier::new(number("of") as usize)).wait().await;
    let output = json!({"number": number("number"), "delivery": attempt.delivery});
    Ok((0..number("levels")).fold(output, |inner, _| json!([inner])).into())
}

async fn notify(attempt: Attempt) -> Result<Json, Failed> {
    if let Ok(ledger) = std::env::var("SCENARIO_LEDGER") {
        let mut file = OpenOptions::new().create(true).append(true).open(ledger)?;
        file.write_all(format!("{}\n", attempt.idempotency_key).as_bytes())?;
    }
    // The moment in which it has happened and nobody has been told.
    let millis = attempt.input.value()["ms"].as_u64().unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(millis)).await;
    Ok(json!({"key": attempt.idempotency_key, "delivery": attempt.delivery}).into())
}

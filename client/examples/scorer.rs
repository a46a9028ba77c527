use fleetprompt_client::Client;
use fleetprompt_client::worker::{Attempt, Failed, Worker};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("FLEETPROMPT_URL").unwrap_or("http://127.0.0.1:7070".to_owned());
    let client = Client::new(&url, Some(&std::env::var("FLEETPROMPT_KEY")?))?;
    Worker::new(client, "scorer-1")
        .slots(20)
        .performs("lead.score", |attempt: Attempt| async move {
            attempt.log(format!("scoring for {}", attempt.idempotency_key));
            match attempt.input.value()["company"].as_str() {
                Some(company) => Ok(json!({"score": company.len()}).into()),
                None => Err(Failed::fatal("input_invalid", "there is no company")),
            }
        })
        .run(async { _ = tokio::signal::ctrl_c().await })
        .await?;
    Ok(())
}

//! What peers have in common: where they are kept, how they are installed, and the result that they give.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::http::{Answer, Fault};
use crate::load::Proof;
use crate::process::output_of;

pub fn folder(peer: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(peer)
}

/// Installs what is locked in the peer's folder, without its install scripts, which only report usage.
pub fn npm_install(peer: &str) -> anyhow::Result<()> {
    eprintln!("installing {peer} with npm");
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]).arg(folder(peer));
    output_of(&mut npm)?;
    Ok(())
}

/// The answer is the result, so it has completed; the result proves all three steps.
pub fn judge_completed(answer: &Answer<'_>) -> Result<Proof, Fault> {
    answer.expect(200)?;
    let result: Value = serde_json::from_slice(answer.body).map_err(|_| Fault::Answer("not a result"))?;
    if result["priced"]["total"].is_number() && result["checked"]["ok"] == true {
        Ok(Proof::Complete(1))
    } else {
        Err(Fault::Answer("the result is not that of three steps"))
    }
}

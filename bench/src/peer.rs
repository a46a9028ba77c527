//! What peers have in common: where they are kept, how they are installed, and the result that they give.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use crate::http::{Answer, Fault};
use crate::load::Proof;
use crate::process::output_of;

pub fn folder(peer: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(peer)
}

/// Whether each package is there, in the version that is locked. Those for other platforms are optional.
pub fn is_installed(peer: &str) -> anyhow::Result<bool> {
    let folder = folder(peer);
    let lock = read(&folder.join("package-lock.json"))?;
    let packages = lock["packages"].as_object().context("package-lock.json names no packages")?;
    // The one without a path is the peer's folder itself.
    let mut locked = packages.iter().filter(|(path, _)| !path.is_empty());
    Ok(locked.all(|(path, package)| match read(&folder.join(path).join("package.json")) {
        Ok(installed) => installed["version"] == package["version"],
        Err(_) => package["optional"] == true,
    }))
}

fn read(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))
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

//! Restate as the benchmark sees it: how to install, start and call it. `peers/restate` has its
//! configuration and the handlers that it calls.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use serde_json::json;

use crate::http::{call, write_post};
use crate::load::{Proof, Requests};
use crate::peer;
use crate::process::{free_address, output_of};
use crate::workload::{Workload, write_order};

/// The commands of both processes, and where they will listen.
pub struct Plan {
    pub server: Command,
    pub handler: Command,
    pub addresses: Addresses,
}

#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    pub ingress: SocketAddr,
    pub admin: SocketAddr,
    pub handler: SocketAddr,
}

const NAME: &str = "restate";

fn handler_binary() -> PathBuf {
    peer::folder(NAME).join("target/release/fleetprompt-bench-restate")
}

/// Installs the server from npm and builds the handlers, each at the version that is locked here.
pub fn install() -> anyhow::Result<()> {
    let folder = peer::folder(NAME);
    if !peer::is_installed(NAME)? || server_binary().is_err() {
        peer::npm_install(NAME)?;
    }
    // Cargo knows best whether they are what is here.
    eprintln!("building Restate's handlers, unless they are built");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked", "--manifest-path"]).arg(folder.join("Cargo.toml"));
    cargo.arg("--target-dir").arg(folder.join("target"));
    output_of(&mut cargo)?;
    Ok(())
}

/// The program itself, not npm's wrapper: its CPU time and memory are what we read.
fn server_binary() -> anyhow::Result<PathBuf> {
    let platform = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "linux-x64",
        ("linux", "aarch64") => "linux-arm64",
        (os, arch) => bail!("Restate is not measured on {os} {arch}"),
    };
    let package = format!("node_modules/@restatedev/restate-server-{platform}/bin/restate-server");
    let binary = peer::folder(NAME).join(package);
    ensure!(binary.exists(), "{} does not exist", binary.display());
    Ok(binary)
}

pub fn plan(data: &Path) -> anyhow::Result<Plan> {
    let addresses = Addresses { ingress: free_address()?, admin: free_address()?, handler: free_address()? };
    let node = free_address()?;
    let mut server = Command::new(server_binary()?);
    server
        .arg("--config-file")
        .arg(peer::folder(NAME).join("restate.toml"))
        .args(["--no-logo", "--listen-mode", "tcp", "--node-name", "bench", "--base-dir"])
        .arg(data)
        .current_dir(data)
        .env("RESTATE_INGRESS__BIND_ADDRESS", addresses.ingress.to_string())
        .env("RESTATE_ADMIN__BIND_ADDRESS", addresses.admin.to_string())
        .env("RESTATE_BIND_ADDRESS", node.to_string())
        .env("RESTATE_ADVERTISED_ADDRESS", format!("http://{node}"))
        .env("DO_NOT_TRACK", "1");
    let mut handler = Command::new(handler_binary());
    handler.arg(addresses.handler.to_string());
    Ok(Plan { server, handler, addresses })
}

/// Tells Restate where its handlers are.
pub async fn register(addresses: Addresses) -> anyhow::Result<()> {
    let deployment = json!({"uri": format!("http://{}", addresses.handler)});
    let (status, body) = call(addresses.admin, "POST", "/deployments", None, &deployment).await?;
    ensure!(status == 201, "Restate refused the deployment with {status}: {body}");
    let order = json!({"total": 1});
    let (status, body) =
        call(addresses.ingress, "POST", "/Bench/order", None, &order).await.context("the first call")?;
    ensure!(status == 200 && body["priced"]["total"] == 1, "the first call gave {status}: {body}");
    Ok(())
}

/// For ingest, a one-way call that is due in an hour: accepted and durable, with nothing performed
/// within the window, as a signal without a subscriber is. Due at once, the performing would take
/// half of the processor and Restate would accept about half as many.
pub fn requests(ingress: SocketAddr, workload: Workload) -> Requests {
    let path = match workload {
        Workload::W1 | Workload::W2 | Workload::W4 => "/Bench/order",
        Workload::W3 | Workload::W3Batch => "/Bench/accept/send?delay=1h",
    };
    Requests {
        address: ingress,
        write: Box::new(move |number, out| {
            let mut order = Vec::with_capacity(512);
            write_order(&mut order, number);
            write_post(out, path, None, &order);
        }),
        judge: match workload {
            Workload::W1 | Workload::W2 | Workload::W4 => Box::new(peer::judge_completed),
            Workload::W3 | Workload::W3Batch => Box::new(|answer| answer.expect(202).map(|()| Proof::Complete(1))),
        },
        ends: None,
    }
}

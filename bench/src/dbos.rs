//! DBOS as the benchmark sees it: how to install, start and call it. `peers/dbos` has the process that
//! performs its workflows.

use std::net::SocketAddr;
use std::process::Command;

use crate::http::write_post;
use crate::load::{Judge, Proof, Requests};
use crate::peer;
use crate::process::free_address;
use crate::workload::{Workload, write_order};

const NAME: &str = "dbos";

/// Installs it from npm, at the version that is locked here.
pub fn install() -> anyhow::Result<()> {
    if !peer::is_installed(NAME)? {
        peer::npm_install(NAME)?;
    }
    Ok(())
}

/// The command of its process over a database, and where it will listen.
pub fn plan(database: &str) -> anyhow::Result<(Command, SocketAddr)> {
    let address = free_address()?;
    let mut command = Command::new("node");
    command
        .arg(peer::folder(NAME).join("server.mjs"))
        .env("DATABASE_URL", database)
        .env("PORT", address.port().to_string());
    Ok((command, address))
}

/// For ingest, a durable start that is due in an hour, so that nothing is performed within the window.
pub fn requests(address: SocketAddr, workload: Workload) -> Requests {
    let (path, judge): (_, Box<Judge>) = match workload {
        Workload::W1 | Workload::W2 | Workload::W4 => ("/run", Box::new(peer::judge_completed)),
        Workload::W3 | Workload::W3Batch => {
            ("/start", Box::new(|answer| answer.expect(200).map(|()| Proof::Complete(1))))
        }
    };
    let write = move |number, out: &mut Vec<u8>| {
        let mut order = Vec::with_capacity(512);
        write_order(&mut order, number);
        write_post(out, path, None, &order);
    };
    Requests { address, write: Box::new(write), judge, ends: None }
}

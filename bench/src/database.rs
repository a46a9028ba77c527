//! A PostgreSQL server for one system under test, with the same settings for each. It syncs, which those for
//! tests do not.

use anyhow::Context;
use fleetprompt_testing::Postgres;

use crate::meter;

const SETTINGS: [&str; 6] = [
    "fsync=on",
    "full_page_writes=on",
    "shared_buffers=256MB",
    "min_wal_size=1GB",
    "max_wal_size=4GB",
    "max_connections=300",
];

/// As in a server that has run for a while, whose log goes over files that are there. In a new one some commits wait until
/// the next 16 MiB of zeros are written.
const LOG_MADE: &str = "DO $$ BEGIN FOR segment IN 1..60 LOOP
    PERFORM pg_logical_emit_message(false, 'bench', ''), pg_switch_wal();
END LOOP; END $$";

pub struct Database {
    pub address: String,
    postgres: Postgres,
    /// Of the process whose children all its other processes are.
    pid: u32,
}

impl Database {
    pub fn start() -> anyhow::Result<Self> {
        let postgres = Postgres::start_with(&SETTINGS);
        let address = postgres.database();
        postgres.ask(LOG_MADE);
        postgres.ask("CHECKPOINT");
        let pid = postgres.ask("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)");
        let pid = pid.trim().parse().context("read the id of PostgreSQL's process")?;
        Ok(Self { address, postgres, pid })
    }

    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        meter::cpu_seconds_of_family(self.pid)
    }

    /// Of tables and indexes, without the log.
    pub fn bytes(&self) -> u64 {
        self.postgres.ask("SELECT pg_database_size(current_database())").trim().parse().unwrap_or(0)
    }

    /// Does what filling it has left to be done, which would fall into a window otherwise.
    pub fn settle(&self) {
        self.postgres.ask("VACUUM ANALYZE");
        self.postgres.ask("CHECKPOINT");
    }

    /// Whether one node decides for both tenants, by one writer.
    pub fn are_of_one_partition(&self, one: &str, other: &str) -> bool {
        let partitions = format!("SELECT count(DISTINCT partition) FROM tenants WHERE slug IN ('{one}', '{other}')");
        self.postgres.ask(&partitions).trim() == "1"
    }
}

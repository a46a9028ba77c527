//! Whether the tables and indexes of the migrations are there, and the checks of PostgreSQL's extension `amcheck`, where it
//! is installed: it compares each index with its table.

use std::collections::BTreeMap;

use deadpool_postgres::Client;

use super::database::Connections;
use super::fault::{Fault, Result, told};
use super::migrations;
use crate::Integrity;

pub async fn check(connections: &Connections) -> Result<Integrity> {
    let client = connections.of_nodes.get().await?;
    // It takes as long as it takes.
    client.batch_execute("SET statement_timeout = 0").await?;
    let mut found = Integrity::default();
    let checked = run(&client, &mut found).await;
    drop(deadpool_postgres::Object::take(client));
    checked.map(|()| found)
}

async fn run(client: &Client, found: &mut Integrity) -> Result<()> {
    let there = client
        .query(
            "SELECT c.relname, coalesce(i.indisvalid AND i.indisready, true), c.relkind = 'i' OR EXISTS (
               SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p')
             FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
             WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'i')",
            &[],
        )
        .await?;
    let mut is_valid = BTreeMap::<String, (bool, bool)>::new();
    for row in &there {
        is_valid.insert(row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?));
    }
    for (kind, name) in migrations::objects() {
        match is_valid.get(name) {
            None => found.problems.push(format!("{kind} {name} is missing")),
            Some((_, false)) => found.problems.push(format!("{kind} {name} has no primary key")),
            Some((false, _)) => found.problems.push(format!("{kind} {name} is not valid: run REINDEX INDEX {name}")),
            Some((true, true)) => {}
        }
    }
    let has_amcheck = client
        .query_one(
            "SELECT coalesce(has_function_privilege(to_regprocedure('bt_index_check(regclass, boolean)'), 'EXECUTE'), false)",
            &[],
        )
        .await?;
    if !has_amcheck.try_get::<_, bool>(0)? {
        let note =
            "indexes were not compared with their tables: CREATE EXTENSION amcheck, and grant EXECUTE on its functions";
        found.notes.push(note.to_owned());
        return Ok(());
    }
    check_indexes(client, found).await
}

/// Each by itself: an error of one says nothing about the others.
async fn check_indexes(client: &Client, found: &mut Integrity) -> Result<()> {
    let indexes = client
        .query(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
             JOIN pg_am a ON a.oid = c.relam AND a.amname = 'btree'
             WHERE c.relnamespace = current_schema()::regnamespace AND c.relpersistence = 'p' AND i.indisvalid
             ORDER BY c.relname",
            &[],
        )
        .await?;
    for row in &indexes {
        let index: String = row.try_get(0)?;
        match client.execute("SELECT bt_index_check($1::text::regclass, true)", &[&index]).await {
            Ok(_) => {}
            Err(error) if error.as_db_error().is_some() => {
                found.problems.push(format!("index {index}: {}", told(&error)));
            }
            Err(error) => return Err(Fault::from(error)),
        }
    }
    Ok(())
}

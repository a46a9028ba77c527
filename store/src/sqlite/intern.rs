//! Small numbers for tenants and names, and the memory of those that are committed.
//!
//! A number made in a commit is remembered only once that commit is through: one that was rolled
//! back must not stand in any row.

use std::collections::HashMap;
use std::sync::Arc;

use fleetprompt_core::TenantId;
use parking_lot::RwLock;
use rusqlite::{Connection, OptionalExtension};

use super::fault::{Fault, Result};

#[derive(Default)]
pub struct Interned {
    names: RwLock<Names>,
    tenants: RwLock<HashMap<TenantId, i64>>,
}

#[derive(Default)]
struct Names {
    numbers: HashMap<Arc<str>, i64>,
    texts: HashMap<i64, Arc<str>>,
}

impl Names {
    /// Tenants choose names; they do not get to choose how much memory these take.
    const MAX: usize = 50_000;

    fn remember(&mut self, name: Arc<str>, no: i64) {
        if self.texts.len() >= Self::MAX {
            *self = Self::default();
        }
        self.texts.insert(no, name.clone());
        self.numbers.insert(name, no);
    }
}

impl Interned {
    pub fn load(sql: &Connection) -> Result<Self> {
        let mut tenants = HashMap::new();
        let mut statement = sql.prepare("SELECT no, id FROM tenants")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            tenants.insert(TenantId::from_bytes(row.get(1)?), row.get(0)?);
        }
        Ok(Self { names: RwLock::default(), tenants: RwLock::new(tenants) })
    }

    /// None for a tenant that was never written.
    pub fn tenant(&self, id: TenantId) -> Option<i64> {
        self.tenants.read().get(&id).copied()
    }

    /// None for a name that no row can have.
    pub fn number(&self, sql: &Connection, name: &str) -> Result<Option<i64>> {
        if let Some(no) = self.names.read().numbers.get(name) {
            return Ok(Some(*no));
        }
        let no = number_stored(sql, name)?;
        if let Some(no) = no {
            self.names.write().remember(name.into(), no);
        }
        Ok(no)
    }

    pub fn name(&self, sql: &Connection, no: i64) -> Result<Arc<str>> {
        if let Some(name) = self.names.read().texts.get(&no) {
            return Ok(name.clone());
        }
        let mut statement = sql.prepare_cached("SELECT name FROM names WHERE no = ?1")?;
        let name: Option<Arc<str>> = statement.query_row([no], |row| row.get(0)).optional()?;
        let name = name.ok_or_else(|| Fault::damaged("names", format!("number {no} is missing")))?;
        self.names.write().remember(name.clone(), no);
        Ok(name)
    }
}

fn number_stored(sql: &Connection, name: &str) -> Result<Option<i64>> {
    let mut statement = sql.prepare_cached("SELECT no FROM names WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

/// The numbers of one commit: those that are known, and those it makes.
pub struct Numbering<'a> {
    sql: &'a Connection,
    interned: &'a Interned,
    fresh: Fresh,
}

/// What a commit numbered: to be remembered once it is through.
#[derive(Default)]
pub struct Fresh {
    names: HashMap<Arc<str>, i64>,
    tenants: HashMap<TenantId, i64>,
}

impl<'a> Numbering<'a> {
    pub fn new(sql: &'a Connection, interned: &'a Interned) -> Self {
        Self { sql, interned, fresh: Fresh::default() }
    }

    pub fn tenant(&self, id: TenantId) -> Result<i64> {
        let fresh = || self.fresh.tenants.get(&id).copied();
        self.interned.tenant(id).or_else(fresh).ok_or(Fault::TenantUnknown(id))
    }

    pub fn add_tenant(&mut self, id: TenantId, no: i64) {
        self.fresh.tenants.insert(id, no);
    }

    pub fn name(&mut self, name: &str) -> Result<i64> {
        if let Some(no) = self.interned.names.read().numbers.get(name) {
            return Ok(*no);
        }
        if let Some(no) = self.fresh.names.get(name) {
            return Ok(*no);
        }
        let no = match number_stored(self.sql, name)? {
            Some(no) => no,
            None => {
                self.sql.prepare_cached("INSERT INTO names (name) VALUES (?1)")?.execute([name])?;
                self.sql.last_insert_rowid()
            }
        };
        self.fresh.names.insert(name.into(), no);
        Ok(no)
    }

    pub fn fresh(self) -> Fresh {
        self.fresh
    }
}

impl Interned {
    pub fn remember(&self, fresh: Fresh) {
        if !fresh.tenants.is_empty() {
            self.tenants.write().extend(fresh.tenants);
        }
        if !fresh.names.is_empty() {
            let mut names = self.names.write();
            for (name, no) in fresh.names {
                names.remember(name, no);
            }
        }
    }
}

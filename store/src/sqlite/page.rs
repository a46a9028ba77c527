//! One page of a list as SQL: conditions that are added one by one, then the cursor, order and limit.
//!
//! Which index answers is said here and not left to the planner, which prefers the order of the
//! clustered key and would look through a whole tenant for it: the first condition `and_found` is
//! what rows are found by, and those after it are looked at row by row.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::columns::Id;
use super::fault::Result;
use crate::{Order, Page};

pub struct Query {
    /// The listed table, and what it is called in the statement.
    table: (&'static str, &'static str),
    page: Page,
    conditions: Vec<String>,
    values: Vec<Value>,
    /// How rows are found: nothing yet, by ids, or by an index.
    found: Found,
    sql: String,
}

enum Found {
    InOrder,
    ById,
    By(&'static str),
}

impl Query {
    pub fn new(table: (&'static str, &'static str), tenant: i64, page: Page) -> Self {
        let (conditions, values) = (vec![format!("{}.tenant = ?", table.1)], vec![tenant.into()]);
        Self { table, page, conditions, values, found: Found::InOrder, sql: String::new() }
    }

    /// Rows with `column = value`, found by `index` unless an earlier condition finds them. Some
    /// indexes only hold what is `indexed`.
    pub fn and_found(
        &mut self,
        column: &str,
        value: impl Into<Value>,
        index: &'static str,
        indexed: Option<&'static str>,
    ) {
        if !matches!(self.found, Found::InOrder) {
            return self.and(column, value);
        }
        self.found = Found::By(index);
        self.and_with(&format!("{}.{column} = ?", self.table.1), vec![value.into()]);
        self.conditions.extend(indexed.map(str::to_owned));
    }

    /// Rows whose id is among those that `ids` gives, which has one `?` for each of `values`.
    pub fn and_among(&mut self, ids: &str, values: Vec<Value>) {
        debug_assert!(matches!(self.found, Found::InOrder), "rows are found one way");
        self.found = Found::ById;
        self.and_with(&format!("{}.id IN ({ids})", self.table.1), values);
    }

    /// Rows with `column = value`, looked at one by one: the `+` keeps the planner from an index.
    pub fn and(&mut self, column: &str, value: impl Into<Value>) {
        self.and_with(&format!("+{}.{column} = ?", self.table.1), vec![value.into()]);
    }

    fn and_with(&mut self, condition: &str, values: Vec<Value>) {
        self.conditions.push(condition.to_owned());
        self.values.extend(values);
    }

    /// `join` follows the listed table.
    pub fn select(mut self, columns: &str, join: &str) -> Self {
        let (table, called) = self.table;
        let (side, direction) = match self.page.order {
            Order::NewestFirst => ("<", "DESC"),
            Order::OldestFirst => (">", "ASC"),
        };
        if let Some(cursor) = self.page.cursor {
            self.and_with(&format!("{called}.id {side} ?"), vec![Id(cursor).into()]);
        }
        self.values.push(Value::Integer(i64::try_from(self.page.limit).unwrap_or(i64::MAX)));
        let index = match self.found {
            Found::By(index) => format!("INDEXED BY {index}"),
            Found::ById | Found::InOrder => String::new(),
        };
        let conditions = self.conditions.join(" AND ");
        self.sql = format!(
            "SELECT {columns} FROM {table} {called} {index} {join} WHERE {conditions} \
             ORDER BY {called}.id {direction} LIMIT ?"
        );
        self
    }

    /// How SQLite will go about it.
    #[cfg(test)]
    pub fn plan(&self, sql: &Connection) -> String {
        let mut statement = sql.prepare(&format!("EXPLAIN QUERY PLAN {}", self.sql)).expect("a statement");
        let values = params_from_iter(self.values.clone());
        let rows = statement.query_map(values, |row| row.get::<_, String>(3)).expect("a plan");
        rows.map(|row| row.expect("text")).collect::<Vec<_>>().join("\n")
    }

    pub fn rows<T>(self, sql: &Connection, mut read: impl FnMut(&Row) -> Result<T>) -> Result<Vec<T>> {
        let mut statement = sql.prepare_cached(&self.sql)?;
        let mut rows = statement.query(params_from_iter(self.values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read(row)?);
        }
        Ok(found)
    }
}

//! One page of a list as SQL: conditions that are added one by one, then the cursor, order and limit.
//!
//! Which index answers is said here and not left to the planner, which prefers the order of the
//! clustered key and would look through a whole tenant for it: the first condition `and_found` is
//! what rows are found by, and those after it are looked at row by row.
//!
//! Where any of several values will do, each is followed through the index by itself and no further
//! than the page goes, and what was found is put in order: one search over all of them would have to
//! read and sort everything that they have.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use uuid::Uuid;

use super::columns::Id;
use super::fault::Result;
use crate::filter::Budget;
use crate::{Order, Page};

pub struct Query {
    /// The listed table, and what it is called in the statement.
    table: (&'static str, &'static str),
    page: Page,
    conditions: Vec<String>,
    values: Vec<Value>,
    /// How rows are found.
    found: Found,
    sql: String,
}

enum Found {
    /// By nothing yet: in the order of their ids.
    InOrder,
    ById,
    By(&'static str),
    ByAny {
        index: &'static str,
        column: &'static str,
        values: Vec<Value>,
    },
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

    /// Rows whose `column` has one of these values, looked at one by one.
    pub fn and_any(&mut self, column: &str, values: Vec<Value>) {
        let listed = vec!["?"; values.len()].join(", ");
        self.and_with(&format!("+{}.{column} IN ({listed})", self.table.1), values);
    }

    /// Rows whose `column` has one of these values, found by `index` unless an earlier condition finds
    /// them.
    pub fn and_found_any(
        &mut self,
        column: &'static str,
        values: Vec<Value>,
        index: &'static str,
        indexed: Option<&'static str>,
    ) {
        if !matches!(self.found, Found::InOrder) {
            return self.and_any(column, values);
        }
        self.found = Found::ByAny { index, column, values };
        self.conditions.extend(indexed.map(str::to_owned));
    }

    /// Rows on that side of an id, which is where reading begins or ends.
    pub fn and_id(&mut self, side: &str, id: Uuid) {
        self.and_with(&format!("{}.id {side} ?", self.table.1), vec![Id(id).into()]);
    }

    /// Rows of which this holds, looked at one by one: it must not let the planner use an index.
    pub fn and_that(&mut self, condition: &str, values: Vec<Value>) {
        self.and_with(condition, values);
    }

    fn and_with(&mut self, condition: &str, values: Vec<Value>) {
        self.conditions.push(condition.to_owned());
        self.values.extend(values);
    }

    /// `join` follows the listed table; no condition may be about what it joins.
    pub fn select(mut self, columns: &str, join: &str) -> Self {
        let (table, called) = self.table;
        let (side, direction) = match self.page.order {
            Order::NewestFirst => ("<", "DESC"),
            Order::OldestFirst => (">", "ASC"),
        };
        if let Some(cursor) = self.page.cursor {
            self.and_id(side, cursor);
        }
        let in_order = format!("ORDER BY {called}.id {direction} LIMIT ?");
        let found = std::mem::replace(&mut self.found, Found::InOrder);
        let index = match found {
            Found::By(index) => format!("INDEXED BY {index}"),
            Found::ById | Found::InOrder => String::new(),
            Found::ByAny { index, column, values } => {
                self.follow_each(index, column, values, &in_order);
                String::new()
            }
        };
        self.values.push(self.limit());
        let conditions = self.conditions.join(" AND ");
        self.sql = format!("SELECT {columns} FROM {table} {called} {index} {join} WHERE {conditions} {in_order}");
        self
    }

    /// Everything that was asked becomes a question about each of the values.
    fn follow_each(&mut self, index: &str, column: &str, wanted: Vec<Value>, in_order: &str) {
        let (table, called) = self.table;
        let conditions = self.conditions.join(" AND ");
        let one = format!(
            "SELECT id FROM (SELECT {called}.id FROM {table} {called} INDEXED BY {index} \
             WHERE {called}.{column} = ? AND {conditions} {in_order})"
        );
        let all = vec![one; wanted.len()].join(" UNION ALL ");
        let asked = std::mem::take(&mut self.values);
        // The tenant is what every list begins with.
        let mut values = vec![asked[0].clone()];
        for value in wanted {
            values.push(value);
            values.extend(asked.iter().cloned());
            values.push(self.limit());
        }
        self.conditions = vec![format!("{called}.tenant = ?"), format!("{called}.id IN ({all})")];
        self.values = values;
    }

    fn limit(&self) -> Value {
        Value::Integer(i64::try_from(self.page.limit).unwrap_or(i64::MAX))
    }

    /// How SQLite will go about it.
    #[cfg(test)]
    pub fn plan(&self, sql: &Connection) -> String {
        let mut statement = sql.prepare(&format!("EXPLAIN QUERY PLAN {}", self.sql)).expect("a statement");
        let values = params_from_iter(self.values.clone());
        let rows = statement.query_map(values, |row| row.get::<_, String>(3)).expect("a plan");
        rows.map(|row| row.expect("text")).collect::<Vec<_>>().join("\n")
    }

    /// `documents` are the columns whose bytes the page counts.
    pub fn rows<T>(
        self,
        sql: &Connection,
        documents: &[usize],
        mut read: impl FnMut(&Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = sql.prepare_cached(&self.sql)?;
        let mut rows = statement.query(params_from_iter(self.values))?;
        let (mut found, mut budget) = (Vec::new(), Budget::new(self.page));
        while let Some(row) = rows.next()? {
            found.push(read(row)?);
            if budget.ends_with(bytes(row, documents)?) {
                break;
            }
        }
        Ok(found)
    }
}

/// Number of bytes in these columns of a row.
pub fn bytes(row: &Row, documents: &[usize]) -> Result<usize> {
    let mut bytes = 0;
    for column in documents {
        bytes += row.get_ref(*column)?.as_bytes_or_null().ok().flatten().map_or(0, <[u8]>::len);
    }
    Ok(bytes)
}

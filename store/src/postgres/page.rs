//! One page of a list as SQL: conditions that are added one by one, then the cursor, order and limit.
//!
//! Where any of several values will do, each is followed through its index by itself and no further than the
//! page goes: one search over all of them would have to read and sort everything that they have.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::View;
use super::fault::Result;
use crate::{Order, Page};

type Value = Box<dyn ToSql + Sync + Send>;

pub struct Query {
    /// The listed table, and what it is called in the statement.
    table: (&'static str, &'static str),
    page: Page,
    conditions: Vec<String>,
    values: Vec<Value>,
    /// A column that has one of the values at these places.
    any: Option<(&'static str, Vec<String>)>,
    sql: String,
}

impl Query {
    pub fn new(table: (&'static str, &'static str), tenant: Uuid, page: Page) -> Self {
        let conditions = vec![format!("{}.tenant_id = $1", table.1)];
        Self { table, page, conditions, values: vec![Box::new(tenant)], any: None, sql: String::new() }
    }

    /// The place of a value in the statement: `$7`.
    pub fn bind(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.values.push(Box::new(value));
        format!("${}", self.values.len())
    }

    pub fn and(&mut self, column: &str, value: impl ToSql + Sync + Send + 'static) {
        let place = self.bind(value);
        self.and_that(format!("{}.{column} = {place}", self.table.1));
    }

    pub fn and_any(&mut self, column: &'static str, values: impl IntoIterator<Item = &'static str>) {
        let places = values.into_iter().map(|value| self.bind(value)).collect();
        self.any = Some((column, places));
    }

    pub fn and_any_of(&mut self, column: &'static str, values: Vec<String>) {
        let places = values.into_iter().map(|value| self.bind(value)).collect();
        self.any = Some((column, places));
    }

    pub fn and_that(&mut self, condition: String) {
        self.conditions.push(condition);
    }

    /// `join` follows the listed table; no condition may be about what it joins. `documents` are the columns whose bytes
    /// the page counts.
    pub fn select(mut self, columns: &str, join: &str, documents: &[&str]) -> Self {
        let (table, called) = self.table;
        let (side, direction) = match self.page.order {
            Order::NewestFirst => ("<", "DESC"),
            Order::OldestFirst => (">", "ASC"),
        };
        if let Some(cursor) = self.page.cursor {
            let cursor = self.bind(cursor);
            self.and_that(format!("{called}.id {side} {cursor}"));
        }
        let limit = self.bind(i64::try_from(self.page.limit).unwrap_or(i64::MAX));
        let in_order = format!("ORDER BY {called}.id {direction} LIMIT {limit}");
        let mut conditions = self.conditions.join(" AND ");
        if let Some((column, places)) = &self.any {
            let one = |place: &String| {
                format!(
                    "(SELECT {called}.id FROM {table} {called} WHERE {called}.{column} = {place} AND {conditions} {in_order})"
                )
            };
            let all: Vec<String> = places.iter().map(one).collect();
            conditions = format!("{called}.tenant_id = $1 AND {called}.id IN ({})", all.join(" UNION ALL "));
        }
        let weight = weight(documents);
        self.sql = format!("SELECT {columns}, {weight} FROM {table} {called} {join} WHERE {conditions} {in_order}");
        if let Some(bytes) = bytes_max(self.page) {
            let bytes = self.bind(bytes);
            self.sql = within(&self.sql, "id", direction, &bytes);
        }
        self
    }

    pub async fn rows<T>(self, view: &View<'_>, read: impl FnMut(&Row) -> Result<T>) -> Result<Vec<T>> {
        let values: Vec<&(dyn ToSql + Sync)> =
            self.values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
        view.rows(&self.sql, &values, read).await
    }
}

/// What the documents in these columns weigh, of which the database knows the length without reading them.
pub fn weight(documents: &[&str]) -> String {
    let lengths = documents.iter().map(|column| format!("coalesce(octet_length({column}), 0)"));
    format!("({})::bigint AS weight", lengths.collect::<Vec<_>>().join(" + "))
}

/// The limit of a page that has one.
pub fn bytes_max(page: Page) -> Option<i64> {
    (page.bytes != usize::MAX).then(|| i64::try_from(page.bytes).unwrap_or(i64::MAX))
}

/// A page, in the order of its `key`, that ends with the row that takes it beyond `bytes`. What is behind that row never
/// leaves the database.
pub fn within(page: &str, key: &str, direction: &str, bytes: &str) -> String {
    format!(
        "SELECT * FROM (
           SELECT p.*, (sum(p.weight) OVER (ORDER BY p.{key} {direction} ROWS UNBOUNDED PRECEDING) - p.weight)::bigint AS weight_before
           FROM ({page}) p
         ) q WHERE q.weight_before <= {bytes} ORDER BY q.{key} {direction}"
    )
}

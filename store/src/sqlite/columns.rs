//! How single values stand in columns, and how they are read back.

use std::str::FromStr;
use std::sync::Arc;

use fleetprompt_core::{DirectiveId, Failure, Json, Lineage, Party, RecordId, RunId, SignalId, Timestamp};
use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Value, ValueRef};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::fault::{Fault, Result};
use crate::rows::End;

/// The 16 bytes of an id.
#[derive(Clone, Copy)]
pub struct Id(pub Uuid);

impl ToSql for Id {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_bytes())))
    }
}

impl FromSql for Id {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Uuid::from_slice(value.as_blob()?).map(Self).map_err(FromSqlError::other)
    }
}

/// The id of a record of any kind: one byte for the kind, then its 16.
pub struct AnyId([u8; 17]);

impl AnyId {
    pub fn of(id: RecordId) -> Self {
        let kind = match id {
            RecordId::Signal(_) => b's',
            RecordId::Directive(_) => b'd',
            RecordId::Run(_) => b'r',
        };
        let mut bytes = [kind; 17];
        bytes[1..].copy_from_slice(id.uuid().as_bytes());
        Self(bytes)
    }

    fn read(bytes: &[u8]) -> Option<RecordId> {
        let (kind, rest) = bytes.split_first()?;
        let id = Uuid::from_slice(rest).ok()?;
        match kind {
            b's' => Some(SignalId(id).into()),
            b'd' => Some(DirectiveId(id).into()),
            b'r' => Some(RunId(id).into()),
            _ => None,
        }
    }
}

impl ToSql for AnyId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0)))
    }
}

/// A correlation: most are the id of the record that the group began with.
pub enum Correlation<'a> {
    Record(AnyId),
    Text(&'a str),
}

impl From<Id> for Value {
    fn from(Id(id): Id) -> Self {
        Value::Blob(id.as_bytes().to_vec())
    }
}

impl<'a> Correlation<'a> {
    pub fn of(text: &'a str) -> Self {
        match text.parse::<RecordId>() {
            Ok(id) => Self::Record(AnyId::of(id)),
            Err(_) => Self::Text(text),
        }
    }

    pub fn value(&self) -> Value {
        match self {
            Self::Record(AnyId(bytes)) => Value::Blob(bytes.to_vec()),
            Self::Text(text) => Value::Text((*text).to_owned()),
        }
    }
}

impl ToSql for Correlation<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Record(id) => id.to_sql(),
            Self::Text(text) => text.to_sql(),
        }
    }
}

pub fn correlation(row: &Row, column: usize) -> Result<Arc<str>> {
    match row.get_ref(column)? {
        ValueRef::Blob(bytes) => {
            let id = AnyId::read(bytes).ok_or_else(|| Fault::damaged("a correlation", "not a record's id"))?;
            Ok(id.to_string().into())
        }
        other => Ok(other.as_str().map_err(|why| Fault::damaged("a correlation", why))?.into()),
    }
}

pub fn any_id(row: &Row, column: usize) -> Result<Option<RecordId>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        ValueRef::Blob(bytes) => {
            let id = AnyId::read(bytes).ok_or_else(|| Fault::damaged("a causation", "not a record's id"))?;
            Ok(Some(id))
        }
        _ => Err(Fault::damaged("a causation", "not a record's id")),
    }
}

/// Three columns from `first`: correlation, causation, depth.
pub fn lineage(row: &Row, first: usize) -> Result<Lineage> {
    Ok(Lineage {
        correlation_id: correlation(row, first)?,
        causation_id: any_id(row, first + 1)?,
        depth: row.get(first + 2)?,
    })
}

/// Two columns from `first`: type and id.
pub fn party(row: &Row, first: usize) -> Result<Option<Party>> {
    let kind: Option<String> = row.get(first)?;
    let id: Option<String> = row.get(first + 1)?;
    Ok(kind.zip(id).map(|(kind, id)| Party { kind, id }))
}

pub fn party_parts(party: Option<&Party>) -> (Option<&str>, Option<&str>) {
    (party.map(|party| party.kind.as_str()), party.map(|party| party.id.as_str()))
}

pub fn time(row: &Row, column: usize) -> Result<Timestamp> {
    Ok(Timestamp(row.get(column)?))
}

pub fn time_if_any(row: &Row, column: usize) -> Result<Option<Timestamp>> {
    let micros: Option<i64> = row.get(column)?;
    Ok(micros.map(Timestamp))
}

pub fn micros(time: Option<Timestamp>) -> Option<i64> {
    time.map(|time| time.0)
}

pub fn id(row: &Row, column: usize) -> Result<Uuid> {
    let Id(id) = row.get(column)?;
    Ok(id)
}

pub fn id_if_any(row: &Row, column: usize) -> Result<Option<Uuid>> {
    let id: Option<Id> = row.get(column)?;
    Ok(id.map(|Id(id)| id))
}

pub fn json(row: &Row, column: usize) -> Result<Json> {
    Json::from_stored(row.get(column)?).map_err(|why| Fault::damaged("a document", why))
}

pub fn json_if_any(row: &Row, column: usize) -> Result<Option<Json>> {
    let text: Option<String> = row.get(column)?;
    text.map(Json::from_stored).transpose().map_err(|why| Fault::damaged("a document", why))
}

/// A name, a slug: text that was valid when it was written.
pub fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|why| Fault::damaged("a name", why))
}

/// One of the words of `all`.
pub fn word<T: Copy>(row: &Row, column: usize, all: &[T], as_str: fn(T) -> &'static str) -> Result<T> {
    let text = row.get_ref(column)?.as_str().map_err(|why| Fault::damaged("a word", why))?;
    let known = all.iter().copied().find(|known| as_str(*known) == text);
    known.ok_or_else(|| Fault::damaged("a word", format!("`{text}` is unknown")))
}

/// The output and the failure in the payload at `column`, if there is one.
pub fn end(row: &Row, column: usize) -> Result<(Option<Json>, Option<Failure>)> {
    let end: End = record(row, column)?.unwrap_or_default();
    Ok((end.output, end.error))
}

/// The record in the payload at `column`, if there is one.
pub fn record<T: DeserializeOwned>(row: &Row, column: usize) -> Result<Option<T>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        text => {
            let text = text.as_str().map_err(|why| Fault::damaged("a record", why))?;
            serde_json::from_str(text).map(Some).map_err(|why| Fault::damaged("a record", why))
        }
    }
}

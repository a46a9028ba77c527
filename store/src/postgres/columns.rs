//! How single values stand in columns, and how they are read back.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

use fleetprompt_core::{Failure, Json, Lineage, Party, RecordId, Timestamp};
use serde::de::DeserializeOwned;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use super::fault::{Fault, Result};
use crate::rows::End;

/// PostgreSQL's text holds every character but the first of all, which callers may send: it is written in two
/// others, and so is the one that says so.
pub fn text(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte <= 1) {
        Cow::Owned(text.replace('\u{1}', "\u{1}1").replace('\0', "\u{1}0"))
    } else {
        Cow::Borrowed(text)
    }
}

fn untext(text: String) -> String {
    if text.contains('\u{1}') { text.replace("\u{1}0", "\0").replace("\u{1}1", "\u{1}") } else { text }
}

pub fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T> {
    Ok(row.try_get(column)?)
}

/// Of what `text` wrote.
pub fn string(row: &Row, column: usize) -> Result<String> {
    Ok(untext(get(row, column)?))
}

pub fn string_if_any(row: &Row, column: usize) -> Result<Option<String>> {
    let text: Option<String> = get(row, column)?;
    Ok(text.map(untext))
}

pub fn number<T: TryFrom<i64>>(row: &Row, column: usize) -> Result<T> {
    let number: i64 = get(row, column)?;
    T::try_from(number).map_err(|_| Fault::damaged("a number", format!("{number} is too large")))
}

pub fn number_if_any<T: TryFrom<i64>>(row: &Row, column: usize) -> Result<Option<T>> {
    let is_there: Option<i64> = get(row, column)?;
    is_there.map(|_| number(row, column)).transpose()
}

pub fn any_id(row: &Row, column: usize) -> Result<Option<RecordId>> {
    let text: Option<&str> = get(row, column)?;
    text.map(|text| text.parse().map_err(|why| Fault::damaged("a causation", why))).transpose()
}

/// Three columns from `first`: correlation, causation, depth.
pub fn lineage(row: &Row, first: usize) -> Result<Lineage> {
    Ok(Lineage {
        correlation_id: string(row, first)?.into(),
        causation_id: any_id(row, first + 1)?,
        depth: number(row, first + 2)?,
    })
}

/// Two columns from `first`: type and id.
pub fn party(row: &Row, first: usize) -> Result<Option<Party>> {
    let (kind, id) = (string_if_any(row, first)?, string_if_any(row, first + 1)?);
    Ok(kind.zip(id).map(|(kind, id)| Party { kind, id }))
}

pub fn time(row: &Row, column: usize) -> Result<Timestamp> {
    Ok(Timestamp(get(row, column)?))
}

pub fn time_if_any(row: &Row, column: usize) -> Result<Option<Timestamp>> {
    let micros: Option<i64> = get(row, column)?;
    Ok(micros.map(Timestamp))
}

pub fn micros(time: Option<Timestamp>) -> Option<i64> {
    time.map(|time| time.0)
}

pub fn id(row: &Row, column: usize) -> Result<Uuid> {
    get(row, column)
}

pub fn id_if_any(row: &Row, column: usize) -> Result<Option<Uuid>> {
    get(row, column)
}

pub fn json(row: &Row, column: usize) -> Result<Json> {
    Json::from_stored(get(row, column)?).map_err(|why| Fault::damaged("a document", why))
}

pub fn json_if_any(row: &Row, column: usize) -> Result<Option<Json>> {
    let text: Option<String> = get(row, column)?;
    text.map(Json::from_stored).transpose().map_err(|why| Fault::damaged("a document", why))
}

/// A name, a slug: text that was valid when it was written.
pub fn parsed<T: FromStr<Err: std::fmt::Display>>(row: &Row, column: usize) -> Result<T> {
    let text: &str = get(row, column)?;
    text.parse().map_err(|why| Fault::damaged("a name", why))
}

/// One of the words of `all`.
pub fn word<T: Copy>(row: &Row, column: usize, all: &[T], as_str: fn(T) -> &'static str) -> Result<T> {
    let text: &str = get(row, column)?;
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
    let text: Option<&str> = get(row, column)?;
    text.map(serde_json::from_str).transpose().map_err(|why| Fault::damaged("a record", why))
}

pub fn shared(row: &Row, column: usize) -> Result<Arc<str>> {
    Ok(string(row, column)?.into())
}

/// Bytes of the text at `column`; 0 when there is none.
pub fn text_len(row: &Row, column: usize) -> Result<usize> {
    let text: Option<&str> = get(row, column)?;
    Ok(text.map_or(0, str::len))
}

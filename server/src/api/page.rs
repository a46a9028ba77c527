//! Lists by page: how many, and where to go on. A cursor is the id of the last record that was seen.

use std::fmt::Display;
use std::str::FromStr;

use fleetprompt_client::wire::Page;

use super::Problem;

const LIMIT_MAX: usize = 1_000;
const LIMIT_DEFAULT: usize = 50;

/// Registered things are few: a caller that does not ask for pages gets them all, within reason.
const LIMIT_DEFAULT_REGISTERED: usize = LIMIT_MAX;

pub fn limit(given: Option<usize>) -> Result<usize, Problem> {
    checked(given.unwrap_or(LIMIT_DEFAULT))
}

fn checked(limit: usize) -> Result<usize, Problem> {
    if (1..=LIMIT_MAX).contains(&limit) {
        Ok(limit)
    } else {
        Err(Problem::invalid_request(format!("the query: `limit` is {limit}; it may be 1 to {LIMIT_MAX}")))
    }
}

pub fn cursor<T: FromStr<Err: Display>>(given: Option<&str>) -> Result<Option<T>, Problem> {
    let refused = |error: T::Err| {
        Problem::invalid_request(format!("the query: `cursor` must be a `next_cursor` of this list: {error}"))
    };
    given.map(str::parse).transpose().map_err(refused)
}

/// Of records that were read with one more than the limit, so that it is known whether more follow.
pub fn of<T, W>(mut records: Vec<T>, limit: usize, id: impl Fn(&T) -> String, view: impl Fn(T) -> W) -> Page<W> {
    let more = records.len() > limit;
    records.truncate(limit);
    let next_cursor = records.last().filter(|_| more).map(id);
    Page { items: records.into_iter().map(view).collect(), next_cursor }
}

/// Of what is held in memory, in the order of its keys.
pub fn of_registered<'a, T>(
    sorted: impl Iterator<Item = (&'a str, T)>,
    given_limit: Option<usize>,
    cursor: Option<&str>,
) -> Result<(Vec<T>, Option<String>), Problem> {
    let limit = checked(given_limit.unwrap_or(LIMIT_DEFAULT_REGISTERED))?;
    let mut rest = sorted.filter(|(key, _)| cursor.is_none_or(|cursor| *key > cursor));
    let mut items = Vec::new();
    let mut last = None;
    for (key, item) in rest.by_ref().take(limit) {
        last = Some(key);
        items.push(item);
    }
    let more = rest.next().is_some();
    Ok((items, last.filter(|_| more).map(str::to_owned)))
}

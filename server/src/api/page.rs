//! Pages of lists. A page is limited by its items and by its bytes, while it is read and while it is written, so that
//! what a caller has stored cannot decide how much memory a response takes. A cursor is the id of the last record that
//! was seen.

use std::fmt::Display;
use std::str::FromStr;

use fleetprompt_client::wire::Page;
use fleetprompt_core::RecordId;
use fleetprompt_store::Page as StorePage;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Problem;

/// Bytes of a response with a page. Only a single item that has more by itself exceeds it.
pub const BYTES_MAX: usize = 4 << 20;
/// Bytes of the items, which leaves room for what is around them.
pub const ITEMS_BYTES_MAX: usize = BYTES_MAX - (16 << 10);

const LIMIT_MAX: usize = 1_000;
const LIMIT_DEFAULT: usize = 50;

/// Registered things are few: a caller that does not ask for pages gets them all, within reason.
const LIMIT_DEFAULT_REGISTERED: usize = LIMIT_MAX;

/// A page whose items are JSON already.
pub type Written = Page<Box<RawValue>>;

pub fn limit(given: Option<usize>) -> Result<usize, Problem> {
    checked(given.unwrap_or(LIMIT_DEFAULT))
}

pub fn limit_registered(given: Option<usize>) -> Result<usize, Problem> {
    checked(given.unwrap_or(LIMIT_DEFAULT_REGISTERED))
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

/// The items of one response, in JSON.
pub struct Items {
    items: Vec<Box<RawValue>>,
    bytes: usize,
    bytes_max: usize,
}

impl Items {
    pub fn new(bytes_max: usize) -> Self {
        Self { items: Vec::new(), bytes: 0, bytes_max }
    }

    /// Adds an item. Returns `false` if there is no room for it: the page ends before it. The first one always fits.
    pub fn push(&mut self, item: &impl Serialize) -> Result<bool, Problem> {
        let item = written(item)?;
        let bytes = self.bytes + item.get().len() + 1;
        if bytes > self.bytes_max && !self.items.is_empty() {
            return Ok(false);
        }
        self.bytes = bytes;
        self.items.push(item);
        Ok(true)
    }

    pub fn page(self, next_cursor: Option<String>) -> Written {
        Page { items: self.items, next_cursor }
    }
}

pub fn written(item: &impl Serialize) -> Result<Box<RawValue>, Problem> {
    serde_json::value::to_raw_value(item).map_err(|error| Problem::internal("write the answer", &error))
}

/// Bytes of something as JSON.
pub fn bytes_of(item: &impl Serialize) -> Result<usize, Problem> {
    Ok(written(item)?.get().len())
}

/// How a list is read from the store.
pub struct Reading<L, I> {
    /// Its limit is that of the response.
    pub page: StorePage,
    pub bytes_max: usize,
    pub list: L,
    pub id: I,
}

impl<L, I> Reading<L, I> {
    pub fn new<T>(page: StorePage, list: L, id: I) -> Self
    where
        L: Fn(StorePage) -> Result<Vec<T>, Problem>,
        I: Fn(&T) -> RecordId,
    {
        Self { page, bytes_max: ITEMS_BYTES_MAX, list, id }
    }

    /// Leaves room for what else is in the response.
    pub fn beside(mut self, bytes: usize) -> Self {
        self.bytes_max = self.bytes_max.saturating_sub(bytes);
        self
    }

    /// Reads a page and writes its items. `view` shows a record, or `None` for one that is left out.
    pub fn read<T, W: Serialize>(
        self,
        mut view: impl FnMut(T) -> Result<Option<W>, Problem>,
    ) -> Result<Written, Problem>
    where
        L: Fn(StorePage) -> Result<Vec<T>, Problem>,
        I: Fn(&T) -> RecordId,
    {
        let Self { page, bytes_max, list, id } = self;
        // One more than the limit, so that it is known whether more follow.
        let records = list(StorePage { limit: page.limit + 1, ..page }.within(bytes_max))?;
        let (mut items, mut last, mut more) = (Items::new(bytes_max), None, records.len() > page.limit);
        for record in records.into_iter().take(page.limit) {
            let record_id = id(&record);
            if let Some(item) = view(record)?
                && !items.push(&item)?
            {
                more = true;
                break;
            }
            last = Some(record_id);
        }
        // The store may have ended the page by bytes that the response does not show: logs of an attempt, for example.
        if let Some(last) = last.filter(|_| !more) {
            let next = StorePage { cursor: Some(last.uuid()), limit: 1, ..page }.within(0);
            more = !list(next)?.is_empty();
        }
        Ok(items.page(last.filter(|_| more).map(|last| last.to_string())))
    }
}

/// Pages of records that are small, and were read with one more than the limit.
pub fn of<T, W>(mut records: Vec<T>, limit: usize, id: impl Fn(&T) -> String, view: impl FnMut(T) -> W) -> Page<W> {
    let more = records.len() > limit;
    records.truncate(limit);
    let next_cursor = records.last().filter(|_| more).map(id);
    Page { items: records.into_iter().map(view).collect(), next_cursor }
}

/// Pages of what is held in memory, in the order of its keys.
pub fn of_registered<'a, T, W: Serialize>(
    sorted: impl Iterator<Item = (&'a str, T)>,
    given_limit: Option<usize>,
    cursor: Option<&str>,
    mut view: impl FnMut(T) -> Result<W, Problem>,
) -> Result<Written, Problem> {
    let limit = limit_registered(given_limit)?;
    let mut rest = sorted.filter(|(key, _)| cursor.is_none_or(|cursor| *key > cursor));
    let (mut items, mut last, mut more) = (Items::new(ITEMS_BYTES_MAX), None, false);
    for (key, item) in rest.by_ref().take(limit) {
        if !items.push(&view(item)?)? {
            more = true;
            break;
        }
        last = Some(key);
    }
    more = more || rest.next().is_some();
    Ok(items.page(last.filter(|_| more).map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_before_the_item_that_does_not_fit() {
        let mut items = Items::new(100);
        assert!(items.push(&"x".repeat(500)).expect("written"), "the first one always fits");
        assert!(!items.push(&"x").expect("written"));
        let mut items = Items::new(100);
        assert!(items.push(&"x".repeat(60)).expect("written"));
        assert!(items.push(&"x".repeat(30)).expect("written"));
        assert!(!items.push(&"x".repeat(30)).expect("written"));
        assert_eq!(items.page(None).items.len(), 2);
    }

    #[test]
    fn what_is_registered_goes_on_behind_a_page_that_was_cut_short() {
        let large: Vec<(String, String)> = (0..9).map(|n| (format!("k{n}"), "x".repeat(1 << 20))).collect();
        let (mut cursor, mut pages, mut found) = (None, 0, 0);
        loop {
            let sorted = large.iter().map(|(key, value)| (key.as_str(), value));
            let page = of_registered(sorted, None, cursor.as_deref(), Ok).expect("a page");
            assert!(serde_json::to_string(&page).expect("JSON").len() <= BYTES_MAX);
            (pages, found, cursor) = (pages + 1, found + page.items.len(), page.next_cursor);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!((pages, found), (3, 9));
    }
}

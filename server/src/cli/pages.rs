//! Lists that come in pages: as many items as were asked for, or all.

use clap::Args;
use fleetprompt_client::wire::Page;
use fleetprompt_client::{Error, PageQuery};

#[derive(Debug, Clone, Args)]
pub struct Limit {
    /// How many to show at most
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,

    /// Show all there are
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
}

impl Limit {
    const PAGE: u32 = 100;

    pub async fn take<T>(&self, fetch: impl AsyncFn(PageQuery) -> Result<Page<T>, Error>) -> Result<Vec<T>, Error> {
        let most = if self.all { usize::MAX } else { self.limit as usize };
        let mut items = Vec::new();
        let mut cursor = None;
        loop {
            let missing = u32::try_from(most - items.len()).unwrap_or(u32::MAX);
            let page = fetch(PageQuery { limit: Some(missing.min(Self::PAGE)), cursor }).await?;
            items.extend(page.items);
            items.truncate(most);
            cursor = page.next_cursor;
            if cursor.is_none() || items.len() >= most {
                return Ok(items);
            }
        }
    }
}

/// For lists that are short by nature.
pub async fn all<T>(fetch: impl AsyncFn(PageQuery) -> Result<Page<T>, Error>) -> Result<Vec<T>, Error> {
    Limit { limit: 0, all: true }.take(fetch).await
}

//! A typed method for each endpoint, noun then verb.
//!
//! `call` sends and tries again where that is safe, `sse` reads event streams, `tail` keeps one open
//! over reconnects; the other files hold the endpoints. Nothing here knows about terminals.

mod call;
mod directives;
mod error;
mod health;
mod nodes;
mod operations;
mod people;
mod query;
mod runs;
mod schedules;
mod signals;
mod sse;
mod tail;
mod workers;
mod workflows;

use std::sync::Once;
use std::time::Duration;

use reqwest::Url;

pub use error::Error;
pub use operations::Callback;
pub use query::{DirectiveQuery, InputQuery, ItemQuery, PageQuery, RunQuery, SignalQuery};
pub use runs::RunHistory;
pub use signals::Replayed;

/// One server, and the key to speak to it with. Cloning shares the connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    key: Option<String>,
}

/// How long one answer may take, but for the streams.
const ANSWER_MAX: Duration = Duration::from_secs(60);
const CONNECT_MAX: Duration = Duration::from_secs(5);

impl Client {
    /// `url` is where the server listens, `http://127.0.0.1:7070`, with a path when a proxy adds one.
    /// Without a key only what needs none is answered.
    pub fn new(url: &str, key: Option<&str>) -> Result<Self, Error> {
        let base = base_of(url)?;
        let key = key.map(checked_key).transpose()?;
        install_tls();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("fleetprompt/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_MAX);
        if base.scheme() == "http" {
            // No certificate will be looked at: do not spend milliseconds to load them all.
            builder = builder.tls_certs_only([]);
        }
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| Error::Unexpected {
            doing: "make the HTTP client".to_owned(),
            why: error::chain(&error),
        })?;
        Ok(Self { http, base, key })
    }

    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// `segments` stand after the base, each escaped.
    fn endpoint(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("`base_of` lets only http and https through").pop_if_empty().extend(segments);
        url
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("url", &self.url()).finish_non_exhaustive()
    }
}

fn base_of(text: &str) -> Result<Url, Error> {
    let invalid = || Error::InvalidUrl(text.chars().take(200).collect());
    let url = Url::parse(text).map_err(|_| invalid())?;
    let is_http = matches!(url.scheme(), "http" | "https");
    if is_http && url.has_host() && url.query().is_none() { Ok(url) } else { Err(invalid()) }
}

fn checked_key(key: &str) -> Result<String, Error> {
    let is_plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain { Ok(key.to_owned()) } else { Err(Error::InvalidKey) }
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        None => false,
    }
}

/// Every TLS connection of the process needs a provider, and it can be chosen once.
fn install_tls() {
    static INSTALL: Once = Once::new();
    // An error says that the program chose one before: that one is as good.
    INSTALL.call_once(|| _ = rustls::crypto::ring::default_provider().install_default());
}

#[cfg(test)]
mod tests;

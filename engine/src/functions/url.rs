//! `url.*`: addresses, read and never fetched.

use std::collections::BTreeMap;

use serde_json::json;
use url::Url;

use super::field::{Kind, invalid, need};
use super::{Example, Function};

pub static PARSE: Function = Function {
    name: "url.parse",
    summary: "The parts of an absolute address. A user name or password in it is left out.",
    input: &[need("text", Kind::Text, "like `https://example.com/a?b=c`, at most 8 KiB")],
    output: "{scheme, host, port, path, query, fragment}; of repeated query fields the last counts",
    example: Example {
        input: r#"{"text": "https://Example.com/a%20b?x=1&y=two+words#top"}"#,
        output: r#"{"scheme": "https", "host": "example.com", "port": 443, "path": "/a%20b",
                   "query": {"x": "1", "y": "two words"}, "fragment": "top"}"#,
    },
    call: |input| {
        let text = input.text("text");
        if text.len() > 8 << 10 {
            return Err(invalid("`text` may have at most 8 KiB"));
        }
        let url = Url::parse(text).map_err(|error| invalid(format!("`text` is not an absolute address: {error}")))?;
        let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        Ok(json!({
            "scheme": url.scheme(), "host": url.host_str(), "port": url.port_or_known_default(), "path": url.path(),
            "query": query, "fragment": url.fragment(),
        }))
    },
};

//! How a request and the parts of an answer are written, that pass from one node to another: the length of a head, the
//! head as JSON, and the body as it is.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};

use crate::api::{Elsewhere, PassedOn};

#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    Request {
        method: String,
        uri: String,
        headers: Headers,
        by: Option<PassedOn>,
    },
    /// Whoever had asked under this id does not wait any more.
    Leave(u128),
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Said {
    /// Of the first part alone.
    pub head: Option<Head>,
    pub is_last: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Head {
    pub status: u16,
    pub headers: Headers,
    pub elsewhere: Option<Elsewhere>,
}

/// Each value as its bytes, one a character: they need not be text.
pub type Headers = Vec<(String, String)>;

/// What is for this way alone, or would be wrong on the next, and the secret.
const DROPPED: [HeaderName; 5] =
    [header::AUTHORIZATION, header::CONNECTION, header::TRANSFER_ENCODING, header::HOST, header::DATE];

pub fn written(headers: &HeaderMap) -> Headers {
    let kept = headers.iter().filter(|(name, _)| !DROPPED.contains(name));
    kept.map(|(name, value)| {
        (name.as_str().to_owned(), value.as_bytes().iter().map(|byte| char::from(*byte)).collect())
    })
    .collect()
}

pub fn headers_of(written: Headers) -> HeaderMap {
    let read = |(name, value): (String, String)| {
        let bytes: Vec<u8> = value.chars().map(u8::try_from).collect::<Result<_, _>>().ok()?;
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(bytes).ok()?))
    };
    written.into_iter().filter_map(read).collect()
}

pub fn write(head: &impl Serialize, body: &[u8]) -> Vec<u8> {
    let head = serde_json::to_vec(head).expect("it is strings and numbers");
    let length = u32::try_from(head.len()).expect("heads are short");
    [&length.to_be_bytes(), &head[..], body].concat()
}

pub fn read<T: for<'a> Deserialize<'a>>(message: Vec<u8>) -> Option<(T, Bytes)> {
    let length = u32::from_be_bytes(message.get(..4)?.try_into().ok()?) as usize;
    let head = serde_json::from_slice(message.get(4..4 + length)?).ok()?;
    Some((head, Bytes::from(message).slice(4 + length..)))
}

//! Reading what was sent: bounded in bytes, time and depth before anything looks inside.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use fleetprompt_core::document::Format;
use fleetprompt_core::{Json, json};
use fleetprompt_engine::modules;
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::{Api, Problem};

/// A payload of 1 MiB and what stands around it.
pub const ONE_BYTES_MAX: usize = (1 << 20) + (1 << 17);
pub const MANY_BYTES_MAX: usize = 10 << 20;
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// A payload may use all of core's levels, inside of one object.
const LEVELS_MAX: usize = Json::DEPTH_MAX + 1;
const TIME_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    Json,
    Ndjson,
    Yaml,
    Wasm,
}

/// A JSON body.
pub struct Sent<T>(pub T);

/// A JSON body that may be left out.
pub struct SentOrNot<T>(pub T);

/// A definition as a person wrote it.
pub struct Document {
    pub text: String,
    pub format: Format,
}

impl<T: DeserializeOwned> FromRequest<Api> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Api) -> Result<Self, Problem> {
        let bytes = json_bytes(request).await?;
        parse(text(&bytes)?).map(Self)
    }
}

impl<T: DeserializeOwned + Default> FromRequest<Api> for SentOrNot<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Api) -> Result<Self, Problem> {
        let (headers, body) = taken_apart(request);
        let bytes = read(&headers, body, ONE_BYTES_MAX).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(T::default()));
        }
        media(&headers, &[Media::Json])?;
        parse(text(&bytes)?).map(Self)
    }
}

impl FromRequest<Api> for Document {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Api) -> Result<Self, Problem> {
        let (headers, body) = taken_apart(request);
        let media = media(&headers, &[Media::Json, Media::Yaml])?;
        let bytes = read(&headers, body, DOCUMENT_BYTES_MAX).await?;
        let text = text(&bytes)?.to_owned();
        let format = match media {
            Some(Media::Yaml) => Format::Yaml,
            None => Format::of_text(&text),
            Some(_) => Format::Json,
        };
        Ok(Self { text, format })
    }
}

/// A module of WebAssembly.
pub struct SentModule(pub Bytes);

impl FromRequest<Api> for SentModule {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Api) -> Result<Self, Problem> {
        let (headers, body) = taken_apart(request);
        media(&headers, &[Media::Wasm])?;
        read(&headers, body, modules::BYTES_MAX).await.map(Self)
    }
}

async fn json_bytes(request: Request) -> Result<Bytes, Problem> {
    let (headers, body) = taken_apart(request);
    media(&headers, &[Media::Json])?;
    read(&headers, body, ONE_BYTES_MAX).await
}

fn taken_apart(request: Request) -> (HeaderMap, Body) {
    let (parts, body) = request.into_parts();
    (parts.headers, body)
}

/// What the content type says; none when there is none, which is taken for JSON.
pub fn media(headers: &HeaderMap, accepted: &[Media]) -> Result<Option<Media>, Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(None) };
    let given = value.to_str().unwrap_or("?");
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let media = match essence.as_str() {
        "application/json" => Some(Media::Json),
        "application/x-ndjson" | "application/ndjson" => Some(Media::Ndjson),
        "application/wasm" => Some(Media::Wasm),
        "application/yaml" | "application/x-yaml" | "text/yaml" => Some(Media::Yaml),
        _ => None,
    };
    match media.filter(|media| accepted.contains(media)) {
        Some(media) => Ok(Some(media)),
        None => Err(Problem::unsupported_media_type(given, &names(accepted))),
    }
}

fn names(accepted: &[Media]) -> String {
    let name = |media: &Media| match media {
        Media::Json => "`application/json`",
        Media::Ndjson => "`application/x-ndjson`",
        Media::Yaml => "`application/yaml`",
        Media::Wasm => "`application/wasm`",
    };
    accepted.iter().map(name).collect::<Vec<_>>().join(" or ")
}

pub async fn read(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let told = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|bytes| bytes > bytes_max) {
        drain(body.into_data_stream()).await;
        return Err(Problem::body_too_large(bytes_max));
    }
    let whole = tokio::time::timeout(TIME_MAX, collected(body, bytes_max)).await;
    whole.unwrap_or_else(|_| Err(Problem::body_late(TIME_MAX)))
}

/// A body that comes in one piece, as nearly all do, is not copied.
async fn collected(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut pieces = body.into_data_stream();
    let Some(first) = pieces.next().await else { return Ok(Bytes::new()) };
    let first = within(first.map_err(Problem::body_broken)?, bytes_max)?;
    let Some(second) = pieces.next().await else { return Ok(first) };
    let mut whole = first.to_vec();
    let mut piece = second;
    loop {
        let bytes = piece.map_err(Problem::body_broken)?;
        if whole.len() + bytes.len() > bytes_max {
            drain(pieces).await;
            return Err(Problem::body_too_large(bytes_max));
        }
        whole.extend_from_slice(&bytes);
        match pieces.next().await {
            Some(next) => piece = next,
            None => return Ok(whole.into()),
        }
    }
}

/// Reads on what is refused, within reason: who is in the middle of sending would not see the answer.
async fn drain(mut pieces: BodyDataStream) {
    const BYTES_MAX: usize = 32 << 20;
    const TIME_MAX: Duration = Duration::from_secs(5);
    let drained = async {
        let mut bytes = 0;
        while let Some(Ok(piece)) = pieces.next().await {
            bytes += piece.len();
            if bytes > BYTES_MAX {
                return;
            }
        }
    };
    drop(tokio::time::timeout(TIME_MAX, drained).await);
}

fn within(bytes: Bytes, bytes_max: usize) -> Result<Bytes, Problem> {
    if bytes.len() > bytes_max { Err(Problem::body_too_large(bytes_max)) } else { Ok(bytes) }
}

pub fn text(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| Problem::not_utf8(error.valid_up_to()))
}

/// Reads one JSON text. Only when that fails is it read again, to learn which field was wrong.
pub fn parse<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, Problem> {
    if json::depth(text) > LEVELS_MAX {
        return Err(Problem::too_deep(LEVELS_MAX));
    }
    serde_json::from_str(text).map_err(|error| explained::<T>(text, error))
}

fn explained<'t, T: Deserialize<'t>>(text: &'t str, error: serde_json::Error) -> Problem {
    if matches!(error.classify(), Category::Syntax | Category::Eof) {
        return Problem::malformed_json(error);
    }
    let reader = &mut serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(reader) {
        Err(error) if error.path().iter().next().is_some() => {
            Problem::invalid_request(format!("`{}`: {}", error.path(), error.inner()))
        }
        _ => Problem::invalid_request(error.to_string()),
    }
}

//! Reading what was sent: bounded in bytes, time and depth before anything looks inside.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::BytesMut;
use fleetprompt_core::document::{self, Format};
use fleetprompt_core::json::{InvalidJson, StrictJson};
use fleetprompt_core::{Json, TenantId, json};
use fleetprompt_engine::memory::{self, RequestMemory, Reservation};
use fleetprompt_engine::modules;
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;

use super::{Api, Problem};

/// A payload of 1 MiB and what stands around it.
pub const ONE_BYTES_MAX: usize = (1 << 20) + (1 << 17);
pub const MANY_BYTES_MAX: usize = 10 << 20;
pub const DOCUMENT_BYTES_MAX: usize = document::BYTES_MAX;
/// A payload may use all of core's levels, inside of one object.
const LEVELS_MAX: usize = Json::DEPTH_MAX + 1;
const TIME_MAX: Duration = Duration::from_secs(60);
/// How often a body is in memory at once: as it was sent or is written into the response, as the text of the records that
/// are made of it, as their parsed values, and on its way to the disk.
const COPIES: usize = 4;
const GROWN_AT_ONCE: usize = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    Json,
    Ndjson,
    Yaml,
    Wasm,
}

/// A JSON body.
pub struct Sent<T>(pub T);

/// A JSON body that may be left out, or be `null`.
pub struct SentOrNot<T>(pub T);

/// A definition as a person wrote it.
pub struct Document {
    pub text: String,
    pub format: Format,
}

impl<T: DeserializeOwned> FromRequest<Api> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        media(request.headers(), &[Media::Json])?;
        let bytes = read(api, tenant_of(&request), request, ONE_BYTES_MAX).await?;
        parse(text(&bytes)?).map(Self)
    }
}

impl<T: DeserializeOwned + Default> FromRequest<Api> for SentOrNot<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let media = media(request.headers(), &[Media::Json]);
        let bytes = read(api, tenant_of(&request), request, ONE_BYTES_MAX).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(T::default()));
        }
        media?;
        parse::<Option<T>>(text(&bytes)?).map(|sent| Self(sent.unwrap_or_default()))
    }
}

impl FromRequest<Api> for Document {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let media = media(request.headers(), &[Media::Json, Media::Yaml])?;
        let bytes = read(api, tenant_of(&request), request, DOCUMENT_BYTES_MAX).await?;
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

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        media(request.headers(), &[Media::Wasm])?;
        read(api, tenant_of(&request), request, modules::BYTES_MAX).await.map(Self)
    }
}

/// The tenant whose key the request has, once that was looked at.
#[derive(Debug, Clone, Copy)]
pub struct Authenticated(pub TenantId);

fn tenant_of(request: &Request) -> Option<TenantId> {
    request.extensions().get::<Authenticated>().map(|Authenticated(tenant)| *tenant)
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

/// Reads a body whose memory belongs to the request, until its response is written.
pub(crate) async fn read(
    api: &Api,
    tenant: Option<TenantId>,
    request: Request,
    bytes_max: usize,
) -> Result<Bytes, Problem> {
    let (parts, body) = request.into_parts();
    let (bytes, reserved) = read_reserved(api.engine().memory(), tenant, &parts.headers, body, bytes_max).await?;
    memory::hold(reserved);
    Ok(bytes)
}

/// Reads a body, for which memory is set aside before: as much as it says that it has, or else as it arrives. Callers that
/// are not known have to send what they say.
pub async fn read_reserved(
    memory: &Arc<RequestMemory>,
    tenant: Option<TenantId>,
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<(Bytes, Reservation), Problem> {
    check_encoding(headers)?;
    let told = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let is_too_large = told.is_some_and(|bytes| bytes > bytes_max);
    let told = told.filter(|_| tenant.is_some());
    let reserved = match told {
        _ if is_too_large => Err(Problem::body_too_large(bytes_max)),
        told => memory.reserve(tenant, told.unwrap_or(0) * COPIES).map_err(Problem::from),
    };
    let mut pieces = body.into_data_stream();
    let read = match reserved {
        Ok(reserved) => {
            let whole = Whole { reserved, told, bytes: BytesMut::new() };
            let read = tokio::time::timeout(TIME_MAX, whole.read(&mut pieces, bytes_max)).await;
            read.unwrap_or_else(|_| Err(Problem::body_late(TIME_MAX)))
        }
        Err(problem) => Err(problem),
    };
    // A client that waits to be told to go on has sent nothing that would have to be read.
    if read.as_ref().is_err_and(Problem::is_of_size) && !headers.contains_key(header::EXPECT) {
        drain(pieces).await;
    }
    read
}

/// Bodies are read as they are: what is compressed would be taken for something else.
fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get_all(header::CONTENT_ENCODING).iter().map(|value| value.to_str().unwrap_or("?"));
    let mut codings = given.flat_map(|value| value.split(',')).map(str::trim).filter(|coding| !coding.is_empty());
    match codings.find(|coding| !coding.eq_ignore_ascii_case("identity")) {
        Some(coding) => Err(Problem::unsupported_encoding(coding)),
        None => Ok(()),
    }
}

/// A body that is being read.
struct Whole {
    reserved: Reservation,
    told: Option<usize>,
    bytes: BytesMut,
}

impl Whole {
    /// A body that comes in one piece, as nearly all do, is not copied.
    async fn read(mut self, pieces: &mut BodyDataStream, bytes_max: usize) -> Result<(Bytes, Reservation), Problem> {
        let mut only = Bytes::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(Problem::body_broken)?;
            let length = only.len() + self.bytes.len() + piece.len();
            if length > bytes_max {
                return Err(Problem::body_too_large(bytes_max));
            }
            let missing = (length * COPIES).saturating_sub(self.reserved.bytes());
            if missing > 0 {
                // Not for each of many small pieces.
                self.reserved.grow(missing.max(GROWN_AT_ONCE))?;
            }
            if only.is_empty() && self.bytes.is_empty() {
                only = piece;
                continue;
            }
            self.bytes.reserve(self.told.unwrap_or(length).max(length) - self.bytes.len());
            self.bytes.extend_from_slice(&std::mem::take(&mut only));
            self.bytes.extend_from_slice(&piece);
        }
        let whole = if self.bytes.is_empty() { only } else { self.bytes.freeze() };
        // Requests that wait for long, like those of workers, hold no more than they need.
        self.reserved.shrink_to(whole.len() * COPIES);
        let parsed = memory::parsed_bytes(&whole);
        if parsed > 0 {
            self.reserved.grow(parsed)?;
        }
        Ok((whole, self.reserved))
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

pub fn text(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| Problem::not_utf8(error.valid_up_to()))
}

/// Reads one JSON text, in which no object may have a key twice.
pub fn parse<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, Problem> {
    match json::check(text, LEVELS_MAX) {
        Ok(()) => read_json(text),
        Err(InvalidJson::TooDeep { max }) => Err(Problem::too_deep(max)),
        Err(invalid) => Err(Problem::invalid_request(format!("the body cannot be accepted: {invalid}"))),
    }
}

/// Reads one JSON text whose parts are checked when they are read. Only if that fails is it read again, to learn which
/// field was wrong.
pub fn read_json<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, Problem> {
    T::deserialize(StrictJson(text)).map_err(|error| explained::<T>(text, error))
}

fn explained<'t, T: Deserialize<'t>>(text: &'t str, error: serde_json::Error) -> Problem {
    if matches!(error.classify(), Category::Syntax | Category::Eof) {
        // A place in a part of the text is none that the caller knows.
        return Problem::malformed_json(serde_json::from_str::<Value>(text).err().unwrap_or(error));
    }
    match serde_path_to_error::deserialize::<_, T>(StrictJson(text)) {
        Err(error) if error.path().iter().next().is_some() => {
            Problem::invalid_request(format!("`{}`: {}", error.path(), without_place(error.inner())))
        }
        _ => Problem::invalid_request(without_place(&error)),
    }
}

fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).map_or(message.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::pin;

    use axum::http::HeaderValue;
    use futures_util::FutureExt;
    use futures_util::stream::{self, StreamExt};
    use uuid::Uuid;

    use super::*;

    /// A body of which so many bytes arrive, and then nothing for ever.
    fn stalled(bytes: usize) -> Body {
        let arrived = Bytes::from(vec![b'x'; bytes]);
        Body::from_stream(stream::iter([Ok::<_, Infallible>(arrived)]).chain(stream::pending()))
    }

    #[tokio::test]
    async fn callers_without_a_key_take_memory_for_what_they_send_and_not_for_what_they_announce() {
        let memory = Arc::new(RequestMemory::new(32 << 20, Arc::default()));
        let headers = HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from(ONE_BYTES_MAX))]);
        let tenant = Some(TenantId(Uuid::from_u128(1)));
        for (tenant, expected) in [(None, GROWN_AT_ONCE), (tenant, ONE_BYTES_MAX * COPIES)] {
            let mut read = pin!(read_reserved(&memory, tenant, &headers, stalled(100), ONE_BYTES_MAX));
            assert!(read.as_mut().now_or_never().is_none(), "the rest has not arrived");
            assert_eq!(memory.used(), expected, "{tenant:?}");
        }
        assert_eq!(memory.used(), 0);
    }
}

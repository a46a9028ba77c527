//! A stream of signals that survives its connection: it comes back with `Last-Event-ID`, so that
//! nothing is missed and nothing comes twice.

use std::collections::VecDeque;
use std::time::Duration;

use fleetprompt_core::SignalId;
use futures_util::{Stream, stream};
use reqwest::header::ACCEPT;
use reqwest::{Method, Response, Url};

use super::call::{accepted, unexpected};
use super::sse::{Event, Parser};
use super::{ANSWER_MAX, Client, Error};
use crate::wire::Signal;

/// The server says something at least every 15 seconds; silence for this long is a dead connection.
const SILENCE_MAX: Duration = Duration::from_secs(45);
const DELAY_FIRST: Duration = Duration::from_millis(200);
const DELAY_MAX: Duration = Duration::from_secs(10);
/// About a minute of a server that is gone, once it was there.
const FAILURES_MAX: u32 = 10;

pub(super) fn tail(client: Client, url: Url, after: Option<SignalId>) -> impl Stream<Item = Result<Signal, Error>> {
    let last_id = after.map(|id| id.to_string());
    let tail = Tail {
        client,
        url,
        last_id,
        connection: None,
        ready: VecDeque::new(),
        failures: 0,
        was_connected: false,
        ended: false,
    };
    stream::unfold(tail, |mut tail| async move { tail.next().await.map(|item| (item, tail)) })
}

struct Tail {
    client: Client,
    url: Url,
    last_id: Option<String>,
    connection: Option<(Response, Parser)>,
    ready: VecDeque<Event>,
    /// In a row, without an event in between.
    failures: u32,
    was_connected: bool,
    ended: bool,
}

impl Tail {
    async fn next(&mut self) -> Option<Result<Signal, Error>> {
        while !self.ended {
            if let Some(event) = self.ready.pop_front() {
                match self.signal(event) {
                    Some(item) => return Some(item),
                    None => continue,
                }
            }
            if let Err(error) = self.advance().await {
                self.ended = true;
                return Some(Err(error));
            }
        }
        None
    }

    /// One connection made, one chunk read, or one wait after a failure.
    async fn advance(&mut self) -> Result<(), Error> {
        match self.connection.take() {
            None => match self.connect().await {
                Ok(response) => {
                    self.was_connected = true;
                    self.connection = Some((response, Parser::default()));
                    Ok(())
                }
                Err(error) => self.wait_after(error).await,
            },
            Some((response, parser)) => self.read(response, parser).await,
        }
    }

    async fn connect(&self) -> Result<Response, Error> {
        let request = self.client.request(Method::GET, self.url.clone()).header(ACCEPT, "text/event-stream");
        let request = match &self.last_id {
            Some(id) => request.header("Last-Event-ID", id),
            None => request,
        };
        let late = |_| Error::Connection { url: self.client.url().to_owned(), reason: "no answer in time".to_owned() };
        let sent = tokio::time::timeout(ANSWER_MAX, request.send()).await.map_err(late)?;
        accepted(self.client.arrived(sent)?).await
    }

    async fn read(&mut self, mut response: Response, mut parser: Parser) -> Result<(), Error> {
        match tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
            Ok(Ok(Some(bytes))) => {
                let too_long = |_| unexpected("read the event stream", "a line of it has no end".to_owned());
                self.ready.extend(parser.push(&bytes).map_err(too_long)?);
                self.failures = 0;
                self.connection = Some((response, parser));
                Ok(())
            }
            // Ended, broken or silent: come back.
            Ok(Ok(None) | Err(_)) | Err(_) => {
                let reason = "the event stream broke off".to_owned();
                self.wait_after(Error::Connection { url: self.client.url().to_owned(), reason }).await
            }
        }
    }

    /// A server that was never there, or that refuses, is told at once.
    async fn wait_after(&mut self, error: Error) -> Result<(), Error> {
        let is_passing = match &error {
            Error::Connection { .. } => true,
            Error::Refused(problem) => matches!(problem.status, 429 | 500..=599),
            Error::InvalidUrl(_) | Error::InvalidKey | Error::Unexpected { .. } => false,
        };
        self.failures += 1;
        if !is_passing || !self.was_connected || self.failures > FAILURES_MAX {
            return Err(error);
        }
        let delay = DELAY_FIRST * 2u32.pow(self.failures.min(10) - 1);
        tokio::time::sleep(delay.min(DELAY_MAX)).await;
        Ok(())
    }

    fn signal(&mut self, event: Event) -> Option<Result<Signal, Error>> {
        match event.name.as_str() {
            "signal" => {
                self.last_id = event.id;
                let read = serde_json::from_str(&event.data);
                Some(read.map_err(|error| unexpected("read a signal of the event stream", error.to_string())))
            }
            "end" => {
                self.ended = true;
                None
            }
            _ => None,
        }
    }
}

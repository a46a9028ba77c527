//! Endpoints of signals.

use fleetprompt_core::{Name, SignalId};
use futures_util::Stream;
use serde::{Deserialize, Serialize};

use super::call::Repeat;
use super::query::add;
use super::tail::tail;
use super::{Client, Error, SignalQuery};
use crate::wire::{Disposition, EmitSignal, Emitted, EmittedMany, Page, Signal, SignalDetail, Why};

/// What became of a signal that was offered again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replayed {
    pub dispositions: Vec<Disposition>,
}

impl Client {
    pub async fn signal_emit(&self, signal: &EmitSignal) -> Result<Emitted, Error> {
        self.post(self.endpoint(&["v1", "signals"]), signal, repeat_of(signal)).await
    }

    /// At most 1,000 in one call; each is taken or refused by itself.
    pub async fn signal_emit_many(&self, signals: &[EmitSignal]) -> Result<EmittedMany, Error> {
        let mut lines = Vec::new();
        for signal in signals {
            serde_json::to_writer(&mut lines, signal).expect("a signal has string keys and finite numbers");
            lines.push(b'\n');
        }
        let all_safe = signals.iter().all(|signal| repeat_of(signal) == Repeat::Safe);
        self.emit_lines(lines, if all_safe { Repeat::Safe } else { Repeat::Never }).await
    }

    /// NDJSON as it was found: the server reads each line, and answers for each that is not empty.
    pub async fn signal_emit_ndjson(&self, lines: Vec<u8>) -> Result<EmittedMany, Error> {
        self.emit_lines(lines, Repeat::Never).await
    }

    async fn emit_lines(&self, lines: Vec<u8>, repeat: Repeat) -> Result<EmittedMany, Error> {
        self.post_bytes(self.endpoint(&["v1", "signals"]), lines, "application/x-ndjson", repeat).await
    }

    /// Newest first.
    pub async fn signal_list(&self, query: &SignalQuery) -> Result<Page<Signal>, Error> {
        let mut url = self.endpoint(&["v1", "signals"]);
        query.write(&mut url);
        self.get(url).await
    }

    pub async fn signal_get(&self, id: SignalId) -> Result<SignalDetail, Error> {
        self.get(self.endpoint(&["v1", "signals", &id.to_string()])).await
    }

    /// Routes the signal again: the runs it started already are the runs it leads to.
    pub async fn signal_replay(&self, id: SignalId) -> Result<Replayed, Error> {
        let url = self.endpoint(&["v1", "signals", &id.to_string(), "replay"]);
        self.post_bytes(url, Vec::new(), super::call::JSON, Repeat::Safe).await
    }

    /// Signals as they are recorded, from now or after `after`. It reconnects by itself, where it
    /// left off, and ends only with an error.
    pub fn signal_tail(
        &self,
        name: Option<&Name>,
        after: Option<SignalId>,
    ) -> impl Stream<Item = Result<Signal, Error>> + use<> {
        let mut url = self.endpoint(&["v1", "signals", "tail"]);
        add(&mut url, "name", &name);
        tail(self.clone(), url, after)
    }

    pub async fn signal_why(&self, id: SignalId) -> Result<Why, Error> {
        self.get(self.endpoint(&["v1", "signals", &id.to_string(), "why"])).await
    }
}

fn repeat_of(signal: &EmitSignal) -> Repeat {
    let is_deduplicated = signal.dedupe_key.is_some() || signal.source_event_id.is_some();
    if is_deduplicated { Repeat::Safe } else { Repeat::Never }
}

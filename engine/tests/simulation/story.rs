//! What happened in a world, in short lines for people; nothing is written unless somebody will read it.

use std::collections::BTreeMap;

use fleetprompt_core::Signal;
use uuid::Uuid;

#[derive(Default)]
pub struct Story {
    lines: Option<Vec<String>>,
    /// Ids are long, and all begin alike.
    names: BTreeMap<Uuid, String>,
}

impl Story {
    pub fn new(told: bool) -> Self {
        Self { lines: told.then(Vec::new), names: BTreeMap::new() }
    }

    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.lines.is_some() {
            let line = self.shortened(&line());
            self.lines.iter_mut().for_each(|lines| lines.push(line.clone()));
        }
    }

    pub fn signal(&mut self, signal: &Signal) {
        self.tell(|| {
            let payload = signal.payload.value();
            let of = |field: &str| payload.get(field).and_then(|value| value.as_str()).map(|text| format!(" {text}"));
            let item = payload.get("item").map(|item| format!("[{item}]")).unwrap_or_default();
            let what = of("step").or_else(|| of("directive")).or_else(|| of("workflow")).unwrap_or_default();
            let why = of("reason").unwrap_or_default();
            let error = payload.get("error").map(|error| format!(" {}", error["code"])).unwrap_or_default();
            let due = of("due_at").map(|due| format!(" due{due}")).unwrap_or_default();
            let run = signal.run_id.map(|run| format!(" of {run}")).unwrap_or_default();
            let directive = signal.directive_id.map(|id| format!(" {id}")).unwrap_or_default();
            format!("      {} {}{what}{item}{directive}{run}{error}{due}{why}", signal.id, signal.name)
        });
    }

    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }

    /// `run_01h455vb4pex5vsknk084sn02q` as `run_7`: the seventh that was told of.
    fn shortened(&mut self, line: &str) -> String {
        const LETTERS: usize = 26;
        let mut short = String::with_capacity(line.len());
        let mut rest = line;
        while let Some(at) = rest.find('_') {
            let (before, after) = rest.split_at(at + 1);
            short.push_str(before);
            rest = after;
            let digits = rest.bytes().take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit()).count();
            if digits == LETTERS
                && let Ok(id) = format!("sig_{}", &rest[..LETTERS]).parse::<fleetprompt_core::SignalId>()
            {
                let next = self.names.len() + 1;
                short.push_str(self.names.entry(id.0).or_insert_with(|| next.to_string()));
                rest = &rest[LETTERS..];
            }
        }
        short.push_str(rest);
        short
    }
}

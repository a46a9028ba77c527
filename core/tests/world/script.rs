//! What a script may say, a line each.

use std::sync::Arc;

use fleetprompt_core::run::{Answer, Effect, Illegal, Input, Queue};
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Failure, Json};
use serde_json::json;

use super::{World, broken, busy, signal, somebody};

impl World {
    /// Of time: `due`, `wait 5s`. Of the run: `begin`, `cancel`, `cancel undo`, `pause`, `resume`, `retry`,
    /// `compensate`, `retry a b`, `reissue a`. Of a place: how it ends, `a ok`, `a ok {"x": 1}`, `a busy`, `a broken`, and
    /// `a refused` when its directive may not be requested; what it hears, `a hears order.paid {"x": 1}`, `a
    /// answer 1`, `a report 1`, `a lost`, `a beat`, `a granted`; what is done by hand, `a skip`, `a complete 1`,
    /// and `a child_retried`.
    pub fn play(&mut self, line: &str) {
        self.try_play(line).unwrap_or_else(|illegal| panic!("`{line}`: {illegal}\n{}", self.timeline()));
    }

    pub fn try_play(&mut self, line: &str) -> Result<Vec<Effect>, Illegal> {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        let (by, reason) = (somebody(), "because".to_owned());
        match words[..] {
            ["wait", span] => {
                self.wait(span);
                Ok(Vec::new())
            }
            ["due"] => {
                self.moment.advance(self.run.wake_at().expect("something is due some day"));
                self.tell(Input::Due)
            }
            ["begin"] => self.tell(Input::Begin),
            ["cancel"] => self.tell(Input::Cancel { by, reason, compensate: false }),
            ["cancel", "undo"] => self.tell(Input::Cancel { by, reason, compensate: true }),
            ["compensate"] => self.tell(Input::Compensate { by, reason }),
            ["pause"] => self.tell(Input::Pause { by, reason }),
            ["resume"] => self.tell(Input::Resume { by, reason }),
            ["retry" | "reissue", ..] => {
                let from = words[1..].iter().flat_map(|words| words.split(' ')).map(|step| self.index(step)).collect();
                self.tell(Input::Retry { by, reason, from, reissue: words[0] == "reissue", undone: Vec::new() })
            }
            [name, what] => self.play_at(name, what, None),
            [name, what, value] => self.play_at(name, what, Some(value)),
            _ => panic!("the world does not understand `{line}`"),
        }
    }

    fn play_at(&mut self, name: &str, what: &str, value: Option<&str>) -> Result<Vec<Effect>, Illegal> {
        let place = self.place(name);
        let (by, reason) = (somebody(), "because".to_owned());
        let given = |value: Option<&str>| Json::parse(value.unwrap_or("{}")).expect("JSON");
        let answered = |answer| Input::Answered { place, by: somebody(), answer };
        match what {
            "ok" => self.end(name, Ok(given(value))),
            "busy" => self.end(name, Err(busy())),
            "broken" => self.end(name, Err(broken())),
            "refused" => {
                let directive = self.at(name).directive_id.expect("it was requested");
                let result = Err(Failure::fatal("unknown_directive", "nobody registered it"));
                self.tell(Input::Settled { place, directive, by: None, result, reused: None })
            }
            "hears" => {
                let value = value.expect("the signal's name");
                let (wanted, payload) = value.split_once(' ').unwrap_or((value, "{}"));
                let name = ["order.paid", "order.refunded"].into_iter().find(|known| *known == wanted);
                let name = name.expect("a signal that the world knows");
                let payload = serde_json::from_str(payload).expect("JSON");
                let heard = signal(&mut self.moment, name, payload);
                self.heard.insert(heard.id);
                self.tell(Input::Event { place, signal: Arc::new(heard) })
            }
            "answer" => self.tell(answered(Answer::Input { value: given(value), role: Role::Member })),
            "answer_as_admin" => self.tell(answered(Answer::Input { value: given(value), role: Role::Admin })),
            "report" => self.tell(answered(Answer::Report(Ok(given(value))))),
            "lost" => self.tell(answered(Answer::Report(Err(broken())))),
            "beat" => self.tell(answered(Answer::Heartbeat)),
            "granted" => self.tell(Input::Granted { place }),
            "skip" => self.tell(Input::Skip { place, by, role: Role::Operator, reason }),
            "complete" => self.tell(Input::Complete { place, by, role: Role::Operator, reason, output: given(value) }),
            "skip_as_admin" => self.tell(Input::Skip { place, by, role: Role::Admin, reason }),
            "complete_as_admin" => {
                self.tell(Input::Complete { place, by, role: Role::Admin, reason, output: given(value) })
            }
            "child_retried" => {
                let run = self.child(name);
                self.tell(Input::ChildRetried { place, run, by, undone: Vec::new() })
            }
            other => panic!("the world does not understand `{name} {other}`"),
        }
    }

    /// The last run that a place waited for.
    pub fn child(&self, name: &str) -> fleetprompt_core::RunId {
        let place = self.place(name);
        let step = self.workflow.steps[place.index()].id.as_str();
        let of_place = self.log.iter().rev().map(|signal| signal.payload.value()).filter(|payload| {
            payload["step"] == step && payload["item"] == place.item.map_or(json!(null), |item| json!(item))
        });
        let mut runs = of_place.filter_map(|payload| payload["waiting"]["run_id"].as_str());
        runs.next().expect("it waited for a run").parse().expect("a run's id")
    }

    pub fn queue_again(&mut self, queue: Queue) -> Result<Vec<Effect>, Illegal> {
        self.tell(Input::Queue(queue))
    }
}

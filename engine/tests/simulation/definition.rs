//! Random workflows, from the whole language. Most are valid; which are is for the reader to say.
//!
//! Facts have levels, and so have workflows: what one of them emits or starts lies above it. So
//! nothing goes round in circles, and a world stays small.

use serde_json::{Map, Value, json};

use crate::chance::Chance;

/// Where a world has a database that cannot hold everything, it cannot hold this.
pub const UNSTORABLE: &str = "inexpressible";

/// What signals say; all expressions read one of these.
pub fn payload(chance: &mut Chance) -> Value {
    if chance.one_in(25) {
        return json!({});
    }
    let list: Vec<usize> = (0..chance.below(5)).collect();
    json!({
        "k": chance.weighed(&[(30, "a"), (30, "b"), (1, UNSTORABLE)]),
        "n": chance.below(4),
        "yes": !chance.one_in(4),
        "list": list,
        "span": chance.pick(&["3s", "20s"]),
    })
}

pub const WORDS: [&str; 2] = ["word.x", "word.y"];
pub const LEVELS: usize = 3;

pub fn fact(level: usize) -> String {
    format!("fact.level{level}")
}

pub fn slug(level: usize) -> String {
    format!("w{level}")
}

/// One workflow; those above it, up to `levels`, are there.
pub fn workflow(chance: &mut Chance, level: usize, levels: usize, version: &str) -> Value {
    let mut maker = Maker { chance, level, levels, followed: Vec::new() };
    let (steps, transitions) = maker.steps();
    let mut workflow = Map::new();
    workflow.insert("name".into(), slug(level).into());
    workflow.insert("version".into(), version.into());
    workflow.insert("steps".into(), steps.into());
    if let Some(transitions) = transitions {
        workflow.insert("transitions".into(), transitions.into());
    }
    maker.about_the_whole(&mut workflow);
    json!({"workflow": workflow})
}

struct Maker<'a> {
    chance: &'a mut Chance,
    level: usize,
    levels: usize,
    /// For each step whether a transition takes up its failure.
    followed: Vec<bool>,
}

type Fields = Map<String, Value>;

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Chain,
    Needs,
    Transitions,
}

impl Maker<'_> {
    fn about_the_whole(&mut self, workflow: &mut Fields) {
        let chance = &mut *self.chance;
        let mut put = |field: &str, value: Value| _ = workflow.insert(field.into(), value);
        if !chance.one_in(10) {
            let mut signals = vec![fact(chance.between(0, self.level))];
            signals.extend((self.level > 0 && chance.one_in(4)).then(|| fact(chance.below(self.level))));
            signals.dedup();
            let mut trigger = json!({"signals": signals});
            if chance.one_in(5) {
                trigger["when"] = json!("${signal.payload.n < 3}");
            }
            put("trigger", trigger);
        }
        if chance.one_in(5) {
            put("timeout", chance.pick(&["40s", "5m"]).into());
        }
        match chance.below(4) {
            0 | 1 => put("on_error", "compensate".into()),
            2 => put("on_error", "park".into()),
            _ => {}
        }
        if chance.one_in(8) {
            put("input_schema", json!({"type": "object", "required": ["n"]}));
        }
        if chance.one_in(3) {
            put("output", json!({"n": "${run.input.n}"}));
        }
        match chance.below(6) {
            0 => {
                let rule = json!({"limit": chance.between(1, 2), "on_limit": chance.pick(&["queue", "queue", "drop", "cancel_oldest"])});
                put("concurrency", keyed(chance, rule));
            }
            1 => {
                let rule = json!({"on_conflict": chance.pick(&["queue", "drop", "cancel_oldest"])});
                put("singleton", keyed(chance, rule));
            }
            _ => {}
        }
        if chance.one_in(6) {
            let rule = json!({"limit": chance.between(1, 2), "per": "20s"});
            put("throttle", keyed(chance, rule));
        }
        if chance.one_in(8) {
            let mut rule = json!({"period": "5s"});
            if chance.one_in(2) {
                rule["max"] = json!("12s");
            }
            put("debounce", keyed(chance, rule));
        }
    }

    fn steps(&mut self) -> (Vec<Value>, Option<Vec<Value>>) {
        let count = self.chance.weighed(&[(2, 1), (3, 2), (3, 3), (3, 4), (2, 5), (1, 6), (1, 8)]);
        let style = self.chance.pick(&[Style::Chain, Style::Needs, Style::Needs, Style::Transitions]);
        let kinds: Vec<&str> = (0..count).map(|index| self.kind(index + 1 == count && count > 1)).collect();
        self.followed = vec![false; count];
        let transitions = (style == Style::Transitions).then(|| self.transitions(&kinds));
        let steps = (0..count).map(|index| self.step(index, &kinds, style, transitions.as_deref().unwrap_or_default()));
        (steps.collect(), transitions)
    }

    fn kind(&mut self, is_last: bool) -> &'static str {
        let starts = usize::from(self.level + 1 < self.levels) * 3;
        let finishes = usize::from(is_last) * 3;
        self.chance.weighed(&[
            (4, "agent"),
            (3, "function"),
            (3, "work"),
            (6, "directive"),
            (6, "wait"),
            (starts, "workflow"),
            (finishes, "finish"),
        ])
    }

    fn transitions(&mut self, kinds: &[&str]) -> Vec<Value> {
        let mut transitions = Vec::new();
        for to in 1..kinds.len() {
            for _ in 0..self.chance.weighed(&[(1, 0), (4, 1), (2, 2)]) {
                let from = self.chance.below(to);
                let on = self.chance.weighed(&[(4, "completed"), (2, "failed"), (2, "settled")]);
                self.followed[from] |= on != "completed";
                let mut transition = json!({"from": id(from), "to": id(to), "on": on});
                if self.chance.one_in(3) {
                    transition["when"] = self.chance.pick(&["${run.input.yes}", "${run.input.n > 1}"]).into();
                }
                if !transitions.contains(&transition) {
                    transitions.push(transition);
                }
            }
        }
        transitions
    }

    fn step(&mut self, index: usize, kinds: &[&str], style: Style, transitions: &[Value]) -> Value {
        let kind = kinds[index];
        let mut step = Map::new();
        step.insert("id".into(), id(index).into());
        step.insert("type".into(), kind.into());
        self.edges(&mut step, index, style, transitions);
        if kind != "finish" && self.chance.one_in(5) {
            step.insert("for_each".into(), self.for_each());
        }
        self.what(&mut step, kind);
        self.modifiers(&mut step, index, kind);
        step.into()
    }

    fn edges(&mut self, step: &mut Fields, index: usize, style: Style, transitions: &[Value]) {
        let led_to = transitions.iter().filter(|transition| transition["to"] == id(index)).count();
        let mut needs: Vec<String> = Vec::new();
        let wanted = match style {
            Style::Chain => 0,
            Style::Needs => self.chance.weighed(&[(1, 0), (4, 1), (3, 2), (1, 3)]),
            Style::Transitions => usize::from(led_to == 0 || self.chance.one_in(5)),
        };
        for _ in 0..wanted.min(index) {
            let need = id(self.chance.below(index));
            if !needs.contains(&need) {
                needs.push(need);
            }
        }
        let counted = needs.len() + led_to;
        if style != Style::Chain && counted > 1 && self.chance.one_in(2) {
            let join = match self.chance.one_in(2) {
                true => json!("any"),
                false => json!({"at_least": self.chance.between(1, counted)}),
            };
            step.insert("join".into(), join);
            if self.chance.one_in(2) {
                step.insert("cancel_rest".into(), true.into());
            }
        }
        if style == Style::Needs || !needs.is_empty() {
            step.insert("needs".into(), needs.into());
        }
        if self.chance.one_in(8) {
            step.insert("when".into(), self.chance.pick(&["${run.input.yes}", "${run.input.n > 0}"]).into());
        }
    }

    fn for_each(&mut self) -> Value {
        let items = self.chance.pick(&[json!("${run.input.list}"), json!([1, 2, 3])]);
        let mut for_each = json!({"items": items});
        if self.chance.one_in(2) {
            for_each["max_parallel"] = self.chance.between(1, 2).into();
        }
        match self.chance.below(5) {
            0 => for_each["tolerate"] = 1.into(),
            1 => for_each["tolerate"] = "50%".into(),
            2 => for_each["at_least"] = self.chance.between(1, 2).into(),
            _ => {}
        }
        for_each
    }

    fn what(&mut self, step: &mut Fields, kind: &str) {
        match kind {
            "agent" => {
                step.insert("agent_ref".into(), json!({"slug": "helper"}));
                step.insert("input".into(), json!({"n": "${run.input.n}"}));
            }
            "work" => {
                step.insert("type".into(), "function".into());
                step.insert("function".into(), "work.count".into());
                step.insert("input".into(), json!({"n": "${run.input.n}"}));
            }
            "function" => {
                let (function, input) = self.chance.weighed(&[
                    (4, ("json.identity", json!({"ok": true, "n": "${run.input.n}"}))),
                    (1, ("json.parse", json!({"text": "${run.input.k}"}))),
                ]);
                step.insert("function".into(), function.into());
                step.insert("input".into(), input);
            }
            "directive" => self.directive(step),
            "wait" => self.wait(step),
            "workflow" => self.child(step),
            _ => match self.chance.below(3) {
                0 => {
                    step.insert("status".into(), "failed".into());
                    step.insert("error".into(), json!({"code": "unfit", "message": "it was ${run.input.n}"}));
                }
                1 => _ = step.insert("output".into(), json!({"n": "${run.input.n}"})),
                _ => {}
            },
        }
    }

    fn directive(&mut self, step: &mut Fields) {
        let kind = self.chance.weighed(&[(5, "job.http"), (3, "job.manual"), (2, "job.worker"), (2, "signal.emit")]);
        let payload = match kind {
            "signal.emit" => {
                let above: Vec<String> = (self.level + 1..self.levels).map(fact).collect();
                let name = self.chance.pick_any(&above).cloned().unwrap_or_else(|| WORDS[0].to_owned());
                json!({"name": name, "payload": {"k": "a", "n": "${run.input.n}", "yes": true, "list": [1], "span": "3s"}})
            }
            _ => json!({"n": "${run.input.n}"}),
        };
        step.insert("directive".into(), kind.into());
        step.insert("payload".into(), payload);
    }

    fn wait(&mut self, step: &mut Fields) {
        let (field, what) = match self.chance.below(8) {
            0 => ("for", json!("${run.input.span}")),
            1 => ("until", json!("2023-11-14T22:14:00Z")),
            2 | 3 => ("signal", self.event()),
            4 => ("signals", json!([self.event(), self.event()])),
            5 => ("callback", if self.chance.one_in(2) { json!(true) } else { json!({"schema": {"type": "object"}}) }),
            _ => ("input", self.input()),
        };
        if field.starts_with("signal") && self.chance.one_in(3) {
            step.insert("lookback".into(), self.chance.pick(&["run", "1m"]).into());
            step.insert("consume".into(), self.chance.pick(&[true, true, false]).into());
        }
        if field == "callback" && self.chance.one_in(2) {
            step.insert("heartbeat".into(), "15s".into());
        }
        step.insert(field.into(), what);
    }

    fn event(&mut self) -> Value {
        let name = self.chance.pick(&[WORDS[0].to_owned(), WORDS[1].to_owned(), fact(0)]);
        if self.chance.one_in(3) {
            return name.into();
        }
        let mut event = json!({"name": name});
        if self.chance.one_in(2) {
            event["match"] = json!({"payload.k": "${run.input.k}"});
        }
        if self.chance.one_in(3) {
            event["when"] = json!("${event.payload.yes}");
        }
        event
    }

    fn input(&mut self) -> Value {
        let mut input = json!({"prompt": "Is ${run.input.n} right?"});
        if self.chance.one_in(3) {
            input["role"] = "operator".into();
        }
        if self.chance.one_in(2) {
            input["schema"] = json!({"type": "object", "required": ["ok"]});
        }
        if self.chance.one_in(3) {
            input["escalate"] = json!([{"after": "10s", "role": "member"}, {"after": "25s", "role": "admin"}]);
        }
        input
    }

    fn child(&mut self, step: &mut Fields) {
        let child = self.chance.between(self.level + 1, self.levels - 1);
        step.insert("workflow_ref".into(), json!({"slug": slug(child)}));
        step.insert("input".into(), json!("${run.input}"));
        if self.chance.one_in(4) {
            step.insert("wait".into(), false.into());
        }
        if self.chance.one_in(5) {
            step.insert("on_cancel".into(), "abandon".into());
        }
    }

    fn modifiers(&mut self, step: &mut Fields, index: usize, kind: &str) {
        let level = self.level;
        let chance = &mut *self.chance;
        let mut put = |field: &str, value: Value| _ = step.insert(field.into(), value);
        let acts = matches!(kind, "agent" | "directive" | "workflow");
        let is_work = kind == "work";
        if (acts || is_work || kind == "function") && chance.one_in(7) {
            let mut repeat = json!({"max": chance.between(1, 3)});
            if chance.one_in(2) {
                repeat["while"] = json!("${repeat.iteration < 2}");
            }
            if chance.one_in(2) {
                repeat["delay"] = json!("4s");
            }
            put("repeat", repeat);
        }
        if (acts || is_work || kind == "wait") && chance.one_in(5) {
            // What holds a lock and waits for another run must not wait for one that wants the same.
            let lock = if kind == "workflow" {
                format!("gate{level}")
            } else {
                chance.pick(&["door", "${run.input.k}"]).to_owned()
            };
            put("lock", lock.into());
        }
        if matches!(kind, "agent" | "work" | "directive") && chance.one_in(3) {
            let mut retry = json!({"max_attempts": chance.between(1, 3), "initial": "2s", "max": "8s"});
            if chance.one_in(4) {
                retry["on"] = json!(["busy", "http_*"]);
            }
            if chance.one_in(4) {
                retry["max_elapsed"] = json!("20s");
            }
            put("retry", retry);
        }
        if (acts || is_work || kind == "wait") && chance.one_in(3) {
            put("timeout", chance.pick(&["6s", "30s"]).into());
        }
        if (is_work || kind == "directive") && chance.one_in(6) {
            put("heartbeat", "15s".into());
        }
        if kind != "finish" && !self.followed[index] && chance.one_in(4) {
            put("on_error", "continue".into());
        }
        if acts && chance.one_in(3) {
            let undo = chance.pick(&["undo.http", "undo.http", "undo.manual"]);
            put("compensate", json!({"directive": undo, "payload": {"n": "${run.input.n}"}}));
        }
        if acts && kind != "workflow" && chance.one_in(6) {
            put("output_schema", json!({"type": "object", "required": ["ok"]}));
        }
    }
}

fn keyed(chance: &mut Chance, mut rule: Value) -> Value {
    if chance.one_in(2) {
        rule["key"] = json!("${run.input.k}");
    }
    rule
}

fn id(index: usize) -> String {
    format!("s{index}")
}

//! From a compiled workflow to what there is to see of it. Structure comes from the compiled form;
//! words come from the document, as they were written.

use serde_json::Value;

use super::escape::label;
use super::{Arrow, Line, Node, NodeKind, Picture, implied};
use crate::expression::Expression;
use crate::workflow::{EdgeKind, Finish, Join, On, Step, StepKind, Wait, Workflow};

const TITLE_CHARS_MAX: usize = 40;
const DETAIL_CHARS_MAX: usize = 44;
const BADGE_CHARS_MAX: usize = 36;
const LABEL_CHARS_MAX: usize = 36;
const HINT_CHARS_MAX: usize = 80;

pub fn of(workflow: &Workflow) -> Picture {
    let written = workflow.document.value().pointer("/workflow/steps");
    let mut nodes = vec![start(workflow)];
    nodes.extend(workflow.steps.iter().enumerate().map(|(at, step)| {
        let written = written.and_then(|steps| steps.get(at)).unwrap_or(&Value::Null);
        node(step, written)
    }));
    Picture { title: format!("{} {}", workflow.slug, workflow.version), nodes, arrows: arrows(workflow, written) }
}

fn start(workflow: &Workflow) -> Node {
    let (title, when) = match &workflow.trigger {
        None => ("workflow.run.start".to_owned(), None),
        Some(trigger) => {
            let names: Vec<_> = trigger.signals.iter().take(2).map(ToString::to_string).collect();
            let more = trigger.signals.len().saturating_sub(names.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            (format!("{}{more}", names.join(", ")), trigger.when.as_ref())
        }
    };
    let detail = if workflow.trigger.is_some() { "starts on the signal" } else { "starts by the directive" };
    Node {
        kind: NodeKind::Start,
        title: label(&title, TITLE_CHARS_MAX),
        detail: detail.to_owned(),
        badges: door(workflow),
        hint: when.map(|when| format!("when {}", condition(when, HINT_CHARS_MAX))),
    }
}

/// What a run has to pass before it begins.
fn door(workflow: &Workflow) -> Vec<String> {
    let mut badges = Vec::new();
    if let Some(when) = workflow.trigger.as_ref().and_then(|trigger| trigger.when.as_ref()) {
        badges.push(format!("when {}", condition(when, BADGE_CHARS_MAX)));
    }
    if let Some(debounce) = &workflow.debounce {
        badges.push(format!("debounce {}", debounce.period));
    }
    if let Some(throttle) = &workflow.throttle {
        badges.push(format!("throttle {} per {}", throttle.limit, throttle.per));
    }
    if let Some(concurrency) = &workflow.concurrency {
        let count = if concurrency.limit == 1 { "1 run".to_owned() } else { format!("{} runs", concurrency.limit) };
        badges.push(format!("{count} at a time"));
    }
    badges
}

fn node(step: &Step, written: &Value) -> Node {
    let (kind, detail) = does(step, written);
    let text = |field: &str| written.get(field).and_then(Value::as_str);
    Node {
        kind,
        title: label(step.title(), TITLE_CHARS_MAX),
        detail: label(&detail, DETAIL_CHARS_MAX),
        badges: badges(step),
        hint: text("description").map(|description| label(description, HINT_CHARS_MAX)),
    }
}

fn does(step: &Step, written: &Value) -> (NodeKind, String) {
    let text = |field: &str| written.get(field).and_then(Value::as_str).unwrap_or("…");
    let kind = match &step.kind {
        StepKind::Agent { .. } => NodeKind::Agent,
        StepKind::Function { .. } => NodeKind::Function,
        StepKind::Directive { .. } => NodeKind::Directive,
        StepKind::Wait(Wait::For(_)) => return (NodeKind::Wait, format!("wait for {}", text("for"))),
        StepKind::Wait(Wait::Until(_)) => return (NodeKind::Wait, format!("wait until {}", text("until"))),
        StepKind::Wait(_) => NodeKind::Wait,
        StepKind::Workflow { .. } => NodeKind::Workflow,
        StepKind::Finish(Finish::Completed { .. }) => NodeKind::Completed,
        StepKind::Finish(Finish::Failed { .. }) => NodeKind::Failed,
    };
    (kind, step.does())
}

fn badges(step: &Step) -> Vec<String> {
    let mut badges = Vec::new();
    if let Join::AtLeast(count) = step.join {
        let of = step.after.iter().filter(|edge| !matches!(edge.kind, EdgeKind::Order)).count();
        let are = if count == 1 { "is" } else { "are" };
        badges.push(format!("{count} of {of} {are} enough"));
    }
    if let Some(when) = &step.when {
        badges.push(format!("when {}", condition(when, BADGE_CHARS_MAX)));
    }
    if let Some(for_each) = &step.for_each {
        badges.push(format!("for each, {} at a time", for_each.max_parallel));
    }
    if let Some(repeat) = &step.repeat {
        badges.push(format!("repeat up to {}", repeat.max));
    }
    if step.lock.is_some() {
        badges.push("lock".to_owned());
    }
    if let Some(compensate) = &step.compensate {
        badges.push(label(&format!("undo {}", compensate.directive), BADGE_CHARS_MAX));
    }
    badges
}

/// From what starts the run to each step that waits for nothing, and then the edges.
fn arrows(workflow: &Workflow, written: Option<&Value>) -> Vec<Arrow> {
    let steps = &workflow.steps;
    let is_chain = is_chain(steps, written);
    let mut arrows = Vec::new();
    for (at, edges) in implied::drawn(steps).into_iter().enumerate() {
        let to = at + 1;
        if steps[at].after.is_empty() {
            // What starts the run is there: to wait for it and to need it are the same.
            arrows.push(Arrow { from: 0, to, line: Line::Needs, label: None });
        }
        for edge in edges {
            let (line, label) = match means(&edge.kind) {
                (Line::Order, label) if is_chain => (Line::Needs, label),
                meaning => meaning,
            };
            arrows.push(Arrow { from: edge.from + 1, to, line, label });
        }
    }
    arrows
}

/// Where the list itself is the order, that order is all there is, and not drawn as the lesser kind.
fn is_chain(steps: &[Step], written: Option<&Value>) -> bool {
    let written = written.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let is_transition = |kind: &EdgeKind| matches!(kind, EdgeKind::Transition { .. });
    !written.iter().any(|step| step.get("needs").is_some())
        && !steps.iter().flat_map(|step| &step.after).any(|edge| is_transition(&edge.kind))
}

fn means(kind: &EdgeKind) -> (Line, Option<String>) {
    let (on, when) = match kind {
        EdgeKind::Needs => return (Line::Needs, None),
        EdgeKind::Order => return (Line::Order, None),
        EdgeKind::Transition { on, when } => (on, when),
    };
    let (line, word) = match on {
        On::Completed => (Line::Completed, None),
        On::Failed => (Line::Failed, Some("failed")),
        On::Settled => (Line::Settled, Some("settled")),
    };
    let when = when.as_ref().map(|when| condition(when, LABEL_CHARS_MAX));
    let words: Vec<_> = word.map(str::to_owned).into_iter().chain(when).collect();
    (line, (!words.is_empty()).then(|| words.join(" · ")))
}

fn condition(when: &Expression, chars_max: usize) -> String {
    label(when.source(), chars_max)
}

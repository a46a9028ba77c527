//! Reads what agents, directives and workflows are scripted to answer.

use fleetprompt_core::diagnostic::{Diagnostic, codes, shown};
use fleetprompt_core::document::{Key, Known, Node, NodeValue, Reader};
use fleetprompt_core::workflow::{Step, StepKind};
use fleetprompt_core::{Json, Span};

use super::{at, entries, failure, json_of};
use crate::cases::files::{self, Definitions};
use crate::cases::{Answer, Answers, Asked, Scripted, Whom};

const ANSWERS_MAX: usize = 10_000;

const GIVEN: Known =
    Known { what: "`given`", path: "given.", fields: &["agents", "functions", "directives", "workflows"], later: &[] };

const ANSWER: Known =
    Known { what: "an answer", path: "given.", fields: &["output", "error", "never", "after"], later: &[] };

pub fn read(reader: &mut Reader<'_>, node: &Node, definitions: &Definitions) -> Vec<Scripted> {
    let Some(fields) = reader.fields(node, &GIVEN) else { return Vec::new() };
    let mut scripted = Vec::new();
    for kind in Asked::ALL {
        let field = kind.field();
        let Some(node) = fields.get(field) else { continue };
        for (key, node) in entries(reader, node) {
            let whom = whom(reader, key, kind, definitions);
            let answers = answers(reader, node);
            scripted.extend(whom.zip(answers).map(|(whom, answers)| Scripted { kind, whom, answers }));
        }
    }
    scripted
}

/// A step of the workflow by its id, or whatever some step asks by its name.
fn whom(reader: &mut Reader<'_>, key: &Key, kind: Asked, definitions: &Definitions) -> Option<Whom> {
    let workflow = &definitions.workflow;
    let step = key.text.split(':').next().unwrap_or_default();
    let fits = |step: &Step| match kind {
        Asked::Agent => matches!(step.kind, StepKind::Agent { .. }),
        Asked::Function => matches!(&step.kind, StepKind::Function { function, .. } if files::is_workers(function)),
        Asked::Directive => matches!(step.kind, StepKind::Directive { .. }) || step.compensate.is_some(),
        Asked::Workflow => matches!(step.kind, StepKind::Workflow { .. }),
    };
    if workflow.index.get(step).is_some_and(|index| fits(&workflow.steps[*index])) {
        return at(reader, &key.text, key.span.clone(), workflow).map(Whom::Step);
    }
    let named: Vec<&str> = match kind {
        Asked::Agent => definitions.agents_asked().into_iter().map(|slug| slug.as_str()).collect(),
        Asked::Function => definitions.functions_asked().into_iter().collect(),
        Asked::Directive => definitions.directives_asked().into_iter().map(|name| name.as_str()).collect(),
        Asked::Workflow => definitions.workflows_asked().into_iter().map(|(slug, _)| slug.as_str()).collect(),
    };
    if named.contains(&key.text.as_str()) {
        return Some(Whom::Named(key.text.clone()));
    }
    let steps = workflow.steps.iter().filter(|step| fits(step)).map(|step| step.id.as_str());
    unknown(reader, key, kind, named.into_iter().chain(steps).collect());
    None
}

fn unknown(reader: &mut Reader<'_>, key: &Key, kind: Asked, mut known: Vec<&str>) {
    known.sort_unstable();
    known.dedup();
    let (code, word) = match kind {
        Asked::Agent => (codes::UNKNOWN_AGENT, "agent"),
        Asked::Function => (codes::UNKNOWN_FUNCTION, "function of workers"),
        Asked::Directive => (codes::UNKNOWN_DIRECTIVE, "directive"),
        Asked::Workflow => (codes::UNKNOWN_WORKFLOW, "workflow that is not in `workflows`"),
    };
    let near = reader.near(&key.text, known.iter().copied());
    let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
    let message = format!("no step asks for the {word} `{}`", shown(&key.text));
    let help = match known.is_empty() {
        true => format!("no step of the workflow asks for any {word}"),
        false => format!("{near}asked for here: {}", known.join(", ")),
    };
    reader.report(Diagnostic::error(code, message).at(key.span.clone()).help(Some(help)));
}

fn answers(reader: &mut Reader<'_>, node: &Node) -> Option<Answers> {
    if !matches!(node.value, NodeValue::Array(_)) {
        return answer(reader, node).map(Answers::Always);
    }
    let items = reader.list(node, ANSWERS_MAX)?;
    if items.is_empty() {
        let help = "an output that is a list is written as {\"output\": […]}".to_owned();
        let problem = Diagnostic::error(codes::WRONG_VALUE, "expected an answer for each time that it is asked");
        reader.report(problem.at(node.span.clone()).help(Some(help)));
        return None;
    }
    items.iter().map(|item| answer(reader, item)).collect::<Option<_>>().map(Answers::Each)
}

/// `{"output"}`, `{"error"}` or `{"never": true}`, each with `after`; anything else is the output.
fn answer(reader: &mut Reader<'_>, node: &Node) -> Option<Answer> {
    if !is_written_out(node) {
        return Some(Answer { result: Some(Ok(json_of(node))), after: Span::default() });
    }
    let fields = reader.fields(node, &ANSWER)?;
    let after = fields.optional("after", |node| reader.duration(node))?.unwrap_or_default();
    let never = fields.optional("never", |node| reader.boolean(node))? == Some(true);
    let error = fields.optional("error", |node| failure(reader, node))?;
    let output: Option<Json> = fields.get("output").map(json_of);
    let result = match (output, error, never) {
        (Some(output), None, false) => Some(Ok(output)),
        (None, Some(error), false) => Some(Err(error)),
        (None, None, true) => None,
        _ => {
            reader.error(codes::GIVEN_TWICE, node, "an answer is one of `output`, `error` or `\"never\": true`");
            return None;
        }
    };
    Some(Answer { result, after })
}

fn is_written_out(node: &Node) -> bool {
    let NodeValue::Object(entries) = &node.value else { return false };
    let known = |key: &Key| ANSWER.fields.contains(&key.text.as_str());
    entries.iter().all(|(key, _)| known(key)) && entries.iter().any(|(key, _)| key.text != "after")
}

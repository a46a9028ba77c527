//! Takes a test file apart: `{"workflow": FILE, …, "cases": […]}` in JSON or YAML, with the same reader
//! and the same diagnostics as a definition. Names of steps, agents and directives are held against the
//! workflow, so that a slip of the pen is found before anything is tried.

mod expect;
mod given;
mod then;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use fleetprompt_core::diagnostic::{Diagnostic, codes, shown};
use fleetprompt_core::document::{self, Fields, Format, Key, Known, Node, NodeValue, Reader};
use fleetprompt_core::signal::{NewSignal, is_plain_text};
use fleetprompt_core::tenant::Role;
use fleetprompt_core::workflow::Workflow;
use fleetprompt_core::{Failure, Json, Name, Party, Timestamp};
use serde_json::json;

use super::files::{self, Definitions, Load, Named};
use super::{At, Case, Expect, Start, Suite};

const FILES_MAX: usize = 1_000;
const CASES_MAX: usize = 1_000;
const NAME_CHARS_MAX: usize = 200;

/// A Monday morning, so that no case depends on when it is tried.
const NOW_DEFAULT: &str = "2026-03-02T09:00:00Z";

/// The file with the problems, or one that it names.
#[derive(Debug, Clone, PartialEq)]
pub struct Unreadable {
    /// As the test names it; none for the test file itself.
    pub file: Option<String>,
    pub text: String,
    pub diagnostics: Vec<Diagnostic>,
}

const SUITE: Known = Known {
    what: "the test file",
    path: "",
    fields: &["workflow", "workflows", "agents", "directive_types", "given", "cases", "$schema"],
    later: &[],
};

const CASE: Known = Known {
    what: "a case",
    path: "cases.",
    fields: &["name", "now", "signal", "input", "given", "then", "expect"],
    later: &[],
};

const SIGNAL: Known = Known {
    what: "a signal",
    path: "signal.",
    fields: &[
        "name",
        "subject",
        "actor",
        "source",
        "source_event_id",
        "dedupe_key",
        "correlation_id",
        "occurred_at",
        "payload",
    ],
    later: &[],
};

const PARTY: Known = Known { what: "what it is about", path: "subject.", fields: &["type", "id"], later: &[] };

const ERROR: Known =
    Known { what: "an error", path: "error.", fields: &["code", "message", "retryable", "retry_after"], later: &[] };

/// `load` gives the text of a file by the name that it has in the test file.
pub fn read(text: &str, format: Format, load: Load<'_>) -> Result<Suite, Vec<Unreadable>> {
    let own = |diagnostics| vec![Unreadable { file: None, text: text.to_owned(), diagnostics }];
    let document = document::parse(text, format).map_err(own)?;
    let mut reader = Reader::new(text);
    let mut broken = Vec::new();
    let suite = suite(&mut reader, &document, load, &mut broken);
    match reader.finish(Some(suite)) {
        Ok((Some(suite), _)) if broken.is_empty() => Ok(suite),
        Ok(_) => Err(broken),
        Err(diagnostics) => Err(own(diagnostics).into_iter().chain(broken).collect()),
    }
}

fn suite(reader: &mut Reader<'_>, document: &Node, load: Load<'_>, broken: &mut Vec<Unreadable>) -> Option<Suite> {
    let fields = reader.fields(document, &SUITE)?;
    let mut files = Files { load, broken };
    let workflow = fields.need("workflow", reader).and_then(|node| files.one(reader, node, files::workflow));
    let workflows = files.all(reader, fields.get("workflows"), files::workflow);
    let agents = files.all(reader, fields.get("agents"), files::agent);
    let directive_types = files.all(reader, fields.get("directive_types"), files::directive_type);
    let cases = fields.need("cases", reader).and_then(|node| reader.list(node, CASES_MAX));
    let definitions = Definitions {
        // Without it nothing else can be held against it.
        workflow: Arc::new(workflow?),
        workflows: workflows.into_iter().map(Arc::new).collect(),
        agents: agents.into_iter().map(Arc::new).collect(),
        directive_types,
    };
    let given = fields.get("given").map_or(Vec::new(), |node| given::read(reader, node, &definitions));
    if cases.is_some_and(<[Node]>::is_empty) {
        reader.error(codes::WRONG_VALUE, document, "a test file has at least one case");
    }
    let mut names = HashSet::new();
    let cases = cases?.iter().filter_map(|node| case(reader, node, &definitions, &mut names)).collect();
    Some(Suite { definitions, given, cases })
}

struct Files<'f> {
    load: Load<'f>,
    broken: &'f mut Vec<Unreadable>,
}

impl Files<'_> {
    fn all<T>(
        &mut self,
        reader: &mut Reader<'_>,
        list: Option<&Node>,
        read: fn(Named) -> Result<T, Unreadable>,
    ) -> Vec<T> {
        let nodes = list.and_then(|node| reader.list(node, FILES_MAX)).unwrap_or_default();
        nodes.iter().filter_map(|node| self.one(reader, node, read)).collect()
    }

    fn one<T>(&mut self, reader: &mut Reader<'_>, node: &Node, read: fn(Named) -> Result<T, Unreadable>) -> Option<T> {
        let file = reader.string(node)?;
        match (self.load)(file) {
            Ok(text) => {
                read(Named { file: file.to_owned(), text }).map_err(|unreadable| self.broken.push(unreadable)).ok()
            }
            Err(why) => {
                let message = format!("`{}` cannot be read: {}", shown(file), shown(&why));
                let help = "a test names files as seen from the folder that it is in".to_owned();
                reader.report(Diagnostic::error(codes::WRONG_VALUE, message).at(node.span.clone()).help(Some(help)));
                None
            }
        }
    }
}

fn case<'n>(
    reader: &mut Reader<'_>,
    node: &'n Node,
    definitions: &Definitions,
    names: &mut HashSet<&'n str>,
) -> Option<Case> {
    let fields = reader.fields(node, &CASE)?;
    let name = fields.need("name", reader).and_then(|node| Some((reader.text(node, NAME_CHARS_MAX)?, node)));
    if let Some((_, node)) = &name
        && let NodeValue::String(text) = &node.value
        && !names.insert(text)
    {
        reader.error(codes::LISTED_TWICE, node, "another case has this name");
    }
    let now = match fields.get("now") {
        Some(node) => reader.time(node),
        None => NOW_DEFAULT.parse::<Timestamp>().ok(),
    };
    let start = start(reader, node, &fields);
    let given = fields.get("given").map_or(Vec::new(), |node| given::read(reader, node, definitions));
    let then = fields.get("then").map_or(Vec::new(), |node| then::read(reader, node, &definitions.workflow));
    let expect = fields.need("expect", reader).and_then(|node| expect::read(reader, node, &definitions.workflow));
    Some(Case {
        name: name?.0,
        now: now?,
        start: start?,
        given,
        then,
        expect: expect.unwrap_or(Expect::Runs(Vec::new())),
    })
}

fn start(reader: &mut Reader<'_>, case: &Node, fields: &Fields<'_>) -> Option<Start> {
    if let (Some(_), Some(key)) = (fields.get("signal"), fields.key("input")) {
        let message = "a case begins with either a `signal` or an `input`, not both";
        reader.report(Diagnostic::error(codes::GIVEN_TWICE, message).at(key.span.clone()));
        return None;
    }
    if let Some(node) = fields.get("signal") {
        return signal(reader, node).map(Box::new).map(Start::Signal);
    }
    let Some(input) = fields.get("input") else {
        let message = "a case begins with a `signal`, or with the `input` of `workflow.run.start`";
        reader.error(codes::MISSING_FIELD, case, message);
        return None;
    };
    Some(Start::Input(json_of(input)))
}

fn signal(reader: &mut Reader<'_>, node: &Node) -> Option<NewSignal> {
    let fields = reader.fields(node, &SIGNAL)?;
    let name: Option<Name> = fields.need("name", reader).and_then(|node| reader.named(node));
    if name.as_ref().is_some_and(Name::is_reserved)
        && let Some(node) = fields.get("name")
    {
        reader.error(
            codes::WRONG_VALUE,
            node,
            "names that begin like this are the engine's own; nobody else emits them",
        );
        return None;
    }
    let mut text = |field| fields.optional(field, |node| plain_text(reader, node));
    let (source, source_event_id) = (text("source")?, text("source_event_id")?);
    let (dedupe_key, correlation_id) = (text("dedupe_key")?, text("correlation_id")?);
    Some(NewSignal {
        name: name?,
        subject: fields.optional("subject", |node| party(reader, node))?,
        actor: fields.optional("actor", |node| party(reader, node))?,
        source,
        source_event_id,
        dedupe_key,
        correlation_id,
        causation_id: None,
        occurred_at: fields.optional("occurred_at", |node| reader.time(node))?,
        payload: fields.get("payload").map_or_else(|| json!({}).into(), json_of),
    })
}

fn plain_text(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.string(node)?;
    if is_plain_text(text) {
        return Some(text.to_owned());
    }
    reader.error(codes::WRONG_VALUE, node, "expected 1 to 255 characters without control characters");
    None
}

/// `{"type": "order", "id": "42"}`, or `order:42`.
fn party(reader: &mut Reader<'_>, node: &Node) -> Option<Party> {
    let party = if let NodeValue::String(text) = &node.value {
        text.split_once(':').map(|(kind, id)| Party::new(kind, id))
    } else {
        let fields = reader.fields(node, &PARTY)?;
        let kind = fields.need("type", reader).and_then(|node| reader.string(node));
        let id = fields.need("id", reader).and_then(|node| reader.string(node));
        Some(Party::new(kind?, id?))
    };
    let party = party.filter(Party::is_valid);
    if party.is_none() {
        reader.error(codes::WRONG_VALUE, node, "expected `TYPE:ID`, like `order:42`, or an object with both");
    }
    party
}

/// `{"code": …}`, or the code alone.
fn failure(reader: &mut Reader<'_>, node: &Node) -> Option<Failure> {
    if let NodeValue::String(code) = &node.value {
        return Some(failed(code, "as scripted", None));
    }
    let fields = reader.fields(node, &ERROR)?;
    let code = fields.need("code", reader).and_then(|node| reader.string(node));
    let message = fields.optional("message", |node| reader.string(node))?;
    let retryable = fields.optional("retryable", |node| reader.boolean(node))?;
    let retry_after = fields.optional("retry_after", |node| reader.duration(node))?;
    let failure = failed(code?, message.unwrap_or("as scripted"), retryable);
    Some(Failure { retry_after_ms: retry_after.map(|span| span.millis()), ..failure })
}

/// What the network and servers are to blame for may be tried again, as it is in production.
fn failed(code: &str, message: &str, retryable: Option<bool>) -> Failure {
    const PASSING: [&str; 6] =
        ["timeout", "unreachable", "network", "http_status", "output_invalid", "response_invalid"];
    match retryable.unwrap_or(PASSING.contains(&code)) {
        true => Failure::retry(code, message),
        false => Failure::fatal(code, message),
    }
}

fn role(reader: &mut Reader<'_>, node: &Node) -> Option<Role> {
    let words = Role::ALL.map(Role::as_str);
    let word = reader.choice(node, "role", &words, &[])?;
    Role::ALL.into_iter().find(|role| role.as_str() == word)
}

/// `STEP`, `STEP:ITEM`, and `:undo` behind either for what undoes it.
fn at(reader: &mut Reader<'_>, text: &str, place: Range<usize>, workflow: &Workflow) -> Option<At> {
    let (done, undo) = text.strip_suffix(":undo").map_or((text, false), |done| (done, true));
    let (step, item) = done.split_once(':').map_or((done, None), |(step, item)| (step, Some(item)));
    let Some(index) = workflow.index.get(step) else {
        reader.unknown_step(place, step, workflow.index.keys().map(String::as_str));
        return None;
    };
    let definition = &workflow.steps[*index];
    let number = item.map(str::parse::<u32>).transpose();
    let wrong = match number {
        Err(_) => Some("expected the number of an item, from 0, like `STEP:2`".to_owned()),
        Ok(Some(_)) if definition.for_each.is_none() => {
            Some(format!("step `{step}` has no items: it has no `for_each`"))
        }
        Ok(_) if undo && definition.compensate.is_none() => Some(format!("step `{step}` has no `compensate`")),
        Ok(_) => None,
    };
    match wrong {
        Some(message) => {
            reader.report(Diagnostic::error(codes::WRONG_VALUE, message).at(place));
            None
        }
        None => Some(At { step: step.to_owned(), item: number.ok()?, undo }),
    }
}

fn at_of(reader: &mut Reader<'_>, node: &Node, workflow: &Workflow) -> Option<At> {
    let text = reader.string(node)?;
    at(reader, text, node.span.clone(), workflow)
}

/// An object whose keys are names.
fn entries<'n>(reader: &mut Reader<'_>, node: &'n Node) -> &'n [(Key, Node)] {
    if let NodeValue::Object(entries) = &node.value {
        return entries;
    }
    reader.wrong_type(node, "an object");
    &[]
}

fn json_of(node: &Node) -> Json {
    node.to_value().into()
}

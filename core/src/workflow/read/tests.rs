use std::fmt::Write;
use std::time::Instant;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::Span;
use crate::diagnostic::{CODES, Located, Severity, locate, render};
use crate::tenant::Role;
use crate::workflow::{EdgeKind, Finish, Join, Lookback, OnError, OnLimit, StepKind, Tolerate, Wait};

const BLUEPRINT: &str = r#"{
  "workflow": {
    "name": "Forum new-thread triage",
    "version": "1.0.0",
    "trigger": {
      "signal": "forum.thread.created"
    },
    "steps": [
      {
        "id": "summarize",
        "type": "agent",
        "agent_ref": {"slug": "forum_summary_agent"},
        "input": {"from_signal": true}
      },
      {
        "id": "post_summary",
        "type": "directive",
        "directive": "forum.post.create",
        "payload": {"thread_id": "${signal.subject.id}", "content": "${steps.summarize.output.summary}"}
      }
    ]
  }
}
"#;

const ALL_WRONG_JSON: &str = r#"{
  "workflow": {
    "name": "",
    "version": "v1",
    "trigger": {"signal": "ThreadCreated", "when": "${steps.a.output > 3}"},
    "may_request_directives": ["forum.post.create"],
    "concurrency": {"limit": 5},
    "timeout": 60,
    "on_error": "park",
    "steps": [
      {"id": "fetch", "type": "agent", "agent_ref": {"slug": "forum_sumary_agent", "version": 3}, "time_out": "60s"},
      {"id": "fetch", "type": "function", "function": "json.murge", "needs": ["fetsch"], "payload": {}},
      {"id": "post-it", "type": "directive", "directive": "forum.posts.create"},
      {"id": "wait_a_day", "type": "wait", "for": "1d"},
      {"type": "agnet", "retry": {"max_attempts": 0, "factor": "2", "initial": "5m", "max": "1m"}},
      {"id": "mail", "type": "directive", "directive": "mail.send", "payload": ["${signal.payload.title ==}"],
       "on_error": "ignore", "needs": ["a", "a"]},
      {"id": "a", "type": "function", "function": "json.merge", "input": {"x": "${steps.b.output}"}},
      {"id": "b", "type": "function", "function": "json.merge", "needs": ["c"]},
      {"id": "c", "type": "function", "function": "json.merge", "when": "${steps.a.output.ok}"},
      "d"
    ],
    "output": {"x": "${steps.summarise.output}"}
  }
}"#;

const ALL_WRONG_YAML: &str = "\
workflow:
  name: Triage
  version: 1.0
  description:
  trigger:
    signals: [forum.thread.created, forum.thread.created, 7]
    signal: forum.thread.created
  output_schema: {}
  steps:
    - id: summarize
      type: agent
      agent_ref: forum_summary_agent
      output_schema: {type: strnig}
    - id: post
      type: directive
      directive: forum.post.create
      payload:
        text: |
          Hello
          ${steps.later.output ==}
        other: ${steps.later.output}
    - id: later
      type: function
      function: json.merge
      when: ${steps.later.output}
      timeout: 0s
";

fn catalog() -> Catalog {
    let names = |names: &[&str]| names.iter().map(|name| name.parse().expect("a name")).collect();
    Catalog {
        functions: Some(vec!["json.merge".into(), "text.join".into()]),
        worker_functions: Some(names(&["lead.score"])),
        directives: Some(names(&["forum.post.create", "mail.send"])),
        agents: Some(vec!["forum_summary_agent".parse().expect("a slug")]),
        workflows: Some(vec!["billing".parse().expect("a slug")]),
    }
}

fn read_json(document: &Value) -> Outcome<Workflow> {
    read(&document.to_string(), Format::Json, &catalog())
}

/// A workflow of these steps, which are functions where they do not say what they are.
fn of_steps(steps: Value) -> Outcome<Workflow> {
    of_fields(json!({"steps": steps}))
}

fn of_fields(fields: Value) -> Outcome<Workflow> {
    read_json(&json!({"workflow": whole(fields)}))
}

fn whole(fields: Value) -> Value {
    let mut workflow = json!({"name": "Test", "version": "1.0.0", "steps": [{"id": "only"}]});
    let object = workflow.as_object_mut().expect("an object");
    object.extend(fields.as_object().expect("fields").clone());
    let steps = object["steps"].as_array().expect("steps").iter().map(completed).collect();
    object["steps"] = steps;
    workflow
}

fn completed(step: &Value) -> Value {
    let mut whole = match step.get("type") {
        Some(_) => json!({}),
        None => json!({"type": "function", "function": "json.merge"}),
    };
    whole.as_object_mut().expect("an object").extend(step.as_object().expect("a step").clone());
    whole
}

/// `1←0 2←1? 3←2>`: a question mark where the edge only orders, a bracket where it is a transition.
fn edges(outcome: Outcome<Workflow>) -> String {
    let (workflow, _) = outcome.expect("valid");
    let mut text = String::new();
    for (index, step) in workflow.steps.iter().enumerate() {
        for edge in &step.after {
            assert_eq!(workflow.steps[edge.from].before.iter().filter(|next| **next == index).count(), 1);
            let kind = match edge.kind {
                EdgeKind::Needs => "",
                EdgeKind::Order => "?",
                EdgeKind::Transition { .. } => ">",
            };
            write!(text, "{index}←{}{kind} ", edge.from).expect("room");
        }
    }
    text.trim_end().to_owned()
}

fn problems(outcome: Outcome<Workflow>) -> Vec<String> {
    let problems = outcome.expect_err("refused");
    problems.iter().map(|problem| format!("{} {}", problem.code, problem.message)).collect()
}

#[test]
fn the_blueprint_s_example_is_valid_as_it_stands() {
    let (workflow, warnings) = read(BLUEPRINT, Format::Json, &catalog()).expect("valid");
    assert_eq!(warnings, []);
    assert_eq!(workflow.slug.as_str(), "forum-new-thread-triage");
    assert_eq!(workflow.trigger.as_ref().map(|trigger| trigger.signals[0].as_str()), Some("forum.thread.created"));
    assert!(
        matches!(&workflow.steps[0].kind, StepKind::Agent { agent, .. } if agent.as_str() == "forum_summary_agent")
    );
    assert!(matches!(&workflow.steps[1].after[..], [edge] if edge.from == 0 && matches!(edge.kind, EdgeKind::Needs)));
    assert_eq!(workflow.index["post_summary"], 1);
    assert_eq!(workflow.document.value()["workflow"]["version"], "1.0.0");
    assert_eq!(workflow.digest.len(), 64);
}

#[test]
fn the_same_workflow_in_yaml_has_the_same_digest() {
    let in_yaml = "\
workflow:
  version: 1.0.0
  name: Forum new-thread triage
  trigger: {signal: forum.thread.created}
  steps:
    - id: summarize
      type: agent
      agent_ref: {slug: forum_summary_agent}
      input: {from_signal: true}
    - id: post_summary
      type: directive
      directive: forum.post.create
      payload:
        thread_id: ${signal.subject.id}
        content: ${steps.summarize.output.summary}
";
    let (in_yaml, _) = read(in_yaml, Format::Yaml, &catalog()).expect("valid");
    let (in_json, _) = read(BLUEPRINT, Format::Json, &catalog()).expect("valid");
    assert_eq!(in_yaml.document, in_json.document);
    assert_eq!(in_yaml.digest, in_json.digest);
}

#[test]
fn all_fields_are_read() {
    let (workflow, warnings) = read_json(&json!({"$schema": "https://example.com/workflow.json", "workflow": {
        "name": "Refunds", "slug": "refunds_eu", "version": "2.0.0-rc.1+build.7", "description": "Who gets money back",
        "trigger": {"signals": ["refund.asked", "workflow.run.failed"], "when": "${signal.payload.amount < 50}"},
        "input_schema": {"type": "object"}, "may_request_directives": ["mail.send"], "timeout": "1h",
        "on_error": "fail", "output": {"sent": "${steps.mail.status}"},
        "steps": [
            {"id": "score", "type": "function", "name": "Score", "description": "By rule", "function": "json.merge",
             "input": {"amount": "${signal.payload.amount}"}, "output_schema": {"type": "object"}},
            {"id": "mail", "type": "directive", "name": "Tell them", "directive": "mail.send", "needs": ["score"],
             "when": "${steps.score.output.ok}", "timeout": "90s", "on_error": "continue",
             "heartbeat": "10s", "lock": "mail-${tenant.slug}",
             "retry": {"max_attempts": 9, "initial": "2s", "factor": 1.5, "max": "30s", "jitter": false,
                       "on": ["timeout", "http_*"], "max_elapsed": "10m"}}
        ]
    }}))
    .expect("valid");
    assert_eq!(warnings, []);
    assert_eq!((workflow.slug.as_str(), workflow.version.as_str()), ("refunds_eu", "2.0.0-rc.1+build.7"));
    assert_eq!(workflow.timeout, Some(Span::from_secs(3600)));
    assert!(workflow.trigger.as_ref().is_some_and(|trigger| trigger.when.is_some() && trigger.signals.len() == 2));
    assert!(workflow.input_schema.is_some() && workflow.output.is_some());
    assert_eq!(workflow.steps[0].retry, None);
    assert!(workflow.steps[0].output_schema.is_some());
    let mail = &workflow.steps[1];
    assert_eq!((mail.timeout, mail.on_error), (Some(Span::from_secs(90)), OnError::Continue));
    let retry = mail.retry.clone().expect("given");
    assert_eq!((retry.max_attempts, retry.factor, retry.jitter), (9, 1.5, false));
    assert_eq!((retry.initial, retry.max), (Span::from_secs(2), Span::from_secs(30)));
    assert_eq!(
        (retry.on, retry.max_elapsed),
        (vec!["timeout".to_owned(), "http_*".to_owned()], Some(Span::from_secs(600)))
    );
    assert_eq!((mail.title(), mail.heartbeat), ("Tell them", Some(Span::from_secs(10))));
    assert!(mail.lock.is_some() && workflow.steps[0].lock.is_none());
}

#[rstest]
#[case::chain(json!([{"id": "a"}, {"id": "b"}, {"id": "c"}]), "1←0? 2←1?")]
#[case::chain_with_a_reference(
    json!([{"id": "a"}, {"id": "b"}, {"id": "c", "input": "${steps.a.output}"}]), "1←0? 2←0 2←1?")]
#[case::chain_that_reads_the_step_before(json!([{"id": "a"}, {"id": "b", "when": "${steps.a.output.ok}"}]), "1←0")]
#[case::empty_needs_end_the_chain(json!([{"id": "a"}, {"id": "b", "needs": []}, {"id": "c"}]), "")]
#[case::needs(json!([{"id": "c", "needs": ["a", "b"]}, {"id": "a"}, {"id": "b", "needs": ["a"]}]), "0←1 0←2 2←1")]
#[case::a_guarded_reference_only_orders(
    json!([{"id": "a", "needs": []}, {"id": "b", "input": "${has(steps.a.output) ? steps.a.output : 0}"}]), "1←0?")]
#[case::a_guarded_one_beside_an_unguarded_one(
    json!([{"id": "a", "needs": []}, {"id": "b", "when": "${has(steps.a.output)}", "input": "${steps.a.output}"}]),
    "1←0")]
#[case::needed_and_guarded(
    json!([{"id": "a"}, {"id": "b", "needs": ["a"], "when": "${has(steps.a.output.x)}"}]), "1←0")]
fn edges_come_from_needs_references_and_the_list(#[case] steps: Value, #[case] expected: &str) {
    assert_eq!(edges(of_steps(steps)), expected);
}

#[rstest]
#[case::two(json!([{"id": "a", "needs": ["b"]}, {"id": "b", "needs": ["a"]}]), "a → b → a")]
#[case::three(json!([{"id": "x"}, {"id": "a", "needs": ["c", "x"]}, {"id": "b", "needs": ["a"]},
    {"id": "c", "input": "${steps.b.output}"}]), "a → b → c → a")]
fn a_cycle_is_shown_in_the_order_of_its_steps(#[case] steps: Value, #[case] expected: &str) {
    assert_eq!(problems(of_steps(steps)), [format!("FP0203 steps wait for each other: {expected}")]);
}

#[rstest]
#[case::duplicate(json!([{"id": "a"}, {"id": "a"}]), "FP0201 two steps have the id `a`")]
#[case::unknown(json!([{"id": "a"}, {"id": "b", "needs": ["c"]}]), "FP0202 there is no step `c` in this workflow")]
#[case::itself(json!([{"id": "a", "needs": ["a"]}]), "FP0204 the step `a` refers to itself")]
#[case::reads_itself(json!([{"id": "a", "input": "${steps.a.output}"}]), "FP0204 the step `a` refers to itself")]
#[case::later(json!([{"id": "a", "input": "${steps.b.output}"}, {"id": "b"}]), "FP0210 `b` runs later than this step")]
#[case::none(json!([]), "FP0104 a workflow has at least one step")]
#[case::other_field(json!([{"id": "a", "payload": {}}]),
    "FP0110 `payload` does not belong to a step of type `function`")]
#[case::attempts(json!([{"id": "a", "type": "directive", "directive": "mail.send", "retry": {"max_attempts": 1001}}]),
    "FP0104 expected a whole number from 1 to 1000, found 1001")]
#[case::factor(json!([{"id": "a", "type": "directive", "directive": "mail.send", "retry": {"factor": 0.5}}]),
    "FP0104 expected a number from 1 to 100, found 0.5")]
#[case::codes(json!([{"id": "a", "type": "directive", "directive": "mail.send", "retry": {"on": ["*"]}}]),
    "FP0107 `*` is not a code: expected a letter and then a-z, 0-9 or _, at most 64")]
#[case::retry_of_a_function(json!([{"id": "a", "retry": {}}]),
    "FP0222 `json.merge` is a function of the engine, which has no `retry`")]
#[case::repeat(json!([{"id": "a", "repeat": {"while": "true"}}]), "FP0102 `repeat` lacks the field `max`")]
#[case::repeat_max(json!([{"id": "a", "repeat": {"max": 10001}}]),
    "FP0104 expected a whole number from 1 to 10000, found 10001")]
#[case::repeat_of_a_wait(json!([{"id": "a", "type": "wait", "for": "1s", "repeat": {"max": 3}}]),
    "FP0110 `repeat` does not belong to a step of type `wait`")]
#[case::items(json!([{"id": "a", "for_each": "items: ${signal.payload.l}"}]),
    "FP0104 this is text, where one expression is expected that gives a list")]
#[case::items_of_no_list(json!([{"id": "a", "for_each": 7}]),
    "FP0103 expected a list, or an expression that gives one, like \"${signal.payload.items}\", found a number")]
#[case::parallel(json!([{"id": "a", "for_each": {"items": [1], "max_parallel": 0}}]),
    "FP0104 expected a whole number from 1 to 10000, found 0")]
#[case::tolerate(json!([{"id": "a", "for_each": {"items": [1], "tolerate": "101%"}}]),
    "FP0104 `101%` is not a part from \"0%\" to \"100%\"")]
#[case::at_least(json!([{"id": "a", "for_each": {"items": [1, 2], "at_least": 3}}]),
    "FP0104 `at_least` is 3, and there are 2 items")]
#[case::finish_for_each(json!([{"id": "a", "type": "finish", "for_each": [1]}]),
    "FP0110 `for_each` does not belong to a step of type `finish`")]
#[case::finish_failed(json!([{"id": "a", "type": "finish", "status": "failed"}]), "FP0102 a step lacks the field `error`")]
#[case::finish_both(json!([{"id": "a", "type": "finish", "error": {"code": "x", "message": "y"}}]),
    "FP0104 an `error` goes with `\"status\": \"failed\"`")]
#[case::wait_for_nothing(json!([{"id": "a", "type": "wait"}]), "FP0102 a step of type `wait` says nothing to wait for")]
#[case::wait_for_two(json!([{"id": "a", "type": "wait", "for": "1s", "callback": true}]),
    "FP0111 a wait has one thing to wait for, and here are `for` and `callback`")]
#[case::wait_for_a_number(json!([{"id": "a", "type": "wait", "for": 5}]),
    "FP0106 expected a duration, found a number")]
#[case::wait_until(json!([{"id": "a", "type": "wait", "until": "tomorrow"}]),
    "FP0104 `tomorrow` is not an RFC 3339 time like `2026-11-22T09:30:00Z`")]
#[case::wait_heartbeat(json!([{"id": "a", "type": "wait", "signal": "a.b", "heartbeat": "5s"}]),
    "FP0110 `heartbeat` does not belong to a wait with `signal`")]
#[case::wait_lookback(json!([{"id": "a", "type": "wait", "input": {}, "lookback": "run"}]),
    "FP0110 `lookback` does not belong to a wait with `input`")]
#[case::wait_consume(json!([{"id": "a", "type": "wait", "callback": true, "consume": false}]),
    "FP0110 `consume` does not belong to a wait with `callback`")]
#[case::wait_signals(json!([{"id": "a", "type": "wait", "signals": vec!["a.b"; 17]}]),
    "FP0109 17 entries where at most 16 are allowed")]
#[case::wait_match(json!([{"id": "a", "type": "wait", "signal": {"name": "a.b", "match": {"order": 1}}}]),
    "FP0104 `order` is not a place in a signal")]
#[case::wait_role(json!([{"id": "a", "type": "wait", "input": {"role": "viewer"}}]),
    "FP0104 `viewer` is not a value of `role`: expected `member`, `operator`, `admin` or `owner`")]
#[case::workflow(json!([{"id": "a", "type": "workflow", "workflow_ref": {"slug": "biling"}}]),
    "FP0211 there is no workflow `biling`")]
#[case::compensate(json!([{"id": "a", "on_error": "compensate"}]),
    "FP0104 `compensate` is not a value of `on_error`: expected `fail` or `continue`")]
#[case::compensate_of_nothing(
    json!([{"id": "a", "type": "directive", "directive": "mail.send", "compensate": {"directive": "mail.sent"}}]),
    "FP0206 there is no directive `mail.sent`;FP0220 this `compensate` is never requested")]
fn a_wrong_step_is_refused(#[case] steps: Value, #[case] expected: &str) {
    let mut problems = problems(of_steps(steps));
    problems.sort_unstable();
    assert_eq!(problems.join(";"), expected);
}

#[rstest]
#[case("1.0.0", true)]
#[case("10.20.30-alpha.1+exp.sha-5114f85", true)]
#[case("1.0", false)]
#[case("01.0.0", false)]
#[case("1.0.0-", false)]
#[case("1.0.0-01", false)]
#[case("1.0.0+", false)]
#[case("v1.0.0", false)]
#[case("1.0.0.0", false)]
fn versions_are_semantic(#[case] version: &str, #[case] valid: bool) {
    assert_eq!(is_semantic_version(version), valid);
}

#[test]
fn what_is_not_in_the_catalog_is_only_checked_where_that_is_known() {
    let unknown = Catalog { functions: Some(Vec::new()), ..Catalog::default() };
    assert!(read(BLUEPRINT, Format::Json, &unknown).is_ok());
    let empty = Catalog { directives: Some(Vec::new()), agents: Some(Vec::new()), ..unknown };
    assert_eq!(
        problems(read(BLUEPRINT, Format::Json, &empty)),
        ["FP0208 there is no agent `forum_summary_agent`", "FP0206 there is no directive `forum.post.create`"]
    );
}

#[test]
fn a_duplicate_entry_is_only_a_warning() {
    let (_, warnings) = of_steps(json!([{"id": "a"}, {"id": "b", "needs": ["a", "a"]}])).expect("valid");
    let warnings = locate(&warnings, "");
    assert!(matches!(&warnings[..], [Located { code, .. }] if code == "FP0112"), "{warnings:?}");
}

#[test]
fn every_problem_of_a_wrong_document_is_shown_at_its_place() {
    let problems = read(ALL_WRONG_JSON, Format::Json, &catalog()).expect_err("refused");
    insta::assert_snapshot!("all_wrong_json", render(&problems, ALL_WRONG_JSON, "triage.json", false));
    let problems = read(ALL_WRONG_YAML, Format::Yaml, &catalog()).expect_err("refused");
    insta::assert_snapshot!("all_wrong_yaml", render(&problems, ALL_WRONG_YAML, "triage.yaml", false));
    let text = r#"{"name": "Triage", "steps": []}"#;
    let problems = read(text, Format::Json, &catalog()).expect_err("refused");
    insta::assert_snapshot!("no_envelope", render(&problems, text, "triage.json", false));
}

#[test]
fn ten_thousand_steps_are_read_at_once() {
    let chain: Vec<Value> = (0..10_000)
        .map(|n| match n {
            0 => json!({"id": "s0", "type": "function", "function": "json.merge"}),
            _ => json!({"id": format!("s{n}"), "type": "function", "function": "json.merge",
                        "needs": [format!("s{}", n - 1)]}),
        })
        .collect();
    let document = json!({"workflow": {"name": "Long", "version": "1.0.0", "steps": chain}});
    let (workflow, _) = quickly(|| read_json(&document)).expect("valid");
    assert_eq!(workflow.steps.len(), 10_000);
    assert!(matches!(&workflow.steps[9_999].after[..], [edge] if edge.from == 9_998));
}

#[test]
fn a_document_full_of_mistakes_is_answered_with_a_readable_number_of_them() {
    let steps: Vec<Value> =
        (0..5_000).map(|n| json!({"id": format!("step_{n}"), "needs": [format!("stop_{n}")]})).collect();
    let start = Instant::now();
    let problems = problems(of_steps(steps.into()));
    assert_eq!(problems.len(), 201);
    assert_eq!(problems[200], "FP0009 there are 4800 more problems");
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

#[test]
fn one_cycle_through_every_step_is_shown_short() {
    let steps: Vec<Value> =
        (0..10_000).map(|n| json!({"id": format!("s{n}"), "needs": [format!("s{}", (n + 9_999) % 10_000)]})).collect();
    let problems = problems(of_steps(steps.into()));
    assert_eq!(problems.len(), 1);
    assert!(problems[0].ends_with("s10 → s11 → … 9988 more … → s0"), "{}", problems[0]);
}

/// A second would be slow; this only tells quadratic work from linear, on any machine.
fn quickly<T>(work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    done
}

#[rstest]
#[case::many_into_one(json!({"steps": (0..9_000).map(|n| match n {
    0..=999 => json!({"id": format!("s{n}"), "needs": []}),
    _ => json!({"id": format!("s{n}"), "needs": [format!("s{}", n % 1_000)]}),
}).chain([json!({"id": "all", "needs": (0..1_000).map(|n| format!("s{n}")).collect::<Vec<_>>()})]).collect::<Vec<_>>()}))]
#[case::dense(json!({"steps": (0..400).map(|n| json!({"id": format!("s{n}"),
    "needs": (0..n).map(|m| format!("s{m}")).collect::<Vec<_>>()})).collect::<Vec<_>>()}))]
#[case::reads_on_every_way(json!({
    "steps": (0..4_000).map(|n: usize| json!({"id": format!("s{n}"),
        "input": format!("${{steps.s{}.output}}", n.saturating_sub(1))})).skip(1)
        .chain([json!({"id": "s0"})]).collect::<Vec<_>>(),
    "transitions": (1..4_000).map(|n| json!({"from": format!("s{}", n - 1), "to": format!("s{n}")})).collect::<Vec<_>>(),
}))]
#[case::joins_of_joins(json!({
    "steps": (0..600).map(|n: usize| json!({"id": format!("s{n}"),
        "needs": if n == 0 { vec![] } else { vec![format!("s{}", n - 1)] },
        "join": if n == 0 { "all" } else { "any" }, "cancel_rest": n > 0})).collect::<Vec<_>>(),
}))]
fn large_graphs_are_checked_at_once(#[case] fields: Value) {
    let outcome = quickly(|| of_fields(fields));
    outcome.expect("valid");
}

#[test]
fn what_all_cancel_rest_would_withdraw_is_limited() {
    let step = |n: usize| match n {
        0 => json!({"id": "s0", "needs": []}),
        _ => json!({"id": format!("s{n}"), "needs": [format!("s{}", n - 1)], "join": "any", "cancel_rest": true}),
    };
    let problems = quickly(|| problems(of_steps((0..8_000).map(step).collect())));
    assert_eq!(problems, ["FP0109 all `cancel_rest` together would withdraw more than 200000 steps"]);
}

fn step(fields: Value) -> crate::workflow::Step {
    let (mut workflow, _) = of_steps(json!([fields])).expect("valid");
    workflow.steps.remove(0)
}

#[test]
fn short_and_long_spellings_mean_the_same() {
    for for_each in [json!("${signal.payload.l}"), json!({"items": "${signal.payload.l}"})] {
        let read = step(json!({"id": "a", "for_each": for_each})).for_each.expect("given");
        assert!(read.max_parallel == 100 && read.tolerate == Tolerate::Count(0) && read.at_least.is_none());
    }
    let long = json!({"items": [1, 2], "max_parallel": 7, "tolerate": "12.5%", "at_least": 2});
    let read = step(json!({"id": "a", "for_each": long})).for_each.expect("given");
    assert!(read.max_parallel == 7 && read.tolerate == Tolerate::Percent(12.5) && read.at_least == Some(2));
    for fields in [json!({"signal": "a.b"}), json!({"signal": {"name": "a.b"}}), json!({"signals": ["a.b"]})] {
        let mut fields = fields;
        fields
            .as_object_mut()
            .expect("fields")
            .extend([("id".to_owned(), json!("a")), ("type".to_owned(), json!("wait"))]);
        let StepKind::Wait(Wait::Signal { events, lookback: None, consumes: true }) = step(fields).kind else {
            panic!("a signal")
        };
        assert!(events.len() == 1 && events[0].name.as_str() == "a.b" && events[0].matches.is_empty());
    }
    for callback in [json!(true), json!({})] {
        let read = step(json!({"id": "a", "type": "wait", "callback": callback, "heartbeat": "1m", "timeout": "1h"}));
        assert!(matches!(read.kind, StepKind::Wait(Wait::Callback { schema: None })) && read.heartbeat.is_some());
    }
    for join in [json!("any"), json!({"at_least": 1})] {
        let (workflow, _) = of_steps(json!([{"id": "a"}, {"id": "b", "needs": ["a"], "join": join}])).expect("valid");
        assert_eq!(workflow.steps[1].join, Join::AtLeast(1));
    }
}

#[test]
fn waits_sub_runs_and_ends_are_read() {
    let wait = |fields: Value| {
        let mut whole = json!({"id": "a", "type": "wait"});
        whole.as_object_mut().expect("fields").extend(fields.as_object().expect("fields").clone());
        match step(whole).kind {
            StepKind::Wait(wait) => wait,
            other => panic!("{}", other.name()),
        }
    };
    assert!(matches!(wait(json!({"for": "${signal.payload.pause}"})), Wait::For(_)));
    assert!(matches!(wait(json!({"until": "2026-11-22T09:30:00Z"})), Wait::Until(_)));
    let of_signals = json!({"lookback": "10m", "consume": false, "signals": ["a.b", {"name": "c.d", "when": "event.payload.n > 1",
        "match": {"payload.order.id": "${signal.payload.id}", "subject.type": "order"}}]});
    let Wait::Signal { events, lookback, consumes: false } = wait(of_signals) else { panic!("signals") };
    assert_eq!(lookback, Some(Lookback::For(Span::from_secs(600))));
    assert_eq!(events[1].matches[0].0, ["payload", "order", "id"]);
    assert!(events[1].when.is_some() && events[0].when.is_none());
    let asked = json!({"input": {"prompt": "Pay ${signal.payload.n}?", "role": "operator", "schema": {"type": "boolean"},
        "escalate": [{"after": "2h", "role": "owner"}, {"after": "1h", "role": "admin"}]}});
    let Wait::Input { prompt: Some(_), role: Role::Operator, schema: Some(_), escalations } = wait(asked) else {
        panic!("an input")
    };
    assert_eq!(escalations.iter().map(|it| it.role).collect::<Vec<_>>(), [Role::Admin, Role::Owner]);

    let sub = step(json!({"id": "a", "type": "workflow", "workflow_ref": {"slug": "billing", "version": "1.0.0"},
        "wait": false, "on_cancel": "abandon"}));
    assert!(matches!(sub.kind, StepKind::Workflow { version: Some(_), waits: false, abandons: true, .. }));
    let itself = json!([{"id": "a", "type": "workflow", "workflow_ref": {"slug": "test"}}]);
    assert!(of_steps(itself).is_ok(), "a workflow may start itself");
    let failed =
        step(json!({"id": "a", "type": "finish", "status": "failed", "error": {"code": "too_late", "message": "m"}}));
    assert!(matches!(failed.kind, StepKind::Finish(Finish::Failed { code, .. }) if code == "too_late"));
    assert!(matches!(
        step(json!({"id": "a", "type": "finish"})).kind,
        StepKind::Finish(Finish::Completed { output: None })
    ));
}

#[test]
fn flow_control_is_read() {
    let (workflow, _) = of_fields(json!({"on_error": "park",
        "concurrency": {"limit": 5, "key": "${signal.payload.customer}", "on_limit": "cancel_oldest"},
        "throttle": {"limit": 100, "per": "1m"}, "debounce": {"period": "5s", "max": "1m", "key": "${run.input.id}"}}))
    .expect("valid");
    let concurrency = workflow.concurrency.expect("given");
    assert_eq!((concurrency.limit, concurrency.on_limit), (5, OnLimit::CancelOldest));
    assert!(workflow.throttle.is_some_and(|it| it.limit == 100 && it.key.is_none()));
    assert!(workflow.debounce.is_some_and(|it| it.max == Some(Span::from_secs(60)) && it.key.is_some()));
    let (workflow, _) = of_fields(json!({"singleton": {}})).expect("valid");
    assert!(workflow.concurrency.is_some_and(|it| (it.limit, it.on_limit) == (1, OnLimit::Drop)));
}

#[rstest]
#[case(json!({"concurrency": {"limit": 0}}), "FP0104 expected a whole number from 1 to 10000, found 0")]
#[case(json!({"concurrency": {"limit": 1}, "singleton": {}}),
    "FP0111 a workflow has either `concurrency` or `singleton`, which is one of 1")]
#[case(json!({"debounce": {"period": "1m", "max": "1s"}}), "FP0104 `max` is 1s, less than `period`, which is 1m")]
#[case(json!({"throttle": {"limit": 1, "per": "1m", "key": "${run.id}"}}),
    "FP0209 the `key` of `throttle` cannot read `run`: there is no run yet")]
#[case(json!({"singleton": {"key": "${steps.only.output}"}}),
    "FP0209 the `key` of `singleton` cannot read `steps`: there is no run yet")]
#[case(json!({"trigger": {"signal": "a.b", "when": "run.input.x == 1"}}),
    "FP0209 a trigger's `when` cannot read `run.input`: there is no run yet")]
#[case(json!({"output": "${item}"}),
    "FP0209 the workflow's `output` cannot read `item`: it belongs to a step, and this to the whole workflow")]
#[case(json!({"steps": [{"id": "a", "when": "item.x", "for_each": "${signal.payload.l}"}]}),
    "FP0209 a step's `when` cannot read `item`: it is asked once, before `for_each`")]
#[case(json!({"steps": [{"id": "a", "for_each": "${signal.payload.l.map(x, index)}"}]}),
    "FP0209 the list of `for_each` cannot read `index`: this is what gives the items")]
#[case(json!({"steps": [{"id": "a", "input": "${repeat.iteration}"}]}),
    "FP0209 `input` cannot read `repeat`: the step has no `repeat`")]
#[case(json!({"steps": [{"id": "a", "type": "agent", "agent_ref": {"slug": "forum_summary_agent"}, "repeat": {"max": 2},
    "lock": "${repeat.iteration}"}]}), "FP0209 a `lock` cannot read `repeat`: it is the same for all iterations")]
#[case(json!({"steps": [{"id": "a", "type": "wait", "signal": {"name": "a.b", "match": {"id": "${event.id}"}}}]}),
    "FP0209 a value of `match` cannot read `event`: it is there only in the `when` of a wait's signal")]
#[case(json!({"steps": [{"id": "a"}, {"id": "b"}], "transitions": [{"from": "a", "to": "b", "when": "index > 1"}]}),
    "FP0209 a transition's `when` cannot read `index`: it belongs to a step, and this to the whole workflow")]
fn what_a_place_does_not_allow_is_refused(#[case] fields: Value, #[case] expected: &str) {
    assert_eq!(problems(of_fields(fields)), [expected]);
}

#[test]
fn what_is_there_in_a_place_may_be_read_there() {
    let outcome = of_fields(json!({"on_error": "compensate", "steps": [
        {"id": "a", "type": "directive", "directive": "mail.send", "for_each": "${signal.payload.l}", "lock": "${item.id}",
         "repeat": {"while": "repeat.iteration < 3 && item.more", "max": 5, "delay": "1s"},
         "payload": {"to": "${item}", "n": "${index}", "last": "${repeat.output}"},
         "compensate": {"directive": "mail.send", "payload": ["${item} ${index}", "${steps.a.output.id}"]}},
        {"id": "b", "type": "wait", "signal": {"name": "a.b", "when": "event.payload.id == steps.a.output[0].id"}}
    ]}));
    let (workflow, warnings) = outcome.expect("valid");
    assert_eq!(warnings, []);
    assert!(workflow.steps[0].compensate.is_some() && workflow.steps[0].repeat.as_ref().is_some_and(|it| it.max == 5));
    assert!(matches!(&workflow.steps[1].after[..], [edge] if matches!(edge.kind, EdgeKind::Needs)));
}

#[rstest]
#[case::a_transition_ends_the_chain(
    json!({"steps": [{"id": "a"}, {"id": "b"}, {"id": "c"}], "transitions": [{"from": "a", "to": "c"}]}), "2←0>")]
#[case::an_error_only_orders(
    json!({"steps": [{"id": "a", "needs": []}, {"id": "b", "input": "${has(steps.a.error) ? 1 : 2}"}]}), "1←0?")]
#[case::a_status_only_orders(json!({"steps": [{"id": "a", "needs": []}, {"id": "b", "when": "steps.a.status == 'failed'"}]}),
    "1←0?")]
#[case::a_certain_read_adds_no_need(
    json!({"steps": [{"id": "a"}, {"id": "b", "input": "${steps.a.output}"}], "transitions": [{"from": "a", "to": "b"}]}),
    "1←0? 1←0>")]
#[case::a_compensation_that_asks_first_waits_for_nobody(
    json!({"on_error": "compensate", "steps": [
        {"id": "a", "type": "directive", "directive": "mail.send", "compensate": {"directive": "mail.send",
         "payload": "${has(steps.b.output) ? 1 : 2}"}}, {"id": "b", "needs": ["a"]}]}), "1←0")]
#[case::the_same_transition_twice_counts_once(
    json!({"steps": [{"id": "a"}, {"id": "b"}], "transitions": [{"from": "a", "to": "b"}, {"from": "a", "to": "b"}]}),
    "1←0>")]
fn transitions_and_careful_reads_make_their_edges(#[case] fields: Value, #[case] expected: &str) {
    assert_eq!(edges(of_fields(fields)), expected);
}

/// Steps a, b, c, d, e, each with the fields that are given for it.
fn of_graph(fields: Value, transitions: Value) -> Outcome<Workflow> {
    let step = |id: &str| {
        let mut step = json!({"id": id});
        let given = fields.get(id).and_then(Value::as_object).cloned();
        step.as_object_mut().expect("an object").extend(given.unwrap_or_default());
        step
    };
    let steps: Vec<Value> = ["a", "b", "c", "d", "e"].map(step).to_vec();
    let transition = |text: &str| {
        let words: Vec<&str> = text.split(' ').collect();
        let mut transition = json!({"from": words[0], "to": words[1], "on": words[2]});
        if let [_, _, _, when @ ..] = &words[..]
            && !when.is_empty()
        {
            transition["when"] = when.join(" ").into();
        }
        transition
    };
    let transitions = transitions.as_array().expect("a list").iter().map(|it| transition(it.as_str().expect("text")));
    of_fields(json!({"steps": steps, "transitions": transitions.collect::<Vec<_>>()}))
}

#[rstest]
#[case::on_the_only_way(json!({"b": {"input": "${steps.a.output}"}}), json!(["a b completed"]))]
#[case::before_every_way(
    json!({"b": {"needs": ["a"]}, "c": {"needs": ["a"]}, "d": {"input": "${steps.a.output}"}}),
    json!(["b d completed", "c d failed"]))]
#[case::by_a_need_beside_the_ways(
    json!({"d": {"needs": ["a"], "input": "${steps.a.output}"}}), json!(["b d completed", "c d failed"]))]
#[case::by_what_each_way_asked_for(
    json!({"b": {"when": "has(steps.a.output)"}, "d": {"input": "${steps.a.output}"}}),
    json!(["b d completed", "c d settled steps.c.status == 'failed' && has(steps.a.output)", "a c settled"]))]
#[case::by_its_own_when(
    json!({"d": {"when": "steps.a.status == 'completed'", "input": "${steps.a.output}"}}), json!(["b d completed"]))]
#[case::by_all_that_a_join_counts(
    json!({"d": {"needs": ["a", "b"], "join": {"at_least": 2}, "input": "${steps.a.output}"}}), json!([]))]
#[case::what_failed_has_an_error(json!({"d": {"input": "${steps.a.error.code}"}}), json!(["a d failed"]))]
#[case::whose_failure_came_before(json!({"d": {"input": "${steps.a.error.code}"}}), json!(["a b failed", "b d completed"]))]
#[case::where_its_status_was_asked(
    json!({"d": {"input": "${steps.a.status == 'failed' ? steps.a.error.code : ''}"}}), json!(["a d settled"]))]
#[case::a_transition_reads_its_from(json!({}), json!(["a b completed steps.a.output.x", "a c failed steps.a.error.retryable"]))]
#[case::a_transition_reads_what_was_needed(json!({"b": {"needs": ["a"]}}), json!(["b c failed steps.a.output.x"]))]
fn what_is_certain_may_be_read(#[case] fields: Value, #[case] transitions: Value) {
    let (_, warnings) = of_graph(fields, transitions).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(warnings, []);
}

#[rstest]
#[case::not_on_one_way(json!({"d": {"input": "${steps.a.output}"}}), json!(["a d completed", "b d completed"]),
    "FP0212 `a` need not have completed where its output is read: not on the way from `b`")]
#[case::not_when_it_failed(json!({"d": {"input": "${steps.a.output}"}}), json!(["a d settled"]),
    "FP0212 `a` need not have completed where its output is read: not on the way from `a`")]
#[case::two_steps_before(
    json!({"b": {"needs": ["a"]}, "e": {"input": "${steps.a.output}"}}),
    json!(["b d completed", "c d completed", "d e completed"]),
    "FP0212 `a` need not have completed where its output is read: not on the way from `d`")]
#[case::one_of_two(json!({"d": {"needs": ["a", "b"], "join": "any", "input": "${steps.a.output}"}}), json!([]),
    "FP0212 `a` need not have completed where its output is read: not on the way from `b`")]
#[case::an_error_after_any_end(json!({"d": {"input": "${steps.a.error.code}"}}), json!(["a d settled"]),
    "FP0213 `a` need not have failed where its error is read")]
#[case::an_error_of_what_is_needed(json!({"d": {"needs": ["a"], "input": "${steps.a.error.code}"}}), json!([]),
    "FP0213 `a` need not have failed where its error is read")]
#[case::an_error_in_its_transition(json!({}), json!(["a d completed steps.a.error.retryable"]),
    "FP0213 `a` need not have failed where its error is read")]
#[case::an_output_in_its_transition(json!({}), json!(["a d settled steps.a.output.x"]),
    "FP0212 `a` need not have completed where its output is read")]
#[case::a_transition_that_looks_aside(json!({}), json!(["a d completed steps.b.status == 'failed'"]),
    "FP0219 `b` need not have settled when `a` has, and the transition is asked then")]
#[case::after_a_race(json!({"c": {"needs": ["a", "b"], "join": "any"}}), json!(["c d completed has(steps.a.output)"]),
    "FP0219 `a` need not have settled when `c` has, and the transition is asked then")]
#[case::unknown_in_a_transition(json!({}), json!(["a d completed has(steps.f.output)"]),
    "FP0202 there is no step `f` in this workflow")]
#[case::unknown_end(json!({}), json!(["a f completed"]), "FP0202 there is no step `f` in this workflow")]
#[case::to_itself(json!({}), json!(["a a failed"]), "FP0204 the step `a` refers to itself")]
#[case::circle(json!({"b": {"needs": ["a"]}}), json!(["b a failed"]), "FP0203 steps wait for each other: a → b → a")]
#[case::after_the_end(json!({"a": {"type": "finish"}}), json!(["a b completed"]),
    "FP0215 `a` ends the run, so nothing comes after it")]
#[case::needs_the_end(json!({"a": {"type": "finish"}, "b": {"needs": ["a"]}}), json!([]),
    "FP0215 `a` ends the run, so nothing comes after it")]
#[case::reads_the_end(json!({"a": {"type": "finish", "when": "true"}, "b": {"input": "${steps.a.output}"}}), json!([]),
    "FP0215 `a` ends the run, so nothing comes after it")]
#[case::completes_and_fails(json!({"b": {"needs": ["a"]}, "c": {"needs": ["b"]}}), json!(["a c failed"]),
    "FP0216 `c` can never run: it needs `a` to complete and to fail")]
#[case::too_many_joined(json!({"c": {"needs": ["a"], "join": {"at_least": 3}}}), json!(["b c completed"]),
    "FP0217 `join` waits for 3 of 2")]
#[case::nothing_joined(json!({"c": {"join": "any"}}), json!([]),
    "FP0217 `join` counts `needs` and transitions, and this step has none")]
#[case::nothing_to_cancel(json!({"c": {"needs": ["a"], "cancel_rest": true}}), json!([]),
    "FP0217 `cancel_rest` withdraws what is unfinished, and this step waits for all")]
#[case::fails_and_goes_on(json!({"a": {"on_error": "fail"}}), json!(["a b settled"]),
    "FP0218 what `a` says of its failure fails the run, and a transition takes it up")]
#[case::continues_anyway(json!({"a": {"on_error": "continue"}}), json!(["a b failed"]),
    "FP0218 what `a` says of its failure has nothing to take up, and a transition takes it up")]
fn what_cannot_be_or_is_not_certain_is_refused(
    #[case] fields: Value,
    #[case] transitions: Value,
    #[case] expected: &str,
) {
    assert_eq!(problems(of_graph(fields, transitions)), [expected]);
}

#[rstest]
#[case::a_chain(json!([{"id": "a"}, {"id": "b"}]), &[])]
#[case::with_a_condition(json!([{"id": "a", "when": "true"}]), &["FP0214"])]
#[case::that_needs_it(json!([{"id": "c", "when": "true", "needs": []}, {"id": "a", "needs": ["c"]}]), &["FP0214"])]
#[case::that_goes_on(json!([{"id": "a", "on_error": "continue"}]), &["FP0214"])]
#[case::behind_an_early_end(json!([{"id": "x", "type": "finish", "when": "true"}, {"id": "a"}]), &["FP0214"])]
#[case::before_an_early_end(
    json!([{"id": "a"}, {"id": "x", "type": "finish", "when": "steps.a.output.x"}, {"id": "b"}]), &[])]
#[case::behind_an_end_with_its_own_output(
    json!([{"id": "x", "type": "finish", "when": "true", "output": 1}, {"id": "a"}]), &[])]
#[case::that_may_be_withdrawn(json!([{"id": "a", "needs": []}, {"id": "b", "needs": []},
    {"id": "c", "needs": ["a", "b"], "join": "any", "cancel_rest": true}]), &["FP0214"])]
fn the_workflow_s_output_warns_of_what_may_be_missing(#[case] steps: Value, #[case] expected: &[&str]) {
    let (_, warnings) = of_fields(json!({"steps": steps, "output": "${steps.a.output}"})).expect("valid");
    assert_eq!(warnings.iter().map(|it| it.code).collect::<Vec<_>>(), expected);
}

#[rstest]
#[case::a_workers("lead.score", json!({"timeout": "5s", "retry": {}, "lock": "x", "heartbeat": "1s"}), &[])]
#[case::the_engines("text.join", json!({}), &[])]
#[case::the_engines_tried_again("text.join", json!({"retry": {}, "lock": "x"}), &["FP0222", "FP0222"])]
#[case::nobodys("lead.rate", json!({"timeout": "5s"}), &["FP0205"])]
fn functions_are_the_engines_or_a_workers(#[case] function: &str, #[case] fields: Value, #[case] expected: &[&str]) {
    let mut step = json!({"id": "a", "type": "function", "function": function, "input": {}});
    step.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    let problems = of_steps(json!([step])).err().unwrap_or_default();
    assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), expected, "{problems:?}");
}

#[rstest]
#[case::of_another_family("lead.score", true)]
#[case::like_one_of_the_engines("text.joyn", false)]
#[case::without_a_family("score", false)]
fn where_the_workers_are_not_known_a_function_may_be_one_of_theirs(#[case] function: &str, #[case] is_fine: bool) {
    let offline = Catalog { worker_functions: None, directives: None, agents: None, workflows: None, ..catalog() };
    let step = json!({"id": "a", "type": "function", "function": function});
    let document = json!({"workflow": {"name": "x", "version": "1.0.0", "steps": [step]}});
    assert_eq!(read(&document.to_string(), Format::Json, &offline).is_ok(), is_fine);
}

#[rstest]
#[case::of_a_racer("any", "${has(steps.a.output) ? steps.a.output : []}", true)]
#[case::of_how_a_racer_ended("any", "${steps.a.status == 'completed' ? [1] : []}", true)]
#[case::of_what_came_before("any", "${has(steps.x.output) ? steps.x.output : []}", false)]
#[case::where_all_have_settled("all", "${has(steps.a.output) ? steps.a.output : []}", false)]
fn a_list_is_made_of_what_has_settled(#[case] join: &str, #[case] list: &str, #[case] is_refused: bool) {
    let read = of_steps(json!([{"id": "x", "needs": []}, {"id": "a", "needs": ["x"]}, {"id": "b", "needs": ["x"]},
        {"id": "c", "needs": ["a", "b"], "join": join, "for_each": list}]));
    let problems = read.err().unwrap_or_default();
    let codes: Vec<_> = problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, if is_refused { vec!["FP0221"] } else { vec![] }, "{problems:?}");
}

#[rstest]
#[case::a_race(json!([{"id": "a", "needs": []}, {"id": "b", "needs": []},
    {"id": "c", "needs": ["a", "b"], "join": "any", "cancel_rest": true}]), &[0, 1])]
#[case::what_leads_to_them(json!([{"id": "x", "needs": []}, {"id": "a", "needs": ["x"]}, {"id": "b", "needs": []},
    {"id": "c", "needs": ["a", "b"], "join": "any", "cancel_rest": true}]), &[0, 1, 2])]
#[case::not_what_leads_elsewhere_too(json!([{"id": "x", "needs": []}, {"id": "a", "needs": ["x"]},
    {"id": "b", "needs": []}, {"id": "c", "needs": ["a", "b"], "join": "any", "cancel_rest": true},
    {"id": "e", "when": "steps.x.status == 'failed' || steps.b.status == 'failed'"}]), &[1])]
#[case::nothing_without_it(json!([{"id": "a", "needs": []}, {"id": "c", "needs": ["a"], "join": "any"}]), &[])]
fn cancel_rest_withdraws_what_leads_only_there(#[case] steps: Value, #[case] expected: &[usize]) {
    let (workflow, _) = of_steps(steps).expect("valid");
    let cancels = &workflow.steps[workflow.index["c"]].cancels;
    assert_eq!(cancels, expected);
}

#[test]
fn a_compensation_counts_as_a_directive_of_the_workflow() {
    let fields = json!({"on_error": "compensate", "may_request_directives": ["forum.post.create"], "steps": [
        {"id": "a", "type": "directive", "directive": "forum.post.create", "compensate": {"directive": "mail.send"}}]});
    let expected = "FP0207 `mail.send` is not among the workflow's `may_request_directives`";
    assert_eq!(problems(of_fields(fields)), [expected]);
}

/// The examples of explanations that are workflows: what is wrong is told by that code, and what is
/// right is not told at all.
#[test]
fn the_examples_of_explanations_are_what_they_say() {
    let mut tested = 0;
    for (code, _, explanation) in CODES {
        let example = |which: &str| {
            let text = explanation.split(which).nth(1)?.strip_prefix('`')?;
            let text = text[..text.rfind("`")?].split("`\n\n").next()?.replace('\n', " ");
            let fields: Value = serde_json::from_str(&text).ok()?;
            fields.get("steps").is_some().then(|| of_fields(fields))
        };
        let (Some(wrong), Some(right)) = (example("\n\nWrong: "), example("\n\nRight: ")) else { continue };
        tested += 1;
        let told = match &wrong {
            Ok((_, warnings)) => warnings,
            Err(problems) => problems,
        };
        assert!(told.iter().any(|problem| problem.code == *code), "{code}: {told:?}");
        let (_, warnings) = right.unwrap_or_else(|problems| panic!("{code}: {problems:?}"));
        assert!(warnings.is_empty(), "{code}: {warnings:?}");
    }
    assert!(tested >= 18, "only {tested} of the explanations have examples that can be read");
}

proptest! {
    #[test]
    fn no_text_makes_reading_panic(text in any::<String>()) {
        read_all(&text);
    }

    #[test]
    fn no_change_of_a_document_makes_reading_panic(
        which in 0..4usize, at in any::<prop::sample::Index>(), length in 0..12usize,
        with in "[-{}\\[\\]:,\"'#&*!|> $.a-z0-9\\\\\nä]{0,6}",
    ) {
        let text = [BLUEPRINT, ALL_WRONG_JSON, ALL_WRONG_YAML, "workflow: {name: ä, version: 1.0.0, steps: []}"][which];
        let start = text.floor_char_boundary(at.index(text.len()));
        let end = text.floor_char_boundary((start + length).min(text.len()));
        read_all(&format!("{}{with}{}", &text[..start], &text[end.max(start)..]));
    }
}

/// A workflow that has everything, for tests that change it.
fn everything() -> Value {
    json!({"workflow": {
        "name": "Orders", "version": "1.0.0", "on_error": "compensate", "trigger": {"signal": "order.placed"},
        "concurrency": {"limit": 3, "key": "${signal.payload.customer}"}, "throttle": {"limit": 9, "per": "1s"},
        "debounce": {"period": "1s"}, "timeout": "7d",
        "steps": [
            {"id": "pay", "type": "directive", "directive": "mail.send", "payload": {"n": "${item} of ${index}"},
             "for_each": {"items": "${signal.payload.l}", "tolerate": "10%", "at_least": 2}, "lock": "pay-${item}",
             "retry": {"on": ["http_*"], "max_elapsed": "1h"}, "heartbeat": "5s",
             "compensate": {"directive": "mail.send", "payload": "${steps.pay.output}"}},
            {"id": "answered", "type": "wait", "signals": ["a.b", {"name": "c.d", "match": {"payload.id": 1},
             "when": "${event.payload.n > 1}"}], "lookback": "run", "timeout": "1d", "needs": ["pay"]},
            {"id": "asked", "type": "wait", "input": {"role": "admin", "escalate": [{"after": "1h", "role": "owner"}]},
             "needs": ["pay"]},
            {"id": "told", "type": "wait", "callback": {"schema": true}, "heartbeat": "1m", "needs": ["pay"]},
            {"id": "bill", "type": "workflow", "workflow_ref": {"slug": "billing"}, "join": "any", "cancel_rest": true,
             "needs": ["asked", "told"], "repeat": {"while": "${repeat.iteration < 2}", "max": 3}},
            {"id": "late", "type": "finish", "status": "failed", "error": {"code": "late", "message": "${steps.answered.error.code}"}}
        ],
        "transitions": [{"from": "answered", "to": "late", "on": "failed", "when": "${has(steps.pay.output)}"}],
        "output": {"paid": "${steps.pay.status}"}
    }})
}

#[test]
fn a_document_read_and_written_and_read_is_the_same_in_both_spellings() {
    let (first, warnings) = read_json(&everything()).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(warnings, []);
    let (again, _) = read(first.document.text(), Format::Json, &catalog()).expect("its own document");
    // YAML has JSON as one of its styles, so the same text is read by both.
    let (in_yaml, _) = read(first.document.text(), Format::Yaml, &catalog()).expect("its own document");
    assert_eq!([&again.digest, &in_yaml.digest], [&first.digest; 2]);
    let (as_block, _) = read(&block(&everything(), 0), Format::Yaml, &catalog()).expect("in blocks");
    assert_eq!(as_block.digest, first.digest);
}

/// A value in YAML's block style.
fn block(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().map(|(name, field)| format!("\n{indent}{name}: {}", block(field, depth + 1))).collect()
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().map(|item| format!("\n{indent}- {}", block(item, depth + 1))).collect()
        }
        scalar => scalar.to_string(),
    }
}

/// Every place in a value, as JSON pointers.
fn places(value: &Value, at: String, into: &mut Vec<String>) {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, field)| (name.clone(), field)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    for (name, field) in below {
        places(field, format!("{at}/{name}"), into);
    }
    into.push(at);
}

proptest! {
    #[test]
    fn any_value_in_any_place_is_read_or_refused_with_a_reason(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4),
    ) {
        let mut document = everything();
        for (place, with) in changes {
            let mut all = Vec::new();
            places(&document, String::new(), &mut all);
            // Another part of the same document is the likeliest mistake; the rest are other types.
            let others = [json!(null), json!(0), json!(-1), json!(1e9), json!(""), json!([]), json!({}), json!(true),
                json!("${steps.late.output}"), json!("${item.x + repeat.iteration}"), json!("any"), json!("pay")];
            let with = with.index(all.len() + others.len());
            let value = match all.get(with) {
                Some(from) => document.pointer(from).expect("a place").clone(),
                None => others[with - all.len()].clone(),
            };
            *document.pointer_mut(all[place.index(all.len())].as_str()).expect("a place") = value;
        }
        match read_json(&document) {
            Ok((workflow, warnings)) => {
                prop_assert!(warnings.iter().all(|it| it.severity == Severity::Warning));
                for (index, step) in workflow.steps.iter().enumerate() {
                    prop_assert!(step.after.iter().all(|edge| workflow.steps[edge.from].before.contains(&index)));
                }
            }
            Err(problems) => prop_assert!(problems.iter().any(|it| it.severity == Severity::Error)),
        }
    }
}

fn read_all(text: &str) {
    for format in [Format::Json, Format::Yaml] {
        if let Err(problems) = read(text, format, &catalog()) {
            assert!(!problems.is_empty());
            render(&problems, text, "x", true);
            locate(&problems, text);
        }
        let _ = crate::agent::read(text, format);
    }
}

use std::fmt::Write;
use std::time::Instant;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::Span;
use crate::diagnostic::{Located, locate, render};
use crate::retry::RetryPolicy;
use crate::workflow::{Edge, OnError, StepKind};

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
        directives: Some(names(&["forum.post.create", "mail.send"])),
        agents: Some(vec!["forum_summary_agent".parse().expect("a slug")]),
    }
}

fn read_json(document: &Value) -> Outcome<Workflow> {
    read(&document.to_string(), Format::Json, &catalog())
}

/// A workflow of function steps, each `(id, fields)`.
fn of_steps(steps: Value) -> Outcome<Workflow> {
    let steps: Vec<Value> = steps.as_array().expect("steps").iter().map(completed).collect();
    read_json(&json!({"workflow": {"name": "Test", "version": "1.0.0", "steps": steps}}))
}

fn completed(step: &Value) -> Value {
    let mut whole = json!({"type": "function", "function": "json.merge"});
    let fields = step.as_object().expect("a step").clone();
    whole.as_object_mut().expect("an object").extend(fields);
    whole
}

/// `1←0 2←1?`: a question mark where the edge only orders.
fn edges(outcome: Outcome<Workflow>) -> String {
    let (workflow, _) = outcome.expect("valid");
    let mut text = String::new();
    for (index, step) in workflow.steps.iter().enumerate() {
        for edge in &step.after {
            assert!(workflow.steps[edge.from].before.contains(&index));
            write!(text, "{index}←{}{} ", edge.from, if edge.required { "" } else { "?" }).expect("room");
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
    assert_eq!(workflow.steps[1].after, [Edge { from: 0, required: true }]);
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
        "on_error": "fail", "output": {"sent": "${steps.mail.output}"},
        "steps": [
            {"id": "score", "type": "function", "name": "Score", "description": "By rule", "function": "json.merge",
             "input": {"amount": "${signal.payload.amount}"}, "output_schema": {"type": "object"}},
            {"id": "mail", "type": "directive", "directive": "mail.send", "needs": ["score"],
             "when": "${steps.score.output.ok}", "timeout": "90s", "on_error": "continue",
             "retry": {"max_attempts": 9, "initial": "2s", "factor": 1.5, "max": "30s", "jitter": false}}
        ]
    }}))
    .expect("valid");
    assert_eq!(warnings, []);
    assert_eq!((workflow.slug.as_str(), workflow.version.as_str()), ("refunds_eu", "2.0.0-rc.1+build.7"));
    assert_eq!(workflow.timeout, Some(Span::from_secs(3600)));
    assert!(workflow.trigger.as_ref().is_some_and(|trigger| trigger.when.is_some() && trigger.signals.len() == 2));
    assert!(workflow.input_schema.is_some() && workflow.output.is_some());
    assert_eq!(workflow.steps[0].retry, Some(RetryPolicy::once()));
    assert!(workflow.steps[0].output_schema.is_some());
    let mail = &workflow.steps[1];
    assert_eq!((mail.timeout, mail.on_error), (Some(Span::from_secs(90)), OnError::Continue));
    let retry = mail.retry.clone().expect("given");
    assert_eq!((retry.max_attempts, retry.factor, retry.jitter), (9, 1.5, false));
    assert_eq!((retry.initial, retry.max), (Span::from_secs(2), Span::from_secs(30)));
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
#[case::attempts(json!([{"id": "a", "retry": {"max_attempts": 1001}}]),
    "FP0104 expected a whole number from 1 to 1000, found 1001")]
#[case::factor(json!([{"id": "a", "retry": {"factor": 0.5}}]), "FP0104 expected a number from 1 to 100, found 0.5")]
#[case::nested_later(json!([{"id": "a", "retry": {"on": ["timeout"]}}]), "FP0105 not supported yet: retry.on")]
#[case::repeat(json!([{"id": "a", "repeat": {"max": 3}}]), "FP0105 not supported yet: repeat")]
#[case::finish(json!([{"id": "a", "type": "finish"}]), "FP0105 not supported yet: type: finish")]
#[case::compensate(json!([{"id": "a", "on_error": "compensate"}]), "FP0105 not supported yet: on_error: compensate")]
fn a_wrong_step_is_refused(#[case] steps: Value, #[case] expected: &str) {
    assert_eq!(problems(of_steps(steps)), [expected]);
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
    let unknown = Catalog { functions: Some(Vec::new()), directives: None, agents: None };
    assert!(read(BLUEPRINT, Format::Json, &unknown).is_ok());
    let empty = Catalog { functions: Some(Vec::new()), directives: Some(Vec::new()), agents: Some(Vec::new()) };
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
    let start = Instant::now();
    let (workflow, _) = read_json(&document).expect("valid");
    assert_eq!(workflow.steps.len(), 10_000);
    assert_eq!(workflow.steps[9_999].after, [Edge { from: 9_998, required: true }]);
    // A second would be slow; this only tells quadratic work from linear, on any machine.
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
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

use fleetprompt_core::diagnostic::render;
use fleetprompt_core::document::Format;
use proptest::prelude::*;

use super::*;

const WORKFLOW: &str = r#"
workflow:
  name: Order
  version: 1.0.0
  trigger: {signal: order.placed, when: "${signal.payload.total > 0}"}
  steps:
    - {id: judge, type: agent, agent_ref: {slug: judge}, retry: {max_attempts: 2, initial: 1s}}
    - {id: pay, type: directive, directive: payment.take, payload: {total: "${signal.payload.total}"}}
    - {id: sign, type: wait, input: {prompt: "Sign?", role: operator}, timeout: 2d}
    - {id: hand_over, type: directive, directive: parcel.hand_over}
  output: {paid: "${steps.pay.output}", total: "${signal.payload.total}"}
"#;

const AGENT: &str = r#"{"agent": {"slug": "judge", "name": "Judge", "model": {"provider": "openai", "name": "any"},
    "instructions": "Judge.", "output_schema": {"type": "object", "required": ["good"]}}}"#;

const MANUAL: &str = r#"{"directive_type": {"name": "parcel.hand_over", "handler": {"type": "manual"}}}"#;

fn load(name: &str) -> Result<String, String> {
    match name {
        "order.yaml" => Ok(WORKFLOW.to_owned()),
        "judge.json" => Ok(AGENT.to_owned()),
        "hand_over.json" => Ok(MANUAL.to_owned()),
        "broken.yaml" => Ok("workflow: {name: Broken, version: one, steps: []}".to_owned()),
        _ => Err("No such file or directory".to_owned()),
    }
}

fn told(text: &str) -> String {
    let unreadable = read(text, Format::Yaml, &load).expect_err("it has problems");
    let told = unreadable
        .iter()
        .map(|one| render(&one.diagnostics, &one.text, one.file.as_deref().unwrap_or("order.test.yaml"), false));
    told.collect::<Vec<_>>().join("\n\n")
}

/// One case, with what differs from the usual one.
fn case(given: &str, then: &str, expect: &str) -> Tried {
    let text = format!(
        "workflow: order.yaml\nagents: [judge.json]\ndirective_types: [hand_over.json]\ncases:\n  - name: it\n    \
         signal: {{name: order.placed, payload: {{total: 12}}}}\n    given: {given}\n    then: {then}\n    \
         expect: {expect}\n"
    );
    let suite = read(&text, Format::Yaml, &load).unwrap_or_else(|_| panic!("{}", told(&text)));
    suite.run(None).remove(0)
}

fn problems(given: &str, then: &str, expect: &str) -> Vec<String> {
    let shown = |problem: Problem| {
        let values = problem.expected.zip(problem.actual);
        let values = values.map(|(expected, actual)| format!(": {expected}, not {actual}")).unwrap_or_default();
        format!("{}{values}", problem.what)
    };
    case(given, then, expect).problems.into_iter().map(shown).collect()
}

const GOOD: &str = "{agents: {judge: {good: true}}, directives: {pay: {receipt: 7}}}";
const SIGNED: &str = "{answer: {step: sign, role: operator, value: yes}}";

#[test]
fn a_case_passes_when_all_is_as_expected_and_then_tells_no_story() {
    let then = format!("[{{after: 5h}}, {SIGNED}, {{report: {{step: hand_over, output: done}}}}]");
    let expect = "{status: completed, took: 5h, output: {paid: {receipt: 7}}, steps: {sign: completed}, \
                  directives: [{name: payment.take, payload: {total: 12}, step: pay}, parcel.hand_over], \
                  signals: [order.placed, workflow.step.waiting, workflow.run.completed]}";
    let tried = case(GOOD, &then, expect);
    assert!(tried.passed && tried.timeline.is_empty(), "{tried:?}");
}

#[test]
fn only_what_differs_is_told() {
    let then = format!("[{SIGNED}, {{report: {{directive: parcel.hand_over, output: done}}}}]");
    let expect = "{status: failed, took: 1h, output: {paid: {receipt: 8}, total: 12.0}, steps: {pay: skipped}, \
                  directives: [{name: payment.take, payload: {total: 13}}, parcel.hand_over], \
                  not_requested: [payment.take], signals: [workflow.run.completed, order.placed]}";
    assert_eq!(
        problems(GOOD, &then, expect),
        [
            r#"status: "failed", not "completed""#,
            "output.paid.receipt: 8, not 7",
            r#"steps.pay.status: "skipped", not "completed""#,
            "not_requested: `payment.take` was requested",
            "directives[0].payload.total: 13, not 12",
            "signals: `order.placed` came only before those that it is expected after",
            r#"took: "1h", not "0ms""#,
        ]
    );
}

#[test]
fn in_any_order_each_directive_is_expected_once() {
    let expect = |list: &str| format!("{{any_order: true, steps: {{hand_over: running}}, directives: {list}}}");
    let then = format!("[{SIGNED}]");
    assert_eq!(
        problems(GOOD, &then, &expect("[parcel.hand_over, {name: payment.take, payload: {total: 12}}]")),
        [""; 0]
    );
    assert_eq!(problems(GOOD, &then, &expect("[parcel.hand_over, parcel.hand_over]")).len(), 1);
    let left_over = problems(GOOD, &then, &expect("[parcel.hand_over]"));
    assert!(left_over[0].starts_with("directives: beside those expected"), "{left_over:?}");
}

#[test]
fn whoever_is_asked_without_an_answer_is_named_with_what_to_add() {
    let tried = case("{agents: {judge: {good: true}}}", "[]", "{status: completed}");
    let [problem] = &tried.problems[..] else { panic!("{tried:?}") };
    assert_eq!(
        problem.what,
        "directive `payment.take` of step `pay` is asked, and the case does not say what it answers"
    );
    let help = problem.help.as_deref().unwrap_or_default();
    assert!(help.contains(r#""given": {"directives": {"pay": …}}"#) && help.contains(r#"{"total":12}"#), "{help}");
    assert!(tried.timeline.iter().any(|line| line.what == "judge" && line.became == "completed"), "{tried:?}");
}

#[test]
fn an_answer_that_nobody_asks_for_fails_the_case() {
    let given = "{agents: {judge: [{good: true}, {good: false}]}, directives: {pay: {}, parcel.hand_over: {}}}";
    assert_eq!(
        problems(given, "[]", "{steps: {sign: waiting}}"),
        [
            "agent `judge` has an answer and was asked 1 of 2 times",
            "directive `parcel.hand_over` has an answer and was never asked",
        ]
    );
}

#[test]
fn a_question_beyond_the_list_of_answers_fails_the_case() {
    let given = "{agents: {judge: [{error: timeout}]}}";
    assert_eq!(
        problems(given, "[]", "{}"),
        ["agent `judge` of step `judge` is asked a 2nd time, and 1 answer is scripted"]
    );
}

#[test]
fn an_agent_cannot_answer_what_its_schema_does_not_allow() {
    let told = problems("{agents: {judge: {bad: true}}}", "[]", "{}");
    assert!(told[0].starts_with("agent `judge` cannot answer this"), "{told:?}");
    let given = "{agents: {judge: {error: output_invalid}}}";
    assert_eq!(problems(given, "[]", "{status: failed, error: output_invalid}"), [""; 0]);
}

#[test]
fn what_takes_longer_than_it_may_has_timed_out() {
    let given = "{agents: {judge: [{never: true}, {good: true}]}, directives: {pay: {output: {}, after: 29s}}}";
    let expect = "{steps: {judge: completed, pay: completed, sign: waiting}}";
    assert_eq!(problems(given, "[{after: 151s}]", expect), [""; 0]);
    let given = "{agents: {judge: {good: true}}, directives: {pay: {output: {}, after: 31s}}}";
    assert_eq!(problems(given, "[]", "{status: failed, error: timeout}"), [""; 0]);
}

#[test]
fn time_passes_until_somebody_can_answer_and_no_further() {
    let given = "{agents: {judge: {output: {good: true}, after: 40s}}, directives: {pay: {}}}";
    assert_eq!(problems(given, &format!("[{SIGNED}]"), "{status: running, steps: {hand_over: running}}"), [""; 0]);
    let told = problems(GOOD, &format!("[{SIGNED}, {SIGNED}]"), "{}");
    assert_eq!(told, ["then[1]: step `sign` waits for no answer: the run is running, and nothing waits in it"]);
}

#[test]
fn an_operation_that_is_refused_is_named_where_something_else_is_not_as_expected() {
    let retry = "[{retry: {reason: too early}}]";
    assert_eq!(problems(GOOD, retry, "{steps: {sign: waiting}}"), [""; 0]);
    let told = problems(GOOD, retry, "{status: completed}");
    assert!(told.len() > 1 && told[0].starts_with("then[0]: this was refused: run_status"), "{told:?}");
}

#[test]
fn what_is_refused_is_refused_with_the_code_that_is_expected() {
    let as_member = "{answer: {step: sign, role: member, value: yes}";
    assert_eq!(problems(GOOD, &format!("[{as_member}, refused: role_missing}}]"), "{steps: {sign: waiting}}"), [""; 0]);
    let told = problems(GOOD, &format!("[{as_member}, refused: input_invalid}}]"), "{}");
    assert!(told[0].starts_with(r#"then[0]: refused: "input_invalid", not {"code":"role_missing""#), "{told:?}");
    let told = problems(GOOD, &format!("[{as_member}}}]"), "{}");
    assert!(told[0].starts_with("then[0]: this was refused: role_missing"), "{told:?}");
    let signed = "{answer: {step: sign, role: operator, value: yes}, refused: role_missing}";
    assert_eq!(
        problems(GOOD, &format!("[{signed}]"), "{}"),
        ["then[0]: this was to be refused with `role_missing`, and was done"]
    );
}

#[test]
fn that_no_run_starts_is_said_with_why_and_can_be_expected() {
    let text = |expect: &str| {
        format!(
            "{{\"workflow\": \"order.yaml\", \"cases\": [{{\"name\": \"none\", \"signal\": {{\"name\": \"order.placed\", \
             \"payload\": {{\"total\": 0}}}}, \"expect\": {expect}}}]}}"
        )
    };
    let run = |expect| read(&text(expect), Format::Json, &load).expect("it is right").run(None).remove(0);
    assert!(run("[]").passed);
    let told = &run("{}").problems[0].what;
    assert!(told.starts_with("no run has started: the signal was filtered"), "{told}");
    assert_eq!(run(r#"[{"status": "completed"}]"#).problems[0].what, "runs");
}

#[test]
fn only_the_cases_with_the_filter_in_their_name_are_tried() {
    let case =
        |name: &str| format!("{{name: {name}, signal: {{name: order.placed, payload: {{total: 0}}}}, expect: []}}");
    let text = format!("{{workflow: order.yaml, cases: [{}, {}]}}", case("one"), case("another"));
    let suite = read(&text, Format::Yaml, &load).expect("it is right");
    assert_eq!(suite.run(Some("other")).iter().map(|tried| tried.name.as_str()).collect::<Vec<_>>(), ["another"]);
    assert_eq!(suite.case_names().count(), 2);
}

#[test]
fn everything_that_is_wrong_with_a_test_file_is_told_at_once() {
    let text = r#"workflow: order.yaml
agent: [judge.json]
agents: [nowhere.json]
given: {directives: {payment.tkae: {}}}
cases:
  - name: one
    signal: {name: workflow.run.started, payload: {}}
    input: {}
    given: {agents: {juge: {}, "judge:1": {}}, directives: {pay: []}}
    then:
      - {after: 2h, cancel: {}}
      - {answer: {step: sing, value: 1}}
      - {report: {step: sign}}
    expect: {status: done, steps: {"pay:undo": completed}, took: 3}
  - name: one
    expect: {directives: [{name: payment, paylod: {}}]}
"#;
    insta::assert_snapshot!(told(text));
}

#[test]
fn what_is_wrong_with_a_definition_is_told_in_that_file() {
    let told = told("workflow: broken.yaml\ncases: []\n");
    assert!(told.contains("broken.yaml:1") && told.contains("is not a semantic version"), "{told}");
}

proptest! {
    /// Bytes of a good file are lost, doubled and changed.
    #[test]
    fn no_text_makes_reading_panic(at in 0..400usize, len in 0..40usize, put in "[\\[\\]{}:,\"'a-z0-9\n -]{0,12}") {
        let good = format!(
            "workflow: order.yaml\nagents: [judge.json]\ncases:\n  - name: it\n    signal: {{name: order.placed, \
             payload: {{total: 12}}}}\n    given: {GOOD}\n    then: [{{after: 5h}}, {SIGNED}]\n    \
             expect: {{status: completed, took: 5h, steps: {{sign: completed}}, directives: [payment.take]}}\n"
        );
        let (start, end) = (at.min(good.len()), (at + len).min(good.len()));
        let text = format!("{}{put}{}", &good[..start], &good[end..]);
        if let Err(unreadable) = read(&text, Format::Yaml, &load) {
            prop_assert!(unreadable.iter().all(|one| !one.diagnostics.is_empty()));
        }
    }
}

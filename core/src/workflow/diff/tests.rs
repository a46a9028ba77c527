use serde_json::{Value, json};

use super::*;
use crate::document::Format;
use crate::workflow::{Catalog, read};

fn workflow(fields: Value) -> Workflow {
    let mut document = json!({"name": "Orders", "version": "1.0.0", "steps": [
        {"id": "score", "type": "agent", "agent_ref": {"slug": "risk"}, "timeout": "60s"},
        {"id": "charge", "type": "directive", "directive": "payment.charge", "payload": {"labels": ["a", "b"]}},
    ]});
    for (name, value) in fields.as_object().expect("fields") {
        document[name] = value.clone();
    }
    let text = json!({"workflow": document}).to_string();
    match read(&text, Format::Json, &Catalog::default()) {
        Ok((workflow, _)) => workflow,
        Err(problems) => panic!("{}", crate::diagnostic::render(&problems, &text, "workflow.json", false)),
    }
}

#[test]
fn another_spelling_of_the_same_is_no_difference() {
    let plain = workflow(json!({
        "trigger": {"signal": "order.placed", "when": "signal.payload.total > 5"},
        "concurrency": {"limit": 2},
        "may_request_directives": ["payment.charge", "mail.send"],
        "timeout": "1m30s",
        "steps": [
            {"id": "wait", "type": "wait", "signal": "payment.received"},
            {"id": "ask", "type": "wait", "input": {}, "for_each": "${signal.payload.items}"},
            {"id": "score", "type": "agent", "agent_ref": {"slug": "risk"}},
        ]
    }));
    let spelled_out = workflow(json!({
        "version": "1.0.1",
        "trigger": {"signals": ["order.placed"], "when": "${ signal.payload.total > 5 }"},
        "concurrency": {"on_limit": "queue", "limit": 2},
        "may_request_directives": ["mail.send", "payment.charge"],
        "timeout": "90s", "on_error": "fail", "slug": "orders",
        "steps": [
            {"id": "wait", "type": "wait", "signals": [{"name": "payment.received"}], "join": "all", "on_error": "fail"},
            {"id": "ask", "type": "wait", "input": {"role": "member"},
             "for_each": {"items": "${signal.payload.items}", "max_parallel": 100, "tolerate": 0}},
            {"id": "score", "type": "agent", "agent_ref": {"slug": "risk"}, "input": {"from_signal": true}},
        ]
    }));
    let found = diff(&plain, &spelled_out);
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(found.runs, Runs::default());
}

#[test]
fn fields_are_told_by_their_path_and_data_is_compared_as_it_is() {
    let before = workflow(json!({}));
    let after = workflow(json!({"steps": [
        {"id": "score", "type": "agent", "agent_ref": {"slug": "risk"}, "timeout": "2m", "retry": {"max_attempts": 2}},
        {"id": "charge", "type": "directive", "directive": "payment.charge",
         "payload": {"labels": ["a", "c"], "a key": 1, "timeout": "60s"}},
    ], "trigger": {"signal": "order.placed"}}));
    let found = diff(&before, &after);
    let told = |change: &Change| (change.path.clone(), change.from.clone(), change.to.clone());
    let steps: Vec<_> = found
        .steps
        .iter()
        .map(|change| match change {
            StepChange::Changed { step, fields, .. } => (step.as_str(), fields.iter().map(told).collect::<Vec<_>>()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        steps,
        [
            (
                "score",
                vec![
                    ("timeout".into(), Some(json!("1m")), Some(json!("2m"))),
                    ("retry".into(), None, Some(json!({"max_attempts": 2}))),
                ]
            ),
            (
                "charge",
                vec![
                    ("payload.labels[1]".into(), Some(json!("b")), Some(json!("c"))),
                    ("payload[\"a key\"]".into(), None, Some(json!(1))),
                    ("payload.timeout".into(), None, Some(json!("60s"))),
                ]
            ),
        ]
    );
    assert_eq!(found.workflow.iter().map(|change| change.path.as_str()).collect::<Vec<_>>(), ["trigger"]);
}

#[test]
fn what_may_be_requested_is_widened_or_narrowed_by_name() {
    let of = |listed: Option<&[&str]>| {
        workflow(listed.map_or(json!({}), |listed| json!({"may_request_directives": listed})))
    };
    let these = |names: &[&str]| Some(Grant::These(names.iter().map(|name| name.parse().expect("a name")).collect()));
    let between = |from, to| {
        let permissions = diff(&of(from), &of(to)).permissions;
        (permissions.widened, permissions.narrowed)
    };
    let (one, two) = (Some(&["payment.charge", "a.b"][..]), Some(&["payment.charge", "c.d"][..]));
    assert_eq!(between(one, two), (these(&["c.d"]), these(&["a.b"])));
    assert_eq!(between(one, None), (Some(Grant::Any), None));
    assert_eq!(between(None, one), (None, Some(Grant::Any)));
    assert_eq!(between(None, None), (None, None));
}

#[test]
fn a_step_put_into_a_chain_moves_edges_and_hinders_no_run() {
    let before = workflow(json!({}));
    let after = workflow(json!({"steps": [
        {"id": "score", "type": "agent", "agent_ref": {"slug": "risk"}, "timeout": "1m"},
        {"id": "log", "type": "function", "function": "text.join"},
        {"id": "charge", "type": "directive", "directive": "payment.charge", "payload": {"labels": ["a", "b"]}},
    ]}));
    let found = diff(&before, &after);
    let edges: Vec<_> = found.edges.iter().map(|edge| (&edge.from[..], &edge.to[..], edge.kind, edge.added)).collect();
    assert_eq!(
        edges,
        [("log", "charge", "order", true), ("score", "charge", "order", false), ("score", "log", "order", true)]
    );
    assert_eq!(found.steps, [StepChange::Added { step: "log".into(), does: "function text.join".into() }]);
    assert!(found.runs.unless_begun.is_empty());
}

#[test]
fn runs_cannot_move_once_they_began_what_is_gone_or_means_something_else() {
    let before = workflow(json!({}));
    let after = workflow(json!({"steps": [
        {"id": "charge", "type": "function", "function": "text.join"},
        {"id": "each", "type": "function", "function": "text.join", "for_each": "${signal.payload.items}"},
    ]}));
    let back = diff(&after, &before).runs.unless_begun;
    let back: Vec<_> = back.iter().map(|blocker| (&blocker.step[..], blocker.because)).collect();
    assert_eq!(back, [("charge", Because::Type), ("each", Because::Removed)]);
    let one = workflow(json!({"steps": [{"id": "each", "type": "function", "function": "text.join"}]}));
    assert_eq!(diff(&after, &one).runs.unless_begun[1].because, Because::ForEach);
}

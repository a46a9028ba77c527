use std::time::Instant;

use serde_json::{Value, json};

use super::*;
use crate::workflow::{Catalog, Workflow, read};

fn workflow(document: &Value) -> Workflow {
    let text = document.to_string();
    match read(&text, crate::document::Format::Json, &Catalog::default()) {
        Ok((workflow, _)) => workflow,
        Err(problems) => panic!("{}", crate::diagnostic::render(&problems, &text, "workflow.json", false)),
    }
}

fn orders() -> Workflow {
    workflow(&json!({"workflow": {
        "name": "Orders", "version": "1.2.0",
        "trigger": {"signal": "order.placed", "when": "signal.payload.total > 0"},
        "concurrency": {"limit": 20, "key": "${signal.payload.customer}"},
        "on_error": "compensate",
        "steps": [
            {"id": "pick", "type": "function", "function": "json.pick", "input": {}},
            {"id": "reserve", "type": "directive", "needs": ["pick"], "directive": "stock.reserve",
             "for_each": "${signal.payload.items}", "compensate": {"directive": "stock.release"}},
            {"id": "charge", "type": "directive", "needs": ["pick", "reserve"], "directive": "payment.charge",
             "lock": "card:${signal.payload.card}"},
            {"id": "wait", "type": "wait", "name": "Hours of <waiting>", "needs": ["charge"], "for": "2h"},
            {"id": "sorry", "type": "finish", "status": "failed",
             "error": {"code": "unpaid", "message": "It was not paid."}}
        ],
        "transitions": [{"from": "charge", "to": "sorry", "on": "failed", "when": "signal.payload.total > 5"}]
    }}))
}

#[test]
fn a_picture_shows_steps_edges_and_what_is_special_about_them() {
    insta::assert_snapshot!("orders_mermaid", draw(&orders(), Format::Mermaid));
    insta::assert_snapshot!("orders_dot", draw(&orders(), Format::Dot));
}

#[test]
fn the_drawing_has_a_shape_for_each_node_and_a_line_for_each_arrow() {
    let (picture, svg) = (picture::of(&orders()), draw(&orders(), Format::Svg));
    assert_eq!(svg.matches("class=\"s\"").count(), picture.nodes.len());
    assert_eq!(svg.matches("class=\"a\"").count(), picture.arrows.len());
    assert!(svg.contains("prefers-color-scheme:dark") && svg.contains("failed · signal.payload.total &gt; 5"), "{svg}");
    assert_eq!(svg, draw(&orders(), Format::Svg));
}

#[test]
fn an_edge_that_another_way_implies_is_left_out_and_a_chain_is_drawn_as_one() {
    let arrows = |workflow: &Workflow| {
        let picture = picture::of(workflow);
        picture.arrows.into_iter().map(|arrow| (arrow.from, arrow.to, arrow.line)).collect::<Vec<_>>()
    };
    // `pick → charge` is implied by `pick → reserve → charge`.
    assert!(!arrows(&orders()).contains(&(1, 3, Line::Needs)));
    let chain = workflow(&json!({"workflow": {"name": "Chain", "version": "1.0.0", "steps": [
        {"id": "a", "type": "function", "function": "x.y"},
        {"id": "b", "type": "function", "function": "x.y"},
        {"id": "c", "type": "function", "function": "x.y", "when": "${steps.a.status == 'completed'}"},
    ]}}));
    assert_eq!(arrows(&chain), [(0, 1, Line::Needs), (1, 2, Line::Needs), (2, 3, Line::Needs)]);
}

const HOSTILE: &str =
    "\"]; click n0 href \"x\"\n%%{init}%% </style><script>alert(1)</script> `${x}` \\\" & \\N --> \u{202e}|";

#[test]
fn no_text_becomes_anything_but_a_label() {
    let node = || Node {
        kind: NodeKind::Agent,
        title: escape::label(HOSTILE, 200),
        detail: escape::label(&HOSTILE[20..], 200),
        badges: vec![escape::label(HOSTILE, 200)],
        hint: Some(escape::label(HOSTILE, 200)),
    };
    let arrow = Arrow { from: 0, to: 1, line: Line::Failed, label: Some(escape::label(HOSTILE, 200)) };
    let picture = Picture { title: "a 1.0.0".to_owned(), nodes: vec![node(), node()], arrows: vec![arrow] };

    let mermaid = mermaid::write(&picture);
    for line in mermaid.lines().filter(|line| line.contains("n0") || line.contains("n1")) {
        assert_eq!(line.matches('"').count(), 2, "{line}");
    }
    let inside = mermaid.split('"').skip(1).step_by(2).collect::<String>();
    let inside = ["<b>", "</b>", "<br/>", "<i>", "</i>"].iter().fold(inside, |text, tag| text.replace(tag, ""));
    assert!(!inside.contains(['<', '>', '%', '{', '`', '[', '\\', '&', '\n']), "{inside}");

    let dot = dot::write(&picture);
    let unescaped = dot.replace("\\\\", "").replace("\\\"", "").replace("\\n", "");
    assert!(!unescaped.contains('\\') && unescaped.matches('"').count().is_multiple_of(2), "{dot}");
    assert_eq!(dot.matches(" -> ").count(), 1);

    let svg = svg::write(&picture);
    assert!(!svg.contains("<script") && !svg.contains("\u{202e}") && svg.matches("</style>").count() == 1, "{svg}");
}

#[test]
fn labels_are_one_short_line() {
    assert_eq!(escape::label(" a\n\tb ", 10), "a b");
    assert_eq!(escape::label("a\u{1b}[31m\u{200b}", 10), "a\u{fffd}[31m\u{fffd}");
    assert_eq!(escape::label(&"ä".repeat(50), 10).chars().count(), 10);
}

#[test]
fn thousands_of_steps_are_drawn_in_little_time() {
    let step = |at: usize| {
        let needs: Vec<_> =
            [1, 7, 40].iter().filter(|&&back| at > back).map(|back| format!("s{}", at - back)).collect();
        json!({"id": format!("s{at}"), "type": "function", "function": "x.y", "needs": needs})
    };
    let steps: Vec<_> = (1..=2_000).map(step).collect();
    let workflow = workflow(&json!({"workflow": {"name": "Many", "version": "1.0.0", "steps": steps}}));
    let begun = Instant::now();
    let svg = draw(&workflow, Format::Svg);
    assert!(svg.matches("class=\"s\"").count() == 2_001 && begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

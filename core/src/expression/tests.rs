//! What expressions mean, what they refuse, and that nothing breaks them.

use std::borrow::Cow;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::Json;

/// A run in the middle: `a` completed, `b` failed, `c` was skipped.
struct Facts {
    meter: Meter,
    signal: Value,
    output: Value,
}

fn facts() -> Facts {
    Facts {
        meter: Meter::unlimited(),
        signal: json!({
            "name": "forum.thread.created",
            "subject": {"type": "thread", "id": "42"},
            "payload": {
                "title": "Hello", "author": "ann", "n": 2, "big": 18446744073709551615u64, "half": 0.5, "none": null,
                "ok": true, "x y": 1, "tags": ["a", "b", "c"], "bytes": "\u{0}",
                "items": [{"name": "one", "n": 1}, {"name": "two", "n": 2}],
                "m": {"z": 1, "y": 2, "x": 3}
            }
        }),
        output: json!({"summary": "short", "confidence": 1, "items": [{"name": "first"}]}),
    }
}

impl Context for Facts {
    fn meter(&self) -> &Meter {
        &self.meter
    }

    fn resolve(&self, root: Root<'_>) -> Option<Cow<'_, Value>> {
        match root {
            Root::Signal => Some(Cow::Borrowed(&self.signal)),
            Root::SignalPayload => Some(Cow::Borrowed(&self.signal["payload"])),
            Root::Run => Some(Cow::Owned(json!({"id": "run_1"}))),
            Root::Tenant => Some(Cow::Owned(json!({"slug": "acme"}))),
            Root::StepStatus("a") => Some(Cow::Owned(json!("completed"))),
            Root::StepStatus("b") => Some(Cow::Owned(json!("failed"))),
            Root::StepStatus(_) => Some(Cow::Owned(json!("skipped"))),
            Root::StepOutput("a") => Some(Cow::Borrowed(&self.output)),
            Root::StepError("b") => Some(Cow::Owned(json!({"code": "timeout"}))),
            Root::StepOutput(_) | Root::StepError(_) => None,
            Root::Item => Some(Cow::Owned(json!({"name": "first"}))),
            Root::Index => Some(Cow::Owned(json!(3))),
            Root::Event => Some(Cow::Borrowed(&self.signal)),
            Root::EventPayload => Some(Cow::Borrowed(&self.signal["payload"])),
            Root::Repeat => None,
        }
    }
}

fn evaluate(source: &str) -> Result<Value, Failure> {
    Expression::compile(source).unwrap_or_else(|invalid| panic!("{source}: {invalid:?}")).evaluate(&facts())
}

fn refusal(source: &str) -> Invalid {
    Expression::compile(source).expect_err(source)
}

#[rstest]
#[case("signal.payload.title", json!("Hello"))]
#[case("${signal.payload.title}", json!("Hello"))]
#[case(" signal.subject.id ", json!("42"))]
#[case("signal.payload[\"x y\"]", json!(1))]
#[case("signal[\"payload\"].`x y`", json!(1))]
#[case("steps.a.output.items[0].name", json!("first"))]
#[case("steps[\"a\"].status", json!("completed"))]
#[case("steps.b.error.code", json!("timeout"))]
#[case("run.id + '/' + tenant.slug", json!("run_1/acme"))]
#[case("signal.payload.big", json!(18446744073709551615u64))]
#[case("signal.payload.none", json!(null))]
#[case("signal.payload", facts().signal["payload"].clone())]
#[case("signal", facts().signal)]
#[case("item.name", json!("first"))]
#[case("index", json!(3))]
#[case("event.payload.title", json!("Hello"))]
#[case("event.subject.id", json!("42"))]
fn a_path_gives_the_value_at_it(#[case] source: &str, #[case] expected: Value) {
    assert_eq!(evaluate(source), Ok(expected));
}

#[rstest]
#[case("1 + 2 * 3", json!(7))]
#[case("7 / 2", json!(3))]
#[case("7 % 2", json!(1))]
#[case("7.0 / 2.0", json!(3.5))]
#[case("signal.payload.n == 2", json!(true))]
#[case("signal.payload.n == 2.0", json!(true))]
#[case("signal.payload.n + 1", json!(3))]
#[case("signal.payload.big > 1", json!(true))]
#[case("steps.a.output.confidence >= 0.7", json!(true))]
#[case("signal.payload.half < 1", json!(true))]
#[case("signal.payload.title.size()", json!(5))]
#[case("size(signal.payload.tags)", json!(3))]
#[case("signal.payload.m.size()", json!(3))]
#[case("signal.payload.title.contains('ell')", json!(true))]
#[case("signal.payload.title.startsWith('He') && signal.payload.title.endsWith('lo')", json!(true))]
#[case("signal.payload.title.matches('^H.*o$')", json!(true))]
#[case("matches(signal.payload.title, '^h')", json!(false))]
#[case("signal.payload.ok ? 'yes' : 'no'", json!("yes"))]
#[case("'b' in signal.payload.tags", json!(true))]
#[case("'z' in signal.payload.m", json!(true))]
#[case("2 in [1, 2.0]", json!(true))]
#[case("has(signal.payload.title)", json!(true))]
#[case("has(signal.payload.titel)", json!(false))]
#[case("has(signal.payload.none)", json!(true))]
#[case("has(signal.payload)", json!(true))]
#[case("has(steps.a.output)", json!(true))]
#[case("has(steps.c.output)", json!(false))]
#[case("has(steps.c.output.x.y)", json!(false))]
#[case("has(steps.c.output) ? steps.c.output.x : steps.a.output.summary", json!("short"))]
#[case("has(signal.payload.zzz) && signal.payload.zzz.c > 1", json!(false))]
#[case("signal.payload.zzz.c > 1 && false", json!(false))]
#[case("signal.payload.zzz == 1 || true", json!(true))]
#[case("true || signal.payload.zzz", json!(true))]
#[case("signal.payload.items.all(i, i.n > 0)", json!(true))]
#[case("signal.payload.items.exists(i, i.n == 2)", json!(true))]
#[case("signal.payload.items.exists(i, i.zzz == 2 || i.n == 2)", json!(true))]
#[case("signal.payload.items.exists_one(i, i.n > 1)", json!(true))]
#[case("signal.payload.items.map(i, i.name)", json!(["one", "two"]))]
#[case("signal.payload.items.map(i, i.n > 1, i.name)", json!(["two"]))]
#[case("signal.payload.items.filter(i, has(i.name) && i.n < 2)", json!([{"name": "one", "n": 1}]))]
#[case("signal.payload.m.map(k, k)", json!(["x", "y", "z"]))]
#[case("signal.payload.m.map(k, signal.payload.m[k])", json!([3, 2, 1]))]
#[case("signal.payload.m == {'x': 3, 'y': 2, 'z': 1}", json!(true))]
#[case("{'x': 3, 'y': 2, 'z': 1} == signal.payload.m", json!(true))]
#[case("[1, 'a', null, true, 2u, 1.5, {'k': []}]", json!([1, "a", null, true, 2, 1.5, {"k": []}]))]
#[case("{'a': signal.payload.n}", json!({"a": 2}))]
#[case("signal.payload.tags[signal.payload.n]", json!("c"))]
#[case("signal.payload['ti' + 'tle']", json!("Hello"))]
#[case("type(signal.payload.n) == int", json!(true))]
#[case("type(1.0)", json!("double"))]
#[case("int('12') + int(2.9)", json!(14))]
#[case("string(12) + string(true)", json!("12true"))]
#[case("b'hi'", json!("aGk="))]
#[case("signal.payload.tags.join(', ')", json!("a, b, c"))]
#[case("'a,b'.split(',')", json!(["a", "b"]))]
#[case("' A '.trim().lowerAscii()", json!("a"))]
#[case("'aXa'.replace('a', 'b')", json!("bXb"))]
#[case("'}' + \"}\"", json!("}}"))]
#[case("{'a': {'b': '}'}}.a.b", json!("}"))]
#[case("9223372036854775807", json!(9223372036854775807i64))]
#[case("-9223372036854775808", json!(-9223372036854775808i64))]
#[case("steps.a.output == {'summary': 'short', 'confidence': 1.0, 'items': [{'name': 'first'}]}", json!(true))]
#[case("'é'.size()", json!(1))]
#[case("!(1 in [2])", json!(true))]
#[case("[1, 2].map(item, item + index)", json!([4, 5]))]
#[case("[1, 2].map(event, event).size() + index", json!(5))]
fn the_semantics_are_those_of_cel(#[case] source: &str, #[case] expected: Value) {
    assert_eq!(evaluate(source), Ok(expected));
}

#[rstest]
#[case::near_field(
    "signal.payload.m.xx",
    "`signal.payload.m.xx`: no field `xx` in `signal.payload.m` (it has `x`, `y`, `z`); did you mean `x`?"
)]
#[case::in_cel(
    "1 + signal.subject.idd",
    "`signal.subject.idd`: no field `idd` in `signal.subject` (it has `id`, `type`); did you mean `id`?"
)]
#[case::many_fields(
    "signal.payload.zzzzzz.a",
    "`signal.payload.zzzzzz.a`: no field `zzzzzz` in `signal.payload` (it has `author`, `big`, `bytes`, `half`, \
     `items`, `m`, `n`, `none`, `ok`, `tags` and 2 more)"
)]
#[case::of_null("signal.payload.none.a", "`signal.payload.none.a`: `signal.payload.none` is null: it has no field `a`")]
#[case::item("signal.payload.tags[3]", "`signal.payload.tags[3]`: no item 3 in `signal.payload.tags` (it has 3)")]
#[case::not_a_list("signal.payload.m[0]", "`signal.payload.m[0]`: `signal.payload.m` is an object, not a list")]
#[case::skipped("steps.c.output.x", "`steps.c.output.x`: step `c` is skipped: it has no output")]
#[case::failed("'' + steps.b.output.x", "`steps.b.output.x`: step `b` is failed: it has no output")]
#[case::no_error("steps.a.error", "`steps.a.error`: step `a` is completed: it has no error")]
#[case::has_of_nothing(
    "has(signal.payload.zzz.a)",
    "`signal.payload.zzz`: no field `zzz` in `signal.payload` (it has `author`, `big`, `bytes`, `half`, `items`, \
     `m`, `n`, `none`, `ok`, `tags` and 2 more)"
)]
#[case::nothing_repeats("repeat.iteration", "`repeat.iteration`: there is no `repeat` here")]
#[case::in_an_item("item.nam", "`item.nam`: no field `nam` in `item` (it has `name`); did you mean `name`?")]
#[case::types("1 + 'a'", "`1 + 'a'`: `+` does not apply to int and string")]
#[case::compare("1 < 'a'", "`1 < 'a'`: `<` does not apply to int and string")]
#[case::overload("size(1)", "`size(1)`: `size` does not apply to int")]
#[case::boolean("'a' && true", "`'a' && true`: `&&` does not apply to string and bool")]
#[case::division("1 / 0", "`1 / 0`: division by zero")]
#[case::overflow("9223372036854775807 + 1", "`9223372036854775807 + 1`: the result of `+` does not fit into 64 bits")]
#[case::key("signal.payload.items.map(i, i.nam)", "`signal.payload.items.map(i, i.nam)`: no field `nam`")]
#[case::index("[1][2]", "`[1][2]`: there is no item 2")]
#[case::not_a_number("0.0 / 0.0", "`0.0 / 0.0`: JSON has no number NaN")]
#[case::keys_of_objects("{1: 2}", "`{1: 2}`: a key is int; the keys of a JSON object are strings")]
#[case::conversion("int('x')", "`int('x')`: `int`: string parse error: invalid digit found in string")]
fn a_failure_says_what_is_there_and_what_is_not(#[case] source: &str, #[case] message: &str) {
    let failure = evaluate(source).expect_err(source);
    assert_eq!((failure.code.as_str(), failure.message.as_str()), ("expression_failed", message));
    assert!(!failure.retryable);
}

#[rstest]
#[case("signla.payload.a", "unknown name `signla`", "did you mean `signal`?", "signla")]
#[case("1 + foo", "unknown name `foo`", "expressions can read `signal`", "foo")]
#[case("steps", "`steps` must name one step", "write `steps.<id>.output`", "steps")]
#[case("steps.a", "`steps.a` needs a field", "write `steps.<id>.output`", "steps")]
#[case("steps[signal.payload.n].output", "`steps` must name one step", "steps.<id>", "steps")]
#[case("steps.a.outputs.x", "a step has no `outputs`", "did you mean `output`?", "steps")]
#[case("steps.a.summary", "a step has no `summary`", "did you mean `steps.a.output.summary`?", "steps")]
#[case("has(steps.a)", "`steps.a` needs a field", "write", "steps")]
#[case("repeat.iterations > 1", "`repeat` has no `iterations`", "did you mean `iteration`?", "repeat")]
#[case("siz(signal)", "unknown function `siz`", "did you mean `size`?", "siz")]
#[case("fetch(signal)", "unknown function `fetch`", "there are all, bool,", "fetch")]
#[case("signal.payload.a.startWith('x')", "unknown function `startWith`", "did you mean `startsWith`?", "startWith")]
#[case("contains('a', 'b')", "`contains` is written `x.contains(…)`", "", "contains")]
#[case("'a'.contains()", "`contains` takes 1 argument, not 0", "", "contains")]
#[case("[1].map(x)", "`map` is written `list.map(x, value)`", "", "map")]
#[case("'a'.matches(signal.payload.p)", "a pattern must be a string literal", "so that", "matches")]
#[case("'a'.matches('(')", "this pattern is not valid", "unclosed group", "matches")]
#[case("'a'.matches('(a{500}){500}')", "this pattern is not valid", "size limit", "matches")]
#[case("[1].all(signal, true)", "`signal` already has a meaning", "another variable", "signal")]
#[case("[1].all(item, itm > 0)", "unknown name `itm`", "did you mean `item`?", "itm")]
#[case(
    "[1].all(a, [1].all(b, [1].all(c, [1].all(d, true))))",
    "more than 3 loops inside of each other",
    "earlier steps",
    "d"
)]
#[case("1 +", "", "", "")]
#[case("a.?b", "", "", "")]
#[case("Foo{a: 1}", "there are no message types here", "write a map", "Foo{a: 1}")]
#[case("", "the expression is empty", "write a path", "")]
#[case("${a} ${b}", "an expression is one `${…}` without text around it", "combine inside", " ${b}")]
fn what_cannot_work_is_refused_when_applied(
    #[case] source: &str,
    #[case] message: &str,
    #[case] help: &str,
    #[case] at: &str,
) {
    let invalid = refusal(source);
    assert!(invalid.message.starts_with(message), "{invalid:?}");
    assert!(invalid.help.as_deref().unwrap_or_default().contains(help), "{invalid:?}");
    if !at.is_empty() {
        assert_eq!(&source[invalid.span.clone()], at, "{invalid:?}");
    }
    assert!(!invalid.message.is_empty() && source.get(invalid.span.clone()).is_some(), "{invalid:?}");
}

#[rstest]
#[case("steps.a.output.x", &[("a", false)])]
#[case("has(steps.a.output)", &[("a", true)])]
#[case("has(steps.a.output) ? steps.a.output.x : steps.b.output.x", &[("a", true), ("b", false)])]
#[case(
    "has(steps.a.output) ? steps.a.output.x : has(steps.b.output) ? steps.b.output.x : 1",
    &[("a", true), ("b", true)]
)]
#[case("!has(steps.a.output) ? 1 : steps.a.output.x", &[("a", true)])]
#[case("has(steps.a.output.x) && steps.a.output.x > 1", &[("a", true)])]
#[case("steps.a.output.x > 1 && has(steps.a.output.x)", &[("a", true)])]
#[case("!has(steps.a.output) || steps.a.output.x > 1", &[("a", true)])]
#[case("has(steps.a.output) || steps.a.output.x > 1", &[("a", false)])]
#[case(
    "has(steps.a.output) && has(steps.b.output) ? steps.a.output.x + steps.b.output.x : 1",
    &[("a", true), ("b", true)]
)]
#[case("(has(steps.a.output) || has(steps.b.output)) && steps.a.output.x == 1", &[("a", false), ("b", true)])]
#[case("has(steps.a.output) && true || steps.a.output.x == 1", &[("a", false)])]
#[case("has(steps[\"a\"].output.`x y`) && steps.a.output.z", &[("a", true)])]
#[case("[1].all(x, has(steps.a.output) ? steps.a.output.x == x : true)", &[("a", true)])]
#[case("signal.payload.n", &[])]
#[case("steps.a.status == 'completed' && steps.a.output.x > 1", &[("a", true), ("a", false)])]
#[case("steps.a.status == 'failed' ? steps.a.error.code : ''", &[("a", true), ("a", false)])]
#[case("'failed' == steps.a.status ? steps.a.output : ''", &[("a", false), ("a", false)])]
#[case("steps.a.status != 'failed' && steps.a.error.code == ''", &[("a", false), ("a", false)])]
#[case("has(steps.a.error) && steps.a.output.x", &[("a", false), ("a", true)])]
fn references_are_guarded_only_behind_a_has(#[case] source: &str, #[case] expected: &[(&str, bool)]) {
    let expression = Expression::compile(source).expect(source);
    let found: Vec<_> = expression.references().iter().map(|r| (r.step.as_str(), r.guarded)).collect();
    assert_eq!(found, expected);
}

#[test]
fn roots_are_told_so_that_a_trigger_can_refuse_some() {
    let roots = |source| Expression::compile(source).expect(source).roots_used().to_vec();
    assert_eq!(roots("signal.payload.a == tenant.slug"), ["signal", "tenant"]);
    assert_eq!(roots("has(steps.a.output) || run.id == ''"), ["run", "steps"]);
    assert_eq!(
        roots("item.a == index || repeat.iteration > 1 || event.payload.x"),
        ["event", "index", "item", "repeat"]
    );
    assert_eq!(roots("run.input.a == signal.payload.a"), ["run.input", "signal"]);
    assert_eq!(roots("run.id == run[\"input\"]"), ["run", "run.input"]);
    assert!(roots("1 + 1").is_empty());
}

#[test]
fn a_condition_is_a_boolean_or_a_failure() {
    let holds = |source| Expression::compile(source).expect(source).holds(&facts());
    assert_eq!(holds("signal.payload.ok"), Ok(true));
    assert_eq!(holds("${signal.payload.n > 5}"), Ok(false));
    let failure = holds("signal.payload.title").expect_err("a string");
    assert_eq!(failure.message, "`signal.payload.title` is a string, where true or false is expected");
}

#[test]
fn a_plain_path_never_reaches_cel() {
    for source in [
        "signal",
        "signal.payload.title",
        "event.payload.n",
        "item.name",
        "index",
        "steps.a.output.items[0][\"x y\"]",
        "steps[\"a-b\"].output",
    ] {
        let expression = Expression::compile(source).expect(source);
        assert!(matches!(expression.form, Form::Path(_)), "{source}");
    }
    assert!(matches!(Expression::compile("has(signal.a)").expect("CEL").form, Form::Program(_)));
}

fn render(template: Value) -> Result<Value, Failure> {
    let template = Template::compile(&template).expect("a template");
    template.render(&facts()).map(|json| json.value().clone())
}

#[rstest]
#[case(json!("${signal.payload.n}"), json!(2))]
#[case(json!(" ${signal.payload.n}"), json!(" 2"))]
#[case(json!("Hi ${signal.payload.author}, ${signal.payload.tags} ${signal.payload.none}!"),
       json!("Hi ann, [\"a\",\"b\",\"c\"] null!"))]
#[case(json!("$${signal.payload.n} costs $5"), json!("${signal.payload.n} costs $5"))]
#[case(json!({"a": [{"b": "${signal.payload.title}"}], "c": 1}), json!({"a": [{"b": "Hello"}], "c": 1}))]
#[case(json!({"${x}": "$${y}", "l": ["$${z}", 1]}), json!({"${x}": "${y}", "l": ["${z}", 1]}))]
#[case(json!("${ {'}': '}'} }"), json!({"}": "}"}))]
#[case(json!(null), json!(null))]
fn a_template_renders_what_its_strings_say(#[case] template: Value, #[case] expected: Value) {
    assert_eq!(render(template), Ok(expected));
}

#[test]
fn from_signal_is_the_whole_signal() {
    let json = Template::from_signal().render(&facts()).expect("a signal");
    assert_eq!(json.value(), &facts().signal);
}

#[test]
fn a_template_reports_every_error_with_its_place() {
    let template = json!({"a/b": ["${foo}", "ok ${", {"c": "x ${signal.payload.a} ${bar}"}]});
    let errors = Template::compile(&template).expect_err("three errors");
    let found: Vec<_> = errors.iter().map(|(at, invalid)| (at.as_str(), invalid.span.clone())).collect();
    assert_eq!(found, [("/a~1b/0", 2..5), ("/a~1b/1", 3..5), ("/a~1b/2/c", 24..27)]);
}

#[test]
fn a_template_merges_the_references_of_its_expressions() {
    let template = json!({"a": "${has(steps.x.output)}", "b": "${steps.x.output.y} ${has(steps.w.output)}"});
    let template = Template::compile(&template).expect("a template");
    let reference = |step: &str, guarded| Reference { step: step.to_owned(), field: StepField::Output, guarded };
    assert_eq!(template.references(), [reference("w", true), reference("x", false)]);
    assert_eq!(template.roots_used(), ["steps"]);
}

fn over(payload: Value) -> Facts {
    Facts { meter: Meter::unlimited(), signal: json!({"payload": payload}), output: Value::Null }
}

#[rstest]
#[case::nested_loops("signal.payload.all(a, signal.payload.all(b, signal.payload.all(c, a + b + c >= 0)))")]
#[case::doubling("signal.payload.map(a, signal.payload).map(a, signal.payload).map(a, [a, signal.payload])")]
#[case::text("signal.payload.map(a, string(a)).join(',').replace('', signal.payload.map(a, string(a)).join(','))")]
fn what_would_take_too_long_is_refused_before_it_begins(#[case] source: &str) {
    let expression = Expression::compile(source).expect(source);
    let started = std::time::Instant::now();
    let failure = expression.evaluate(&over(json!(vec![1; 5_000]))).expect_err("too much");
    assert_eq!(failure.code, "expression_too_expensive");
    assert!(started.elapsed().as_millis() < 500);
    assert!(expression.evaluate(&over(json!([1, 2]))).is_ok(), "but not when there is little to do");
}

#[test]
fn one_pass_over_a_large_list_is_not_too_expensive() {
    let items: Vec<Value> = (0..3_000).map(|n| json!({"n": n, "name": format!("item {n}")})).collect();
    let expression = Expression::compile("signal.payload.filter(i, i.n % 2 == 0).map(i, i.name)").expect("CEL");
    let value = expression.evaluate(&over(json!(items))).expect("a list");
    assert_eq!(value.as_array().map(Vec::len), Some(1_500));
}

#[rstest]
#[case::copies(json!(vec!["${signal.payload}"; 100]), json!("x".repeat(20_000)))]
#[case::text(json!("${signal.payload}".repeat(100)), json!("x".repeat(20_000)))]
#[case::loops(
    json!("${signal.payload.l.map(x, signal.payload.s)}"),
    json!({"l": vec![1; 100], "s": "x".repeat(20_000)})
)]
#[case::escapes(json!("${signal.payload}"), json!("\u{1}".repeat(200_000)))]
fn what_becomes_too_large_is_refused(#[case] template: Value, #[case] payload: Value) {
    let template = Template::compile(&template).expect("a template");
    let failure = template.render(&over(payload)).expect_err("too large");
    assert_eq!(failure.code, "output_too_large");
}

#[test]
fn what_nests_too_deep_is_refused() {
    let deep = |levels| (0..levels).fold(json!(1), |value, _| json!([value]));
    let template = Template::compile(&json!([["${signal.payload}"]])).expect("a template");
    assert!(template.render(&over(deep(Json::DEPTH_MAX - 2))).is_ok());
    assert_eq!(template.render(&over(deep(Json::DEPTH_MAX - 1))).expect_err("deep").code, "output_too_large");
    let template = Template::compile(&json!("${[[signal.payload]]}")).expect("a template");
    assert!(template.render(&over(deep(Json::DEPTH_MAX - 2))).is_ok());
    assert_eq!(template.render(&over(deep(Json::DEPTH_MAX - 1))).expect_err("deep").code, "output_too_large");
}

/// On a stack as small as any thread's here.
#[test]
fn the_deepest_expression_fits_on_the_stack() {
    for (open, middle, close) in
        [("(1 + ", "1", ")"), ("[", "1", "]"), ("true ? [", "1", "] : []"), ("!(", "true", ")")]
    {
        let accepted = (1..60).filter(|depth| {
            let source = format!("{}{middle}{}", open.repeat(*depth), close.repeat(*depth));
            Expression::compile(&source).is_ok_and(|expression| expression.evaluate(&facts()).is_ok() || open == "!(")
        });
        assert!(accepted.count() >= 20, "{open}");
    }
}

#[test]
fn long_sources_are_refused() {
    let source = "signal.payload.a || ".repeat(300) + "true";
    assert!(refusal(&source).message.contains("at most 4096"));
}

/// Letters that are likely to mean something, so that more than syntax errors come out.
fn source() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "signal",
        ".payload",
        ".title",
        "steps",
        ".a",
        ".output",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "\"x\"",
        "'",
        "\"",
        "1",
        "0.5",
        "2u",
        " + ",
        " - ",
        " * ",
        " / ",
        " % ",
        " == ",
        " in ",
        " && ",
        " || ",
        "!",
        "-",
        " ? ",
        " : ",
        ", ",
        "has(",
        ".map(x, ",
        ".all(x, ",
        ".filter(x, ",
        "x",
        ".size()",
        "size(",
        ".matches('a+')",
        ".replace('', ",
        "string(",
        "signal.payload.tags",
        "signal.payload.items",
        "signal.payload.n",
        "null",
        "true",
        "b'a'",
        "r'",
        "'''",
        "`",
        "//",
        "\\",
        "é",
        "\u{0}",
        "\n",
        "$",
        "${",
        ".join()",
        "9223372036854775807",
        "type(",
        "int(",
        "@0",
        "@result",
        ".x",
    ]);
    prop_oneof![prop::collection::vec(word, 1..24).prop_map(|words| words.concat()), any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_breaks_an_expression(source in source()) {
        match Expression::compile(&source) {
            Ok(expression) => drop(expression.evaluate(&facts())),
            Err(invalid) => prop_assert!(source.get(invalid.span.clone()).is_some(), "{invalid:?}"),
        }
        let template = json!({"a": [source]});
        if let Ok(template) = Template::compile(&template) {
            drop(template.render(&facts()));
        }
    }

    #[test]
    fn repeating_text_breaks_nothing(source in source(), times in 1usize..400) {
        let source: String = source.repeat(times).chars().take(SOURCE_BYTES_MAX).collect();
        if let Ok(expression) = Expression::compile(&source) {
            drop(expression.evaluate(&facts()));
        }
    }
}

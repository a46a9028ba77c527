use std::time::{Duration, Instant};

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::value::BYTES_MAX;
use super::*;

#[test]
fn names_are_sorted_unique_and_have_two_segments() {
    let names: Vec<_> = all().iter().map(|function| function.name).collect();
    assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
    for function in all() {
        assert!(function.name.parse::<fleetprompt_core::Name>().is_ok(), "{}", function.name);
        assert_eq!(find(function.name).map(|found| found.name), Some(function.name));
    }
    assert!(find("text.shout").is_none());
}

#[test]
fn every_example_is_true() {
    for function in all() {
        let read = |text: &str| -> Value { serde_json::from_str(text).expect(function.name) };
        let output = call(function, &read(function.example.input)).map(|output| output.value().clone());
        assert_eq!(output, Ok(read(function.example.output)), "{}", function.name);
    }
}

#[test]
fn every_documented_field_is_known_and_every_other_is_refused() {
    for function in all().iter().filter(|function| function.input[0].name != "*") {
        let mut input: Value = serde_json::from_str(function.example.input).expect(function.name);
        let fields = input.as_object_mut().expect(function.name);
        assert!(fields.keys().all(|key| function.input.iter().any(|field| field.name == key)), "{}", function.name);
        fields.insert("surprise".into(), json!(1));
        let failure = call(function, &input).expect_err(function.name);
        assert_eq!((failure.code.as_str(), failure.retryable), ("input_invalid", false));
        assert!(failure.message.contains("`surprise`"), "{}", failure.message);
    }
}

#[rstest]
#[case::replace("text.replace", json!({"text": "a".repeat(10_000), "find": "a", "with": "b".repeat(10_000)}))]
#[case::join("text.join", json!({"list": vec![0; 10_000], "with": "b".repeat(10_000)}))]
#[case::split("text.split", json!({"text": "a".repeat(100_000), "by": "a"}))]
#[case::template("text.template", json!({"template": "{{a}}".repeat(10_000), "with": {"a": "b".repeat(10_000)}}))]
#[case::escapes("json.identity", json!("\u{1}".repeat(500_000)))]
#[case::compare("json.compare", json!({"from": under_a_long_key(1), "to": under_a_long_key(2)}))]
fn what_would_grow_is_refused_before_it_has(#[case] name: &str, #[case] input: Value) {
    let started = Instant::now();
    let failure = call(find(name).expect(name), &input).expect_err(name);
    assert_eq!(failure.code, "output_too_large", "{failure}");
    assert!(started.elapsed() < Duration::from_secs(5), "{name} took {:?}", started.elapsed());
}

fn under_a_long_key(item: i64) -> Value {
    json!({"k".repeat(200_000): vec![item; 50_000]})
}

#[test]
fn an_input_that_is_too_large_or_too_deep_is_refused() {
    let deep = (0..100).fold(json!(1), |inside, _| json!([inside]));
    for input in [json!({"text": "a".repeat(BYTES_MAX)}), json!({"text": deep})] {
        assert_eq!(call(&text::UPPER, &input).map_err(|failure| failure.code), Err("input_too_large".into()));
    }
}

/// Values under the names that functions know, so that most get past the check of fields.
fn inputs() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-3i64..20).prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        "[a-c{}|. \\[\\](*%YmdHz+-]{0,12}".prop_map(Value::from),
        Just(json!("2026-11-22T08:30:00Z")),
        Just(json!("-009999-01-02T00:00:00Z")),
        Just(json!("Europe/Berlin")),
        Just(json!("month")),
        Just(json!({"is": 1, "then": 2})),
        Just(json!({"label": "a", "keywords": ["b"]})),
    ];
    scalar.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-c]{1,2}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_input_makes_a_function_panic_or_overflow(values in prop::collection::vec(inputs(), 10), whole in inputs()) {
        for function in all() {
            let named = |(field, value): (&Field, &Value)| (field.name.to_owned(), value.clone());
            let fields = function.input.iter().zip(&values).map(named);
            let mut fitting: Value = serde_json::from_str(function.example.input).expect(function.name);
            let example = fitting.clone();
            if let Some(example) = fitting.as_object_mut() {
                example.extend(fields.clone());
            }
            let mut inputs = vec![whole.clone(), fitting, Value::Object(fields.collect())];
            // Most values do not fit most fields: change one field of the example at a time, too.
            for (field, value) in function.input.iter().zip(&values) {
                let mut input = example.clone();
                input[field.name] = value.clone();
                inputs.push(input);
            }
            for input in inputs {
                let first = call(function, &input);
                if let Ok(output) = &first {
                    prop_assert!(output.text().len() <= BYTES_MAX);
                }
                prop_assert_eq!(first, call(function, &input), "{} is not deterministic", function.name);
            }
        }
    }
}

#[rstest]
#[case(r"\b\w+@\w+\.\w{2,6}\b", "ann@example.com")]
#[case(r"(?i)order\s*#?\s*(?P<id>[A-Z]{2}-\d{4,10})", "Order #ab-12345")]
#[case(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}", "2026-11-22T08:30")]
#[case(r"^[\p{L}\p{M}' \-]+$", "Zoë O'Brien")]
fn ordinary_patterns_are_within_the_limits(#[case] pattern: &str, #[case] text: &str) {
    let input = json!({"text": text, "pattern": pattern, "ignore_case": true});
    assert_eq!(call(&pattern::MATCH, &input).map_err(|failure| failure.message), Ok(Json::from(json!(true))));
}

/// Linear is still a product: these come as close to the limits of patterns as one can.
#[rstest]
#[case::many_states("text.match", json!({"text": "a".repeat(65_536), "pattern": "(a?){300}(a{1,9}b|c){30}$"}))]
#[case::matches_that_look_far_ahead("text.extract", json!({"text": "A".repeat(65_536), "pattern": ".*[^A-Z]|[A-Z]"}))]
#[case::groups_far_ahead("text.extract", json!({"text": "é".repeat(32_768), "pattern": "(\\w)\\b.*[^é]|(é)"}))]
#[case::unicode_states("text.extract", json!({"text": "é".repeat(32_768), "pattern": "\\w{1,4}\\b!|\\w+#|é"}))]
#[case::redacted_words("text.redact", json!({"text": "a.".repeat(500_000)}))]
#[case::redacted_addresses("text.redact", json!({"text": "a@a.".repeat(250_000)}))]
#[case::redacted_digits("text.redact", json!({"text": "1 ".repeat(500_000)}))]
#[case::redacted_letters("text.redact", json!({"text": "é1".repeat(300_000)}))]
#[case::keywords("text.contains_any", json!({"text": "a".repeat(65_536), "words": vec!["aaaaaaaab"; 256]}))]
#[case::sorting("list.sort", json!({"list": (0..100_000).rev().collect::<Vec<_>>()}))]
fn the_hardest_inputs_we_know_of_are_over_soon(#[case] name: &str, #[case] input: Value) {
    let started = Instant::now();
    let _ = call(find(name).expect(name), &input).map_err(|failure| println!("{failure}"));
    println!("{name}: {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(5), "{name} took {:?}", started.elapsed());
}

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::diagnostic::locate;

fn json(text: &str) -> Node {
    parse(text, Format::Json).expect("valid JSON")
}

fn yaml(text: &str) -> Node {
    parse(text, Format::Yaml).expect("valid YAML")
}

/// `CODE line:column`
fn problem(text: &str, format: Format) -> String {
    let problems = parse(text, format).expect_err("refused");
    let first = &locate(&problems, text)[0];
    format!("{} {}:{}", first.code, first.line, first.column)
}

#[test]
fn both_spellings_give_the_same_value_with_places_in_bytes() {
    let in_json = r#"{
      // Ü is two bytes
      "name": "Über", "steps": [{"id": "a", "n": -1.5e3}, {"id": "b", "list": [true, null]}] /* end */
    }"#;
    let in_yaml = "\
# Ü is two bytes
name: Über
steps:
  - id: a
    n: -1.5e3
  - {id: \"b\", list: [true, ~]}
";
    let expected = json!({"name": "Über", "steps": [{"id": "a", "n": -1500.0}, {"id": "b", "list": [true, null]}]});
    for (text, node) in [(in_json, json(in_json)), (in_yaml, yaml(in_yaml))] {
        assert_eq!(node.to_value(), expected);
        let raw = |pointer: &str| &text[node.at(pointer).expect("it is there").span.clone()];
        assert!(raw("/name").contains("Über") && raw("/name").len() <= 7);
        assert_eq!(raw("/steps/0/n"), "-1.5e3");
        assert_eq!(raw("/steps/1/id"), "\"b\"");
        assert!(raw("/steps/1").starts_with('{') && raw("/steps/1").ends_with('}'));
        assert!(raw("/steps/0").contains("id") && raw("/steps/0").ends_with(['}', '3']));
    }
}

#[rstest]
#[case::empty("", "FP0001 1:1")]
#[case::only_a_comment("// nothing", "FP0001 1:1")]
#[case::trailing_comma("{\"a\": 1,}", "FP0001 1:8")]
#[case::single_quotes("{'a': 1}", "FP0001 1:2")]
#[case::bare_name("{a: 1}", "FP0001 1:2")]
#[case::missing_comma("{\"a\": 1 \"b\": 2}", "FP0001 1:8")]
#[case::hexadecimal("{\"a\": 0xff}", "FP0001 1:7")]
#[case::two_values("{} {}", "FP0001 1:4")]
#[case::word("{\"a\": tru}", "FP0001 1:7")]
#[case::open_comment("{} /* …", "FP0001 1:4")]
#[case::line_break_in_a_string("{\"a\": \"x\ny\"}", "FP0001 1:9")]
#[case::half_a_surrogate_pair("{\"a\": \"\\ud800\"}", "FP0001 1:8")]
#[case::number_out_of_range("{\"a\":\n1e999}", "FP0008 2:1")]
#[case::duplicate_key("{\"a\": {\"b\": 1,\n\"b\": 2}}", "FP0005 2:1")]
#[case::escaped_duplicate_key("{\"a\": 1,\n\"\\u0061\": 2}", "FP0005 2:1")]
fn json_is_refused(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(problem(text, Format::Json), expected);
}

#[rstest]
#[case::empty("", "FP0002 1:1")]
#[case::only_a_comment("# nothing", "FP0002 1:1")]
#[case::colon_in_text("a: b: c", "FP0002 1:5")]
#[case::tab("a:\n\tb: 1", "FP0002 2:2")]
#[case::anchor("a: &x 1", "FP0006 1:7")]
#[case::alias("a: &x {}\nb: *x", "FP0006 1:7")]
#[case::tag("a: !env HOME", "FP0006 1:9")]
#[case::merge("a:\n  <<: {b: 1}", "FP0006 2:3")]
#[case::documents("a: 1\n---\nb: 2\n", "FP0006 2:1")]
#[case::list_as_key("? [a]\n: 1", "FP0006 1:3")]
#[case::infinity("a: .inf", "FP0006 1:4")]
#[case::number_out_of_range("a: 1e999", "FP0008 1:4")]
#[case::duplicate_key("a: 1\nb:\n  c: 1\n  c: 2", "FP0005 4:3")]
fn yaml_is_refused(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(problem(text, Format::Yaml), expected);
}

#[rstest]
#[case("~", json!(null))]
#[case("null", json!(null))]
#[case("True", json!(true))]
#[case("yes", json!("yes"))]
#[case("0o17", json!(15))]
#[case("0xFF", json!(255))]
#[case("+12", json!(12))]
#[case("-0", json!(0))]
#[case("007", json!(7))]
#[case("18446744073709551615", json!(u64::MAX))]
#[case(".5", json!(0.5))]
#[case("5.", json!(5.0))]
#[case("1e3", json!(1000.0))]
#[case("1.0.0", json!("1.0.0"))]
#[case("e3", json!("e3"))]
#[case(".", json!("."))]
#[case("\"12\"", json!("12"))]
#[case("'true'", json!("true"))]
#[case("2026-11-22", json!("2026-11-22"))]
#[case("60s", json!("60s"))]
#[case("|\n  a\n  b\n", json!("a\nb\n"))]
fn yaml_scalars_follow_the_core_schema(#[case] scalar: &str, #[case] expected: Value) {
    assert_eq!(yaml(&format!("a: {scalar}")).to_value(), json!({ "a": expected }));
}

#[test]
fn depth_and_size_are_refused_before_reading() {
    for depth in [65, 10_000] {
        let text = format!("// \"\n{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(problem(&text, Format::Json), "FP0004 2:65");
        let text = format!("{{\"a\": \"// [\", \"b\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(problem(&text, Format::Json).starts_with("FP0004 1:"));
        assert!(problem(&"- ".repeat(depth), Format::Yaml).starts_with("FP0004 1:"));
        assert!(problem(&"[".repeat(depth), Format::Yaml).starts_with("FP0004 1:"));
    }
    let deepest = format!("{}{}", "[".repeat(64), "]".repeat(64));
    assert!(parse(&deepest, Format::Json).is_ok() && parse(&deepest, Format::Yaml).is_ok());
    assert_eq!(problem(&" ".repeat(BYTES_MAX + 1), Format::Json), "FP0003 1:1");
}

#[test]
fn a_byte_order_mark_moves_no_place() {
    for format in [Format::Json, Format::Yaml] {
        let text = "\u{feff}{\"a\": \"b\"}";
        let node = parse(text, format).expect("valid");
        assert_eq!(&text[node.get("a").expect("it is there").span.clone()], "\"b\"");
    }
}

#[rstest]
#[case::json("{\"a\": \"x ${bad}\"}", "${bad}")]
#[case::json_escapes("{\"a\": \"\\n\\u00e4\\ud83d\\ude00 ${bad}\"}", "${bad}")]
#[case::yaml_plain("a: x ${bad}", "${bad}")]
#[case::yaml_quoted("a: 'it''s ${bad}'", "${bad}")]
#[case::yaml_block("a: |\n  line\n  ${bad}\n", "${bad}")]
#[case::yaml_block_twice("a: |\n  bad\n  x bad ${bad}\n", "${bad}")]
#[case::yaml_folded("a: >\n  line\n  ${bad}\n", "${bad}")]
fn a_part_of_a_string_is_found_in_the_source(#[case] text: &str, #[case] part: &str) {
    let root = parse(text, Format::of_text(text)).expect("valid");
    let node = root.get("a").expect("it is there");
    let NodeValue::String(content) = &node.value else { panic!("a string") };
    let at = content.find(part).expect("it is there");
    assert_eq!(&text[node.place_within(text, at..at + part.len())], part);
}

#[test]
fn formats_are_told_apart() {
    assert_eq!(Format::of_path(Path::new("a/b.YML")), Some(Format::Yaml));
    assert_eq!(Format::of_path(Path::new("b.jsonc")), Some(Format::Json));
    assert_eq!(Format::of_path(Path::new("b.txt")), None);
    assert_eq!(Format::of_text("\u{feff}\n {\"workflow\": 1}"), Format::Json);
    assert_eq!(Format::of_text("// note\n{}"), Format::Json);
    assert_eq!(Format::of_text("workflow:\n"), Format::Yaml);
}

proptest! {
    #[test]
    fn no_text_makes_parsing_panic(text in any::<String>()) {
        let _ = parse(&text, Format::Json);
        let _ = parse(&text, Format::Yaml);
    }

    #[test]
    fn no_text_of_the_right_letters_makes_parsing_panic(
        text in "[-{}\\[\\]:,\"'#&*!|>%@?~a1 .\\\\/\n\r\tä\u{feff}]{0,60}",
    ) {
        for format in [Format::Json, Format::Yaml] {
            match parse(&text, format) {
                Ok(node) => prop_assert!(text.get(node.span.clone()).is_some()),
                Err(problems) => {
                    prop_assert!(!crate::diagnostic::render(&problems, &text, "x", true).is_empty());
                    locate(&problems, &text);
                }
            }
        }
    }
}

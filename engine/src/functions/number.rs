//! `number.*`: rounding, bounds, grades, and numbers as people write them. Arithmetic is for
//! expressions.

use fleetprompt_core::Failure;
use serde_json::{Value, json};

use super::field::{Field, Input, Kind, integer, invalid, may, need};
use super::{Example, Function};

/// More digits than a double holds say nothing.
const DIGITS_MAX: usize = 15;

pub static ROUND: Function = Function {
    name: "number.round",
    summary: "A number with at most so many digits after the point. Halves go away from zero.",
    input: &[
        need("number", Kind::Number, "what to round"),
        may("digits", Kind::Integer, "digits after the point, 0 unless given, at most 15"),
        may("mode", Kind::OneOf(&["nearest", "up", "down"]), "`nearest` unless given; `up` is toward infinity"),
    ],
    output: "a number, whole when `digits` is 0",
    example: Example { input: r#"{"number": 2.345, "digits": 1}"#, output: "2.3" },
    call: |input| {
        let digits = digits(input, 0)?;
        let number = input.number("number").unwrap_or_default();
        let factor = 10f64.powi(digits as i32);
        let scaled = number * factor;
        let rounded = match input.text_or("mode", "nearest") {
            "up" => scaled.ceil(),
            "down" => scaled.floor(),
            _ => scaled.round(),
        };
        // A number too large to scale has no digits after the point to begin with.
        Ok(plain(if scaled.is_finite() { rounded / factor } else { number }))
    },
};

pub static CLAMP: Function = Function {
    name: "number.clamp",
    summary: "A number, or the nearer bound when it lies outside.",
    input: &[
        need("number", Kind::Number, "what to bound"),
        may("at_least", Kind::Number, "the lower bound"),
        may("at_most", Kind::Number, "the upper bound"),
    ],
    output: "a number",
    example: Example { input: r#"{"number": 140, "at_least": 0, "at_most": 100}"#, output: "100" },
    call: |input| {
        let (least, most) = (input.number("at_least"), input.number("at_most"));
        if least.zip(most).is_some_and(|(least, most)| least > most) {
            return Err(invalid("`at_least` is larger than `at_most`"));
        }
        let number = input.number("number").unwrap_or_default();
        let bound = match (least, most) {
            (Some(least), _) if number < least => "at_least",
            (_, Some(most)) if number > most => "at_most",
            _ => "number",
        };
        Ok(input.any(bound).clone())
    },
};

pub static GRADE: Function = Function {
    name: "number.grade",
    summary: "The label of the highest grade whose `from` the number reaches: a score becomes a priority.",
    input: &[
        need("number", Kind::Number, "the score"),
        need("grades", Kind::Objects, "in any order, each {from, label}"),
        may("otherwise", Kind::Text, "the label below all grades"),
    ],
    output: "a text, or null below all grades",
    example: Example {
        input: r#"{"number": 0.72, "grades": [{"from": 0, "label": "low"}, {"from": 0.5, "label": "normal"},
                  {"from": 0.9, "label": "urgent"}]}"#,
        output: r#""normal""#,
    },
    call: grade,
};

pub static PARSE: Function = Function {
    name: "number.parse",
    summary: "Reads a number as people write it: white space, one currency sign and separators of thousands are \
              passed over.",
    input: &[
        need("text", Kind::Text, "like `1,234.50` or `€ 1.234,50`"),
        may("decimal", Kind::OneOf(&[".", ","]), "what stands before the fraction, `.` unless given"),
    ],
    output: "a number",
    example: Example { input: r#"{"text": "€ 1.234,50", "decimal": ","}"#, output: "1234.5" },
    call: parse,
};

pub static FORMAT: Function = Function {
    name: "number.format",
    summary: "Writes a number for people, with separators of thousands.",
    input: &[
        need("number", Kind::Number, "what to write"),
        may("digits", Kind::Integer, "digits after the point, 0 unless given, at most 15"),
        may("decimal", Kind::OneOf(&[".", ","]), "what stands before the fraction, `.` unless given"),
    ],
    output: "a text",
    example: Example { input: r#"{"number": 1234567.5, "digits": 2}"#, output: r#""1,234,567.50""# },
    call: |input| {
        let digits = digits(input, 0)?;
        let written = format!("{:.digits$}", input.number("number").unwrap_or_default());
        let (decimal, thousands) = separators(input);
        let (sign, unsigned) = written.strip_prefix('-').map_or(("", written.as_str()), |unsigned| ("-", unsigned));
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let mut text = sign.to_owned();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index) % 3 == 0 {
                text.push(thousands);
            }
            text.push(digit);
        }
        if !fraction.is_empty() {
            text.push(decimal);
            text.push_str(fraction);
        }
        Ok(text.into())
    },
};

fn grade(input: &Input<'_>) -> Result<Value, Failure> {
    const GRADE: &[Field] = &[need("from", Kind::Number, "the least score"), need("label", Kind::Text, "the answer")];
    let number = input.number("number").unwrap_or_default();
    let mut best: Option<(f64, &str)> = None;
    for (index, grade) in input.list("grades").iter().enumerate() {
        let grade =
            Input::check(GRADE, grade).map_err(|failure| invalid(format!("`grades.{index}`: {}", failure.message)))?;
        let from = grade.number("from").unwrap_or_default();
        if number >= from && best.is_none_or(|(highest, _)| from > highest) {
            best = Some((from, grade.text("label")));
        }
    }
    Ok(best.map_or(json!(input.get("otherwise")), |(_, label)| label.into()))
}

fn parse(input: &Input<'_>) -> Result<Value, Failure> {
    let text = input.text("text");
    let refused = || invalid(format!("`text` is not a number: `{}`", text.chars().take(40).collect::<String>()));
    let (decimal, thousands) = separators(input);
    let mut plain_text = String::new();
    for c in text.trim().trim_matches(['€', '$', '£', '¥']).chars() {
        match c {
            c if c == thousands || c.is_whitespace() || c == '\'' => {}
            c if c == decimal => plain_text.push('.'),
            '0'..='9' | '-' | '+' => plain_text.push(c),
            '−' => plain_text.push('-'),
            _ => return Err(refused()),
        }
    }
    let number: f64 = plain_text.parse().map_err(|_| refused())?;
    if let Ok(whole) = plain_text.parse::<i64>() {
        return Ok(whole.into());
    }
    if number.is_finite() { Ok(plain(number)) } else { Err(refused()) }
}

fn digits(input: &Input<'_>, otherwise: usize) -> Result<usize, Failure> {
    let digits = input.count_or("digits", otherwise, 0)?;
    if digits > DIGITS_MAX { Err(invalid("`digits` may be at most 15")) } else { Ok(digits) }
}

fn separators(input: &Input<'_>) -> (char, char) {
    if input.text("decimal") == "," { (',', '.') } else { ('.', ',') }
}

/// A whole number is written without a point.
fn plain(number: f64) -> Value {
    let value = Value::from(number);
    integer(&value).map_or(value, Value::from)
}

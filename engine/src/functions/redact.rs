//! `text.redact`: takes out what should not travel further, like to a model.
//!
//! It knows shapes, not meaning: e-mail addresses, payment card numbers (with a valid check digit)
//! and keys that announce themselves (`sk-…`, `ghp_…`). It is no promise that nothing personal remains.

use std::sync::LazyLock;

use fleetprompt_core::Failure;
use regex::{Captures, Regex};
use serde_json::{Value, json};

use super::field::{Input, Kind, invalid, may, need};
use super::{Example, Function};

pub static REDACT: Function = Function {
    name: "text.redact",
    summary: "Takes out e-mail addresses, payment card numbers and well-known kinds of API keys.",
    input: &[
        need("text", Kind::Text, "what to change"),
        may("kinds", Kind::Texts, "which of `email`, `card`, `key`; all unless given"),
    ],
    output: "{text, redacted}: each find became `[email]`, `[card]` or `[key]`, and how many there were",
    example: Example {
        input: r#"{"text": "Ask ann@example.com, card 4111 1111 1111 1111"}"#,
        output: r#"{"text": "Ask [email], card [card]", "redacted": 2}"#,
    },
    call: redact,
};

const KEY: &str = r"(?-u:\b)(?:sk-|sk_live_|rk_live_|ghp_|gho_|github_pat_|xoxb-|xoxp-|AKIA)[A-Za-z0-9_\-]{12,200}";
const EMAIL: &str = r"[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.\-]{0,200}[A-Za-z0-9])?\.[A-Za-z]{2,24}(?-u:\b)";

/// Each pattern is anchored to what cannot be long, so that searching stays close to linear.
static SHAPES: LazyLock<[(&str, &str, Regex); 3]> = LazyLock::new(|| {
    let shape = |kind, mark, pattern| (kind, mark, Regex::new(pattern).expect("our own pattern"));
    [
        shape("key", "[key]", KEY),
        shape("email", "[email]", EMAIL),
        shape("card", "[card]", r"(?-u:\b)[0-9](?:[ \-]?[0-9]){12,18}(?-u:\b)"),
    ]
});

fn redact(input: &Input<'_>) -> Result<Value, Failure> {
    let kinds = input.texts("kinds");
    if let Some(unknown) = kinds.iter().find(|kind| SHAPES.iter().all(|(known, ..)| known != *kind)) {
        let unknown: String = unknown.chars().take(40).collect();
        return Err(invalid(format!("`kinds` knows `email`, `card` and `key`, not `{unknown}`")));
    }
    let mut text = input.text("text").to_owned();
    let mut redacted = 0usize;
    for (kind, mark, regex) in SHAPES.iter() {
        if !kinds.is_empty() && !kinds.contains(kind) {
            continue;
        }
        let replace = |found: &Captures<'_>| {
            if *kind == "card" && !has_check_digit(&found[0]) {
                return found[0].to_owned();
            }
            redacted += 1;
            (*mark).to_owned()
        };
        text = regex.replace_all(&text, replace).into_owned();
    }
    Ok(json!({"text": text, "redacted": redacted}))
}

/// Luhn's check digit, which every payment card number ends in.
fn has_check_digit(text: &str) -> bool {
    let digits = text.chars().rev().filter_map(|c| c.to_digit(10)).enumerate();
    let sum: u32 = digits
        .map(|(index, digit)| match digit * 2 {
            _ if index % 2 == 0 => digit,
            doubled if doubled > 9 => doubled - 9,
            doubled => doubled,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_with_a_check_digit_are_cards() {
        assert!(has_check_digit("4111 1111 1111 1111"));
        assert!(!has_check_digit("4111 1111 1111 1112"));
    }
}

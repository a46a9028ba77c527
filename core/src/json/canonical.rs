//! One canonical text for each JSON value: no space between tokens, keys in order, strings with the fewest escapes, and
//! numbers as decimal digits with an exponent. Two texts have the same value if and only if their canonical texts are
//! equal. No number is converted to a double, so values that differ in the last of many digits stay different.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Returns the canonical text of a JSON text, which must have been checked before.
pub fn canonical(text: &str) -> String {
    let mut writer = Writer { text, at: 0, out: String::with_capacity(text.len()) };
    writer.value();
    writer.out
}

struct Writer<'a> {
    text: &'a str,
    at: usize,
    out: String,
}

/// Where an entry of an object begins in the output, where its key ends, and where the entry ends.
type Entry = (usize, usize, usize);

impl Writer<'_> {
    fn value(&mut self) {
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => self.string(),
            _ => self.scalar(),
        }
    }

    /// Writes the entries as they come, and arranges them only if their keys are not in order already. Of entries with
    /// the same key, which older versions accepted, the last one counts.
    fn object(&mut self) {
        self.copy();
        let start = self.out.len();
        let mut entries: Vec<Entry> = Vec::new();
        while self.has_item(b'}') {
            let begin = self.out.len();
            self.string();
            let key_end = self.out.len();
            self.peek();
            self.copy();
            self.value();
            self.out.push(',');
            entries.push((begin, key_end, self.out.len()));
        }
        let key = |(begin, key_end, _): &Entry| &self.out[*begin..*key_end];
        if !entries.is_sorted_by(|one, next| key(one) < key(next)) {
            let text = |entry: &Entry| &self.out[entry.0..entry.2];
            let last: BTreeMap<&str, &str> = entries.iter().map(|entry| (key(entry), text(entry))).collect();
            let sorted: String = last.into_values().collect();
            self.out.truncate(start);
            self.out.push_str(&sorted);
        }
        self.close();
    }

    fn array(&mut self) {
        self.copy();
        while self.has_item(b']') {
            self.value();
            self.out.push(',');
        }
        self.close();
    }

    fn close(&mut self) {
        if self.out.ends_with(',') {
            self.out.pop();
        }
        self.copy();
    }

    fn string(&mut self) {
        self.peek();
        let end = string_end(self.text, self.at);
        let raw = &self.text[self.at..end];
        self.at = end;
        match unescaped(raw) {
            Some(Cow::Owned(text)) => self.out.push_str(&serde_json::Value::String(text).to_string()),
            // Without escapes, a string is its own shortest form.
            _ => self.out.push_str(raw),
        }
    }

    fn scalar(&mut self) {
        let rest = &self.text[self.at..];
        let length = rest.find(|char: char| !char.is_ascii_alphanumeric() && !"+-.".contains(char));
        // At least one character, so that no text keeps this from ending.
        let end = length.unwrap_or(rest.len()).max(rest.chars().next().map_or(0, char::len_utf8));
        let scalar = &rest[..end];
        self.at += end;
        self.out.push_str(&number(scalar).unwrap_or(Cow::Borrowed(scalar)));
    }

    /// Returns `false` at the end of an array or object.
    fn has_item(&mut self, end: u8) -> bool {
        if self.peek() == Some(b',') {
            self.at += 1;
        }
        self.peek().is_some_and(|byte| byte != end)
    }

    /// The next byte that is not space.
    fn peek(&mut self) -> Option<u8> {
        let space = self.text.as_bytes()[self.at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.at += space;
        self.text.as_bytes().get(self.at).copied()
    }

    /// Copies one ASCII character.
    fn copy(&mut self) {
        self.out.extend(self.text.as_bytes().get(self.at).map(|byte| char::from(*byte)));
        self.at += 1;
        self.at = self.at.min(self.text.len());
    }
}

/// Sign, digits without zeros at either end, and the power of ten that they are multiplied by. `None` if it is not a
/// number.
fn number(text: &str) -> Option<Cow<'static, str>> {
    let (sign, unsigned) = text.strip_prefix('-').map_or(("", text), |unsigned| ("-", unsigned));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let exponent: i64 = exponent.parse().ok()?;
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some("0".into());
    }
    let power = exponent.checked_sub(fraction.len() as i64)?.checked_add((digits.len() - significant.len()) as i64)?;
    Some(format!("{sign}{significant}e{power}").into())
}

/// Where the string that begins at `start` ends: behind its closing quote, or at the end of the text.
pub fn string_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// The content of a quoted string; `None` if it cannot be read.
pub fn unescaped(raw: &str) -> Option<Cow<'_, str>> {
    match raw.contains('\\') {
        true => serde_json::from_str(raw).ok().map(Cow::Owned),
        false => raw.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn texts_of_one_value_have_one_canonical_text() {
        for (one, other) in [
            (r#"{"b": [1, 2], "a": "x"}"#, r#"{"a":"\u0078","b":[1.0,20e-1]}"#),
            ("[0, -0.0, 0e7]", "[0,0,0]"),
            ("12500", "1.25E+4"),
            (r#""\/é""#, r#""/\u00e9""#),
            (r#"{"a": 1, "a": 2}"#, r#"{"a":2}"#),
            ("[ ]", "[]"),
            (" { } ", "{}"),
        ] {
            assert_eq!(canonical(one), canonical(other));
        }
    }

    #[test]
    fn what_differs_in_the_last_digit_differs() {
        for (one, other) in [
            ("12345678901234567890", "12345678901234567891"),
            ("0.1", "0.10000000000000000001"),
            ("1", "-1"),
            ("1", "\"1\""),
            ("[1,2]", "[2,1]"),
            ("null", "false"),
            (r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
        ] {
            assert_ne!(canonical(one), canonical(other));
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_filter("JSON has no infinity", |it| it.is_finite()).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        scalar.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_canonical_text_is_json_and_does_not_depend_on_the_form(value in any_json()) {
            let (dense, wide) = (value.to_string(), serde_json::to_string_pretty(&value).expect("JSON"));
            let text = canonical(&dense);
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{}", text);
            prop_assert_eq!(&canonical(&wide), &text);
            prop_assert_eq!(&canonical(&text), &text);
        }
    }
}

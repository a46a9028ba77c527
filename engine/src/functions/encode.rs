//! `encode.*` and `decode.*`: texts in other alphabets.

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD, URL_SAFE_NO_PAD};

use super::field::{Input, Kind, invalid, may, need};
use super::{Example, Function};

pub static ENCODE_BASE64: Function = Function {
    name: "encode.base64",
    summary: "Writes a text in Base64.",
    input: &[need("text", Kind::Text, "what to write"), may("url_safe", Kind::Bool, "with - and _, without padding")],
    output: "a text",
    example: Example { input: r#"{"text": "héllo"}"#, output: r#""aMOpbGxv""# },
    call: |input| Ok(alphabet(input).encode(input.text("text")).into()),
};

pub static DECODE_BASE64: Function = Function {
    name: "decode.base64",
    summary: "Reads a text that was written in Base64. What is inside must be UTF-8.",
    input: &[need("text", Kind::Text, "Base64"), may("url_safe", Kind::Bool, "with - and _, without padding")],
    output: "a text",
    example: Example { input: r#"{"text": "aMOpbGxv"}"#, output: r#""héllo""# },
    call: |input| {
        let decoded = alphabet(input).decode(input.text("text").trim());
        let bytes = decoded.map_err(|error| invalid(format!("`text` is not Base64: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|_| invalid("what is inside `text` is not UTF-8"))?;
        Ok(text.into())
    },
};

pub static ENCODE_URL: Function = Function {
    name: "encode.url",
    summary: "Writes a text as one part of an address: all but letters, digits and `-._~` become %XX.",
    input: &[need("text", Kind::Text, "what to write")],
    output: "a text",
    example: Example { input: r#"{"text": "a b/ü"}"#, output: r#""a%20b%2F%C3%BC""# },
    call: |input| {
        let part = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        Ok(input.text("text").bytes().map(part).collect::<String>().into())
    },
};

fn alphabet(input: &Input<'_>) -> &'static GeneralPurpose {
    if input.flag("url_safe") { &URL_SAFE_NO_PAD } else { &STANDARD }
}

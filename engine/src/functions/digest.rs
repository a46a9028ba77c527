//! `hash.*`: digests, for keys that follow from contents. Not for passwords and not for signatures.

use fleetprompt_core::Failure;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::field::{Input, Kind, need};
use super::value::canonical;
use super::{Example, Function};

const INPUT: &[super::Field] =
    &[need("value", Kind::Any, "a text, of which the UTF-8 bytes count, or any other JSON, written with sorted keys")];

pub static HASH_SHA256: Function = Function {
    name: "hash.sha256",
    summary: "The SHA-256 digest of a text or of any JSON.",
    input: INPUT,
    output: "64 hexadecimal digits",
    example: Example {
        input: r#"{"value": "abc"}"#,
        output: r#""ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad""#,
    },
    call: |input| hex(&Sha256::digest(content(input))),
};

pub static HASH_BLAKE3: Function = Function {
    name: "hash.blake3",
    summary: "The BLAKE3 digest of a text or of any JSON.",
    input: INPUT,
    output: "64 hexadecimal digits",
    example: Example {
        input: r#"{"value": "abc"}"#,
        output: r#""6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85""#,
    },
    call: |input| hex(blake3::hash(content(input).as_bytes()).as_bytes()),
};

fn content(input: &Input<'_>) -> String {
    match input.any("value") {
        Value::String(text) => text.clone(),
        other => canonical(other),
    }
}

fn hex(bytes: &[u8]) -> Result<Value, Failure> {
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
}

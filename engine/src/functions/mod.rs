//! The functions that a workflow's `function` step may call.
//!
//! Each is pure and deterministic: its output follows from its input alone, on every node and on
//! every replay. None reads a clock, a file, the network or chance, so the engine may evaluate one
//! in the middle of a decision. Since that holds up everybody else, work is bounded: inputs and
//! outputs are at most 1 MiB, and where a function could do more than read its input a few times,
//! it says what its limit is.
//!
//! A new function is a `static` in its family's file and a line in [`all`].

mod digest;
mod encode;
pub mod field;
mod json;
mod list;
mod list_order;
mod logic;
mod number;
pub(crate) mod pattern;
mod redact;
pub(crate) mod template;
pub(crate) mod text;
mod time;
mod url;
pub(crate) mod value;

use fleetprompt_core::{Failure, Json};
use serde_json::Value;

use field::Input;
pub use field::{Field, Kind};
use value::{BYTES_MAX, READ_BYTES_MAX, measure, too_large};

/// One function, with all that people and tools need to know to call it.
pub struct Function {
    pub name: &'static str,
    pub summary: &'static str,
    pub input: &'static [Field],
    /// What comes back, in words.
    pub output: &'static str,
    pub example: Example,
    call: fn(&Input<'_>) -> Result<Value, Failure>,
}

/// Input and output as JSON. A test runs every one.
pub struct Example {
    pub input: &'static str,
    pub output: &'static str,
}

/// Checks the input, calls, checks the output. Failures are fatal: the same input fails again.
pub fn call(function: &Function, input: &Value) -> Result<Json, Failure> {
    let named = |failure: Failure| Failure::fatal(&failure.code, format!("{}: {}", function.name, failure.message));
    let bytes_max = input_bytes_max(function.name);
    if measure(input, bytes_max).is_none() {
        let message = format!("the input is larger than {} MiB, or nests deeper than 64 levels", bytes_max >> 20);
        return Err(named(Failure::fatal("input_too_large", message)));
    }
    let input = Input::check(function.input, input).map_err(named)?;
    let output = (function.call)(&input).map_err(named)?;
    bounded(output).map_err(named)
}

/// How large an input may be: those that look at each item of a list once may be given one that is larger than what
/// they may give.
pub fn input_bytes_max(name: &str) -> usize {
    const READERS: [&str; 7] =
        ["json.get", "list.filter", "list.first", "list.length", "list.pluck", "list.slice", "list.sum"];
    if READERS.contains(&name) { READ_BYTES_MAX } else { BYTES_MAX }
}

/// How much work a call is at worst, as bytes of JSON that are read once, besides what it returns.
pub(crate) fn work_of(function: &Function, input: &Value) -> usize {
    let weight = match function.name {
        "text.match" | "text.extract" | "text.redact" => 64,
        "text.classify" | "text.contains_any" | "json.template" | "text.template" => 16,
        "list.group" | "list.sort" | "list.unique" => 8,
        _ => 2,
    };
    bytes_of(input).saturating_mul(weight)
}

/// About how many bytes of JSON a value takes; of what is too large for a function, as many as it may take.
pub(crate) fn bytes_of(value: &Value) -> usize {
    measure(value, READ_BYTES_MAX).unwrap_or(READ_BYTES_MAX)
}

fn bounded(output: Value) -> Result<Json, Failure> {
    measure(&output, BYTES_MAX).ok_or_else(too_large)?;
    let output = Json::from(output);
    if output.text().len() > BYTES_MAX { Err(too_large()) } else { Ok(output) }
}

pub fn find(name: &str) -> Option<&'static Function> {
    let index = all().binary_search_by(|function| function.name.cmp(name)).ok()?;
    Some(all()[index])
}

/// Whether a name is in one of the families that the engine keeps for itself.
pub fn is_of_engine(name: &str) -> bool {
    let family = |name: &str| name.split('.').next().map(str::to_owned);
    all().iter().any(|function| family(function.name) == family(name))
}

/// Every function there is, sorted by name.
pub fn all() -> &'static [&'static Function] {
    ALL
}

static ALL: &[&Function] = &[
    &encode::DECODE_BASE64,
    &encode::ENCODE_BASE64,
    &encode::ENCODE_URL,
    &digest::HASH_BLAKE3,
    &digest::HASH_SHA256,
    &json::COMPARE,
    &json::GET,
    &json::IDENTITY,
    &json::KEYS,
    &json::MERGE,
    &json::OMIT,
    &json::PARSE,
    &json::PICK,
    &json::SET,
    &json::STRINGIFY,
    &template::JSON_TEMPLATE,
    &list::CHUNK,
    &list::FILTER,
    &list::FIRST,
    &list::FLATTEN,
    &list_order::GROUP,
    &list::LENGTH,
    &list::PLUCK,
    &list::SLICE,
    &list_order::SORT,
    &list::SUM,
    &list_order::UNIQUE,
    &logic::CHOOSE,
    &logic::COALESCE,
    &number::CLAMP,
    &number::FORMAT,
    &number::GRADE,
    &number::PARSE,
    &number::ROUND,
    &pattern::CLASSIFY,
    &pattern::CONTAINS_ANY,
    &pattern::EXTRACT,
    &text::JOIN,
    &text::LENGTH,
    &text::LINES,
    &text::LOWER,
    &pattern::MATCH,
    &redact::REDACT,
    &text::REPLACE,
    &text::SENTENCES,
    &text::SLUGIFY,
    &text::SPLIT,
    &template::TEXT_TEMPLATE,
    &text::TRIM,
    &text::TRUNCATE,
    &text::UPPER,
    &time::ADD,
    &time::DIFF,
    &time::FORMAT,
    &time::PARSE,
    &time::PARTS,
    &time::TRUNCATE,
    &url::PARSE,
];

#[cfg(test)]
mod tests;

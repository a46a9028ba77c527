//! Reads when and how often something is tried again.

use crate::diagnostic::{Diagnostic, codes, shown};
use crate::document::{Known, Node, Reader};
use crate::retry::RetryPolicy;

const FACTOR_MAX: f64 = 100.0;
const CODES_MAX: usize = 64;
const CODE_BYTES_MAX: usize = 64;

const RETRY: Known = Known {
    what: "`retry`",
    path: "retry.",
    fields: &["max_attempts", "initial", "factor", "max", "jitter", "on", "max_elapsed"],
    later: &[],
};

pub fn read(reader: &mut Reader<'_>, node: &Node) -> Option<RetryPolicy> {
    let fields = reader.fields(node, &RETRY)?;
    let default = RetryPolicy::default();
    let attempts = fields.optional("max_attempts", |node| reader.whole(node, 1..=RetryPolicy::ATTEMPTS_MAX));
    let factor = fields.optional("factor", |node| reader.number(node, 1.0..=FACTOR_MAX));
    let jitter = fields.optional("jitter", |node| reader.boolean(node));
    let on = fields.optional("on", |node| codes_of(reader, node));
    let max_elapsed = fields.optional("max_elapsed", |node| reader.duration(node));
    let initial = fields.get("initial").map_or(Some(default.initial), |node| reader.duration(node))?;
    let max = match fields.get("max") {
        Some(node) => {
            let max = reader.duration(node)?;
            if max < initial {
                let message = format!("`max` is {max}, less than `initial`, which is {initial}");
                reader.error(codes::WRONG_VALUE, node, message);
            }
            max
        }
        None => default.max.max(initial),
    };
    Some(RetryPolicy {
        max_attempts: attempts?.unwrap_or(default.max_attempts),
        initial,
        factor: factor?.unwrap_or(default.factor),
        max,
        jitter: jitter?.unwrap_or(default.jitter),
        on: on?.unwrap_or_default(),
        max_elapsed: max_elapsed?,
    })
}

fn codes_of(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<String>> {
    let items = reader.list(node, CODES_MAX)?;
    if items.is_empty() {
        reader.error(codes::WRONG_VALUE, node, "expected at least one code; without `on`, all are tried that may pass");
        return None;
    }
    items.iter().map(|item| code(reader, item, true)).collect()
}

/// The code of a failure, like `http_503`; as a pattern it may end in `*`.
pub fn code(reader: &mut Reader<'_>, node: &Node, is_pattern: bool) -> Option<String> {
    let text = reader.string(node)?;
    let name = if is_pattern { text.strip_suffix('*').unwrap_or(text) } else { text };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if text.len() <= CODE_BYTES_MAX && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(plain) {
        return Some(text.to_owned());
    }
    let message = format!("`{}` is not a code: expected a letter and then a-z, 0-9 or _, at most 64", shown(text));
    let help = is_pattern.then(|| "like `timeout`, or `http_*` for all that begin so".to_owned());
    reader.report(Diagnostic::error(codes::NOT_A_NAME, message).at(node.span.clone()).help(help));
    None
}

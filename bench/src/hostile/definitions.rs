//! The workflow definitions, signals and modules of the attacks.

use serde_json::{Value, json};

/// Costs nearly all the work that one expression may cost: three nested loops over 22 literals each.
pub fn costly_expression() -> String {
    let literals: Vec<String> = (0..22).map(|number: u32| number.to_string()).collect();
    let list = literals.join(",");
    format!("${{size([{list}].map(a, [{list}].map(b, [{list}].map(c, a*b*c))))}}")
}

/// A workflow whose only step fails. Three of these start each other without end, if one is started by `t.bad` and two
/// by the failure of any run.
pub fn failing(slug: &str, trigger: &str) -> Value {
    let step = json!({"id": "a", "type": "function", "function": "json.parse", "input": {"text": "{"}});
    workflow(slug, trigger, &json!([step]))
}

/// A workflow that emits `emitted` twice.
pub fn emitting_twice(slug: &str, trigger: &str, emitted: &str) -> Value {
    let emit =
        |id: &str| json!({"id": id, "type": "directive", "directive": "signal.emit", "payload": {"name": emitted}});
    workflow(slug, trigger, &json!([emit("a"), emit("b")]))
}

pub fn for_each(slug: &str, trigger: &str, function: &str, input: &str) -> Value {
    let items = json!({"items": "${signal.payload.items}", "max_parallel": 10_000, "tolerate": "100%"});
    let step = json!({"id": "a", "type": "function", "function": function, "for_each": items, "input": input});
    workflow(slug, trigger, &json!([step]))
}

pub fn function_steps(slug: &str, trigger: &str, steps: usize) -> Value {
    let input = costly_expression();
    let step =
        |number| json!({"id": format!("s{number}"), "type": "function", "function": "json.identity", "input": input});
    workflow(slug, trigger, &(0..steps).map(step).collect())
}

/// A definition of about 72 bytes a step, cut in two where the rest of its version `1.…` goes.
pub fn large_definition(steps: usize) -> (String, String) {
    let step = |number| format!(r#"{{"id":"s{number}","type":"function","function":"json.identity","input":1}}"#);
    let steps: Vec<String> = (0..steps).map(step).collect();
    let before = r#"{"workflow":{"name":"Large","slug":"large","trigger":{"signal":"bench.large"},"version":"1."#;
    (before.to_owned(), format!(r#"","steps":[{}]}}}}"#, steps.join(",")))
}

pub fn workflow(slug: &str, trigger: &str, steps: &Value) -> Value {
    json!({"workflow": {
        "name": slug, "slug": slug, "version": "1.0.0", "trigger": {"signal": trigger}, "steps": steps,
    }})
}

/// A WebAssembly module whose `call` never returns, so that it uses all its fuel:
///
/// ```wat
/// (module
///   (memory (export "memory") 1)
///   (func (export "alloc") (param i32) (result i32) (i32.const 1024))
///   (func (export "call") (param i32 i32) (result i64) (loop (br 0)) (unreachable)))
/// ```
#[rustfmt::skip]
pub const ENDLESS_MODULE: &[u8] = &[
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00,
    // Types: (i32) -> i32 and (i32, i32) -> i64.
    0x01, 0x0c, 0x02, 0x60, 0x01, 0x7f, 0x01, 0x7f, 0x60, 0x02, 0x7f, 0x7f, 0x01, 0x7e,
    // Functions and memory.
    0x03, 0x03, 0x02, 0x00, 0x01,
    0x05, 0x03, 0x01, 0x00, 0x01,
    // Exports: memory, alloc, call.
    0x07, 0x19, 0x03,
    0x06, b'm', b'e', b'm', b'o', b'r', b'y', 0x02, 0x00,
    0x05, b'a', b'l', b'l', b'o', b'c', 0x00, 0x00,
    0x04, b'c', b'a', b'l', b'l', 0x00, 0x01,
    // Code.
    0x0a, 0x10, 0x02,
    0x05, 0x00, 0x41, 0x80, 0x08, 0x0b,
    0x08, 0x00, 0x03, 0x40, 0x0c, 0x00, 0x0b, 0x00, 0x0b,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_costly_expression_fits_the_limit_of_an_expression() {
        assert!(costly_expression().len() < 4_096);
    }

    #[test]
    fn a_large_definition_is_json_in_which_only_the_version_changes() {
        let (before, after) = large_definition(10_000);
        let whole = format!("{before}0.7{after}");
        assert!(whole.len() < 1 << 20, "{} bytes", whole.len());
        let read: Value = serde_json::from_str(&whole).unwrap();
        assert_eq!(read["workflow"]["version"], "1.0.7");
        assert_eq!(read["workflow"]["steps"].as_array().unwrap().len(), 10_000);
    }
}

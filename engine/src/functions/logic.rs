//! `logic.*`: decisions as tables, where an expression would grow long.

use fleetprompt_core::Failure;
use serde_json::Value;

use super::field::{Field, Input, Kind, invalid, may, need};
use super::value::same;
use super::{Example, Function};

pub static CHOOSE: Function = Function {
    name: "logic.choose",
    summary: "The `then` of the first case whose `is` equals the value. No such case is an error, unless \
              `otherwise` is given.",
    input: &[
        need("value", Kind::Any, "what to decide by"),
        need("cases", Kind::Objects, "in order, each {is, then}"),
        may("otherwise", Kind::Any, "the answer when no case matches"),
    ],
    output: "any JSON",
    example: Example {
        input: r#"{"value": "gold", "cases": [{"is": "gold", "then": {"hours": 4}},
                                              {"is": "free", "then": {"hours": 72}}]}"#,
        output: r#"{"hours": 4}"#,
    },
    call: |input| {
        const CASE: &[Field] = &[need("is", Kind::Any, "what is matched"), need("then", Kind::Any, "the answer")];
        let value = input.any("value");
        for (index, case) in input.list("cases").iter().enumerate() {
            let case = case_of(CASE, index, case)?;
            if same(case.any("is"), value) {
                return Ok(case.any("then").clone());
            }
        }
        input
            .whole()
            .get("otherwise")
            .cloned()
            .ok_or_else(|| invalid("no case matches `value`, and there is no `otherwise`"))
    },
};

pub static COALESCE: Function = Function {
    name: "logic.coalesce",
    summary: "The first item that is something: not null, not an empty text.",
    input: &[need("list", Kind::List, "in order of preference")],
    output: "any JSON; null when nothing is something",
    example: Example { input: r#"{"list": [null, "", "backup", "x"]}"#, output: r#""backup""# },
    call: |input| {
        let something = |item: &&Value| !item.is_null() && item.as_str() != Some("");
        Ok(input.list("list").iter().find(something).cloned().unwrap_or_default())
    },
};

fn case_of<'a>(fields: &[Field], index: usize, case: &'a Value) -> Result<Input<'a>, Failure> {
    Input::check(fields, case).map_err(|failure| invalid(format!("`cases.{index}`: {}", failure.message)))
}

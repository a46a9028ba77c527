//! Modules as text, and what becomes of a call.

use fleetprompt_core::registration::ModuleEntry;
use fleetprompt_core::tenant::{Tenant, Weight};
use fleetprompt_core::{Json, TenantId, Timestamp};
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::{Batch, Store};
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{COMPILED_BYTES_MAX, FUEL_MAX, Module, Modules, digest};

/// A module that gives what it was given; `call` does this first.
fn echo(call: &str, rest: &str) -> String {
    format!(
        r#"(module
            (memory (export "memory") 1)
            (global $calls (mut i32) (i32.const 0))
            (func (export "alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "call") (param $at i32) (param $size i32) (result i64)
                {call}
                (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32))
                        (i64.extend_i32_u (local.get $size))))
            {rest})"#
    )
}

fn compile(text: &str) -> Result<Module, String> {
    Module::compile(&wat::parse_str(text).expect("a module"))
}

fn call(text: &str, input: &Value) -> Result<Value, (String, String)> {
    let module = compile(text).expect("it can be called");
    let (output, _) = module.call(input, FUEL_MAX);
    output.map(|output| output.value().clone()).map_err(|failure| (failure.code, failure.message))
}

/// Says `text` from its own memory, as a failure when it is to be `negative`.
fn says(text: &str, negative: bool) -> String {
    let place = format!("(i64.const {})", (2048_u64 << 32) + text.len() as u64);
    let result = if negative { format!("(i64.sub (i64.const 0) {place})") } else { place };
    let data = text.replace('\\', "\\\\").replace('"', "\\22");
    echo(&format!("(return {result})"), &format!(r#"(data (i32.const 2048) "{data}")"#))
}

#[rstest]
#[case(json!({"company": "Ä & Söhne", "list": [1, 2.5, null, true]}))]
#[case(json!(null))]
#[case(json!("x".repeat(60_000)))]
fn what_goes_in_may_come_out(#[case] input: Value) {
    assert_eq!(call(&echo("", ""), &input), Ok(input));
}

#[test]
fn nothing_stays_from_one_call_to_the_next() {
    let counts = echo(
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
         (if (i32.gt_u (global.get $calls) (i32.const 1)) (then unreachable))
         (if (i32.load (i32.const 60000)) (then unreachable))
         (i32.store (i32.const 60000) (i32.const 1))",
        "",
    );
    let module = compile(&counts).expect("it can be called");
    let used: Vec<u64> = (0..3)
        .map(|_| {
            let (output, used) = module.call(&json!(7), FUEL_MAX);
            assert_eq!(output.expect("it is given back"), Json::from(json!(7)));
            used
        })
        .collect();
    assert!(used.iter().all(|fuel| *fuel == used[0] && *fuel > 0), "{used:?}");
}

#[rstest]
#[case(echo("(loop $again (br $again))", ""), "function_out_of_fuel")]
#[case(
    echo("(loop $again (br $again))", "(func $begin (loop $again (br $again))) (start $begin)"),
    "function_out_of_fuel"
)]
#[case(echo("unreachable", ""), "function_trapped")]
#[case(echo("(drop (i32.div_u (local.get $at) (i32.const 0)))", ""), "function_trapped")]
#[case(echo("(call $deep)", "(func $deep (call $deep))"), "function_trapped")]
#[case(echo("(drop (i32.load (i32.const 70000)))", ""), "function_trapped")]
#[case(echo("(if (i32.eq (memory.grow (i32.const 256)) (i32.const -1)) (then unreachable))", ""), "function_trapped")]
#[case(echo("(return (i64.const 0x0000ffff00000010))", ""), "function_trapped")]
#[case(echo("(return (i64.const 0x7fffffffffffffff))", ""), "output_invalid")]
#[case(echo("(return (i64.const 0x8000000000000000))", ""), "function_trapped")]
#[case(echo("(return (i64.const 0))", ""), "output_invalid")]
#[case(says("{\"half\":", false), "output_invalid")]
#[case(says(&"[".repeat(100), false), "output_invalid")]
#[case(says("{\"code\": \"no_company\", \"message\": \"which one?\"}", true), "no_company")]
#[case(says("{\"code\": \"\"}", true), "function_failed")]
#[case(says("it did not work", true), "function_failed")]
fn what_goes_wrong_is_a_failure_with_a_code(#[case] module: String, #[case] code: &str) {
    let (failed, message) = call(&module, &json!({"company": "Acme"})).expect_err("it fails");
    assert_eq!(failed, code, "{message}");
}

#[test]
fn what_it_says_of_its_failure_is_told() {
    let said = says("{\"code\": \"no_company\", \"message\": \"which one?\"}", true);
    assert_eq!(call(&said, &json!(1)), Err(("no_company".into(), "which one?".into())));
}

#[test]
fn an_input_that_does_not_fit_is_refused_or_has_no_place() {
    let far = echo("", "").replace("(i32.const 1024)", "(i32.const 65000)");
    assert_eq!(call(&far, &json!("x".repeat(1_000))).expect_err("it fails").0, "function_trapped");
    assert_eq!(call(&echo("", ""), &json!("x".repeat(2 << 20))).expect_err("it fails").0, "input_too_large");
}

#[test]
fn without_fuel_for_its_memory_a_call_is_not_begun() {
    let module = compile(&echo("", "")).expect("it can be called");
    let (output, used) = module.call(&json!(1), 6_000);
    assert_eq!((output.expect_err("it fails").code.as_str(), used), ("function_out_of_fuel", 6_000));
}

#[test]
fn a_call_uses_as_much_fuel_as_it_may_and_no_more() {
    let module = compile(&echo("(loop $again (br $again))", "")).expect("it can be called");
    let (output, used) = module.call(&json!(1), u64::MAX);
    assert_eq!((output.expect_err("it fails").code.as_str(), used), ("function_out_of_fuel", FUEL_MAX));
}

#[rstest]
#[case(r#"(module (import "env" "now" (func (result i64))))"#, "imports `env.now`")]
#[case(r#"(module)"#, "does not export `alloc`")]
#[case(r#"(module (func (export "alloc") (param i64) (result i32) (i32.const 0)))"#, "(i32) -> i32")]
#[case(r#"(module (func (export "alloc") (param i32) (result i32) (i32.const 0)))"#, "does not export `call`")]
#[case(&echo("", "").replace(r#"(export "memory")"#, ""), "does not export its `memory`")]
#[case(&echo("", "").replace(r#"(export "memory") 1"#, r#"(export "memory") 257"#), "more than 16 MiB")]
fn what_cannot_be_called_is_not_taken(#[case] module: &str, #[case] why: &str) {
    let refused = compile(module).err().expect("it is refused");
    assert!(refused.contains(why), "{refused}");
}

#[test]
fn what_is_no_module_is_not_taken() {
    let valid = wat::parse_str(echo("", "")).expect("a module");
    for end in 0..valid.len() / 2 {
        assert!(Module::compile(&valid[..end]).is_err(), "{end} bytes");
    }
    assert!(Module::compile(b"hello").is_err());
    assert!(Module::compile(&[0; (1 << 20) + 1]).err().expect("refused").contains("at most 1048576"));
    // Whatever is changed of it, it is refused, or its calls come to their end.
    for place in 8..valid.len() {
        let mut changed = valid.clone();
        changed[place] ^= 0x15;
        if let Ok(module) = Module::compile(&changed) {
            let _either = module.call(&json!({"a": 1}), FUEL_MAX / 100);
        }
    }
}

#[test]
fn compiled_ones_are_kept_while_there_is_room_and_read_again() {
    let store = std::sync::Arc::new(MemoryStore::default());
    let tenant = Tenant {
        id: TenantId(Uuid::from_u128(1)),
        slug: "acme".parse().expect("a slug"),
        name: "Acme".into(),
        weight: Weight::default(),
        created_at: Timestamp(0),
    };
    let bytes = wat::parse_str(echo("", "")).expect("a module");
    let entry =
        ModuleEntry { tenant: tenant.id, digest: digest(&bytes), size: bytes.len() as u64, created_at: Timestamp(0) };
    let batch =
        Batch { tenants: vec![tenant.clone()], modules: vec![(entry, bytes.as_slice().into())], ..Batch::default() };
    store.commit(&batch).expect("committed");

    let modules = Modules::new(store, FUEL_MAX);
    let other = TenantId(Uuid::from_u128(2));
    assert!(matches!(modules.get(other, &digest(&bytes)), Ok(Err(_))), "another tenant has none");
    let compiled = || modules.get(tenant.id, &digest(&bytes)).expect("read").expect("it can be called");
    let first = compiled();
    assert!(std::sync::Arc::ptr_eq(&first, &compiled()));
    for number in 0..40_u8 {
        modules.put(digest(&[number]), 1 << 20, Module::compile(&bytes).expect("it can be called"));
    }
    assert!(modules.compiled.lock().bytes <= COMPILED_BYTES_MAX);
    assert!(!std::sync::Arc::ptr_eq(&first, &compiled()));
}

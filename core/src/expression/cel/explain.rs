//! What the library's errors mean to the author of a workflow. Names and types are shown, values
//! never: they may be somebody's data.

use ::cel::{ExecutionError, Value};

use crate::Failure;
use crate::expression::{excerpt, failed};

/// `unbound` says why a variable of ours has no value.
pub fn failure(source: &str, error: &ExecutionError, unbound: impl Fn(&str) -> Option<String>) -> Failure {
    if let ExecutionError::UndeclaredReference(name) = error
        && let Some(message) = unbound(name)
    {
        return failed(message);
    }
    failed(format!("`{}`: {}", excerpt(source), message(error)))
}

fn message(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(name) => format!("no field `{}`", excerpt(name)),
        ExecutionError::NoSuchOverload(overload) => {
            inapplicable(overload.function(), &overload.argument_types().join(" and "))
        }
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            inapplicable(operator, &format!("{} and {}", left.type_of(), right.type_of()))
        }
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("{} and {} cannot be compared", left.type_of(), right.type_of())
        }
        ExecutionError::UnexpectedType { got, want } => format!("expected {want}, got {}", excerpt(got)),
        ExecutionError::UnsupportedIndex(index, of) => {
            format!("{} cannot be indexed with {}", of.type_of(), index.type_of())
        }
        ExecutionError::UnsupportedKeyType(key) => format!("{} cannot be a key", key.type_of()),
        ExecutionError::DuplicateKey(_) => "a map has the same key twice".to_owned(),
        ExecutionError::IndexOutOfBounds(Value::Int(index)) => format!("there is no item {index}"),
        ExecutionError::IndexOutOfBounds(_) => "there is no such item".to_owned(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".to_owned(),
        ExecutionError::Overflow(operator, ..) => {
            format!("the result of `{}` does not fit into 64 bits", symbol(operator))
        }
        ExecutionError::FunctionError { function, message } => format!("`{function}`: {}", excerpt(message)),
        ExecutionError::UndeclaredReference(name) => format!("unknown name `{}`", excerpt(name)),
        ExecutionError::InvalidArgumentCount { expected, actual } => {
            format!("expected {expected} arguments, got {actual}")
        }
        _ => "it cannot be evaluated".to_owned(),
    }
}

fn inapplicable(function: &str, types: &str) -> String {
    format!("`{}` does not apply to {}", symbol(function), excerpt(types))
}

/// The operator as it is written: `_+_`, which the library also calls `add`, is `+`.
fn symbol(name: &str) -> &str {
    match name {
        "add" => "+",
        "sub" => "-",
        "mul" => "*",
        "div" => "/",
        "rem" => "%",
        "negate" => "-",
        "_[_]" => "[]",
        "_?_:_" => "?:",
        "_._" => ".",
        "@in" => "in",
        name if name.starts_with("@matches") => "matches",
        name if name.chars().all(|c| !c.is_alphanumeric()) => name.trim_matches('_'),
        name => name,
    }
}

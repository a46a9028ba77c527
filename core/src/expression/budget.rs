//! How large a rendered value may become, counted while it is made: a small definition over a
//! small payload can describe a value that fits nowhere.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

use crate::{Failure, Json};

/// What is left of the bytes that one rendered value may have as compact JSON.
#[derive(Debug)]
pub struct Budget {
    bytes_left: usize,
    bytes_max: usize,
}

impl Budget {
    pub const BYTES_MAX: usize = 1024 * 1024;

    pub fn new() -> Self {
        Self::of(Self::BYTES_MAX)
    }

    pub fn of(bytes_max: usize) -> Self {
        Self { bytes_left: bytes_max, bytes_max }
    }

    pub fn spent(&self) -> usize {
        self.bytes_max - self.bytes_left
    }

    pub fn bytes_left(&self) -> usize {
        self.bytes_left
    }

    pub fn spend(&mut self, bytes: usize) -> Result<(), Failure> {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left =
            left.ok_or_else(|| too_large(format!("the rendered value has more than {} bytes", self.bytes_max)))?;
        Ok(())
    }

    pub fn spend_string(&mut self, text: &str) -> Result<(), Failure> {
        self.spend(2 + text.len())?;
        let escapes = text.bytes().map(|byte| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 1,
            0..=0x1f => 5,
            _ => 0,
        });
        self.spend(escapes.sum())
    }

    /// Refuses what nests too deep; `depth` counts the containers around a value and itself.
    pub fn check_depth(depth: usize) -> Result<(), Failure> {
        if depth > Json::DEPTH_MAX {
            return Err(too_large(format!("the rendered value nests deeper than {} levels", Json::DEPTH_MAX)));
        }
        Ok(())
    }

    /// A stored value as part of the result, `depth` containers deep.
    pub fn copied_at(&mut self, found: Cow<'_, Value>, depth: usize) -> Result<Value, Failure> {
        match found {
            Cow::Borrowed(value) => self.copy(value, depth),
            Cow::Owned(value) => self.measure(&value, depth).map(|()| value),
        }
    }

    fn copy(&mut self, value: &Value, depth: usize) -> Result<Value, Failure> {
        match value {
            Value::Array(items) => {
                self.open(items.len(), depth)?;
                items.iter().map(|item| self.copy(item, depth + 1)).collect::<Result<_, _>>().map(Value::Array)
            }
            Value::Object(fields) => {
                self.open(fields.len(), depth)?;
                let mut copy = Map::new();
                for (name, field) in fields {
                    self.spend_string(name)?;
                    copy.insert(name.clone(), self.copy(field, depth + 1)?);
                }
                Ok(Value::Object(copy))
            }
            scalar => self.measure(scalar, depth).map(|()| scalar.clone()),
        }
    }

    fn measure(&mut self, value: &Value, depth: usize) -> Result<(), Failure> {
        match value {
            Value::Null | Value::Bool(true) => self.spend(4),
            Value::Bool(false) => self.spend(5),
            Value::Number(number) => self.spend(digits(number)),
            Value::String(text) => self.spend_string(text),
            Value::Array(items) => {
                self.open(items.len(), depth)?;
                items.iter().try_for_each(|item| self.measure(item, depth + 1))
            }
            Value::Object(fields) => {
                self.open(fields.len(), depth)?;
                fields.iter().try_for_each(|(name, field)| {
                    self.spend_string(name)?;
                    self.measure(field, depth + 1)
                })
            }
        }
    }

    /// Brackets, commas and colons of a container with so many entries, `depth` containers deep.
    pub fn open(&mut self, entries: usize, depth: usize) -> Result<(), Failure> {
        Self::check_depth(depth + 1)?;
        self.spend(2 + 2 * entries)
    }
}

/// About as long as the number is written.
pub fn digits(number: &Number) -> usize {
    match (number.as_u64(), number.as_i64()) {
        (Some(n), _) => n.checked_ilog10().map_or(1, |log| log as usize + 1),
        (None, Some(n)) => n.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1) + 1,
        (None, None) => 18,
    }
}

fn too_large(message: String) -> Failure {
    Failure::fatal("output_too_large", message)
}

//! Between JSON and CEL's values. In: strings are borrowed. Out: within a budget, since a CEL
//! value may be far larger as text than it was to make.

use std::collections::HashMap;

use ::cel::common::types::{
    CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelType, CelUInt,
};
use ::cel::common::value::Val;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use super::cost::Extent;
use crate::Failure;
use crate::expression::budget::{Budget, digits};
use crate::expression::{excerpt, failed};

/// The value, and how large it is.
pub fn from_json(value: &Value) -> (Box<dyn Val + '_>, Extent) {
    let mut extent = Extent::new(0, 0, 0);
    let value = convert(value, &mut extent);
    (value, Extent::new(extent.entries, extent.nodes, extent.bytes))
}

pub fn boolean<'v>(value: bool) -> Box<dyn Val + 'v> {
    Box::new(CelBool::from(value))
}

pub fn length<'v>(len: usize) -> Box<dyn Val + 'v> {
    Box::new(CelInt::from(len as i64))
}

fn convert<'v>(value: &'v Value, extent: &mut Extent) -> Box<dyn Val + 'v> {
    extent.nodes += 1;
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => boolean(*value),
        Value::Number(number) => convert_number(number),
        Value::String(text) => {
            extent.bytes += text.len() as u64;
            Box::new(CelString::from(text.as_str()))
        }
        Value::Array(items) => {
            extent.entries = extent.entries.max(items.len() as u64);
            let items: Vec<Box<dyn Val + 'v>> = items.iter().map(|item| convert(item, extent)).collect();
            Box::new(CelList::from(items))
        }
        Value::Object(fields) => {
            extent.entries = extent.entries.max(fields.len() as u64);
            let mut map: HashMap<CelMapKey<'v>, Box<dyn Val + 'v>> = HashMap::with_capacity(fields.len());
            for (name, field) in fields {
                extent.nodes += 1;
                extent.bytes += name.len() as u64;
                map.insert(CelMapKey::from(name.as_str()), convert(field, extent));
            }
            Box::new(CelMap::from(map))
        }
    }
}

/// Whole numbers are ints; those beyond 63 bits are uints; all others are doubles.
fn convert_number<'v>(number: &Number) -> Box<dyn Val + 'v> {
    match (number.as_i64(), number.as_u64()) {
        (Some(value), _) => Box::new(CelInt::from(value)),
        (None, Some(value)) => Box::new(CelUInt::from(value)),
        (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
    }
}

/// `depth` is how many containers are around the value in the result.
pub fn to_json(value: &dyn Val, source: &str, budget: &mut Budget, depth: usize) -> Result<Value, Failure> {
    Output { source, budget }.value(value, depth)
}

struct Output<'a> {
    source: &'a str,
    budget: &'a mut Budget,
}

impl Output<'_> {
    fn value(&mut self, value: &dyn Val, depth: usize) -> Result<Value, Failure> {
        if let Some(text) = value.downcast_ref::<CelString>() {
            self.text(text.inner())
        } else if let Some(value) = value.downcast_ref::<CelBool>() {
            self.budget.spend(5)?;
            Ok(Value::Bool(*value.inner()))
        } else if let Some(value) = value.downcast_ref::<CelInt>() {
            self.number(Number::from(*value.inner()))
        } else if let Some(value) = value.downcast_ref::<CelUInt>() {
            self.number(Number::from(*value.inner()))
        } else if let Some(value) = value.downcast_ref::<CelDouble>() {
            let value = *value.inner();
            let number = Number::from_f64(value).ok_or_else(|| self.failed(format!("JSON has no number {value}")))?;
            self.number(number)
        } else if let Some(list) = value.downcast_ref::<CelList>() {
            self.budget.open(list.len(), depth)?;
            list.iter().map(|item| self.value(item.as_ref(), depth + 1)).collect::<Result<_, _>>().map(Value::Array)
        } else if let Some(map) = value.downcast_ref::<CelMap>() {
            self.map(map, depth)
        } else {
            self.rare(value)
        }
    }

    fn map(&mut self, map: &CelMap<'_>, depth: usize) -> Result<Value, Failure> {
        self.budget.open(map.len(), depth)?;
        let mut entries: Vec<_> = map.iter().collect();
        entries.sort_by_key(|(key, _)| *key);
        let mut object = Map::new();
        for (key, value) in entries {
            let Some(name) = key.inner().downcast_ref::<CelString>() else {
                let kind = key.inner().get_type().name();
                return Err(self.failed(format!("a key is {kind}; the keys of a JSON object are strings")));
            };
            self.budget.spend_string(name.inner())?;
            object.insert(name.inner().to_owned(), self.value(value.as_ref(), depth + 1)?);
        }
        Ok(Value::Object(object))
    }

    fn rare(&mut self, value: &dyn Val) -> Result<Value, Failure> {
        if value.downcast_ref::<CelNull>().is_some() {
            self.budget.spend(4)?;
            Ok(Value::Null)
        } else if let Some(bytes) = value.downcast_ref::<CelBytes>() {
            self.budget.spend(bytes.inner().len())?;
            self.text(&STANDARD.encode(bytes.inner()))
        } else if let Some(kind) = value.downcast_ref::<CelType>() {
            self.text(kind.name())
        } else {
            Err(self.failed(format!("a value of type {} has no form in JSON", value.get_type().name())))
        }
    }

    fn text(&mut self, text: &str) -> Result<Value, Failure> {
        self.budget.spend_string(text)?;
        Ok(Value::String(text.to_owned()))
    }

    fn number(&mut self, number: Number) -> Result<Value, Failure> {
        self.budget.spend(digits(&number))?;
        Ok(Value::Number(number))
    }

    fn failed(&self, message: String) -> Failure {
        failed(format!("`{}`: {message}", excerpt(self.source)))
    }
}

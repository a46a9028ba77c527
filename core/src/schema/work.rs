//! How much work a schema may make of one value, told before it is used. References let a short
//! schema say a thing twice, and that twice, and so on: sixty such lines would keep a thread busy
//! for ever.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::json::Json;

/// Schemas that one place of a value is held against, worst case.
const WORK_MAX: u64 = 5_000;
/// Schemas within schemas while a value is looked at: this is what the validator's stack grows with.
const DEPTH_MAX: u64 = 1_000;
/// References that lead to references, without looking deeper into the value.
const IN_PLACE_MAX: usize = 100;

pub fn check(document: &Value) -> Result<(), String> {
    let mut anchors = HashMap::new();
    anchored(document, &mut anchors);
    let (below, here) = (HashMap::new(), HashMap::new());
    let mut estimate = Estimate { document, anchors, below, here, open: HashSet::new() };
    let mut cost = Cost::ONE;
    // What is looked at on the last level is known first.
    for _ in 0..=Json::DEPTH_MAX {
        estimate.every_schema(document);
        cost = estimate.of(document);
        let here = std::mem::take(&mut estimate.here);
        let is_settled = here == estimate.below;
        estimate.below = here;
        if is_settled || cost.work > WORK_MAX || cost.depth > DEPTH_MAX {
            break;
        }
    }
    if cost.work > WORK_MAX || cost.depth > DEPTH_MAX {
        return Err(format!(
            "its references multiply: one value could be held against more than {WORK_MAX} schemas, or {DEPTH_MAX} \
             within each other"
        ));
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
struct Cost {
    work: u64,
    depth: u64,
}

impl Cost {
    const ONE: Self = Self { work: 1, depth: 1 };
    const BEYOND: Self = Self { work: u64::MAX, depth: u64::MAX };

    /// One after the other.
    fn and(self, other: Self) -> Self {
        Self { work: self.work.saturating_add(other.work), depth: self.depth.max(other.depth) }
    }

    /// Only one of them, for a place that has one name.
    fn or(self, other: Self) -> Self {
        Self { work: self.work.max(other.work), depth: self.depth.max(other.depth) }
    }
}

const NOTHING: Cost = Cost { work: 0, depth: 0 };

/// By the address of the schema in its document.
type Costs = HashMap<*const Value, Cost>;

struct Estimate<'a> {
    document: &'a Value,
    /// The schemas that have a name, which need not be theirs alone.
    anchors: HashMap<&'a str, Vec<&'a Value>>,
    /// For values one level less deep.
    below: Costs,
    here: Costs,
    /// Being looked at: a reference back to it on the same value would never end.
    open: HashSet<*const Value>,
}

impl Estimate<'_> {
    fn every_schema(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                self.of(value);
                fields.values().for_each(|field| self.every_schema(field));
            }
            Value::Array(items) => items.iter().for_each(|item| self.every_schema(item)),
            _ => {}
        }
    }

    fn of(&mut self, schema: &Value) -> Cost {
        let Value::Object(fields) = schema else { return Cost::ONE };
        let place: *const Value = schema;
        if let Some(known) = self.here.get(&place) {
            return *known;
        }
        if self.open.len() >= IN_PLACE_MAX || !self.open.insert(place) {
            return Cost::BEYOND;
        }
        let cost = self.of_fields(fields);
        self.open.remove(&place);
        self.here.insert(place, cost);
        cost
    }

    fn of_fields(&mut self, fields: &Map<String, Value>) -> Cost {
        let (mut here, mut below) = (NOTHING, NOTHING);
        for (keyword, value) in fields {
            match (keyword.as_str(), value) {
                ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(target)) => {
                    here = here.and(self.target(target))
                }
                ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => {
                    here = all.iter().fold(here, |sum, one| sum.and(self.of(one)));
                }
                ("not" | "if" | "then" | "else", one) => here = here.and(self.of(one)),
                ("dependentSchemas" | "dependencies", Value::Object(all)) => {
                    here = all.values().fold(here, |sum, one| sum.and(self.of(one)));
                }
                ("properties", Value::Object(all)) => {
                    below = below.and(all.values().map(|one| self.child(one)).fold(NOTHING, Cost::or))
                }
                ("prefixItems" | "items", Value::Array(all)) => {
                    below = below.and(all.iter().map(|one| self.child(one)).fold(NOTHING, Cost::or))
                }
                ("patternProperties", Value::Object(all)) => {
                    below = all.values().fold(below, |sum, one| sum.and(self.child(one)));
                }
                (
                    "items"
                    | "additionalItems"
                    | "contains"
                    | "additionalProperties"
                    | "propertyNames"
                    | "unevaluatedItems"
                    | "unevaluatedProperties"
                    | "contentSchema",
                    one,
                ) => below = below.and(self.child(one)),
                _ => {}
            }
        }
        // What was not evaluated is found out by evaluating once more.
        if fields.keys().any(|keyword| keyword.starts_with("unevaluated")) {
            here = here.and(here);
        }
        let all = here.and(below);
        Cost { work: all.work.saturating_add(1), depth: all.depth.saturating_add(1) }
    }

    fn child(&self, schema: &Value) -> Cost {
        let place: *const Value = schema;
        self.below.get(&place).copied().unwrap_or(Cost::ONE)
    }

    /// Pointers, and names that anchors give. What is written in another way is not followed, so it
    /// is not allowed either.
    fn target(&mut self, target: &str) -> Cost {
        let document = self.document;
        let Some(name) = target.strip_prefix('#') else { return Cost::BEYOND };
        if name.is_empty() || name.starts_with('/') {
            return document.pointer(name).map_or(Cost::BEYOND, |schema| self.of(schema));
        }
        let named = self.anchors.get(name).cloned().unwrap_or_default();
        if named.is_empty() { Cost::BEYOND } else { named.into_iter().fold(NOTHING, |sum, one| sum.and(self.of(one))) }
    }
}

fn anchored<'a>(value: &'a Value, found: &mut HashMap<&'a str, Vec<&'a Value>>) {
    match value {
        Value::Object(fields) => {
            let names = ["$anchor", "$dynamicAnchor"].iter().filter_map(|keyword| fields.get(*keyword)?.as_str());
            names.for_each(|name| found.entry(name).or_default().push(value));
            fields.values().for_each(|field| anchored(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| anchored(item, found)),
        _ => {}
    }
}

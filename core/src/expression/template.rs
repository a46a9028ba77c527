//! A JSON value with `${…}` in its strings: inputs, payloads, outputs.
//!
//! A string that is exactly one expression keeps the type of its value; in mixed text, strings are
//! inserted as they are and everything else as compact JSON.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::budget::Budget;
use super::scan::{Piece, pieces};
use super::{Context, Expression, Invalid, Reference};
use crate::{Failure, Json};

/// A JSON value with `${…}` in its strings, compiled.
#[derive(Debug)]
pub struct Template {
    form: Form,
    references: Vec<Reference>,
    roots: Vec<&'static str>,
}

#[derive(Debug)]
enum Form {
    /// Nothing to evaluate: written down once, shared by every run.
    Literal(Json),
    Node(Node),
}

#[derive(Debug)]
enum Node {
    /// Nothing to evaluate in here.
    Literal(Value),
    One(Expression),
    Text(Vec<Part>),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

#[derive(Debug)]
enum Part {
    Text(String),
    Expression(Expression),
}

impl Template {
    /// Compiles every string in `value`; each error carries the JSON pointer of its string.
    pub fn compile(value: &Value) -> Result<Self, Vec<(String, Invalid)>> {
        let mut compiling = Compiling::default();
        let node = compiling.node(value, 0);
        if !compiling.errors.is_empty() {
            return Err(compiling.errors);
        }
        let mut expressions = Vec::new();
        node.expressions(&mut expressions);
        let references = expressions.iter().flat_map(|expression| expression.references().iter().cloned());
        let references = merged(references.collect());
        let mut roots: Vec<_> = expressions.iter().flat_map(|expression| expression.roots_used()).copied().collect();
        roots.sort_unstable();
        roots.dedup();
        let form = match node {
            Node::Literal(value) => Form::Literal(value.into()),
            node => Form::Node(node),
        };
        Ok(Self { form, references, roots })
    }

    /// The template of `${signal}`: what `{"from_signal": true}` means.
    pub fn from_signal() -> Self {
        Self::compile(&Value::String("${signal}".to_owned())).expect("a plain path compiles")
    }

    /// What this reads of which steps, each once, in the order of their names.
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// What this reads, like [`super::Expression::roots_used`].
    pub fn roots_used(&self) -> &[&'static str] {
        &self.roots
    }

    /// Whether it is exactly one expression, so that its value may be of any type.
    pub fn is_expression(&self) -> bool {
        matches!(self.form, Form::Node(Node::One(_)))
    }

    pub fn render(&self, context: &dyn Context) -> Result<Json, Failure> {
        self.render_up_to(context, Budget::BYTES_MAX)
    }

    /// The value itself, if it is one that is only read: however large it is, nothing is copied.
    pub fn borrow<'c>(&self, context: &'c dyn Context) -> Option<Result<Cow<'c, Value>, Failure>> {
        match &self.form {
            Form::Node(Node::One(expression)) => expression.borrow(context),
            Form::Node(_) | Form::Literal(_) => None,
        }
    }

    /// What is read and not kept may be larger than what is.
    pub fn render_up_to(&self, context: &dyn Context, bytes_max: usize) -> Result<Json, Failure> {
        match &self.form {
            Form::Literal(json) => Ok(json.clone()),
            Form::Node(node) => {
                let mut budget = Budget::of(bytes_max);
                let rendered = node.render(context, &mut budget, 0).map(Json::from);
                context.meter().charge_bytes(budget.spent());
                rendered
            }
        }
    }
}

/// Each field of a step once; it is guarded if every reference to it is.
pub fn merged(mut references: Vec<Reference>) -> Vec<Reference> {
    references.sort_by(|a, b| (&a.step, a.field, a.guarded).cmp(&(&b.step, b.field, b.guarded)));
    references.dedup_by(|later, kept| later.step == kept.step && later.field == kept.field);
    references
}

impl Node {
    fn expressions<'a>(&'a self, found: &mut Vec<&'a Expression>) {
        match self {
            Self::Literal(_) => {}
            Self::One(expression) => found.push(expression),
            Self::Text(parts) => found.extend(parts.iter().filter_map(|part| match part {
                Part::Expression(expression) => Some(expression),
                Part::Text(_) => None,
            })),
            Self::List(nodes) => nodes.iter().for_each(|node| node.expressions(found)),
            Self::Object(fields) => fields.iter().for_each(|(_, node)| node.expressions(found)),
        }
    }

    fn render(&self, context: &dyn Context, budget: &mut Budget, depth: usize) -> Result<Value, Failure> {
        match self {
            Self::Literal(value) => budget.copied_at(Cow::Borrowed(value), depth),
            Self::One(expression) => expression.evaluate_within(context, budget, depth),
            Self::Text(parts) => text(parts, context, budget).map(Value::String),
            Self::List(nodes) => {
                budget.open(nodes.len(), depth)?;
                let items = nodes.iter().map(|node| node.render(context, budget, depth + 1));
                items.collect::<Result<_, _>>().map(Value::Array)
            }
            Self::Object(fields) => {
                budget.open(fields.len(), depth)?;
                let mut object = Map::new();
                for (name, node) in fields {
                    budget.spend_string(name)?;
                    object.insert(name.clone(), node.render(context, budget, depth + 1)?);
                }
                Ok(Value::Object(object))
            }
        }
    }
}

fn text(parts: &[Part], context: &dyn Context, budget: &mut Budget) -> Result<String, Failure> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(literal) => text.push_str(literal),
            Part::Expression(expression) => {
                // Its own budget: as part of a string it is counted below, once it is text.
                match expression.evaluate(context)? {
                    Value::String(value) => text.push_str(&value),
                    other => text.push_str(&other.to_string()),
                }
            }
        }
        if text.len() > Budget::BYTES_MAX {
            break;
        }
    }
    budget.spend_string(&text)?;
    Ok(text)
}

/// Reads a value once and collects everything that is wrong with it.
#[derive(Default)]
struct Compiling {
    pointer: String,
    errors: Vec<(String, Invalid)>,
}

impl Compiling {
    fn node(&mut self, value: &Value, depth: usize) -> Node {
        if depth > Json::DEPTH_MAX {
            self.error(Invalid::new(format!("nested deeper than {} levels", Json::DEPTH_MAX), None, 0..0));
            return Node::Literal(Value::Null);
        }
        match value {
            Value::String(text) => self.string(text),
            Value::Array(items) => {
                let nodes = items.iter().enumerate();
                let nodes = nodes.map(|(at, item)| self.below(&at.to_string(), item, depth)).collect();
                Node::list(nodes)
            }
            Value::Object(fields) => {
                let nodes = fields.iter();
                let nodes = nodes.map(|(name, field)| (name.clone(), self.below(name, field, depth))).collect();
                Node::object(nodes)
            }
            scalar => Node::Literal(scalar.clone()),
        }
    }

    fn below(&mut self, token: &str, value: &Value, depth: usize) -> Node {
        let length = self.pointer.len();
        self.pointer.push('/');
        self.pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
        let node = self.node(value, depth + 1);
        self.pointer.truncate(length);
        node
    }

    fn string(&mut self, text: &str) -> Node {
        if !text.contains("${") {
            return Node::Literal(Value::String(text.to_owned()));
        }
        let pieces = match pieces(text) {
            Ok(pieces) => pieces,
            Err(invalid) => {
                self.error(invalid);
                return Node::Literal(Value::Null);
            }
        };
        let mut parts: Vec<Part> = pieces.into_iter().filter_map(|piece| self.part(text, piece)).collect();
        match (parts.pop(), parts.is_empty()) {
            (Some(Part::Expression(expression)), true) => Node::One(expression),
            (Some(Part::Text(literal)), true) => Node::Literal(Value::String(literal)),
            (last, _) => {
                parts.extend(last);
                Node::Text(parts)
            }
        }
    }

    fn part(&mut self, text: &str, piece: Piece) -> Option<Part> {
        let inside = match piece {
            Piece::Text(literal) => return Some(Part::Text(literal)),
            Piece::Expression(inside) => inside,
        };
        match Expression::compile_bare(&text[inside.clone()]) {
            Ok(expression) => Some(Part::Expression(expression)),
            Err(invalid) => {
                self.error(invalid.shifted(inside.start));
                None
            }
        }
    }

    fn error(&mut self, invalid: Invalid) {
        self.errors.push((self.pointer.clone(), invalid));
    }
}

/// What has nothing to evaluate in it stays one value, with `$${` already read.
impl Node {
    fn list(nodes: Vec<Node>) -> Self {
        if !nodes.iter().all(Self::is_literal) {
            return Self::List(nodes);
        }
        Self::Literal(nodes.into_iter().filter_map(Self::into_literal).collect())
    }

    fn object(fields: Vec<(String, Node)>) -> Self {
        if !fields.iter().all(|(_, node)| node.is_literal()) {
            return Self::Object(fields);
        }
        let fields = fields.into_iter().filter_map(|(name, node)| Some((name, node.into_literal()?)));
        Self::Literal(Value::Object(fields.collect()))
    }

    fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }

    fn into_literal(self) -> Option<Value> {
        match self {
            Self::Literal(value) => Some(value),
            Self::One(_) | Self::Text(_) | Self::List(_) | Self::Object(_) => None,
        }
    }
}

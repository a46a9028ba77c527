//! Values of a document that are compiled rather than copied: conditions, templates and schemas.
//! What is wrong inside of a text is shown at its place inside of the text.

use std::ops::Range;

use super::{Node, NodeValue, Reader};
use crate::diagnostic::{Diagnostic, codes, shown};
use crate::expression::{Expression, Invalid, Template};
use crate::schema::Schema;

impl Reader<'_> {
    /// A `when`: one expression.
    pub fn condition(&mut self, node: &Node) -> Option<Expression> {
        let NodeValue::String(text) = &node.value else {
            self.wrong_type(node, "an expression as a string, like \"${signal.payload.urgent}\"");
            return None;
        };
        Expression::compile(text).map_err(|invalid| self.invalid_expression(node, invalid)).ok()
    }

    /// An input, payload or output: any value, with expressions in its strings.
    pub fn template(&mut self, node: &Node) -> Option<Template> {
        let refused = |problems: Vec<(String, Invalid)>| {
            for (pointer, invalid) in problems {
                self.invalid_expression(node.at(&pointer).unwrap_or(node), invalid);
            }
        };
        Template::compile(&node.to_value()).map_err(refused).ok()
    }

    pub fn schema(&mut self, node: &Node) -> Option<Schema> {
        if !matches!(node.value, NodeValue::Object(_) | NodeValue::Bool(_)) {
            self.wrong_type(node, "a JSON Schema as an object");
            return None;
        }
        let refused = |why: String| self.error(codes::INVALID_SCHEMA, node, format!("not a JSON Schema: {why}"));
        Schema::compile(&node.to_value()).map_err(refused).ok()
    }

    fn invalid_expression(&mut self, node: &Node, invalid: Invalid) {
        let place = match &node.value {
            NodeValue::String(_) => node.place_within(self.source(), invalid.span),
            _ => self.place(node),
        };
        self.report(Diagnostic::error(codes::INVALID_EXPRESSION, invalid.message).at(place).help(invalid.help));
    }

    /// Where a node says `steps.<id>`, for a message about that step.
    pub fn place_of_step(&self, node: &Node, step: &str) -> Range<usize> {
        let raw = self.source().get(node.span.clone()).unwrap_or_default();
        let wanted = format!("steps.{step}");
        let ends = |at: usize| !raw[at + wanted.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
        match raw.match_indices(&wanted).find(|(at, _)| ends(*at)) {
            Some((at, _)) => node.span.start + at..node.span.start + at + wanted.len(),
            None => self.place(node),
        }
    }

    pub fn unknown_step<'k>(&mut self, place: Range<usize>, step: &str, known: impl Iterator<Item = &'k str>) {
        let near = self.near(step, known);
        let help = near.map(|near| format!("did you mean `{near}`?"));
        let message = format!("there is no step `{}` in this workflow", shown(step));
        self.report(Diagnostic::error(codes::UNKNOWN_STEP, message).at(place).help(help));
    }
}

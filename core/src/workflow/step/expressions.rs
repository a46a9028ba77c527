//! Compiles what a step says in expressions, holds it against what it may see, and gathers what it
//! reads of other steps.

use crate::document::{Node, NodeValue, Reader};
use crate::expression::{Expression, Reference, StepField, Template};
use crate::workflow::sight::Sight;

/// A reference like `${steps.x.output}` somewhere in `node`.
#[derive(Debug)]
pub struct Read<'n> {
    pub step: String,
    pub field: StepField,
    pub guarded: bool,
    pub node: &'n Node,
    /// In a `compensate`, which is rendered when its step has long completed.
    pub is_undo: bool,
    /// In the list of a `for_each`, which must stay what it is as long as items are done.
    pub is_list: bool,
}

#[derive(Debug, Default)]
pub struct Expressions<'n> {
    pub has_items: bool,
    pub has_iterations: bool,
    pub reads: Vec<Read<'n>>,
}

impl<'n> Expressions<'n> {
    /// Of what is done once for each item, and in each iteration.
    pub fn sight(&self, what: &'static str) -> Sight {
        let repeat = if self.has_iterations { Ok(()) } else { Err("the step has no `repeat`") };
        Sight::step(what, self.item(), repeat)
    }

    /// Of what is asked for each item, and not in each iteration.
    pub fn sight_of_item(&self, what: &'static str) -> Sight {
        let repeat = if self.has_iterations { "it is the same for all iterations" } else { "the step has no `repeat`" };
        Sight::step(what, self.item(), Err(repeat))
    }

    fn item(&self) -> Result<(), &'static str> {
        if self.has_items { Ok(()) } else { Err("the step has no `for_each`") }
    }

    pub fn template(&mut self, reader: &mut Reader<'_>, node: &'n Node, sight: Sight) -> Option<Template> {
        let template = reader.template(node)?;
        sight.check(reader, node, template.roots_used());
        self.take(node, template.references(), false);
        Some(template)
    }

    /// In a `compensate`.
    pub fn undo(&mut self, reader: &mut Reader<'_>, node: &'n Node, sight: Sight) -> Option<Template> {
        let template = reader.template(node)?;
        sight.check(reader, node, template.roots_used());
        self.take(node, template.references(), true);
        Some(template)
    }

    /// The list of a `for_each`.
    pub fn list(&mut self, reader: &mut Reader<'_>, node: &'n Node, sight: Sight) -> Option<Template> {
        let before = self.reads.len();
        let template = self.template(reader, node, sight);
        self.reads[before..].iter_mut().for_each(|read| read.is_list = true);
        template
    }

    /// A template that gives text.
    pub fn text(&mut self, reader: &mut Reader<'_>, node: &'n Node, sight: Sight) -> Option<Template> {
        text(reader, node)?;
        self.template(reader, node, sight)
    }

    pub fn condition(&mut self, reader: &mut Reader<'_>, node: &'n Node, sight: Sight) -> Option<Expression> {
        let condition = reader.condition(node)?;
        sight.check(reader, node, condition.roots_used());
        self.take(node, condition.references(), false);
        Some(condition)
    }

    fn take(&mut self, node: &'n Node, references: &[Reference], is_undo: bool) {
        self.reads.extend(references.iter().map(|reference| Read {
            step: reference.step.clone(),
            field: reference.field,
            guarded: reference.guarded,
            node,
            is_undo,
            is_list: false,
        }));
    }
}

/// A string with something in it.
pub fn text<'n>(reader: &mut Reader<'_>, node: &'n Node) -> Option<&'n str> {
    let text = reader.string(node)?;
    if text.trim().is_empty() {
        reader.error(crate::diagnostic::codes::WRONG_VALUE, node, "expected some text, found none");
        return None;
    }
    Some(text)
}

/// `{"from_signal": true}`, which stands for the whole signal.
pub fn is_from_signal(node: &Node) -> bool {
    match &node.value {
        NodeValue::Object(entries) => {
            matches!(&entries[..], [(key, value)]
                if key.text == "from_signal" && value.value == NodeValue::Bool(true))
        }
        _ => false,
    }
}

//! Reads the conditional edges between steps.

use std::collections::HashSet;

use super::On;
use super::check::{self, Ids};
use super::sight::Sight;
use super::step::expressions::{Expressions, Read};
use crate::diagnostic::{Diagnostic, codes};
use crate::document::{Known, Node, Reader};
use crate::expression::Expression;

/// More than a document has room for.
const TRANSITIONS_MAX: usize = 100_000;

const TRANSITION: Known =
    Known { what: "a transition", path: "transitions.", fields: &["from", "to", "on", "when"], later: &[] };

#[derive(Debug)]
pub struct Transition<'n> {
    pub node: &'n Node,
    from: (&'n str, &'n Node),
    to: (&'n str, &'n Node),
    pub on: On,
    pub when: Option<Expression>,
    pub reads: Vec<Read<'n>>,
}

/// Its steps by their place in the list.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    pub from: usize,
    pub to: usize,
}

pub fn read<'n>(reader: &mut Reader<'_>, node: &'n Node) -> Vec<Transition<'n>> {
    let items = reader.list(node, TRANSITIONS_MAX).unwrap_or_default();
    items.iter().filter_map(|item| transition(reader, item)).collect()
}

fn transition<'n>(reader: &mut Reader<'_>, node: &'n Node) -> Option<Transition<'n>> {
    let fields = reader.fields(node, &TRANSITION)?;
    let from = fields.need("from", reader).and_then(|node| Some((reader.string(node)?, node)));
    let to = fields.need("to", reader).and_then(|node| Some((reader.string(node)?, node)));
    let on = fields.optional("on", |node| reader.choice(node, "on", &["completed", "failed", "settled"], &[]));
    let mut expressions = Expressions::default();
    let when = fields.optional("when", |node| expressions.condition(reader, node, Sight::TRANSITION));
    let on = match on? {
        Some("failed") => On::Failed,
        Some("settled") => On::Settled,
        _ => On::Completed,
    };
    Some(Transition { node, from: from?, to: to?, on, when: when?, reads: expressions.reads })
}

/// The steps that each transition joins; none where that makes no sense, which is reported.
pub fn resolve(reader: &mut Reader<'_>, transitions: &[Transition<'_>], ids: &Ids<'_>) -> Vec<Option<Ends>> {
    let mut seen = HashSet::new();
    let mut ends = Vec::with_capacity(transitions.len());
    for transition in transitions {
        let same =
            (transition.from.0, transition.to.0, transition.on, transition.when.as_ref().map(Expression::source));
        if seen.insert(same) {
            check::unknown_reads(reader, &transition.reads, ids);
            ends.push(transition.ends(reader, ids));
        } else {
            let message = "this transition is listed twice";
            reader.report(Diagnostic::warning(codes::LISTED_TWICE, message).at(reader.place(transition.node)));
            ends.push(None);
        }
    }
    ends
}

impl Transition<'_> {
    fn ends(&self, reader: &mut Reader<'_>, ids: &Ids<'_>) -> Option<Ends> {
        let mut find = |(step, node): (&str, &Node)| {
            let found = ids.get(step).copied();
            if found.is_none() {
                reader.unknown_step(node.span.clone(), step, ids.keys().copied());
            }
            found
        };
        let (from, to) = (find(self.from), find(self.to));
        let ends = Ends { from: from?, to: to? };
        if ends.from == ends.to {
            check::self_reference(reader, self.to.1, self.to.0);
            return None;
        }
        Some(ends)
    }

    pub fn takes_up_failures(&self) -> bool {
        matches!(self.on, On::Failed | On::Settled)
    }
}

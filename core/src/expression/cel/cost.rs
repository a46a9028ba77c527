//! What an evaluation costs at most, told before it begins from the expression and the size of the
//! values it reads. A limit that is checked beforehand needs no way to stop halfway.
//!
//! Inside a loop the sizes are averages over its turns: the items of a list are together no larger
//! than the list, however unevenly. Only where two sizes are multiplied does the largest count.

use ::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};

use super::functions::{self, Growth};
use super::variable_index;
use crate::Failure;
use crate::expression::excerpt;

/// In the units of [`crate::Meter`]: the limit is about 20 ms.
const WORK_MAX: u64 = 600_000;
const NODES_MAX: u64 = 1_000_000;
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Texts are shared more often than they are copied.
const BYTES_PER_UNIT: u64 = 64;
/// For each node of an item, which every turn of a loop binds to a variable.
const BINDING: u64 = 4;
/// For each node that is read, which becomes a value of the expression.
const READING: u64 = 3;

/// How large a value is, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Entries of the largest container anywhere in it: no loop over it, or over a part of it,
    /// has more turns.
    pub entries: u64,
    pub nodes: u64,
    /// Of all strings in it.
    pub bytes: u64,
    /// Nodes and bytes in the worst turn of the loops around.
    pub peak: u64,
}

/// How many units of work it takes at most; a failure if that is too many.
pub fn check(root: &IdedExpr, reads: &[Extent], source: &str) -> Result<u64, Failure> {
    let mut estimate = Estimate { reads, work: 0, turns: 1, variables: Vec::new() };
    for read in reads {
        estimate.work(read.nodes.saturating_mul(READING));
    }
    let extent = estimate.expression(root);
    if estimate.work <= WORK_MAX && extent.fits() {
        return Ok(estimate.work);
    }
    let message = format!(
        "`{}` would take more work than one expression may on values this large; do it in a function step",
        excerpt(source)
    );
    Err(Failure::fatal("expression_too_expensive", message))
}

impl Extent {
    const NOTHING: Self = Self { entries: 0, nodes: 0, bytes: 0, peak: 0 };
    pub const SCALAR: Self = Self { entries: 0, nodes: 1, bytes: 0, peak: 1 };

    pub fn new(entries: u64, nodes: u64, bytes: u64) -> Self {
        Self { entries, nodes, bytes, peak: nodes.saturating_add(bytes) }
    }

    fn fits(self) -> bool {
        self.nodes <= NODES_MAX && self.bytes <= BYTES_MAX
    }

    fn text(bytes: u64, peak: u64) -> Self {
        Self { entries: 0, nodes: 1, bytes, peak }
    }

    /// Both of two, or one now and the other then.
    fn and(self, other: Self) -> Self {
        Self {
            entries: self.entries.saturating_add(other.entries),
            nodes: self.nodes.saturating_add(other.nodes),
            bytes: self.bytes.saturating_add(other.bytes),
            peak: self.peak.saturating_add(other.peak),
        }
    }

    /// `count` of it, in one container.
    fn times(self, count: u64) -> Self {
        Self {
            entries: self.entries.max(count),
            nodes: self.nodes.saturating_mul(count).saturating_add(1),
            bytes: self.bytes.saturating_mul(count),
            peak: self.peak.saturating_mul(count).saturating_add(1),
        }
    }

    /// One item of it, on average.
    fn item(self) -> Self {
        let count = self.entries.max(1);
        Self { nodes: self.nodes.div_ceil(count), bytes: self.bytes.div_ceil(count), ..self }
    }

    /// Copying, comparing or dropping it.
    fn touch(self) -> u64 {
        self.nodes.saturating_add(self.bytes / BYTES_PER_UNIT)
    }
}

struct Estimate<'a> {
    reads: &'a [Extent],
    work: u64,
    /// How often what is looked at is evaluated.
    turns: u64,
    variables: Vec<(&'a str, Extent)>,
}

impl<'a> Estimate<'a> {
    fn work(&mut self, units: u64) {
        self.work = self.work.saturating_add(units.saturating_mul(self.turns));
    }

    fn expression(&mut self, node: &'a IdedExpr) -> Extent {
        self.work(1);
        let extent = match &node.expr {
            Expr::Literal(literal) => self.literal(literal),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) if select.test => {
                self.expression(&select.operand);
                Extent::SCALAR
            }
            // A part is no larger than the whole.
            Expr::Select(select) => self.expression(&select.operand),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.container(list.elements.iter()),
            Expr::Map(map) => self.container(map.entries.iter().flat_map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => [&entry.key, &entry.value],
                EntryExpr::StructField(field) => [&field.value, &field.value],
            })),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(_) | Expr::Unspecified => Extent::SCALAR,
        };
        if !extent.fits() {
            self.work = u64::MAX;
        }
        extent
    }

    fn literal(&self, literal: &LiteralValue) -> Extent {
        match literal {
            LiteralValue::String(text) => Extent::new(0, 1, text.inner().len() as u64),
            LiteralValue::Bytes(bytes) => Extent::new(0, 1, bytes.inner().len() as u64),
            _ => Extent::SCALAR,
        }
    }

    fn variable(&self, name: &str) -> Extent {
        let bound = self.variables.iter().rev().find(|(known, _)| *known == name).map(|(_, extent)| *extent);
        let read = || variable_index(name).and_then(|index| self.reads.get(index)).copied();
        bound.or_else(read).unwrap_or(Extent::SCALAR)
    }

    fn container(&mut self, items: impl Iterator<Item = &'a IdedExpr>) -> Extent {
        let mut whole = Extent::SCALAR;
        let mut count = 0;
        for item in items {
            let item = self.expression(item);
            self.work(item.touch());
            let entries = whole.entries.max(item.entries);
            whole = Extent { entries, ..whole.and(item) };
            count += 1;
        }
        Extent { entries: whole.entries.max(count), ..whole }
    }

    fn call(&mut self, call: &'a CallExpr) -> Extent {
        let target = call.target.iter().map(|target| &**target);
        let arguments: Vec<Extent> = target.chain(&call.args).map(|argument| self.expression(argument)).collect();
        let all = arguments.iter().fold(Extent::NOTHING, |all, argument| all.and(*argument));
        match (call.func_name.as_str(), arguments.as_slice()) {
            (operators::CONDITIONAL, [_, yes, no]) => yes.and(*no),
            (operators::INDEX, [operand, _]) => *operand,
            (operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT, _) => Extent::SCALAR,
            (operators::ADD, _) => {
                self.work(all.touch());
                all
            }
            (name, _) if functions::OPERATORS.contains(&name) => {
                self.work(all.touch());
                Extent::SCALAR
            }
            (name, arguments) => self.function(name, arguments, all),
        }
    }

    fn function(&mut self, name: &str, arguments: &[Extent], all: Extent) -> Extent {
        let argument = |index: usize| arguments.get(index).copied().unwrap_or(Extent::NOTHING);
        let (first, second, third) = (argument(0), argument(1), argument(2));
        let (work, extent) = match functions::growth(name) {
            Growth::Same => (all.nodes, all),
            Growth::Scalar => (all.touch().saturating_add(all.bytes / 4), Extent::SCALAR),
            Growth::Text => (all.touch(), Extent::text(all.bytes.saturating_add(32), all.peak.saturating_add(32))),
            Growth::Split => {
                let parts = first.bytes.saturating_add(1);
                let entries = first.peak.saturating_add(1);
                (
                    parts,
                    Extent {
                        entries,
                        nodes: parts.saturating_add(1),
                        bytes: first.bytes,
                        peak: entries.saturating_mul(2),
                    },
                )
            }
            Growth::Join => {
                let bytes = all.bytes.saturating_add(product((first.nodes, first.peak), (second.bytes, second.peak)));
                (all.touch(), Extent::text(bytes, all.peak.saturating_mul(second.peak.saturating_add(1))))
            }
            Growth::Replace => {
                let places = (first.bytes.saturating_add(1), first.peak.saturating_add(1));
                let bytes = first.bytes.saturating_add(product(places, (third.bytes, third.peak)));
                (all.touch(), Extent::text(bytes, places.1.saturating_mul(third.peak.saturating_add(1))))
            }
            Growth::Search => {
                let needle = (second.bytes.saturating_add(1), second.peak.saturating_add(1));
                (product((first.bytes, first.peak), needle) / 8, Extent::SCALAR)
            }
        };
        self.work(work.saturating_add(extent.touch()));
        extent
    }

    /// What macros expand to: the accumulator is a scalar, or a list that each turn adds to.
    fn comprehension(&mut self, comprehension: &'a ComprehensionExpr) -> Extent {
        let range = self.expression(&comprehension.iter_range);
        let start = self.expression(&comprehension.accu_init);
        self.work(range.touch());

        let outside = (self.turns, self.variables.len());
        self.turns = self.turns.saturating_mul(range.entries);
        self.work(range.item().nodes.saturating_mul(BINDING));
        self.variables.push((&comprehension.iter_var, range.item()));
        self.variables.push((&comprehension.accu_var, Extent::NOTHING));
        self.expression(&comprehension.loop_cond);
        let turn = self.expression(&comprehension.loop_step);
        self.work(turn.touch());
        (self.turns, _) = outside;
        self.variables.truncate(outside.1);

        if matches!(comprehension.accu_init.expr, Expr::List(_)) {
            start.and(turn.times(range.entries))
        } else {
            Extent::SCALAR
        }
    }
}

/// Of two sizes, each an average and the worst: the sum over all turns of one size times the other
/// is no more than that of either, times the worst of the other.
fn product(one: (u64, u64), other: (u64, u64)) -> u64 {
    one.0.saturating_mul(other.1).min(one.1.saturating_mul(other.0))
}

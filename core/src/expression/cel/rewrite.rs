//! Checks a parsed expression and turns the paths in it into variables.
//!
//! Everything an evaluation could stumble over that can be told from the text alone is refused
//! here: unknown names and functions, patterns that do not compile, loops too deep.

use std::collections::BTreeSet;
use std::ops::Range;

use ::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators};
use regex::Regex;

use super::functions::{self, Style};
use super::{Compiled, Program, Read, variable};
use crate::expression::near::{listed, nearest};
use crate::expression::path::{NoPath, Path, ROOTS, ROOTS_SHADOWED, Segment, unknown_root};
use crate::expression::template::merged;
use crate::expression::{Invalid, Reference, StepField, scan};

const DEPTH_MAX: usize = 48;
const LOOPS_MAX: usize = 3;

pub fn rewrite(source: &str, root: IdedExpr) -> Result<Compiled, Invalid> {
    if depth_exceeds(&root, DEPTH_MAX) {
        return Err(scan::too_deep(0..source.len()));
    }
    let mut rewriting = Rewriting { source, ..Rewriting::default() };
    let present = present_if(&root, true);
    let root = rewriting.expression(root)?;
    let references = rewriting.references;
    Ok(Compiled {
        program: Program { root, reads: rewriting.reads, patterns: rewriting.patterns },
        references: merged(references),
        roots: rewriting.roots.into_iter().collect(),
        present,
    })
}

type Present = (String, StepField);

#[derive(Default)]
struct Rewriting<'s> {
    source: &'s str,
    reads: Vec<Read>,
    patterns: Vec<Regex>,
    references: Vec<Reference>,
    roots: BTreeSet<&'static str>,
    /// The variables of the loops around.
    loop_variables: Vec<String>,
    loops: usize,
    /// What is known to be there of which steps, where we are.
    guarded: Vec<Present>,
}

impl Rewriting<'_> {
    fn expression(&mut self, node: IdedExpr) -> Result<IdedExpr, Invalid> {
        let id = node.id;
        if let Some(path) = self.path(&node.expr)? {
            return Ok(self.read(id, Read::Value(path)));
        }
        let expr = match node.expr {
            literal @ Expr::Literal(_) => literal,
            Expr::Ident(name) => self.name(name)?,
            Expr::Select(select) if select.test => return self.presence(id, select),
            Expr::Select(mut select) => {
                select.operand = Box::new(self.expression(*select.operand)?);
                Expr::Select(select)
            }
            Expr::Call(call) => match self.sized(&call)? {
                Some(path) => return Ok(self.read(id, Read::Size(path))),
                None => self.call(call)?,
            },
            Expr::List(mut list) => {
                list.elements = self.all(list.elements)?;
                Expr::List(list)
            }
            Expr::Map(mut map) => {
                for entry in &mut map.entries {
                    let EntryExpr::MapEntry(entry) = &mut entry.expr else { return Err(self.message_literal()) };
                    entry.key = self.expression(std::mem::take(&mut entry.key))?;
                    entry.value = self.expression(std::mem::take(&mut entry.value))?;
                }
                Expr::Map(map)
            }
            Expr::Comprehension(comprehension) => self.comprehension(*comprehension)?,
            Expr::Struct(_) => return Err(self.message_literal()),
            Expr::Unspecified => return Err(Invalid::new("this is not CEL", None, 0..self.source.len())),
        };
        Ok(IdedExpr { id, expr })
    }

    fn all(&mut self, nodes: Vec<IdedExpr>) -> Result<Vec<IdedExpr>, Invalid> {
        nodes.into_iter().map(|node| self.expression(node)).collect()
    }

    fn message_literal(&self) -> Invalid {
        let help = "write a map: `{\"name\": value}`".to_owned();
        Invalid::new("there are no message types here", Some(help), 0..self.source.len())
    }

    /// `expr` as a path from a root, if it is one.
    fn path(&self, expr: &Expr) -> Result<Option<Path>, Invalid> {
        let mut segments = Vec::new();
        let mut expr = expr;
        let root = loop {
            match expr {
                Expr::Ident(name) if ROOTS.contains(&name.as_str()) && !self.loop_variables.contains(name) => {
                    break name;
                }
                Expr::Select(select) if !select.test => {
                    segments.push(Segment::Name(select.field.clone()));
                    expr = &select.operand.expr;
                }
                Expr::Call(CallExpr { func_name, target: None, args }) if func_name == operators::INDEX => {
                    let [operand, index] = args.as_slice() else { return Ok(None) };
                    let Some(segment) = literal_segment(&index.expr) else { return Ok(None) };
                    segments.push(segment);
                    expr = &operand.expr;
                }
                _ => return Ok(None),
            }
        };
        segments.reverse();
        Path::new(root, segments).map(Some).map_err(|no_path| self.no_path(no_path, root))
    }

    /// The path in `size(path)` or `path.size()`.
    fn sized(&self, call: &CallExpr) -> Result<Option<Path>, Invalid> {
        let operand = match (call.func_name.as_str(), &call.target, call.args.as_slice()) {
            ("size", Some(target), []) => target,
            ("size", None, [argument]) => argument,
            _ => return Ok(None),
        };
        self.path(&operand.expr)
    }

    fn no_path(&self, no_path: NoPath, near: &str) -> Invalid {
        Invalid::new(no_path.message, Some(no_path.help), self.find(near))
    }

    /// Where `name` is written; the parser keeps no positions.
    fn find(&self, name: &str) -> Range<usize> {
        let part_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let whole = |at: usize| {
            !self.source[..at].ends_with(part_of_name) && !self.source[at + name.len()..].starts_with(part_of_name)
        };
        let found = self.source.match_indices(name).map(|(at, _)| at).find(|at| whole(*at));
        found.map_or(0..self.source.len(), |at| at..at + name.len())
    }

    fn read(&mut self, id: u64, read: Read) -> IdedExpr {
        self.roots.insert(read.path().reads());
        if let Some((step, field)) = read.path().step_field() {
            let is_guard = |guard: &Present| guard.0 == step && guard.1 == field;
            let guarded = matches!(read, Read::Presence(_)) || self.guarded.iter().any(is_guard);
            self.references.push(Reference { step: step.to_owned(), field, guarded });
        }
        let index = self.reads.iter().position(|known| *known == read).unwrap_or_else(|| {
            self.reads.push(read);
            self.reads.len() - 1
        });
        IdedExpr { id, expr: Expr::Ident(variable(index)) }
    }

    fn name(&self, name: String) -> Result<Expr, Invalid> {
        // Names with @ are the parser's own, in the loops it expands macros to.
        let known =
            name.starts_with('@') || self.loop_variables.contains(&name) || functions::TYPES.contains(&name.as_str());
        if known {
            return Ok(Expr::Ident(name));
        }
        let no_path = match nearest(&name, self.loop_variables.iter().map(String::as_str)) {
            Some(near) => NoPath { message: format!("unknown name `{name}`"), help: format!("did you mean `{near}`?") },
            None => unknown_root(&name),
        };
        Err(self.no_path(no_path, &name))
    }

    fn presence(&mut self, id: u64, select: SelectExpr) -> Result<IdedExpr, Invalid> {
        let tested = Expr::Select(SelectExpr { test: false, ..select.clone() });
        if let Some(path) = self.path(&tested)? {
            return Ok(self.read(id, Read::Presence(path)));
        }
        let operand = Box::new(self.expression(*select.operand)?);
        Ok(IdedExpr { id, expr: Expr::Select(SelectExpr { operand, ..select }) })
    }

    fn call(&mut self, call: CallExpr) -> Result<Expr, Invalid> {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND, [left, right]) => {
                let guards = [present_if(right, true), present_if(left, true)];
                self.guarded_call(call, guards)
            }
            (operators::LOGICAL_OR, [left, right]) => {
                let guards = [present_if(right, false), present_if(left, false)];
                self.guarded_call(call, guards)
            }
            (operators::CONDITIONAL, [condition, _, _]) => {
                let guards = [Vec::new(), present_if(condition, true), present_if(condition, false)];
                self.guarded_call(call, guards)
            }
            (name, _) if functions::OPERATORS.contains(&name) || name == operators::NOT_STRICTLY_FALSE => {
                let args = self.all(call.args)?;
                Ok(Expr::Call(CallExpr { args, ..call }))
            }
            _ => self.function(call),
        }
    }

    /// Each argument, where what its neighbours asked for is known to be there.
    fn guarded_call<const N: usize>(&mut self, call: CallExpr, guards: [Vec<Present>; N]) -> Result<Expr, Invalid> {
        let mut args = Vec::with_capacity(N);
        for (arg, guards) in call.args.into_iter().zip(guards) {
            let outside = self.guarded.len();
            self.guarded.extend(guards);
            args.push(self.expression(arg)?);
            self.guarded.truncate(outside);
        }
        Ok(Expr::Call(CallExpr { args, ..call }))
    }

    fn function(&mut self, mut call: CallExpr) -> Result<Expr, Invalid> {
        let Some(function) = functions::find(&call.func_name) else { return Err(self.unknown_function(&call)) };
        // `size(x)` and `matches(x, p)` are `x.size()` and `x.matches(p)`.
        if function.style == Style::Either && call.target.is_none() && !call.args.is_empty() {
            call.target = Some(Box::new(call.args.remove(0)));
        }
        let name = function.name;
        if call.target.is_some() != (function.style != Style::Global) {
            let form = if call.target.is_some() { format!("{name}(x)") } else { format!("x.{name}(…)") };
            return Err(Invalid::new(format!("`{name}` is written `{form}`"), None, self.find(name)));
        }
        if !function.arguments.contains(&call.args.len()) {
            let message = format!("`{name}` takes {}, not {}", counted(&function.arguments), call.args.len());
            return Err(Invalid::new(message, None, self.find(name)));
        }
        if name == "matches" {
            self.pattern(&mut call)?;
        }
        let target = call.target.map(|target| self.expression(*target)).transpose()?.map(Box::new);
        let args = self.all(call.args)?;
        Ok(Expr::Call(CallExpr { target, args, func_name: call.func_name }))
    }

    fn pattern(&mut self, call: &mut CallExpr) -> Result<(), Invalid> {
        let Some(IdedExpr { expr: Expr::Literal(LiteralValue::String(text)), .. }) = call.args.pop() else {
            let help = "so that it is compiled and checked once: `x.matches(\"^a+$\")`".to_owned();
            return Err(Invalid::new("a pattern must be a string literal", Some(help), self.find("matches")));
        };
        let pattern = functions::pattern(text.inner()).map_err(|error| {
            Invalid::new("this pattern is not valid", Some(last_line(&error.to_string())), self.find("matches"))
        })?;
        call.func_name = functions::matches_name(self.patterns.len());
        self.patterns.push(pattern);
        Ok(())
    }

    fn unknown_function(&self, call: &CallExpr) -> Invalid {
        let name = call.func_name.as_str();
        if let Some((_, form)) = functions::MACROS.iter().find(|(known, _)| *known == name) {
            return Invalid::new(format!("`{name}` is written `{form}`"), None, self.find(name));
        }
        let names = || {
            let functions = functions::FUNCTIONS.iter().map(|function| function.name);
            functions.chain(functions::MACROS.iter().map(|(name, _)| *name))
        };
        let help = match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let mut names: Vec<_> = names().collect();
                names.sort_unstable();
                format!("there are {}", names.join(", "))
            }
        };
        Invalid::new(format!("unknown function `{}`", listed([name]).trim_matches('`')), Some(help), self.find(name))
    }

    fn comprehension(&mut self, mut comprehension: ComprehensionExpr) -> Result<Expr, Invalid> {
        let range = self.expression(comprehension.iter_range)?;
        let id = range.id;
        let ordered = CallExpr { func_name: functions::ORDERED.to_owned(), target: None, args: vec![range] };
        comprehension.iter_range = IdedExpr { id, expr: Expr::Call(ordered) };
        comprehension.accu_init = self.expression(comprehension.accu_init)?;

        let outside = self.loop_variables.len();
        for name in [Some(&comprehension.iter_var), comprehension.iter_var2.as_ref()].into_iter().flatten() {
            self.check_loop_variable(name)?;
            self.loop_variables.push(name.clone());
        }
        self.loops += 1;
        if self.loops > LOOPS_MAX {
            let message = format!("more than {LOOPS_MAX} loops inside of each other");
            let help = "compute parts of it in earlier steps".to_owned();
            return Err(Invalid::new(message, Some(help), self.find(&comprehension.iter_var)));
        }
        comprehension.loop_cond = self.expression(comprehension.loop_cond)?;
        comprehension.loop_step = self.expression(comprehension.loop_step)?;
        comprehension.result = self.expression(comprehension.result)?;
        self.loops -= 1;
        self.loop_variables.truncate(outside);
        Ok(Expr::Comprehension(Box::new(comprehension)))
    }

    fn check_loop_variable(&self, name: &str) -> Result<(), Invalid> {
        if ROOTS.contains(&name) && !ROOTS_SHADOWED.contains(&name) {
            let help = "give the loop another variable, such as `x`".to_owned();
            let message = format!("`{name}` already has a meaning");
            return Err(Invalid::new(message, Some(help), self.find(name)));
        }
        Ok(())
    }
}

/// Stops as soon as it knows, so it cannot itself go too deep.
fn depth_exceeds(node: &IdedExpr, max: usize) -> bool {
    if max == 0 {
        return true;
    }
    let deep = |node: &IdedExpr| depth_exceeds(node, max - 1);
    match &node.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => false,
        Expr::Call(call) => call.target.as_deref().is_some_and(deep) || call.args.iter().any(deep),
        Expr::Comprehension(c) => {
            [&c.iter_range, &c.accu_init, &c.loop_cond, &c.loop_step, &c.result].into_iter().any(deep)
        }
        Expr::List(list) => list.elements.iter().any(deep),
        Expr::Select(select) => deep(&select.operand),
        Expr::Map(map) => map.entries.iter().any(|entry| entry_exceeds(&entry.expr, max)),
        Expr::Struct(message) => message.entries.iter().any(|entry| entry_exceeds(&entry.expr, max)),
    }
}

fn entry_exceeds(entry: &EntryExpr, max: usize) -> bool {
    match entry {
        EntryExpr::StructField(field) => depth_exceeds(&field.value, max - 1),
        EntryExpr::MapEntry(entry) => depth_exceeds(&entry.key, max - 1) || depth_exceeds(&entry.value, max - 1),
    }
}

fn literal_segment(index: &Expr) -> Option<Segment> {
    match index {
        Expr::Literal(LiteralValue::String(name)) => Some(Segment::Name(name.inner().to_owned())),
        Expr::Literal(LiteralValue::Int(index)) => u64::try_from(*index.inner()).ok().map(Segment::Index),
        Expr::Literal(LiteralValue::UInt(index)) => Some(Segment::Index(*index.inner())),
        _ => None,
    }
}

/// What is there of which steps, given that `node` is `outcome`.
fn present_if(node: &IdedExpr, outcome: bool) -> Vec<Present> {
    match &node.expr {
        Expr::Select(select) if select.test && outcome => tested_step(select).into_iter().collect(),
        Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_NOT, [inner]) => present_if(inner, !outcome),
            (operators::EQUALS, [left, right]) if outcome => told_by_status(&left.expr, &right.expr)
                .or_else(|| told_by_status(&right.expr, &left.expr))
                .into_iter()
                .collect(),
            (name @ (operators::LOGICAL_AND | operators::LOGICAL_OR), [left, right]) => {
                let (mut left, right) = (present_if(left, outcome), present_if(right, outcome));
                // Both sides of a true `&&` hold; of a true `||`, one does. False is the reverse.
                if (name == operators::LOGICAL_AND) == outcome {
                    left.extend(right);
                } else {
                    left.retain(|present| right.contains(present));
                }
                left
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The step in `steps.a.status == "failed"`, and what it has then.
fn told_by_status(asked: &Expr, status: &Expr) -> Option<Present> {
    let (Expr::Select(select), Expr::Literal(LiteralValue::String(status))) = (asked, status) else { return None };
    let (step, StepField::Status) = tested_step(select)? else { return None };
    match status.inner() {
        "completed" => Some((step, StepField::Output)),
        "failed" => Some((step, StepField::Error)),
        _ => None,
    }
}

/// The step and its field in `has(steps.a.output.x)`.
fn tested_step(select: &SelectExpr) -> Option<Present> {
    let mut names = vec![select.field.as_str()];
    let mut expr = &select.operand.expr;
    loop {
        match expr {
            Expr::Ident(root) if root == "steps" => {
                let [.., field, step] = names[..] else { return None };
                let field = match field {
                    "output" => StepField::Output,
                    "error" => StepField::Error,
                    "status" => StepField::Status,
                    _ => return None,
                };
                return Some((step.to_owned(), field));
            }
            Expr::Select(select) => {
                names.push(&select.field);
                expr = &select.operand.expr;
            }
            Expr::Call(CallExpr { func_name, target: None, args }) if func_name == operators::INDEX => {
                let [operand, IdedExpr { expr: Expr::Literal(index), .. }] = args.as_slice() else { return None };
                names.push(if let LiteralValue::String(name) = index { name.inner() } else { "" });
                expr = &operand.expr;
            }
            _ => return None,
        }
    }
}

fn counted(range: &std::ops::RangeInclusive<usize>) -> String {
    match (*range.start(), *range.end()) {
        (0, 0) => "no arguments".to_owned(),
        (1, 1) => "1 argument".to_owned(),
        (least, most) if least == most => format!("{most} arguments"),
        (least, most) => format!("{least} or {most} arguments"),
    }
}

/// The regex crate draws a picture above the line that says what is wrong.
fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

//! What the expressions of one place in a definition can see, and why they cannot see more.

use crate::diagnostic::{Diagnostic, codes};
use crate::document::{Node, Reader};

#[derive(Debug, Clone, Copy)]
pub struct Sight {
    /// How messages call the place, like "a trigger's `when`".
    what: &'static str,
    stage: Stage,
    item: Seen,
    repeat: Seen,
    event: Seen,
}

/// It is there, or why it is not.
type Seen = Result<(), &'static str>;

/// How much of a run there is when the place is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There is a signal, and nobody knows whether there will be a run.
    Offered,
    /// There is to be a run, and its input is known.
    AtTheDoor,
    Running,
}

const NO_STEP: Seen = Err("it belongs to a step, and this to the whole workflow");
const NO_EVENT: Seen = Err("it is there only in the `when` of a wait's signal");

impl Sight {
    pub const TRIGGER: Self = Self::without_step("a trigger's `when`", Stage::Offered);
    pub const OUTPUT: Self = Self::without_step("the workflow's `output`", Stage::Running);
    pub const TRANSITION: Self = Self::without_step("a transition's `when`", Stage::Running);

    /// The key by which runs are counted.
    pub const fn key(what: &'static str) -> Self {
        Self::without_step(what, Stage::AtTheDoor)
    }

    const fn without_step(what: &'static str, stage: Stage) -> Self {
        Self { what, stage, item: NO_STEP, repeat: NO_STEP, event: NO_EVENT }
    }

    pub const fn step(what: &'static str, item: Seen, repeat: Seen) -> Self {
        Self { what, stage: Stage::Running, item, repeat, event: NO_EVENT }
    }

    pub const fn of_event(self) -> Self {
        Self { event: Ok(()), ..self }
    }

    /// Reports each root that is read and not there.
    pub fn check(self, reader: &mut Reader<'_>, node: &Node, roots: &[&'static str]) {
        for root in roots {
            let Err(why) = self.sees(root) else { continue };
            let message = format!("{} cannot read `{root}`: {why}", self.what);
            let problem = Diagnostic::error(codes::ROOT_NOT_AVAILABLE, message).at(node.span.clone());
            reader.report(problem.help(Some(format!("it can read {}", self.listed()))));
        }
    }

    fn sees(self, root: &str) -> Seen {
        const NO_RUN: Seen = Err("there is no run yet");
        match (root, self.stage) {
            ("item" | "index", _) => self.item,
            ("repeat", _) => self.repeat,
            ("event", _) => self.event,
            ("run.input", Stage::Offered) | ("run" | "steps", Stage::Offered | Stage::AtTheDoor) => NO_RUN,
            _ => Ok(()),
        }
    }

    fn listed(self) -> String {
        const ALL: [(&str, &str); 9] = [
            ("signal", "`signal`"),
            ("tenant", "`tenant`"),
            ("run", "`run`"),
            ("run.input", "`run.input`"),
            ("steps", "`steps.<id>`"),
            ("item", "`item`"),
            ("index", "`index`"),
            ("repeat", "`repeat`"),
            ("event", "`event`"),
        ];
        let is_said = |root: &str| root == "run.input" && self.stage == Stage::Running;
        let seen = ALL.iter().filter(|(root, _)| self.sees(root).is_ok() && !is_said(root));
        let names: Vec<&str> = seen.map(|(_, name)| *name).collect();
        match names.split_last() {
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => String::new(),
        }
    }
}

//! What may come next, by chance. An index picks among what there is when its turn comes.

use proptest::prelude::*;
use proptest::sample::Index;

#[derive(Debug, Clone)]
pub enum Op {
    Fact {
        tenant: Index,
        name: Index,
        text: String,
        group: Option<Index>,
        key: Option<u8>,
        early: bool,
    },
    Dispose {
        fact: Index,
        workflow: Index,
        kind: Index,
    },
    Request {
        tenant: Index,
        name: Index,
        handler: Index,
        run: Option<Index>,
        item: Option<u8>,
        terms: bool,
    },
    Move {
        directive: Index,
        input: u8,
    },
    Start {
        fact: Index,
        workflow: Index,
        steps: usize,
        first: First,
    },
    Step {
        run: Index,
        place: Index,
        change: Index,
        said: Said,
    },
    Change {
        run: Index,
        change: Index,
    },
    Register {
        tenant: Index,
        slug: Index,
        what: u8,
        text: String,
    },
    /// Breaks the batch: both must refuse it whole.
    Repeat {
        fact: Index,
    },
    Commit,
}

/// What the first signal of a run says.
#[derive(Debug, Clone)]
pub struct First {
    pub deadline: bool,
    pub queued: Option<Index>,
    pub keys: [bool; 3],
    pub parent: Option<Index>,
    pub source: Option<Index>,
    pub version: bool,
}

/// What the signal of a step says beside what it always does.
#[derive(Debug, Clone)]
pub struct Said {
    pub directive: bool,
    pub lock: bool,
    pub awaits: Index,
    pub items: Option<u32>,
}

fn first() -> impl Strategy<Value = First> {
    let index = any::<Option<Index>>;
    (any::<bool>(), index(), any::<[bool; 3]>(), index(), index(), any::<bool>()).prop_map(
        |(deadline, queued, keys, parent, source, version)| First { deadline, queued, keys, parent, source, version },
    )
}

fn said() -> impl Strategy<Value = Said> {
    (any::<bool>(), any::<bool>(), any::<Index>(), proptest::option::of(0..4u32))
        .prop_map(|(directive, lock, awaits, items)| Said { directive, lock, awaits, items })
}

pub fn op() -> impl Strategy<Value = Op> {
    let index = any::<Index>;
    let text = || "\\PC{0,12}";
    prop_oneof![
        4 => (index(), index(), text(), any::<Option<Index>>(), proptest::option::of(0..4u8), any::<bool>())
            .prop_map(|(tenant, name, text, group, key, early)| Op::Fact { tenant, name, text, group, key, early }),
        1 => (index(), index(), index()).prop_map(|(fact, workflow, kind)| Op::Dispose { fact, workflow, kind }),
        2 => (index(), index(), index(), any::<Option<Index>>(), proptest::option::of(0..4u8), any::<bool>()).prop_map(
            |(tenant, name, handler, run, item, terms)| Op::Request { tenant, name, handler, run, item, terms }),
        4 => (index(), 0..8u8).prop_map(|(directive, input)| Op::Move { directive, input }),
        3 => (index(), index(), 1..4usize, first())
            .prop_map(|(fact, workflow, steps, first)| Op::Start { fact, workflow, steps, first }),
        9 => (index(), index(), index(), said())
            .prop_map(|(run, place, change, said)| Op::Step { run, place, change, said }),
        2 => (index(), index()).prop_map(|(run, change)| Op::Change { run, change }),
        1 => (index(), index(), 0..10u8, text())
            .prop_map(|(tenant, slug, what, text)| Op::Register { tenant, slug, what, text }),
        1 => index().prop_map(|fact| Op::Repeat { fact }),
        3 => Just(Op::Commit),
    ]
}

//! The functions that expressions may call. The list is ours, so that an unknown one is found when
//! a definition is applied, and so that none whose cost cannot be told slips in.

use std::ops::RangeInclusive;
use std::sync::{Arc, LazyLock};

use ::cel::common::types::{CelList, CelMap, DYN_TYPE};
use ::cel::common::value::{CowVal, Val};
use ::cel::extractors::This;
use ::cel::{Context, Env, ExecutionError, extensions};
use regex::Regex;

/// How large a result is, next to its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    Scalar,
    /// As long as all its arguments together, at most.
    Text,
    /// A list with as many texts as there are bytes, at most.
    Split,
    Join,
    Replace,
    /// The argument itself.
    Same,
    /// Looks at every text at every place.
    Search,
}

#[derive(Debug)]
pub struct Function {
    pub name: &'static str,
    /// Called as `target.name(…)`, as `name(…)`, or either way.
    pub style: Style,
    /// Without the target.
    pub arguments: RangeInclusive<usize>,
    pub growth: Growth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Global,
    Member,
    /// `size(x)` or `x.size()`.
    Either,
}

const fn function(name: &'static str, style: Style, arguments: RangeInclusive<usize>, growth: Growth) -> Function {
    Function { name, style, arguments, growth }
}

pub const FUNCTIONS: &[Function] = &[
    function("bool", Style::Global, 1..=1, Growth::Scalar),
    function("bytes", Style::Global, 1..=1, Growth::Text),
    function("charAt", Style::Member, 1..=1, Growth::Text),
    function("contains", Style::Member, 1..=1, Growth::Scalar),
    function("double", Style::Global, 1..=1, Growth::Scalar),
    function("dyn", Style::Global, 1..=1, Growth::Same),
    function("endsWith", Style::Member, 1..=1, Growth::Scalar),
    function("indexOf", Style::Member, 1..=2, Growth::Search),
    function("int", Style::Global, 1..=1, Growth::Scalar),
    function("join", Style::Member, 0..=1, Growth::Join),
    function("lastIndexOf", Style::Member, 1..=2, Growth::Search),
    function("lowerAscii", Style::Member, 0..=0, Growth::Text),
    function("matches", Style::Either, 1..=1, Growth::Scalar),
    function("replace", Style::Member, 2..=3, Growth::Replace),
    function("reverse", Style::Member, 0..=0, Growth::Text),
    function("size", Style::Either, 0..=0, Growth::Scalar),
    function("split", Style::Member, 1..=2, Growth::Split),
    function("startsWith", Style::Member, 1..=1, Growth::Scalar),
    function("string", Style::Global, 1..=1, Growth::Text),
    function("substring", Style::Member, 1..=2, Growth::Text),
    function("trim", Style::Member, 0..=0, Growth::Text),
    function("type", Style::Global, 1..=1, Growth::Scalar),
    function("uint", Style::Global, 1..=1, Growth::Scalar),
    function("upperAscii", Style::Member, 0..=0, Growth::Text),
];

/// Macros: whatever of these is left after parsing was not written the way it must be.
pub const MACROS: [(&str, &str); 6] = [
    ("all", "list.all(x, condition)"),
    ("exists", "list.exists(x, condition)"),
    ("exists_one", "list.exists_one(x, condition)"),
    ("filter", "list.filter(x, condition)"),
    ("has", "has(a.b)"),
    ("map", "list.map(x, value)"),
];

/// Names that `type(x)` may be compared with.
pub const TYPES: [&str; 10] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

pub const OPERATORS: [&str; 18] = [
    "_?_:_", "_&&_", "_||_", "!_", "_-_", "_+_", "_*_", "_/_", "_%_", "_==_", "_!=_", "_>=_", "_<=_", "_>_", "_<_",
    "-_", "_[_]", "@in",
];

/// Wraps what a comprehension loops over, see [`ordered`].
pub const ORDERED: &str = "@ordered";
const MATCHES: &str = "@matches_";

pub fn matches_name(index: usize) -> String {
    format!("{MATCHES}{index}")
}

pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// How the result of a call grows, whoever put the call there.
pub fn growth(name: &str) -> Growth {
    match find(name) {
        Some(function) => function.growth,
        None if name == ORDERED => Growth::Same,
        None => Growth::Scalar,
    }
}

/// A pattern is compiled once, when the definition is applied, and may not become a large machine.
pub fn pattern(text: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(text).size_limit(256 * 1024).dfa_size_limit(512 * 1024).nest_limit(32).build()
}

/// Everything that can be called, without variables yet.
pub fn context<'v>(patterns: &[Regex]) -> Context<'v, 'v> {
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    for (index, pattern) in patterns.iter().enumerate() {
        let pattern = pattern.clone();
        let matches = move |This(text): This<Arc<String>>| pattern.is_match(&text);
        context.add_function(&matches_name(index), matches).expect("no overload has a name with @");
    }
    context
}

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut environment = Env::default().with_optional_support(false).with_stdlib();
    environment.add_extension(extensions::strings).expect("the extension is added once");
    environment.add_overload(ORDERED, "ordered_dyn", vec![DYN_TYPE], ordered).expect("a new name");
    Arc::new(environment)
});

/// The library walks maps in the order of a seeded hash; ours is the order of the keys, or the
/// same facts would not give the same value.
fn ordered<'b, 'v>(mut arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let range = arguments.pop().ok_or_else(ExecutionError::missing_argument_or_target)?;
    let Some(map) = range.downcast_ref::<CelMap>() else { return Ok(range) };
    let mut keys: Vec<_> = map.keys().collect();
    keys.sort();
    let keys: Vec<Box<dyn Val + 'v>> = keys.into_iter().map(|key| key.inner().clone_as_boxed()).collect();
    Ok(CowVal::owned(CelList::from(keys)))
}

//! Which attempts a worker may take, and an index that finds workers by the name of an attempt without looking at the
//! others.
//!
//! A pattern and the names that it fits meet in a *node*, which is a text: `mail.send` for the name itself, `mail.` for
//! everything below it, and the empty text for every name. An attempt is found under each node of its name, of which
//! there are as many as it has segments, and one more.

use std::collections::{BTreeSet, HashMap};
use std::iter;
use std::sync::Arc;

use fleetprompt_core::TenantId;
use fleetprompt_core::performs::{Labels, Pattern};

use super::attempt::Attempt;

/// Who may take what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taker {
    /// None: of every tenant.
    pub tenant: Option<TenantId>,
    pub names: Vec<Pattern>,
    pub labels: Labels,
    /// Nodes of `names` in ascending order, without those that lie below another of them.
    pub(super) nodes: Arc<[Arc<str>]>,
}

impl Taker {
    pub fn new(tenant: Option<TenantId>, names: Vec<Pattern>, labels: Labels) -> Self {
        let all: BTreeSet<&str> = names.iter().map(node_of).collect();
        let is_outermost = |node: &&&str| !nodes_above(node).any(|above| all.contains(above));
        let nodes = all.iter().filter(is_outermost).map(|node| Arc::from(*node)).collect();
        Self { tenant, nodes, names, labels }
    }

    pub fn may_take(&self, attempt: &Attempt) -> bool {
        self.may_take_named(attempt.tenant, &attempt.name, &attempt.labels)
    }

    /// The same for an attempt that is known by what decides about it.
    pub fn may_take_named(&self, tenant: TenantId, name: &str, labels: &Labels) -> bool {
        self.is_of(tenant) && self.performs(name) && self.has(labels)
    }

    pub fn is_of(&self, tenant: TenantId) -> bool {
        self.tenant.is_none_or(|own| own == tenant)
    }

    fn performs(&self, name: &str) -> bool {
        nodes_of_name(name).any(|node| self.nodes.binary_search_by(|own| (**own).cmp(node)).is_ok())
    }

    pub(super) fn has(&self, wanted: &Labels) -> bool {
        wanted.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }
}

fn node_of(pattern: &Pattern) -> &str {
    match pattern {
        Pattern::Exactly(name) => name.as_str(),
        Pattern::Within(prefix) => prefix,
        Pattern::Any => "",
    }
}

/// The nodes that a node lies below, from the outermost.
fn nodes_above(node: &str) -> impl Iterator<Item = &str> {
    let prefixes = node.match_indices('.').map(|(dot, _)| &node[..=dot]);
    iter::once("").chain(prefixes).filter(|above| above.len() < node.len())
}

pub(super) fn nodes_of_name(name: &str) -> impl Iterator<Item = &str> {
    nodes_above(name).chain(iter::once(name))
}

/// Takers by tenant and node. Each has a number, and a lower one comes first.
#[derive(Default)]
pub struct TakerIndex {
    scopes: HashMap<Option<TenantId>, HashMap<Arc<str>, BTreeSet<u64>>>,
}

impl TakerIndex {
    pub fn insert(&mut self, taker: &Taker, number: u64) {
        let nodes = self.scopes.entry(taker.tenant).or_default();
        for node in taker.nodes.iter() {
            nodes.entry(node.clone()).or_default().insert(number);
        }
    }

    pub fn remove(&mut self, taker: &Taker, number: u64) {
        let Some(nodes) = self.scopes.get_mut(&taker.tenant) else { return };
        for node in taker.nodes.iter() {
            if let Some(numbers) = nodes.get_mut(node)
                && numbers.remove(&number)
                && numbers.is_empty()
            {
                nodes.remove(node);
            }
        }
        if nodes.is_empty() {
            self.scopes.remove(&taker.tenant);
        }
    }

    /// The numbers of those that may take attempts of this tenant and name, labels aside, by node.
    pub fn find<'a>(&'a self, tenant: TenantId, name: &'a str) -> impl Iterator<Item = &'a BTreeSet<u64>> {
        let scopes = [Some(tenant), None].into_iter().filter_map(|scope| self.scopes.get(&scope));
        scopes.flat_map(move |nodes| nodes_of_name(name).filter_map(|node| nodes.get(node)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_finds_those_whose_patterns_fit_and_nobody_else() {
        let texts = ["*", "mail.*", "mail.list.*", "mail.list.add", "mail.send", "sms.send"];
        let pattern = |text: &str| text.parse::<Pattern>().expect("a pattern");
        let takers: Vec<Taker> =
            texts.iter().map(|text| Taker::new(None, vec![pattern(text)], Labels::new())).collect();
        let mut index = TakerIndex::default();
        (0..).zip(&takers).for_each(|(number, taker)| index.insert(taker, number));
        let tenant = TenantId(uuid::Uuid::from_u128(1));
        for name in ["mail.send", "mail.list.add", "mail.list.drop", "mailing.send", "sms.send"] {
            let found: BTreeSet<u64> = index.find(tenant, name).flatten().copied().collect();
            let fits: BTreeSet<u64> =
                (0..).zip(texts).filter(|(_, text)| pattern(text).fits(name)).map(|(n, _)| n).collect();
            assert_eq!(found, fits, "{name}");
            assert!((0..).zip(&takers).all(|(number, taker)| taker.performs(name) == fits.contains(&number)), "{name}");
        }
        (0..).zip(&takers).for_each(|(number, taker)| index.remove(taker, number));
        assert!(index.scopes.is_empty(), "nothing is left behind");
    }

    #[test]
    fn a_pattern_below_another_adds_nothing() {
        let names = ["mail.send", "mail.*", "sms.send", "mail.list.*"].map(|text| text.parse().expect("a pattern"));
        let taker = Taker::new(None, names.to_vec(), Labels::new());
        let nodes: Vec<&str> = taker.nodes.iter().map(|node| &**node).collect();
        assert_eq!((nodes, taker.names.len()), (vec!["mail.", "sms.send"], 4));
    }
}

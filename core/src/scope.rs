//! On whose behalf something is done.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{RecordId, TenantId};

/// What a record is about, or who caused it: `{"type": "thread", "id": "42"}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    #[serde(rename = "type")]
    pub kind: String,
    pub id: String,
}

impl Party {
    pub const BYTES_MAX: usize = 255;

    pub fn new(kind: &str, id: impl ToString) -> Self {
        Self { kind: kind.to_owned(), id: id.to_string() }
    }

    /// The engine itself, acting by rule.
    pub fn engine() -> Self {
        Self::new("engine", "fleetprompt")
    }

    pub fn is_valid(&self) -> bool {
        let fits = |text: &str| (1..=Self::BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control);
        fits(&self.kind) && fits(&self.id)
    }
}

/// Types of actors that only the engine names: it knows them by their credential, or is one of them.
const ENGINE_ACTORS: [&str; 5] = ["engine", "key", "operator", "run", "schedule"];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidActor {
    #[error("actor: the type `{0}` is, or looks like, one of the engine's; leave `actor` out to be named by your key")]
    Reserved(String),
    #[error(
        "actor: `type` has ASCII letters, digits, spaces within and `_-.:/` only, like `user`, and `id` has no invisible \
         characters"
    )]
    Text,
}

impl Party {
    /// Checks an actor that a caller names: readers of the record must not take it for one that the engine names.
    pub fn check_claimed_actor(&self) -> Result<(), InvalidActor> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:/ ".contains(&byte);
        let is_trimmed = self.kind.trim_ascii() == self.kind && !self.kind.is_empty();
        if !is_trimmed || !self.kind.bytes().all(is_plain) || self.id.contains(is_invisible) {
            return Err(InvalidActor::Text);
        }
        let appearance = appearance(&self.kind);
        match ENGINE_ACTORS.iter().any(|reserved| self::appearance(reserved) == appearance) {
            true => Err(InvalidActor::Reserved(self.kind.clone())),
            false => Ok(()),
        }
    }
}

/// What is left of an ASCII text when everything is dropped that readers overlook: case, punctuation and spaces, and which
/// of `0` and `o`, or of `1`, `i` and `l`, it has.
fn appearance(text: &str) -> String {
    let letters = text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase());
    letters
        .map(|c| match c {
            '0' => 'o',
            '1' | 'i' => 'l',
            other => other,
        })
        .collect()
}

/// Characters that are not shown, or that change the order in which others are.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Where a record stands in the chain of cause and effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// Groups related work: the caller's own text, or the id of the first record.
    pub correlation_id: Arc<str>,
    /// The one record that caused this one; none for a root fact.
    pub causation_id: Option<RecordId>,
    /// Number of runs between this record and its root. It stays at the largest number once that is reached: a
    /// workflow may start its next run for years.
    pub depth: u16,
}

impl Lineage {
    pub const CORRELATION_BYTES_MAX: usize = 255;

    /// The lineage of a root fact.
    pub fn root(correlation_id: impl Into<Arc<str>>) -> Self {
        Self { correlation_id: correlation_id.into(), causation_id: None, depth: 0 }
    }

    /// What follows from `cause`, in the same group.
    pub fn caused_by(&self, cause: impl Into<RecordId>) -> Self {
        Self { correlation_id: self.correlation_id.clone(), causation_id: Some(cause.into()), depth: self.depth }
    }

    /// The lineage of a run that the holder of this lineage starts.
    pub fn of_run(self) -> Self {
        Self { depth: self.depth.saturating_add(1), ..self }
    }
}

/// The tenant and the actor, both from the credential, never from the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub tenant: TenantId,
    pub actor: Party,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, id: &str) -> Result<(), InvalidActor> {
        Party::new(kind, id).check_claimed_actor()
    }

    #[test]
    fn no_actor_of_a_caller_looks_like_one_of_the_engine() {
        for kind in ["engine", "Key", "KEY", "k-e-y", "key.", "operat0r", "Operator", "schedu1e", "Eng1ne", "r u n"] {
            assert_eq!(check(kind, "7"), Err(InvalidActor::Reserved(kind.to_owned())), "{kind}");
        }
        // Spaces around it, letters of other scripts, full width, a character without width, nothing.
        for kind in
            ["key ", " key", "k\u{435}y", "\u{43a}ey", "\u{ff4b}\u{ff45}\u{ff59}", "k\u{200b}ey", "kéy", "", " "]
        {
            assert_eq!(check(kind, "7"), Err(InvalidActor::Text), "{kind:?}");
        }
        assert_eq!(check("user", "7\u{202e}yek"), Err(InvalidActor::Text));
    }

    #[test]
    fn callers_name_people_and_systems_as_they_like() {
        for kind in ["user", "GitHub", "service account", "crm/contact", "monkey", "keys", "agent", "x.y:z_1-2"] {
            assert_eq!(check(kind, "Zoë 用户 <7>"), Ok(()), "{kind}");
        }
    }
}

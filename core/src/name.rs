//! Names that travel: of signals, directives, workflows, agents and tenants.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `forum.thread.created`: lower case, dot-delimited, at least two segments, at most 255 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// `forum-new-thread-triage` or `forum_summary_agent`: how one thing of a tenant is addressed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slug(Arc<str>);

/// The first segments of the names that only the engine may emit: those under which it records what it did, and those
/// that are kept for what it will record. Without them its record could be forged. This is the only list of them.
pub const RESERVED: [&str; 21] = [
    "agent",
    "approval",
    "budget",
    "content",
    "directive",
    "directive_type",
    "document",
    "engine",
    "execution",
    "function",
    "human_task",
    "key",
    "module",
    "policy",
    "schedule",
    "secret",
    "signal",
    "subject",
    "tenant",
    "webhook",
    "workflow",
];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    #[error(
        "`{0}` is not a name: expected at least two segments of a-z, 0-9 and _ joined by dots, like \
         `forum.thread.created`"
    )]
    Name(String),
    #[error("`{0}` is not a slug: expected 1 to 100 characters of a-z, 0-9, - and _, beginning with a letter or digit")]
    Slug(String),
}

impl Name {
    pub const BYTES_MAX: usize = 255;

    /// Returns `true` if the name begins with one of [`RESERVED`]: only the engine may emit it.
    pub fn is_reserved(&self) -> bool {
        let first = self.0.split('.').next().unwrap_or_default();
        RESERVED.contains(&first)
    }

    /// A name written in our own source.
    pub fn known(name: &'static str) -> Self {
        debug_assert!(name.parse::<Self>().is_ok(), "{name}");
        Self(name.into())
    }

    fn is_valid(text: &str) -> bool {
        let segment = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        text.len() <= Self::BYTES_MAX && text.contains('.') && text.split('.').all(segment)
    }
}

impl Slug {
    pub const BYTES_MAX: usize = 100;

    /// The slug that a title gives: `Forum new-thread triage` becomes `forum-new-thread-triage`.
    pub fn from_title(title: &str) -> Option<Self> {
        let mut slug = String::new();
        for c in title.chars() {
            if c.is_ascii_alphanumeric() || c == '_' {
                slug.push(c.to_ascii_lowercase());
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
        }
        slug.truncate(Self::BYTES_MAX);
        slug.trim_end_matches('-').parse().ok()
    }

    fn is_valid(text: &str) -> bool {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        (1..=Self::BYTES_MAX).contains(&text.len())
            && text.bytes().next().is_some_and(plain)
            && text.bytes().all(|b| plain(b) || b == b'-' || b == b'_')
    }
}

/// Which of the known names somebody most likely meant.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A stranger's text may be long; beyond this no edit distance is small.
    let wanted: String = wanted.chars().take(100).collect();
    let scored = known.into_iter().map(|name| (strsim::normalized_damerau_levenshtein(&wanted, name), name));
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(score, _)| *score >= 0.6).map(|(_, name)| name)
}

macro_rules! text_newtype {
    ($name:ident) => {
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if Self::is_valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidName::$name(text.chars().take(80).collect()))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text_newtype!(Name);
text_newtype!(Slug);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_two_segments_of_lower_case() {
        for good in ["forum.thread.created", "a.b", "x_1.y_2.z_3"] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        let long = format!("a.{}", "b".repeat(254));
        for bad in ["", "forum", "Forum.thread", "a..b", ".a.b", "a.b.", "a-b.c", "a.b c", "ä.b", &long] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_whole_first_segments_are_reserved() {
        let is_reserved = |name: &str| name.parse::<Name>().expect("a name").is_reserved();
        for first in RESERVED {
            assert!(is_reserved(&format!("{first}.applied")), "{first}");
            assert!(
                !is_reserved(&format!("my_{first}.applied")) && !is_reserved(&format!("{first}s.applied")),
                "{first}"
            );
        }
        assert!(RESERVED.is_sorted(), "so that readers find them");
    }

    #[test]
    fn a_title_gives_the_slug_one_would_write() {
        let slug = |title| Slug::from_title(title).map(|slug| slug.to_string());
        assert_eq!(slug("Forum new-thread triage"), Some("forum-new-thread-triage".into()));
        assert_eq!(slug("  Refund (EU) – v2 "), Some("refund-eu-v2".into()));
        assert_eq!(slug("日本"), None);
    }
}

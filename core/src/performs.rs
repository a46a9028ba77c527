//! What workers perform: which names, and where.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Name;

/// What a worker says of itself, and what some work asks of whoever takes it.
pub type Labels = BTreeMap<String, String>;

const LABELS_MAX: usize = 20;
const LABEL_BYTES_MAX: usize = 63;

pub fn check_labels(labels: &Labels) -> Result<(), String> {
    if labels.len() > LABELS_MAX {
        return Err(format!("there are {}; at most {LABELS_MAX} are allowed", labels.len()));
    }
    let is_plain = |text: &String| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        (1..=LABEL_BYTES_MAX).contains(&text.len()) && text.bytes().all(known)
    };
    match labels.iter().flat_map(|(key, value)| [key, value]).find(|text| !is_plain(text)) {
        Some(text) => {
            let shown = crate::diagnostic::shown(text);
            Err(format!("`{shown}`: expected 1 to {LABEL_BYTES_MAX} of the characters a-z A-Z 0-9 - _ . /"))
        }
        None => Ok(()),
    }
}

/// Names of functions and directives: one, `mail.*` for all that begin so, or `*` for all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Pattern {
    Exactly(Name),
    /// With the dot that it ends in.
    Within(String),
    Any,
}

impl Pattern {
    pub fn fits(&self, name: &str) -> bool {
        match self {
            Self::Exactly(own) => own.as_str() == name,
            Self::Within(prefix) => name.starts_with(prefix.as_str()),
            Self::Any => true,
        }
    }

    /// What both fit, if anything: of two patterns one lies within the other, or they have nothing in common.
    pub fn common(&self, other: &Self) -> Option<Self> {
        let lies_within = |one: &Self, other: &Self| match (one, other) {
            (_, Self::Any) => true,
            (Self::Exactly(name), other) => other.fits(name.as_str()),
            (Self::Within(prefix), Self::Within(outer)) => prefix.starts_with(outer.as_str()),
            (Self::Within(_) | Self::Any, _) => false,
        };
        match (lies_within(self, other), lies_within(other, self)) {
            (true, _) => Some(self.clone()),
            (false, true) => Some(other.clone()),
            (false, false) => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name of functions or directives: expected one like `mail.send`, `mail.*` or `*`")]
pub struct InvalidPattern(String);

impl std::str::FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let invalid = || InvalidPattern(crate::diagnostic::shown(text));
        match text.strip_suffix('*') {
            Some("") => Ok(Self::Any),
            // What comes before the star is a name, or would be one with another segment.
            Some(prefix) => match prefix.strip_suffix('.').map(|before| format!("{before}.x").parse::<Name>()) {
                Some(Ok(_)) => Ok(Self::Within(prefix.to_owned())),
                Some(Err(_)) | None => Err(invalid()),
            },
            None => text.parse().map(Self::Exactly).map_err(|_| invalid()),
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(name) => f.write_str(name.as_str()),
            Self::Within(prefix) => write!(f, "{prefix}*"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// What a key that is made for workers may take and report, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Performs {
    pub names: Vec<Pattern>,
    /// The work of every tenant, and not only of the key's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_tenants: bool,
}

impl Performs {
    /// What of these it is for.
    pub fn of(&self, names: &[Pattern]) -> Vec<Pattern> {
        let of = names.iter().flat_map(|name| self.names.iter().filter_map(|own| own.common(name)));
        // Each is one of those here or there, however many pairs there are.
        of.collect::<BTreeSet<Pattern>>().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::one("mail.send", &["mail.send"], &["mail.send.now", "mail.sent", "mail"])]
    #[case::a_family("mail.*", &["mail.send", "mail.list.add"], &["mail", "mailing.send", "sms.send"])]
    #[case::a_deeper_family("mail.list.*", &["mail.list.add"], &["mail.lists.add", "mail.list"])]
    #[case::all("*", &["mail.send", "a.b"], &[])]
    fn a_pattern_fits_whole_segments(#[case] pattern: &str, #[case] fits: &[&str], #[case] others: &[&str]) {
        let read: Pattern = pattern.parse().expect("it is one");
        assert_eq!(read.to_string(), pattern);
        assert!(fits.iter().all(|name| read.fits(name)), "{pattern}");
        assert!(!others.iter().any(|name| read.fits(name)), "{pattern}");
    }

    #[rstest]
    fn what_is_no_pattern_is_refused(
        #[values("", "mail", "mail*", "*.send", "mail.*.now", "Mail.*", "mail.**", ".*", "mail..*")] text: &str,
    ) {
        assert!(text.parse::<Pattern>().is_err(), "{text}");
    }

    #[rstest]
    #[case::the_narrower("mail.*", "mail.list.*", Some("mail.list.*"))]
    #[case::one_of_a_family("mail.send", "mail.*", Some("mail.send"))]
    #[case::anything("*", "mail.*", Some("mail.*"))]
    #[case::the_same("mail.send", "mail.send", Some("mail.send"))]
    #[case::nothing("mail.*", "sms.*", None)]
    #[case::nothing_by_a_segment("mail.*", "mailing.send", None)]
    fn of_two_patterns_the_narrower_is_common(#[case] one: &str, #[case] other: &str, #[case] common: Option<&str>) {
        let read = |text: &str| text.parse::<Pattern>().expect("it is one");
        let expected = common.map(read);
        assert_eq!(read(one).common(&read(other)), expected);
        assert_eq!(read(other).common(&read(one)), expected);
    }

    #[test]
    fn labels_are_few_short_and_plain() {
        let label = |key: &str, value: &str| Labels::from([(key.to_owned(), value.to_owned())]);
        assert_eq!(check_labels(&label("region", "eu-1")), Ok(()));
        for (key, value) in [("", "x"), ("a b", "x"), ("a", ""), ("a", "\u{0}")] {
            assert!(check_labels(&label(key, value)).is_err(), "{key} {value}");
        }
        let many = (0..21).map(|n| (format!("l{n}"), "x".to_owned())).collect();
        assert!(check_labels(&many).is_err());
    }
}

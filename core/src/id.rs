//! Identities: UUIDv7, so that an id is also its place in the tenant's log, shown with a type
//! prefix in the TypeID form (`sig_01h455vb4pex5vsknk084sn02q`): a prefix, then 26 characters of
//! Crockford's base 32 in lower case.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}: expected `{prefix}_` and 26 characters of base 32")]
pub struct InvalidId {
    text: String,
    expected: &'static str,
    prefix: &'static str,
}

impl InvalidId {
    fn new(text: &str, expected: &'static str, prefix: &'static str) -> Self {
        // The text is a stranger's: enough of it to be recognised, no more.
        Self { text: text.chars().take(64).collect(), expected, prefix }
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            pub const PREFIX: &str = $prefix;

            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($prefix, "_"))?;
                f.write_str(base32::encode(self.0.as_u128(), &mut [0; 26]))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(base32::decode)
                    .map(|bits| Self(Uuid::from_u128(bits)))
                    .ok_or_else(|| InvalidId::new(text, $what, $prefix))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    TenantId "tnt" "a tenant's id";
    KeyId "key" "an API key's id";
    SignalId "sig" "a signal's id";
    DirectiveId "dir" "a directive's id";
    RunId "run" "a run's id";
    WorkflowVersionId "wfv" "a workflow version's id";
}

/// The one record that caused another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordId {
    Signal(SignalId),
    Directive(DirectiveId),
    Run(RunId),
}

impl RecordId {
    pub fn uuid(&self) -> Uuid {
        match self {
            Self::Signal(id) => id.0,
            Self::Directive(id) => id.0,
            Self::Run(id) => id.0,
        }
    }

    /// Milliseconds since the Unix epoch: ids are UUIDv7.
    pub fn created_ms(&self) -> i64 {
        (self.uuid().as_u64_pair().0 >> 16) as i64
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(id) => id.fmt(f),
            Self::Directive(id) => id.fmt(f),
            Self::Run(id) => id.fmt(f),
        }
    }
}

impl FromStr for RecordId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text.split_once('_').map(|(prefix, _)| prefix) {
            Some(DirectiveId::PREFIX) => text.parse().map(Self::Directive),
            Some(RunId::PREFIX) => text.parse().map(Self::Run),
            Some(SignalId::PREFIX) => text.parse().map(Self::Signal),
            _ => Err(InvalidId::new(text, "the id of a signal, directive or run", SignalId::PREFIX)),
        }
    }
}

impl Serialize for RecordId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl From<SignalId> for RecordId {
    fn from(id: SignalId) -> Self {
        Self::Signal(id)
    }
}

impl From<DirectiveId> for RecordId {
    fn from(id: DirectiveId) -> Self {
        Self::Directive(id)
    }
}

impl From<RunId> for RecordId {
    fn from(id: RunId) -> Self {
        Self::Run(id)
    }
}

/// The TypeID spelling of 128 bits: 26 characters, most significant first.
mod base32 {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

    pub fn encode(bits: u128, buffer: &mut [u8; 26]) -> &str {
        let mut rest = bits;
        for place in buffer.iter_mut().rev() {
            *place = ALPHABET[(rest & 31) as usize];
            rest >>= 5;
        }
        std::str::from_utf8(buffer).expect("the alphabet is ASCII")
    }

    pub fn decode(text: &str) -> Option<u128> {
        // 26 × 5 = 130 bits: a first character above 7 would not fit.
        if text.len() != 26 || text.as_bytes()[0] > b'7' {
            return None;
        }
        text.bytes().try_fold(0u128, |bits, byte| {
            let digit = ALPHABET.iter().position(|&known| known == byte)?;
            Some(bits << 5 | digit as u128)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_typeid_specification_s_example_is_spelled_the_same() {
        let uuid = Uuid::parse_str("01890a5d-ac96-774b-bcce-b302099a8057").expect("a uuid");
        assert_eq!(SignalId(uuid).to_string(), "sig_01h455vb4pex5vsknk084sn02q");
        assert_eq!("sig_01h455vb4pex5vsknk084sn02q".parse(), Ok(SignalId(uuid)));
    }

    #[test]
    fn an_id_of_another_kind_or_out_of_range_is_refused() {
        assert!("run_01h455vb4pex5vsknk084sn02q".parse::<SignalId>().is_err());
        assert!("sig_81h455vb4pex5vsknk084sn02q".parse::<SignalId>().is_err());
        assert!("sig_01h455vb4pex5vsknk084sn02".parse::<SignalId>().is_err());
        assert!("sig_01H455VB4PEX5VSKNK084SN02Q".parse::<SignalId>().is_err());
    }
}

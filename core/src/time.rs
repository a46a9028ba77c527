//! Time as data: integer microseconds inside, RFC 3339 in UTC outside. The clock itself is read
//! elsewhere.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Microseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time like `2026-11-22T09:30:00Z`")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// The first microsecond of the year 0.
    const FIRST: Self = Self(-62_167_219_200_000_000);

    /// Returns `true` if RFC 3339 can express the time: its years are 0 to 9999.
    pub fn is_rfc_3339(self) -> bool {
        // Times that are read do not come after the year 9999.
        self >= Self::FIRST
    }

    pub fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => write!(f, "{time:.6}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let time: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp)?;
        Ok(Self(time.as_microsecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;

    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Self;

    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Sub for Timestamp {
    type Output = Span;

    fn sub(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// A length of time in microseconds, written `250ms`, `60s`, `5m`, `1h`, `7d` or a sum, `1h30m`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub i64);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a duration like `250ms`, `60s`, `5m`, `1h30m` or `7d` (at most 10 years)")]
pub struct InvalidSpan;

const UNITS: [(&str, i64); 5] =
    [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)];

impl Span {
    pub const MAX: Self = Self(3_650 * 86_400_000_000);

    pub const fn from_millis(millis: i64) -> Self {
        Self(millis * 1_000)
    }

    pub const fn from_secs(secs: i64) -> Self {
        Self(secs * 1_000_000)
    }

    pub fn millis(self) -> i64 {
        self.0 / 1_000
    }

    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0.max(0) as u64)
    }
}

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let mut rest = text;
        let mut total = 0i64;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(InvalidSpan)?;
            let number: i64 = rest[..digits].parse().map_err(|_| InvalidSpan)?;
            rest = &rest[digits..];
            let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let unit = &rest[..unit_end];
            let (_, micros) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(InvalidSpan)?;
            total = number.checked_mul(*micros).and_then(|part| total.checked_add(part)).ok_or(InvalidSpan)?;
            rest = &rest[unit_end..];
        }
        if text.is_empty() || total > Self::MAX.0 { Err(InvalidSpan) } else { Ok(Self(total)) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        if rest < 1_000 {
            return write!(f, "{}ms", rest as f64 / 1_000.0);
        }
        for (name, micros) in UNITS {
            if rest >= micros {
                write!(f, "{}{name}", rest / micros)?;
                rest %= micros;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_with_microseconds() {
        let time: Timestamp = "2026-11-22T09:30:00.25+01:00".parse().expect("a time");
        assert_eq!(time.to_string(), "2026-11-22T08:30:00.250000Z");
    }

    #[test]
    fn what_rfc_3339_cannot_express_is_known_as_such() {
        let is_rfc_3339 = |text: &str| text.parse::<Timestamp>().expect(text).is_rfc_3339();
        for text in ["0000-01-01T00:00:00Z", "9999-12-30T21:59:59.999999Z", "1969-07-20T20:17:40Z"] {
            assert!(is_rfc_3339(text), "{text}");
        }
        for text in ["-000001-12-31T23:59:59.999999Z", "-009999-01-03T00:00:00Z"] {
            assert!(!is_rfc_3339(text), "{text}");
        }
    }

    #[test]
    fn digits_beyond_microseconds_are_cut_and_a_leap_second_is_the_second_before() {
        let time = |text: &str| text.parse::<Timestamp>().expect(text);
        assert_eq!(time("2026-11-22T09:30:00.123456999Z"), time("2026-11-22T09:30:00.123456Z"));
        assert_eq!(time("2016-12-31T23:59:60Z"), time("2016-12-31T23:59:59Z"));
    }

    #[test]
    fn spans_are_read_and_written_the_same_way() {
        for text in ["250ms", "60s", "1h30m", "7d", "1m5s20ms"] {
            let span: Span = text.parse().expect(text);
            assert_eq!(span.to_string().parse(), Ok(span), "{text}");
        }
        assert_eq!("90s".parse::<Span>().map(|span| span.to_string()), Ok("1m30s".into()));
    }

    #[test]
    fn what_is_not_a_span_is_refused() {
        for text in ["", "1", "s", "1.5s", "-1s", "1y", "99999999999999999999s", "4000d"] {
            assert_eq!(text.parse::<Span>(), Err(InvalidSpan), "{text}");
        }
    }
}

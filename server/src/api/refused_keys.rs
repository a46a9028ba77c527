//! Requests that were refused because of their key: counted, and logged at most once a minute for each reason, so that
//! guesses do not fill the log.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fleetprompt_core::KeyId;
use fleetprompt_core::tenant::Key;
use parking_lot::Mutex;

const LOG_EVERY: Duration = Duration::from_secs(60);

/// Why a key may not be used. The caller is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRefusal {
    /// The request has no key, or not as a bearer token.
    Missing,
    Unknown,
    Expired(KeyId),
    Revoked(KeyId),
}

impl KeyRefusal {
    const REASONS: [&'static str; 4] = ["missing", "unknown", "expired", "revoked"];

    /// Of a key that may not be used, or of none.
    pub fn of(key: Option<&Key>) -> Self {
        match key {
            None => Self::Unknown,
            Some(key) if key.revoked_at.is_some() => Self::Revoked(key.id),
            Some(key) => Self::Expired(key.id),
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Missing => 0,
            Self::Unknown => 1,
            Self::Expired(_) => 2,
            Self::Revoked(_) => 3,
        }
    }

    fn key(self) -> Option<KeyId> {
        match self {
            Self::Missing | Self::Unknown => None,
            Self::Expired(key) | Self::Revoked(key) => Some(key),
        }
    }
}

#[derive(Debug, Default)]
pub struct RefusedKeys {
    counts: [AtomicU64; 4],
    /// When the last line was logged, and the count that it had.
    logged: Mutex<[Option<(Instant, u64)>; 4]>,
}

impl RefusedKeys {
    pub fn count(&self, refusal: KeyRefusal) {
        if let Some(since_last) = self.add(refusal, Instant::now()) {
            let (reason, key) = (KeyRefusal::REASONS[refusal.index()], refusal.key().map(|key| key.to_string()));
            tracing::warn!(target: "http", reason, key, since_last, "requests were refused because of their key");
        }
    }

    /// Returns how many there were since the last line, if another is due.
    fn add(&self, refusal: KeyRefusal, now: Instant) -> Option<u64> {
        let index = refusal.index();
        let count = self.counts[index].fetch_add(1, Ordering::Relaxed) + 1;
        let mut logged = self.logged.lock();
        match logged[index] {
            Some((at, _)) if now.duration_since(at) < LOG_EVERY => None,
            last => {
                logged[index] = Some((now, count));
                Some(count - last.map_or(0, |(_, count)| count))
            }
        }
    }

    pub fn render(&self, into: &mut String) {
        into.push_str("# HELP fleetprompt_keys_refused Requests refused because of their key, by reason.\n");
        into.push_str("# TYPE fleetprompt_keys_refused counter\n");
        for (reason, count) in KeyRefusal::REASONS.iter().zip(&self.counts) {
            let count = count.load(Ordering::Relaxed);
            let _ = writeln!(into, "fleetprompt_keys_refused_total{{reason=\"{reason}\"}} {count}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_logged_at_most_once_a_minute_and_says_how_many_there_were() {
        let (refused, now) = (RefusedKeys::default(), Instant::now());
        assert_eq!(refused.add(KeyRefusal::Unknown, now), Some(1));
        for _ in 0..9 {
            assert_eq!(refused.add(KeyRefusal::Unknown, now + LOG_EVERY / 2), None);
        }
        assert_eq!(refused.add(KeyRefusal::Missing, now + LOG_EVERY / 2), Some(1), "a reason of its own");
        assert_eq!(refused.add(KeyRefusal::Unknown, now + LOG_EVERY), Some(10));
        let mut text = String::new();
        refused.render(&mut text);
        assert!(text.contains("fleetprompt_keys_refused_total{reason=\"unknown\"} 11"), "{text}");
    }
}

//! When to try again.

use serde::{Deserialize, Serialize};

use crate::{Failure, Span};

/// Exponential backoff: attempt `n` waits `initial × factor^(n-1)`, at most `max`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// Counts the first attempt: 1 means no retry.
    pub max_attempts: u32,
    pub initial: Span,
    pub factor: f64,
    pub max: Span,
    /// Spreads each delay over its upper half, so that what failed together is not tried together.
    pub jitter: bool,
    /// The codes of failures that are tried again, whatever their class; `http_*` stands for all that
    /// begin so. Empty: those whose class says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<String>,
    /// No attempt begins so long after the first one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_elapsed: Option<Span>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 4,
            initial: Span::from_secs(1),
            factor: 2.0,
            max: Span::from_secs(60),
            jitter: true,
            on: Vec::new(),
            max_elapsed: None,
        }
    }
}

impl RetryPolicy {
    pub const ATTEMPTS_MAX: u32 = 1_000;

    pub fn once() -> Self {
        Self { max_attempts: 1, ..Self::default() }
    }

    /// What is wrong with it, where it was read from a document as it stands.
    pub fn check(&self) -> Result<(), String> {
        let fits = (1..=Self::ATTEMPTS_MAX).contains(&self.max_attempts) && (1.0..=100.0).contains(&self.factor);
        if fits { Ok(()) } else { Err("retry: `max_attempts` is 1 to 1000 and `factor` 1 to 100".to_owned()) }
    }

    /// The delay before the attempt after `attempt`, or none when there is to be no other; `elapsed`
    /// is the time since the first one began.
    /// `key` names what is retried, so that the jitter is the same whenever it is computed.
    pub fn delay(&self, attempt: u32, failure: &Failure, elapsed: Span, key: &str) -> Option<Span> {
        if !self.is_for(failure) || attempt >= self.max_attempts {
            return None;
        }
        let exponential = self.initial.0 as f64 * self.factor.powi(attempt.saturating_sub(1).min(64) as i32);
        let capped = exponential.min(self.max.0 as f64);
        let spread = if self.jitter { 0.5 + 0.5 * fraction(key, attempt) } else { 1.0 };
        let asked = failure.retry_after_ms.map_or(0, |millis| Span::from_millis(millis.clamp(0, 86_400_000)).0);
        let delay = Span(((capped * spread) as i64).max(asked));
        let is_over = self.max_elapsed.is_some_and(|max| elapsed.0.saturating_add(delay.0) >= max.0);
        (!is_over).then_some(delay)
    }

    fn is_for(&self, failure: &Failure) -> bool {
        let names = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => failure.code.starts_with(beginning),
            None => failure.code == *pattern,
        };
        if self.on.is_empty() { failure.retryable } else { self.on.iter().any(names) }
    }
}

/// A number in [0, 1) that only depends on its arguments.
fn fraction(key: &str, attempt: u32) -> f64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key.as_bytes());
    hasher.update(&attempt.to_le_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    (u64::from_le_bytes(first) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(policy: &RetryPolicy, key: &str) -> Vec<Option<Span>> {
        let failure = Failure::retry("timeout", "no answer");
        (1..=4).map(|attempt| policy.delay(attempt, &failure, Span::default(), key)).collect()
    }

    #[test]
    fn delays_double_up_to_the_cap_and_end_with_the_attempts() {
        let policy = RetryPolicy { max: Span::from_secs(3), jitter: false, ..RetryPolicy::default() };
        let secs = |s| Some(Span::from_secs(s));
        assert_eq!(delays(&policy, "k"), [secs(1), secs(2), secs(3), None]);
    }

    #[test]
    fn jitter_stays_in_the_upper_half_and_is_the_same_each_time() {
        let policy = RetryPolicy::default();
        assert_eq!(delays(&policy, "a"), delays(&policy, "a"));
        assert_ne!(delays(&policy, "a"), delays(&policy, "b"));
        for (attempt, delay) in delays(&policy, "a").into_iter().flatten().enumerate() {
            let full = 1_000_000 << attempt;
            assert!((full / 2..=full).contains(&delay.0), "{delay}");
        }
    }

    #[test]
    fn a_fatal_failure_is_not_tried_again_and_a_named_delay_is_kept() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.delay(1, &Failure::fatal("http_status", "404"), Span::default(), "k"), None);
        let busy = Failure { retry_after_ms: Some(30_000), ..Failure::retry("http_status", "429") };
        assert_eq!(policy.delay(1, &busy, Span::default(), "k"), Some(Span::from_secs(30)));
    }

    #[test]
    fn named_codes_decide_instead_of_the_class_and_the_time_limit_ends_it() {
        let policy = RetryPolicy { on: vec!["http_*".into(), "busy".into()], ..RetryPolicy::default() };
        let delay = |policy: &RetryPolicy, failure, secs| policy.delay(1, &failure, Span::from_secs(secs), "k");
        assert!(delay(&policy, Failure::fatal("http_status", "404"), 0).is_some());
        assert!(delay(&policy, Failure::fatal("busy", "later"), 0).is_some());
        assert_eq!(delay(&policy, Failure::retry("timeout", "no answer"), 0), None);
        let limited = RetryPolicy { max_elapsed: Some(Span::from_secs(10)), ..RetryPolicy::default() };
        assert!(delay(&limited, Failure::retry("timeout", "no answer"), 5).is_some());
        assert_eq!(delay(&limited, Failure::retry("timeout", "no answer"), 10), None);
    }
}

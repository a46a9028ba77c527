//! The messages that an endpoint has sent about one attempt. Each is signed, so that nobody else can make one; but whoever
//! has seen one can send it again, and so each counts once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::state::Refused;

/// A signed message is fresh for five minutes before and after its time; after these it is refused anyway.
const FRESH_FOR: Duration = Duration::from_secs(600);
/// Messages about one attempt within that time.
pub const MESSAGES_MAX: usize = 1_000;

#[derive(Debug, Clone, Default)]
pub struct Messages(HashMap<[u8; 32], Instant>);

impl Messages {
    /// Returns `false` if the message with this digest was there before.
    pub fn add(&mut self, digest: [u8; 32], now: Instant) -> Result<bool, Refused> {
        if self.0.contains_key(&digest) {
            return Ok(false);
        }
        if self.0.len() >= MESSAGES_MAX {
            self.0.retain(|_, at| now.duration_since(*at) <= FRESH_FOR);
        }
        if self.0.len() >= MESSAGES_MAX {
            return Err(Refused::TooManyMessages);
        }
        self.0.insert(digest, now);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_once_and_their_number_is_limited_while_they_are_fresh() {
        let (mut messages, now) = (Messages::default(), Instant::now());
        let digest = |number: usize| *blake3::hash(&number.to_be_bytes()).as_bytes();
        for number in 0..MESSAGES_MAX {
            assert_eq!(messages.add(digest(number), now), Ok(true));
        }
        assert_eq!(messages.add(digest(7), now), Ok(false));
        assert_eq!(messages.add(digest(MESSAGES_MAX), now + FRESH_FOR), Err(Refused::TooManyMessages));
        let later = now + FRESH_FOR + Duration::from_millis(1);
        assert_eq!(messages.add(digest(MESSAGES_MAX), later), Ok(true));
        assert_eq!(messages.0.len(), 1);
    }
}

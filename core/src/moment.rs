//! The only time and identity that decisions see. Whoever drives the engine makes one for each
//! input; a simulator makes it from a seed and gets the same ids every time.

use uuid::Uuid;

use crate::Timestamp;

/// `now`, and the ids that are handed out at it: UUIDv7 in strictly rising order, so that the order
/// of ids is the order of the log.
#[derive(Debug, Clone)]
pub struct Moment {
    now: Timestamp,
    ids: IdSource,
}

impl Moment {
    pub fn new(seed: u64) -> Self {
        Self { now: Timestamp(0), ids: IdSource { last: 0, random: seed } }
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Moves to `clock`, or stays where it is when the clock went backward.
    pub fn advance(&mut self, clock: Timestamp) {
        self.now = self.now.max(clock);
    }

    /// Never hand out an id at or below `id` again: what the log ended with before a restart.
    pub fn resume_after(&mut self, id: Uuid) {
        let (millis, counter) = split(id);
        self.ids.last = self.ids.last.max(millis << COUNTER_BITS | counter);
        self.now = self.now.max(Timestamp(millis as i64 * 1_000));
    }

    pub fn uuid(&mut self) -> Uuid {
        self.ids.next(self.now)
    }
}

/// 48 bits of milliseconds and, below them, 16 bits that count within one: `rand_a` and the top of
/// `rand_b`, as RFC 9562 §6.2 method 1 has it. The remaining 58 bits are pseudo-random.
#[derive(Debug, Clone)]
struct IdSource {
    last: u64,
    random: u64,
}

const COUNTER_BITS: u32 = 16;

impl IdSource {
    fn next(&mut self, now: Timestamp) -> Uuid {
        let floor = (now.millis().max(0) as u64) << COUNTER_BITS;
        // A burst that uses up its millisecond borrows from the next one; order is kept.
        self.last = floor.max(self.last + 1);
        let (millis, counter) = (self.last >> COUNTER_BITS, self.last & 0xffff);
        let random = splitmix(&mut self.random);
        let high = millis << 16 | 0x7000 | counter >> 4;
        let low = 0b10 << 62 | (counter & 0xf) << 58 | random >> 6;
        Uuid::from_u64_pair(high, low)
    }
}

fn split(id: Uuid) -> (u64, u64) {
    let (high, low) = id.as_u64_pair();
    (high >> 16, (high & 0xfff) << 4 | low >> 58 & 0xf)
}

/// SplitMix64: enough to keep ids of different seeds apart; nothing secret rests on it.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_even_within_a_millisecond_and_when_the_clock_goes_back() {
        let mut moment = Moment::new(7);
        moment.advance(Timestamp(1_700_000_000_000_000));
        let mut last = moment.uuid();
        for i in 0..200_000 {
            if i == 100_000 {
                moment.advance(Timestamp(1_600_000_000_000_000));
            }
            let next = moment.uuid();
            assert!(next > last);
            assert_eq!((next.get_version_num(), next.get_variant()), (7, uuid::Variant::RFC4122));
            last = next;
        }
    }

    #[test]
    fn after_a_restart_ids_go_on_above_the_last_one() {
        let mut before = Moment::new(1);
        before.advance(Timestamp(1_700_000_000_000_000));
        let last = before.uuid();
        let mut after = Moment::new(2);
        after.advance(Timestamp(1_600_000_000_000_000));
        after.resume_after(last);
        assert!(after.uuid() > last);
        assert!(after.now() >= Timestamp(1_700_000_000_000_000));
    }
}

//! Where everything random in a world comes from: its seed, so that it comes the same way each time.

#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// What is drawn for one purpose does not depend on what was drawn for another, so that parts of a
    /// schedule can be left out and the rest stays what it was.
    pub fn of(seed: u64, purpose: u64) -> Self {
        let mut mixed = Self(seed);
        Self(mixed.next() ^ purpose.wrapping_mul(0xff51_afd7_ed55_8ccd))
    }

    /// SplitMix64.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to and without `end`, which is more than 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    pub fn pick_any<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { Some(&of[self.below(of.len())]) }
    }

    /// Each as often as its weight says.
    pub fn weighed<T: Clone>(&mut self, of: &[(usize, T)]) -> T {
        let mut at = self.below(of.iter().map(|(weight, _)| weight).sum());
        for (weight, one) in of {
            if at < *weight {
                return one.clone();
            }
            at -= weight;
        }
        unreachable!("it lies below the sum of the weights")
    }
}

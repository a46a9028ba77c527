//! A shorter schedule with the same seed that goes wrong as well is easier to read.

use crate::world::go;

/// What happens in the shortest world of a seed that still breaks.
pub fn story_of(seed: u64, schedule: &[u64]) -> String {
    let shortest = shortest(seed, schedule.to_vec());
    let outcome = go(seed, &shortest, true);
    let why = outcome.broken.unwrap_or_else(|| "and yet it holds".to_owned());
    format!("{}\nafter {} of {} steps: {why}", outcome.story.join("\n"), shortest.len(), schedule.len())
}

/// Leaves out as much as it can, in ever smaller pieces.
fn shortest(seed: u64, mut schedule: Vec<u64>) -> Vec<u64> {
    let wanted = kind(&go(seed, &schedule, false).broken.unwrap_or_default());
    let mut piece = schedule.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < schedule.len() {
            let without: Vec<u64> = [&schedule[..at], &schedule[schedule.len().min(at + piece)..]].concat();
            if go(seed, &without, false).broken.as_deref().map(kind) == Some(wanted.clone()) {
                schedule = without;
            } else {
                at += piece;
            }
        }
        if piece == 1 {
            return schedule;
        }
        piece = piece.div_ceil(2);
    }
}

/// What is wrong, whatever it is wrong with: the words without ids, numbers and names.
fn kind(broken: &str) -> String {
    let plain = |word: &&str| word.chars().all(|c| c.is_ascii_alphabetic() || c == ',');
    broken.split(' ').filter(plain).take(8).collect::<Vec<_>>().join(" ")
}

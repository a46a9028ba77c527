//! Where in a run something is done: a step, one item of it, or what undoes either.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Index into the workflow's steps.
    pub step: u32,
    /// Of `for_each`, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
    /// Its compensation, and not the step itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undo: bool,
}

impl Place {
    /// No place of a run comes after it.
    pub const LAST: Self = Self { step: u32::MAX, item: Some(u32::MAX), undo: true };

    pub fn step(index: usize) -> Self {
        Self { step: index as u32, item: None, undo: false }
    }

    pub fn item(self, index: u32) -> Self {
        Self { item: Some(index), ..self }
    }

    pub fn undo(self) -> Self {
        Self { undo: true, ..self }
    }

    /// What is undone, if this undoes something; else itself.
    pub fn done(self) -> Self {
        Self { undo: false, ..self }
    }

    pub fn index(self) -> usize {
        self.step as usize
    }

    /// Which part of its step this is, as one number: 0 the whole, `n + 1` item `n`, and below zero
    /// what undoes them.
    pub fn part(self) -> i64 {
        let part = self.item.map_or(0, |item| i64::from(item) + 1);
        if self.undo { -1 - part } else { part }
    }

    pub fn from_part(step: u32, part: i64) -> Self {
        let undo = part < 0;
        let part = if undo { -1 - part } else { part };
        Self { step, item: (part > 0).then(|| (part - 1) as u32), undo }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_a_number_of_its_own() {
        let whole = Place::step(7);
        let parts = [whole, whole.undo(), whole.item(0), whole.item(0).undo(), whole.item(9_999)];
        let numbers: std::collections::HashSet<_> = parts.iter().map(|place| place.part()).collect();
        assert_eq!(numbers.len(), parts.len());
        for place in parts {
            assert_eq!(Place::from_part(7, place.part()), place);
        }
    }
}

//! Which rank each box stands in, and a cell for each rank that a line passes.

use std::collections::HashMap;

use super::{CellKind, Grid, Link, Size};

const NOTHING: Size = Size { width: 0.0, height: 0.0 };

pub fn grid(boxes: &[Size], links: &[Link], bends_max: usize) -> Grid {
    let ranks = ranks(boxes.len(), links);
    let mut grid = Grid::default();
    for (at, size) in boxes.iter().enumerate() {
        grid.add(ranks[at], *size, CellKind::Box);
    }
    let mut ways = Ways { grid, bends_max, trunks: HashMap::new() };
    for link in links {
        let way = ways.way(link);
        ways.grid.ways.push(way);
    }
    ways.grid
}

/// One more than the longest way to each box; and room between two layers, where a label wants it.
fn ranks(count: usize, links: &[Link]) -> Vec<usize> {
    let layers = layers(count, links);
    let depth = layers.iter().max().map_or(0, |deepest| deepest + 1);
    let mut has_labels = vec![false; depth];
    for link in links.iter().filter(|link| link.label.is_some()) {
        has_labels[layers[link.from]] = true;
    }
    let mut rank_of_layer = Vec::with_capacity(depth);
    let mut rank = 0;
    for has_labels in has_labels {
        rank_of_layer.push(rank);
        rank += if has_labels { 2 } else { 1 };
    }
    layers.into_iter().map(|layer| rank_of_layer[layer]).collect()
}

fn layers(count: usize, links: &[Link]) -> Vec<usize> {
    let mut below = vec![Vec::new(); count];
    let mut waits = vec![0; count];
    for link in links {
        below[link.from].push(link.to);
        waits[link.to] += 1;
    }
    let mut layers = vec![0; count];
    let mut settled: Vec<usize> = (0..count).filter(|&at| waits[at] == 0).collect();
    while let Some(at) = settled.pop() {
        for &to in &below[at] {
            layers[to] = layers[to].max(layers[at] + 1);
            waits[to] -= 1;
            if waits[to] == 0 {
                settled.push(to);
            }
        }
    }
    layers
}

struct Ways {
    grid: Grid,
    bends_max: usize,
    /// For each box the bends below it, one a rank, of the lines that run together.
    trunks: HashMap<usize, Vec<usize>>,
}

impl Ways {
    fn way(&mut self, link: &Link) -> Vec<usize> {
        let (first, last) = (self.grid.cells[link.from].rank, self.grid.cells[link.to].rank);
        let bends = last.saturating_sub(first + 1);
        let mut way = vec![link.from];
        match link.label {
            Some(size) => {
                way.push(self.grid.add(first + 1, size, CellKind::Label));
                let bends = self.room_for(bends.saturating_sub(1));
                way.extend((0..bends).map(|at| self.grid.add(first + 2 + at, NOTHING, CellKind::Bend)));
            }
            None if link.joins => way.extend(self.trunk(link.from, first, bends)),
            None => {
                let bends = self.room_for(bends);
                way.extend((0..bends).map(|at| self.grid.add(first + 1 + at, NOTHING, CellKind::Bend)));
            }
        }
        way.push(link.to);
        for pair in way.windows(2) {
            self.grid.connect(pair[0], pair[1]);
        }
        way
    }

    fn trunk(&mut self, from: usize, first: usize, bends: usize) -> Vec<usize> {
        let mut trunk = self.trunks.remove(&from).unwrap_or_default();
        let missing = self.room_for(bends.saturating_sub(trunk.len()));
        for _ in 0..missing {
            trunk.push(self.grid.add(first + 1 + trunk.len(), NOTHING, CellKind::Bend));
        }
        let way = trunk.iter().copied().take(bends).collect();
        self.trunks.insert(from, trunk);
        way
    }

    /// All of them or none: a line with half of its bends would look broken.
    fn room_for(&self, bends: usize) -> usize {
        if self.grid.cells.len() + bends <= self.bends_max { bends } else { 0 }
    }
}

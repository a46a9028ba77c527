//! The order within each rank: cells move to the middle of what they are connected to, downwards and
//! upwards in turn, and the order with the fewest crossings is kept.

use super::Grid;

const SWEEPS_MAX: usize = 24;
/// So many sweeps without any gain, and it is as good as this will make it.
const PATIENCE: usize = 4;
/// Beyond it, neighbours are not exchanged one by one.
const EXCHANGED_MAX: usize = 2_000;

pub fn reduce_crossings(grid: &mut Grid) {
    grid.ranks = as_met(grid);
    let mut places = Places::of(grid);
    let mut best = (crossings(grid, &places), grid.ranks.clone());
    let mut without_gain = 0;
    for sweep in 0..SWEEPS_MAX {
        if best.0 == 0 || without_gain == PATIENCE {
            break;
        }
        sort_by_neighbours(grid, &mut places, sweep % 2 == 0);
        if grid.cells.len() <= EXCHANGED_MAX {
            exchange(grid, &mut places);
        }
        let now = crossings(grid, &places);
        without_gain += 1;
        if now < best.0 {
            best = (now, grid.ranks.clone());
            without_gain = 0;
        }
    }
    grid.ranks = best.1;
}

/// Depth first, so that what belongs together begins side by side.
fn as_met(grid: &Grid) -> Vec<Vec<usize>> {
    let depth = grid.cells.iter().map(|cell| cell.rank + 1).max().unwrap_or(0);
    let mut ranks = vec![Vec::new(); depth];
    let mut is_met = vec![false; grid.cells.len()];
    for root in 0..grid.cells.len() {
        let mut waiting = vec![root];
        while let Some(at) = waiting.pop() {
            if !std::mem::replace(&mut is_met[at], true) {
                ranks[grid.cells[at].rank].push(at);
                waiting.extend(grid.cells[at].down.iter().rev());
            }
        }
    }
    ranks
}

/// Where in its rank each cell stands.
struct Places(Vec<usize>);

impl Places {
    fn of(grid: &Grid) -> Self {
        let mut places = Self(vec![0; grid.cells.len()]);
        for rank in &grid.ranks {
            places.note(rank);
        }
        places
    }

    fn note(&mut self, rank: &[usize]) {
        for (place, &cell) in rank.iter().enumerate() {
            self.0[cell] = place;
        }
    }

    fn mean(&self, cells: &[usize]) -> Option<f64> {
        let sum: usize = cells.iter().map(|&cell| self.0[cell]).sum();
        (!cells.is_empty()).then(|| sum as f64 / cells.len() as f64)
    }
}

fn sort_by_neighbours(grid: &mut Grid, places: &mut Places, downwards: bool) {
    let count = grid.ranks.len();
    for step in 0..count {
        let at = if downwards { step } else { count - 1 - step };
        let mut rank = std::mem::take(&mut grid.ranks[at]);
        let wanted = |cell: usize| {
            let neighbours = if downwards { &grid.cells[cell].up } else { &grid.cells[cell].down };
            places.mean(neighbours).unwrap_or(places.0[cell] as f64)
        };
        let mut keyed: Vec<(f64, usize)> = rank.iter().map(|&cell| (wanted(cell), cell)).collect();
        keyed.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        rank = keyed.into_iter().map(|(_, cell)| cell).collect();
        places.note(&rank);
        grid.ranks[at] = rank;
    }
}

/// Two neighbours change places where that saves a crossing.
fn exchange(grid: &mut Grid, places: &mut Places) {
    for at in 0..grid.ranks.len() {
        let mut rank = std::mem::take(&mut grid.ranks[at]);
        for left in 1..rank.len() {
            let (a, b) = (rank[left - 1], rank[left]);
            let crossed = |a: usize, b: usize| {
                let (a, b) = (&grid.cells[a], &grid.cells[b]);
                crossed(&a.up, &b.up, places) + crossed(&a.down, &b.down, places)
            };
            if crossed(b, a) < crossed(a, b) {
                rank.swap(left - 1, left);
                places.0.swap(a, b);
            }
        }
        grid.ranks[at] = rank;
    }
}

/// How many lines cross when one cell, with these neighbours, stands left of another.
fn crossed(of_left: &[usize], of_right: &[usize], places: &Places) -> usize {
    let right: Vec<usize> = of_right.iter().map(|&cell| places.0[cell]).collect();
    of_left.iter().map(|&cell| right.iter().filter(|&&place| place < places.0[cell]).count()).sum()
}

fn crossings(grid: &Grid, places: &Places) -> usize {
    grid.ranks.iter().map(|rank| crossings_below(grid, rank, places)).sum()
}

/// Inversions among the lower ends of the lines, taken from left to right by their upper ends;
/// counted with a tree of sums.
fn crossings_below(grid: &Grid, rank: &[usize], places: &Places) -> usize {
    let mut ends = Vec::new();
    for &cell in rank {
        let begin = ends.len();
        ends.extend(grid.cells[cell].down.iter().map(|&lower| places.0[lower]));
        ends[begin..].sort_unstable();
    }
    let width = ends.iter().max().map_or(0, |last| last + 1);
    let mut sums = vec![0usize; width + 1];
    let mut crossings = 0;
    for (seen, end) in ends.into_iter().enumerate() {
        let (mut at, mut not_right) = (end + 1, 0);
        while at > 0 {
            not_right += sums[at];
            at &= at - 1;
        }
        crossings += seen - not_right;
        let mut at = end + 1;
        while at <= width {
            sums[at] += 1;
            at += at & at.wrapping_neg();
        }
    }
    crossings
}

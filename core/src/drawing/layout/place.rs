//! Where exactly: each cell wants to stand over the middle of what it is connected to, and cells of a
//! rank keep their order and distance. What comes nearest to all wishes of a rank at once is an
//! isotonic regression, which pooling neighbours that would collide solves exactly.

use super::{CellKind, Grid, Layout, Link, MARGIN, Point, Size, Way};

const SWEEPS: usize = 30;
/// The last ones look up and down at once, which makes long lines straight.
const SWEEPS_BOTH: usize = 14;
const BOX_GAP: f64 = 28.0;
const LINE_GAP: f64 = 14.0;
const RANK_GAP: f64 = 44.0;
const LABEL_GAP: f64 = 22.0;
/// A line that goes far sideways needs room to turn.
const RANK_GAP_MAX: f64 = 110.0;
const PORT_GAP: f64 = 16.0;

pub fn place(grid: &Grid, boxes: &[Size], links: &[Link]) -> Layout {
    let xs = columns(grid);
    let rows = rows(grid, &xs);
    let corner = |at: usize| Point {
        x: round(xs[at] - boxes[at].width / 2.0),
        y: round(rows[grid.cells[at].rank].middle - boxes[at].height / 2.0),
    };
    let ports = Ports::of(grid, &xs);
    let ways = links.iter().zip(&grid.ways).map(|(link, way)| run(grid, &xs, &rows, &ports, link, way)).collect();
    let right = |at: usize| xs[at] + grid.cells[at].size.width / 2.0;
    Layout {
        width: round((0..grid.cells.len()).map(right).fold(0.0, f64::max) + MARGIN),
        height: round(rows.last().map_or(0.0, |row| row.bottom()) + MARGIN),
        boxes: (0..boxes.len()).map(corner).collect(),
        ways,
    }
}

/// A tenth of a pixel is enough, and short.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The middle of each cell.
fn columns(grid: &Grid) -> Vec<f64> {
    let mut xs = vec![0.0; grid.cells.len()];
    for rank in &grid.ranks {
        let mut x = 0.0;
        for (at, &cell) in rank.iter().enumerate() {
            x += if at > 0 { distance(grid, rank[at - 1], cell) } else { 0.0 };
            xs[cell] = x;
        }
        rank.iter().for_each(|&cell| xs[cell] -= x / 2.0);
    }
    for sweep in 0..SWEEPS {
        let (up, down) = if sweep + SWEEPS_BOTH >= SWEEPS { (true, true) } else { (sweep % 2 == 0, sweep % 2 == 1) };
        for step in 0..grid.ranks.len() {
            let rank = &grid.ranks[if sweep % 2 == 0 { step } else { grid.ranks.len() - 1 - step }];
            settle(grid, rank, &mut xs, up, down);
        }
    }
    let left = (0..xs.len()).map(|at| xs[at] - grid.cells[at].size.width / 2.0).fold(f64::INFINITY, f64::min);
    xs.iter().map(|x| x - left + MARGIN).collect()
}

/// Between the middles of two neighbours.
fn distance(grid: &Grid, left: usize, right: usize) -> f64 {
    let (left, right) = (&grid.cells[left], &grid.cells[right]);
    let is_line = |kind| kind != CellKind::Box;
    let gap = if is_line(left.kind) && is_line(right.kind) { LINE_GAP } else { BOX_GAP };
    f64::midpoint(left.size.width, right.size.width) + gap
}

/// Cells that stand together because their wishes collide.
struct Pool {
    wish: f64,
    weight: f64,
    count: usize,
}

fn settle(grid: &Grid, rank: &[usize], xs: &mut [f64], up: bool, down: bool) {
    let mut offsets = Vec::with_capacity(rank.len());
    let mut pools: Vec<Pool> = Vec::with_capacity(rank.len());
    let mut offset = 0.0;
    for (at, &cell) in rank.iter().enumerate() {
        offset += if at > 0 { distance(grid, rank[at - 1], cell) } else { 0.0 };
        offsets.push(offset);
        let (wish, weight) = wish(grid, cell, xs, up, down);
        let mut pool = Pool { wish: wish - offset, weight, count: 1 };
        while let Some(left) = pools.pop_if(|left| left.wish > pool.wish) {
            let weight = left.weight + pool.weight;
            let wish = (left.wish * left.weight + pool.wish * pool.weight) / weight;
            pool = Pool { wish, weight, count: left.count + pool.count };
        }
        pools.push(pool);
    }
    let settled = pools.iter().flat_map(|pool| std::iter::repeat_n(pool.wish, pool.count));
    for ((&cell, wish), offset) in rank.iter().zip(settled).zip(offsets) {
        xs[cell] = wish + offset;
    }
}

/// Where a cell would stand if it were alone, and how much it matters: lines want to be straight
/// where they only pass.
fn wish(grid: &Grid, cell: usize, xs: &[f64], up: bool, down: bool) -> (f64, f64) {
    let of = &grid.cells[cell];
    let neighbours = of.up.iter().filter(|_| up).chain(of.down.iter().filter(|_| down));
    let (mut sum, mut weight) = (0.0, 0.0);
    for &other in neighbours {
        let matters = match (of.kind, grid.cells[other].kind) {
            (CellKind::Box, CellKind::Box) => 1.0,
            (CellKind::Box, _) | (_, CellKind::Box) => 2.0,
            _ => 8.0,
        };
        sum += xs[other] * matters;
        weight += matters;
    }
    if weight == 0.0 { (xs[cell], 0.1) } else { (sum / weight, weight) }
}

struct Row {
    middle: f64,
    height: f64,
}

impl Row {
    fn top(&self) -> f64 {
        self.middle - self.height / 2.0
    }

    fn bottom(&self) -> f64 {
        self.middle + self.height / 2.0
    }
}

fn rows(grid: &Grid, xs: &[f64]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::with_capacity(grid.ranks.len());
    for (at, rank) in grid.ranks.iter().enumerate() {
        let height = rank.iter().map(|&cell| grid.cells[cell].size.height).fold(0.0, f64::max);
        let top = match rows.last() {
            None => MARGIN,
            Some(above) => above.bottom() + gap_below(grid, &grid.ranks[at - 1], xs),
        };
        rows.push(Row { middle: top + height / 2.0, height });
    }
    rows
}

fn gap_below(grid: &Grid, rank: &[usize], xs: &[f64]) -> f64 {
    let lines = || rank.iter().flat_map(|&cell| grid.cells[cell].down.iter().map(move |&lower| (cell, lower)));
    let is_label = |cell: usize| grid.cells[cell].kind == CellKind::Label;
    let least = if lines().any(|(upper, lower)| is_label(upper) || is_label(lower)) { LABEL_GAP } else { RANK_GAP };
    let sideways = lines().map(|(upper, lower)| (xs[upper] - xs[lower]).abs()).fold(0.0, f64::max);
    (sideways * 0.12).clamp(least, RANK_GAP_MAX)
}

/// Where lines leave a box and enter it, as distances from its middle: side by side, in the order
/// in which they come.
struct Ports {
    out: Vec<Vec<(usize, f64)>>,
    into: Vec<Vec<(usize, f64)>>,
}

impl Ports {
    fn of(grid: &Grid, xs: &[f64]) -> Self {
        let spread = |cell: usize, others: &[usize]| {
            if grid.cells[cell].kind != CellKind::Box || others.len() < 2 {
                return Vec::new();
            }
            let mut others = others.to_vec();
            others.sort_by(|a, b| xs[*a].total_cmp(&xs[*b]));
            let count = others.len() as f64;
            let gap = PORT_GAP.min((grid.cells[cell].size.width - 48.0).max(0.0) / (count - 1.0));
            let place = |(at, other)| (other, gap * (at as f64 - (count - 1.0) / 2.0));
            others.into_iter().enumerate().map(place).collect()
        };
        let cells = || grid.cells.iter().enumerate();
        Self {
            out: cells().map(|(at, cell)| spread(at, &cell.down)).collect(),
            into: cells().map(|(at, cell)| spread(at, &cell.up)).collect(),
        }
    }

    fn at(ports: &[(usize, f64)], other: usize) -> f64 {
        ports.iter().find(|(cell, _)| *cell == other).map_or(0.0, |(_, place)| *place)
    }
}

fn run(grid: &Grid, xs: &[f64], rows: &[Row], ports: &Ports, link: &Link, way: &[usize]) -> Way {
    let mut points = Vec::with_capacity(way.len() * 2);
    for (at, &cell) in way.iter().enumerate() {
        let (row, size) = (&rows[grid.cells[cell].rank], grid.cells[cell].size);
        if cell == link.from && at == 0 {
            let port = Ports::at(&ports.out[cell], way[1]);
            points.push(Point { x: xs[cell] + port, y: row.middle + size.height / 2.0 });
        } else if cell == link.to {
            let port = Ports::at(&ports.into[cell], way[at - 1]);
            points.push(Point { x: xs[cell] + port, y: row.middle - size.height / 2.0 });
        } else {
            points.push(Point { x: xs[cell], y: row.top() });
            points.push(Point { x: xs[cell], y: row.bottom() });
        }
    }
    let label = link
        .label
        .and_then(|_| way.get(1))
        .map(|&cell| Point { x: round(xs[cell]), y: round(rows[grid.cells[cell].rank].middle) });
    points.dedup();
    Way { points: points.into_iter().map(|point| Point { x: round(point.x), y: round(point.y) }).collect(), label }
}

//! Where boxes stand and how lines run between them: layers from top to bottom by the longest way
//! to each box, few crossings, and lines that are as straight as may be.
//!
//! Nothing here knows what is drawn. It is deterministic, and its work is bounded: beyond
//! `BENDS_MAX` a line that passes many layers is drawn straight across them.

mod order;
mod place;
mod rank;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    pub width: f64,
    pub height: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

/// A line to be drawn, from box to box, downwards.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    pub from: usize,
    pub to: usize,
    /// How much room its label takes.
    pub label: Option<Size>,
    /// Whether it may share its way with others from the same box.
    pub joins: bool,
}

#[derive(Debug)]
pub struct Layout {
    pub width: f64,
    pub height: f64,
    /// The upper left corner of each box.
    pub boxes: Vec<Point>,
    /// For each link: the points that it passes from the lower edge of one box to the upper edge of
    /// the other; it leaves and enters each of them downwards.
    pub ways: Vec<Way>,
}

#[derive(Debug)]
pub struct Way {
    pub points: Vec<Point>,
    /// The middle of the label.
    pub label: Option<Point>,
}

pub const MARGIN: f64 = 24.0;
const BENDS_MAX: usize = 40_000;

pub fn layout(boxes: &[Size], links: &[Link]) -> Layout {
    let mut grid = rank::grid(boxes, links, BENDS_MAX);
    order::reduce_crossings(&mut grid);
    place::place(&grid, boxes, links)
}

/// Boxes, labels and bends, in ranks from top to bottom.
#[derive(Debug, Default)]
struct Grid {
    cells: Vec<Cell>,
    /// Cells of each rank from left to right.
    ranks: Vec<Vec<usize>>,
    /// For each link the cells that it passes, its boxes among them.
    ways: Vec<Vec<usize>>,
}

#[derive(Debug)]
struct Cell {
    rank: usize,
    size: Size,
    kind: CellKind,
    up: Vec<usize>,
    down: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CellKind {
    Box,
    Label,
    /// Where a line passes a rank.
    Bend,
}

impl Grid {
    fn add(&mut self, rank: usize, size: Size, kind: CellKind) -> usize {
        self.cells.push(Cell { rank, size, kind, up: Vec::new(), down: Vec::new() });
        self.cells.len() - 1
    }

    fn connect(&mut self, upper: usize, lower: usize) {
        if !self.cells[upper].down.contains(&lower) {
            self.cells[upper].down.push(lower);
            self.cells[lower].up.push(upper);
        }
    }
}

#[cfg(test)]
mod tests;

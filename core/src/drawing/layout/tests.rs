use proptest::prelude::*;

use super::*;

const BOX: Size = Size { width: 100.0, height: 40.0 };

/// Links that lead from a lower number to a higher one, so that there is no circle.
fn links() -> impl Strategy<Value = (usize, Vec<Link>)> {
    (2usize..30).prop_flat_map(|count| {
        let link = (0..count - 1, 1..count, any::<bool>(), any::<bool>()).prop_map(move |(a, b, has_label, joins)| {
            let (from, to) = if a < b { (a, b) } else { (b.saturating_sub(1), a + 1) };
            let label = has_label.then_some(Size { width: 60.0, height: 18.0 });
            Link { from: from.min(to - 1), to, label, joins }
        });
        (Just(count), proptest::collection::vec(link, 0..60))
    })
}

proptest! {
    #[test]
    fn boxes_never_overlap_and_lines_only_lead_down((count, links) in links()) {
        let layout = layout(&vec![BOX; count], &links);
        for (at, a) in layout.boxes.iter().enumerate() {
            prop_assert!(a.x >= 0.0 && a.x + BOX.width <= layout.width && a.y + BOX.height <= layout.height);
            for b in &layout.boxes[..at] {
                let apart = (a.x - b.x).abs() >= BOX.width || (a.y - b.y).abs() >= BOX.height;
                prop_assert!(apart, "{a:?} {b:?}");
            }
        }
        for (link, way) in links.iter().zip(&layout.ways) {
            prop_assert!(layout.boxes[link.from].y + BOX.height < layout.boxes[link.to].y);
            prop_assert!(way.points.windows(2).all(|pair| pair[0].y <= pair[1].y), "{way:?}");
            prop_assert_eq!(way.label.is_some(), link.label.is_some());
        }
    }
}

#[test]
fn a_tree_has_no_crossings_and_a_chain_is_straight() {
    let link = |from, to| Link { from, to, label: None, joins: true };
    let tree = [link(0, 2), link(0, 1), link(1, 6), link(2, 4), link(1, 5), link(2, 3)];
    let mut grid = rank::grid(&[BOX; 7], &tree, BENDS_MAX);
    order::reduce_crossings(&mut grid);
    assert_eq!(grid.ranks[2].len(), 4);
    let upper = &grid.ranks[1];
    let of = |cell: usize| grid.cells[cell].up[0];
    assert!(grid.ranks[2][..2].iter().all(|&cell| of(cell) == upper[0]), "{:?}", grid.ranks);

    let chain = layout(&[BOX; 4], &[link(0, 1), link(1, 2), link(2, 3)]);
    assert!(chain.boxes.iter().all(|at| at.x == chain.boxes[0].x));
}

#[test]
fn beyond_the_limit_a_long_line_has_no_bends_and_still_arrives() {
    let chain = (0..9).map(|at| Link { from: at, to: at + 1, label: None, joins: true });
    let links: Vec<_> = chain.chain([Link { from: 0, to: 9, label: None, joins: false }]).collect();
    let grid = rank::grid(&[BOX; 10], &links, 12);
    assert_eq!(grid.ways[9], [0, 9]);
}

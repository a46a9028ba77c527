//! Who should have how many partitions: pure, and the same on every node that sees the same.
//!
//! Nobody is told to take or give anything. Each node gives away what it has above its share, and takes what is free
//! up to it; who was too slow takes nothing.

use fleetprompt_store::postgres::Cluster;
use uuid::Uuid;

#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Partitions that nobody has, as many as there is room for.
    pub take: Vec<u16>,
    pub give: Vec<u16>,
    /// Ours by the record alone, and there is no room for them.
    pub let_go: Vec<u16>,
}

/// What a node does next, that writes for `open` and is still about to let go of `closing`.
pub fn plan(cluster: &Cluster, me: Uuid, open: &[u16], closing: &[u16]) -> Plan {
    let share = share(cluster, me);
    let excess = open.len().saturating_sub(share);
    let room = share.saturating_sub(open.len() + closing.len());
    let all = 0..u16::try_from(cluster.partitions.len()).unwrap_or(u16::MAX);
    let is_ours = |number: &u16| cluster.partitions.get(usize::from(*number)) == Some(&Some(me));
    let is_idle = |number: &u16| !open.contains(number) && !closing.contains(number);
    let ours: Vec<u16> = all.clone().filter(|number| is_ours(number) && is_idle(number)).collect();
    let free = all.filter(|number| cluster.is_free(*number) && is_idle(number) && !is_ours(number));
    let take: Vec<u16> = ours.iter().copied().chain(free).take(room).collect();
    let let_go = ours.into_iter().filter(|number| !take.contains(number)).collect();
    Plan { take, give: open.iter().rev().take(excess).copied().collect(), let_go }
}

/// All alike, and what cannot be divided goes to those that have the most already, so that nothing moves for nothing.
fn share(cluster: &Cluster, me: Uuid) -> usize {
    let has = |node: Uuid| cluster.partitions.iter().filter(|owner| **owner == Some(node)).count();
    let living = || cluster.nodes.iter().filter(|node| node.is_alive);
    // When all are to be drained, somebody has to go on.
    let all_drain = living().all(|node| node.is_draining);
    let mut taking: Vec<(usize, Uuid)> =
        living().filter(|node| all_drain || !node.is_draining).map(|node| (has(node.id), node.id)).collect();
    taking.sort_by_key(|(has, id)| (std::cmp::Reverse(*has), *id));
    let Some(place) = taking.iter().position(|(_, id)| *id == me) else { return 0 };
    let (each, rest) = (cluster.partitions.len() / taking.len(), cluster.partitions.len() % taking.len());
    each + usize::from(place < rest)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fleetprompt_core::Timestamp;
    use fleetprompt_store::postgres::NodeEntry;
    use proptest::prelude::*;

    use super::*;

    fn node(number: u128) -> NodeEntry {
        NodeEntry {
            id: Uuid::from_u128(number),
            name: format!("node-{number}"),
            version: "1".to_owned(),
            started_at: Timestamp(0),
            silent_for: Duration::ZERO,
            is_alive: true,
            is_draining: false,
        }
    }

    fn own(cluster: &Cluster, id: Uuid) -> Vec<u16> {
        (0..).zip(&cluster.partitions).filter(|(_, owner)| **owner == Some(id)).map(|(number, _)| number).collect()
    }

    /// One node after the other does as it plans, until nobody has anything to do.
    fn settle(cluster: &mut Cluster) -> usize {
        for moved in 0.. {
            let mut is_quiet = true;
            for id in cluster.nodes.iter().map(|node| node.id).collect::<Vec<_>>() {
                if !cluster.node(id).is_some_and(|node| node.is_alive) {
                    continue;
                }
                let Plan { take, give, let_go } = plan(cluster, id, &own(cluster, id), &[]);
                assert_eq!(let_go, [0; 0]);
                is_quiet &= take.is_empty() && give.is_empty();
                take.iter().for_each(|number| cluster.partitions[usize::from(*number)] = Some(id));
                give.iter().for_each(|number| cluster.partitions[usize::from(*number)] = None);
            }
            if is_quiet {
                return moved;
            }
            assert!(moved < 10, "they never come to rest: {cluster:?}");
        }
        unreachable!("it returns or fails")
    }

    proptest! {
        #[test]
        fn however_it_begins_each_gets_its_share_and_then_nothing_moves(
            partitions in 1_usize..40,
            nodes in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..7),
            owners in proptest::collection::vec(0_u128..9, 40),
        ) {
            let mut cluster = Cluster::default();
            for (number, (is_alive, is_draining)) in (1..).zip(nodes) {
                cluster.nodes.push(NodeEntry { is_alive, is_draining, ..node(number) });
            }
            cluster.partitions = owners[..partitions].iter().map(|owner| (*owner > 0).then(|| Uuid::from_u128(*owner))).collect();
            settle(&mut cluster);
            let living: Vec<&NodeEntry> = cluster.nodes.iter().filter(|node| node.is_alive).collect();
            let all_drain = living.iter().all(|node| node.is_draining);
            let (taking, drained): (Vec<&NodeEntry>, Vec<&NodeEntry>) =
                living.into_iter().partition(|node| all_drain || !node.is_draining);
            let taking: Vec<Uuid> = taking.into_iter().map(|node| node.id).collect();
            for node in drained {
                prop_assert!(own(&cluster, node.id).is_empty());
            }
            let counts: Vec<usize> = taking.iter().map(|id| own(&cluster, *id).len()).collect();
            if let (Some(least), Some(most)) = (counts.iter().min(), counts.iter().max()) {
                prop_assert!(most - least <= 1, "{:?}", counts);
                prop_assert_eq!(counts.iter().sum::<usize>(), partitions);
            }
        }
    }

    #[test]
    fn what_is_still_being_closed_is_not_taken_again_and_what_was_forgotten_is_let_go() {
        let (me, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let nodes = vec![node(1), node(2)];
        let partitions = [vec![Some(me); 8], vec![Some(other); 8]].concat();
        let cluster = Cluster { nodes, partitions };
        let open = [0, 1, 2, 3, 4, 5];
        assert_eq!(plan(&cluster, me, &open, &[6, 7]), Plan::default());
        assert_eq!(plan(&cluster, me, &open, &[7]).take, [6]);
        let full = Cluster { partitions: [vec![Some(me); 9], vec![Some(other); 7]].concat(), ..cluster };
        assert_eq!(plan(&full, me, &[0, 1, 2, 3, 4, 5, 6, 7], &[]).let_go, [8]);
    }

    #[test]
    fn a_node_that_comes_takes_no_more_than_its_share_from_the_others() {
        let mut cluster = Cluster { nodes: vec![node(1), node(2)], partitions: vec![None; 16] };
        settle(&mut cluster);
        let before = cluster.partitions.clone();
        cluster.nodes.push(node(3));
        settle(&mut cluster);
        let moved = before.iter().zip(&cluster.partitions).filter(|(before, after)| before != after).count();
        assert_eq!(moved, 5);
    }
}

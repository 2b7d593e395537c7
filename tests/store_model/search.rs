//! Every state that can be reached, once.

use super::rules::{Faults, Rules};
use super::world::{Step, World};
use std::collections::HashSet;

/// The way to a state in which the token was accepted twice, if there is one.
pub fn second_use(rules: Rules, faults: Faults) -> Option<Vec<Step>> {
    let start = World::new(rules, faults);
    let mut seen: HashSet<World> = HashSet::from([start.clone()]);
    let mut ways: Vec<(usize, Step)> = vec![(0, ("start", 0))];
    let mut open: Vec<(World, usize)> = vec![(start, 0)];
    while let Some((world, at)) = open.pop() {
        for (step, next) in world.steps() {
            let twice = next.accepted > 1;
            if twice || seen.insert(next.clone()) {
                ways.push((at, step));
                if twice {
                    return Some(way(&ways));
                }
                open.push((next, ways.len() - 1));
            }
        }
    }
    println!("{} states under {faults:?}", seen.len());
    None
}

fn way(ways: &[(usize, Step)]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut at = ways.len() - 1;
    while at != 0 {
        steps.push(ways[at].1);
        at = ways[at].0;
    }
    steps.reverse();
    steps
}

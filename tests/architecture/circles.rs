//! Circles among modules that stand side by side.

use std::collections::{BTreeMap, BTreeSet};

use super::modules::Uses;

/// From one module to another beside it, with the lines that use it.
pub(crate) type Edges = BTreeMap<(String, String), Vec<String>>;

/// Returns the edges at each level, by the path of the module in which both ends stand: crates stand in ``.
pub(crate) fn edges(uses: &Uses) -> BTreeMap<String, Edges> {
    let mut levels = BTreeMap::<String, Edges>::new();
    for used in uses.iter() {
        let same = used.from.iter().zip(&used.to).take_while(|(from, to)| from == to).count();
        // Otherwise one stands in the other.
        if let (Some(from), Some(to)) = (used.from.get(same), used.to.get(same)) {
            let level = levels.entry(used.from[..same].join("::")).or_default();
            level.entry((from.clone(), to.clone())).or_default().push(used.place.clone());
        }
    }
    levels
}

/// Returns the edges that lie on circles: whose end leads back to their start.
pub(crate) fn circle(edges: &Edges) -> Option<Vec<(String, String)>> {
    let tied = edges.keys().filter(|(from, to)| is_reached(edges, to, from)).cloned().collect::<Vec<_>>();
    (!tied.is_empty()).then_some(tied)
}

fn is_reached(edges: &Edges, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut waiting = vec![from];
    while let Some(from) = waiting.pop() {
        let next = edges.keys().filter(|(start, _)| start == from).map(|(_, end)| end.as_str());
        waiting.extend(next.filter(|next| seen.insert(next)));
    }
    seen.contains(to)
}

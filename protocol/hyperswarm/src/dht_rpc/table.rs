//! The routing table of a node (Kademlia): [`Table`].
//!
//! The table has 256 rows by the number of leading bits that a node's id has in common with the table's own; a row
//! holds [`CLOSEST_MAX`] nodes. So a node knows its neighbourhood well and a sample of each far region. A full row
//! takes a newcomer only if an old node does not answer: old nodes are the ones that stay, and a flood evicts none of
//! them. No machine gets more than its [`IpQuota`](crate::dht_rpc::ip_quota::IpQuota) of a row or of the table, however
//! many ids it has.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::dht_rpc::CLOSEST_MAX;
use crate::dht_rpc::address::{Address, NodeId, Target};
use crate::dht_rpc::ip_quota::{OF_TABLE, OF_TWENTY};
use libvms_hypercore::time::Instant;

/// A node heard this recently is not pinged.
const FRESH_TIME: Duration = Duration::from_secs(60);
/// A node known for this long may be challenged by a newcomer only if it was not heard recently.
const PROVEN_AFTER: Duration = Duration::from_secs(30 * 60);
/// A challenged node is not challenged again for this long.
const CHALLENGE_PAUSE: Duration = Duration::from_secs(5);

/// The table of one node.
#[derive(Debug)]
pub(crate) struct Table {
    own: Target,
    rows: BTreeMap<u16, BTreeMap<NodeId, Entry>>,
    length: usize,
}

/// A node in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) address: Address,
    /// When the node entered the table.
    pub(crate) added_at: Instant,
    /// When it last answered.
    pub(crate) heard_at: Instant,
    /// When it was last challenged.
    pub(crate) challenged_at: Instant,
    /// When it last reported our address.
    pub(crate) sampled_at: Option<Instant>,
}

/// The place of a node that is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// There is room.
    Free,
    /// There is room if this node of the row does not answer.
    Challenge(Address),
    /// There is none: the row is full of good nodes, an IP quota is used up, or the node has the table's own id.
    None,
}

impl Table {
    /// Creates an empty table around `own`.
    pub(crate) fn new(own: Target) -> Self {
        Self { own, rows: BTreeMap::new(), length: 0 }
    }

    /// Returns the id that the table is around.
    pub(crate) fn own(&self) -> Target {
        self.own
    }

    /// Returns the number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Returns the entry of a node.
    pub(crate) fn get_mut(&mut self, id: &NodeId) -> Option<&mut Entry> {
        self.rows.get_mut(&self.row_of(id))?.get_mut(id)
    }

    /// Returns whether the node is in the table.
    pub(crate) fn contains(&self, id: &NodeId) -> bool {
        self.rows.get(&self.row_of(id)).is_some_and(|row| row.contains_key(id))
    }

    /// Returns whether there is a place for a node that is not in the table yet.
    pub(crate) fn place_for(&self, id: &NodeId, address: &Address, now: Instant) -> Place {
        let row = self.row_of(id);
        if row == 256 || !self.has_room(row, address) {
            return Place::None;
        }
        match self.rows.get(&row) {
            Some(row) if row.len() >= CLOSEST_MAX => weakest(row, now).map_or(Place::None, Place::Challenge),
            _ => Place::Free,
        }
    }

    /// Adds a node that has just answered, if there is room. Returns whether there was.
    pub(crate) fn insert(&mut self, id: NodeId, address: Address, now: Instant) -> bool {
        if self.contains(&id) || self.place_for(&id, &address, now) != Place::Free {
            return false;
        }
        let entry =
            Entry { address, added_at: now, heard_at: now, challenged_at: Instant::START, sampled_at: None };
        self.rows.entry(self.row_of(&id)).or_default().insert(id, entry);
        self.length += 1;
        true
    }

    /// Removes a node that does not answer.
    pub(crate) fn remove(&mut self, id: &NodeId) {
        let row = self.row_of(id);
        let Some(entries) = self.rows.get_mut(&row) else { return };
        self.length -= usize::from(entries.remove(id).is_some());
        if entries.is_empty() {
            self.rows.remove(&row);
        }
    }

    /// Returns the nodes closest to `target`, the closest first, at most `count`.
    pub(crate) fn closest(&self, target: &Target, count: usize) -> Vec<Address> {
        // Nodes of the target's own row have more bits in common with it than all others. Then come those of the later
        // rows, which differ from it where the table's own id does; then the earlier rows, each farther than the one
        // after.
        let row = NodeId(self.own.0).distance(target).common_bits();
        let mut found: Vec<(&NodeId, &Entry)> = Vec::new();
        found.extend(self.rows.get(&row).into_iter().flatten());
        if found.len() < count {
            found.extend(self.rows.range(row + 1..).flat_map(|(_, entries)| entries));
        }
        for (_, entries) in self.rows.range(..row).rev() {
            if found.len() >= count {
                break;
            }
            found.extend(entries);
        }
        found.sort_by_cached_key(|(id, _)| id.distance(target));
        found.into_iter().take(count).map(|(_, entry)| entry.address).collect()
    }

    /// Returns the nodes to ping: the longest unheard first. Only two if even the first of them was heard recently.
    pub(crate) fn longest_unheard(&self, count: usize, now: Instant) -> Vec<Address> {
        let mut entries: Vec<&Entry> = self.entries().collect();
        entries.sort_by_key(|entry| entry.heard_at);
        let is_fresh = entries.first().is_some_and(|entry| entry.heard_at + FRESH_TIME > now);
        entries.iter().take(if is_fresh { 2 } else { count }).map(|entry| entry.address).collect()
    }

    /// Returns the nodes that entered the table last.
    pub(crate) fn latest(&self, count: usize) -> Vec<Address> {
        let mut entries: Vec<&Entry> = self.entries().collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.added_at));
        entries.iter().take(count).map(|entry| entry.address).collect()
    }

    /// Returns every node.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> + Clone {
        self.rows.values().flat_map(BTreeMap::values)
    }

    /// Forgets when nodes were heard, as after a sleep: all of them must be pinged again.
    pub(crate) fn forget_times(&mut self) {
        self.rows
            .values_mut()
            .flat_map(BTreeMap::values_mut)
            .for_each(|entry| entry.heard_at = Instant::START);
    }

    /// Forgets which nodes reported our address: all of them may report it again.
    pub(crate) fn forget_samples(&mut self) {
        self.rows.values_mut().flat_map(BTreeMap::values_mut).for_each(|entry| entry.sampled_at = None);
    }

    /// Moves the nodes to rows around another id. Of rows that became too full, the first nodes found stay.
    pub(crate) fn rebuild(&mut self, own: Target) {
        let before = std::mem::replace(self, Self::new(own));
        for (id, entry) in before.rows.into_values().flatten() {
            if self.place_for(&id, &entry.address, entry.added_at) == Place::Free {
                self.rows.entry(self.row_of(&id)).or_default().insert(id, entry);
                self.length += 1;
            }
        }
    }

    /// Returns whether the quotas leave a node room in its row and in the table.
    fn has_room(&self, row: u16, address: &Address) -> bool {
        let in_row = self.rows.get(&row).into_iter().flat_map(BTreeMap::values).map(|entry| &entry.address);
        let in_table = self.entries().map(|entry| &entry.address);
        OF_TWENTY.has_room(address, in_row) && OF_TABLE.has_room(address, in_table)
    }

    fn row_of(&self, id: &NodeId) -> u16 {
        id.distance(&self.own).common_bits()
    }
}

/// Returns the node of a full row that a newcomer may challenge: the longest unheard one that was not challenged just
/// now, unless it is old and was heard recently.
fn weakest(row: &BTreeMap<NodeId, Entry>, now: Instant) -> Option<Address> {
    let candidates = row.values().filter(|entry| entry.challenged_at + CHALLENGE_PAUSE <= now);
    let oldest = candidates.min_by_key(|entry| (entry.heard_at, entry.added_at))?;
    let is_proven = oldest.added_at + PROVEN_AFTER <= now && oldest.heard_at + FRESH_TIME > now;
    (!is_proven).then_some(oldest.address)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn node(number: u32) -> (NodeId, Address) {
        let address = Address::new(Ipv4Addr::from(number), 1);
        (NodeId::of(&address), address)
    }

    #[test]
    fn closest_agrees_with_sorting_all_nodes() {
        let mut table = Table::new(Target([7; 32]));
        for number in 0..3_000 {
            let (id, address) = node(number);
            table.insert(id, address, Instant::from_millis(1));
        }
        let all: Vec<Address> = table.entries().map(|entry| entry.address).collect();
        assert!(all.len() == table.len() && all.len() < 12 * CLOSEST_MAX);
        for number in 0..300 {
            let target = Target(node(number).0.0);
            let mut sorted = all.clone();
            sorted.sort_by_key(|address| NodeId::of(address).distance(&target));
            sorted.truncate(CLOSEST_MAX);
            assert_eq!(table.closest(&target, CLOSEST_MAX), sorted);
        }
    }

    #[test]
    fn a_full_row_takes_a_newcomer_only_when_a_node_is_gone() {
        let mut table = Table::new(Target([0; 32]));
        let far: Vec<(NodeId, Address)> =
            (0..1_000).map(node).filter(|(id, _)| id.0[0] >= 0x80).take(CLOSEST_MAX + 1).collect();
        for (number, (id, address)) in far.iter().enumerate() {
            assert_eq!(
                table.insert(*id, *address, Instant::from_millis(10_000 + number as u64)),
                number < CLOSEST_MAX
            );
        }
        let (newcomer, address) = far[CLOSEST_MAX];
        assert_eq!(
            table.place_for(&newcomer, &address, Instant::from_millis(20_000)),
            Place::Challenge(far[0].1)
        );
        table.get_mut(&far[0].0).expect("known").challenged_at = Instant::from_millis(20_000);
        assert_eq!(
            table.place_for(&newcomer, &address, Instant::from_millis(20_000)),
            Place::Challenge(far[1].1)
        );
        // Nodes known for long that were heard just now are left alone.
        let later = Instant::from_millis(20_000) + PROVEN_AFTER;
        for (id, _) in &far[..CLOSEST_MAX] {
            table.get_mut(id).expect("known").heard_at = later;
        }
        assert_eq!(table.place_for(&newcomer, &address, later), Place::None);
        table.remove(&far[3].0);
        assert_eq!(table.place_for(&newcomer, &address, later), Place::Free);
        assert!(table.insert(newcomer, address, later));
        assert_eq!(table.len(), CLOSEST_MAX);
    }

    /// Its own id has no place in it.
    #[test]
    fn a_flood_of_nodes_does_not_grow_the_table() {
        let mut table = Table::new(Target(node(1).0.0));
        assert_eq!(table.place_for(&node(1).0, &node(1).1, Instant::START), Place::None);
        for number in 0..20_000 {
            let (id, address) = node(number);
            table.insert(id, address, Instant::from_millis(number.into()));
        }
        assert!(table.len() <= 20 * CLOSEST_MAX);
        let before = table.len();
        table.rebuild(Target(node(2).0.0));
        assert!(table.len() <= before && table.len() > CLOSEST_MAX);
        assert_eq!(table.entries().count(), table.len());
    }

    #[test]
    fn one_machine_or_network_does_not_fill_the_table() {
        let mut table = Table::new(Target([7; 32]));
        for port in 1..=20_000 {
            let address = Address::new([20, 0, 0, 1].into(), port);
            table.insert(NodeId::of(&address), address, Instant::from_millis(1));
        }
        let most_in_a_row = |table: &Table| table.rows.values().map(BTreeMap::len).max();
        assert_eq!((table.len(), most_in_a_row(&table)), (10, Some(2)));
        // The rest of its network, from many ports of each.
        for number in 0..25_400_u32 {
            let address =
                Address::new([20, 0, 0, (2 + number % 254) as u8].into(), (1 + number / 254) as u16);
            table.insert(NodeId::of(&address), address, Instant::from_millis(1));
        }
        assert_eq!((table.len(), most_in_a_row(&table)), (50, Some(10)));
        // Another node has a place in every row that the crowd has been to.
        for number in 0..2_000 {
            let address = Address::new(Ipv4Addr::from(0x1e00_0001 + 256 * number), 1);
            table.insert(NodeId::of(&address), address, Instant::from_millis(1));
        }
        assert_eq!(table.rows[&0].len(), CLOSEST_MAX);
        assert!(table.len() > 120, "{}", table.len());
        // A node that is gone makes room for a neighbour.
        let gone = table.entries().find(|entry| entry.address.ip().octets()[0] == 20).expect("one");
        let gone = gone.address;
        table.remove(&NodeId::of(&gone));
        let neighbour = (1..).map(|port| Address::new([20, 0, 0, 255].into(), port));
        assert!(neighbour.take(64).any(|address| table.insert(
            NodeId::of(&address),
            address,
            Instant::from_millis(1)
        )));
    }

    #[test]
    fn a_test_network_on_one_machine_fills_the_table() {
        let mut table = Table::new(Target([7; 32]));
        for port in 1..=2_000 {
            let address = Address::new([127, 0, 0, 1].into(), port);
            table.insert(NodeId::of(&address), address, Instant::from_millis(1));
        }
        assert!(table.len() > 6 * CLOSEST_MAX, "{}", table.len());
    }
}

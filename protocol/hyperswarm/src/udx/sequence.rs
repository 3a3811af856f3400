//! Sequence numbers of packets: 32 bits on the wire, 64 bits here, so that order is plain order and nothing ever wraps.

use std::ops::{Add, Sub};

/// The number of a packet.
///
/// The wire carries its low 32 bits. The number closest to a known one is meant, as in serial number arithmetic (RFC
/// 1982). The first packet has [`Sequence::START`]: far enough from zero that a number before the start, which a peer
/// may claim, is still a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sequence(u64);

impl Sequence {
    /// The number of a stream's first packet, 0 on the wire.
    pub(super) const START: Self = Self(1 << 32);

    /// Returns the low 32 bits, for the wire.
    pub(super) fn wire(self) -> u32 {
        self.0 as u32
    }

    /// Returns the number closest to this one that has these low bits. At equal distances it is the earlier one.
    pub(super) fn nearest(self, wire: u32) -> Self {
        let distance = wire.wrapping_sub(self.wire()).cast_signed();
        Self(self.0.saturating_add_signed(i64::from(distance)))
    }

    /// Returns the number after this one.
    pub(super) fn next(self) -> Self {
        self + 1
    }

    pub(super) fn index(self) -> u64 {
        self.0
    }

    pub(super) fn from_index(index: u64) -> Self {
        Self(index)
    }
}

impl Add<u64> for Sequence {
    type Output = Self;

    fn add(self, packets: u64) -> Self {
        Self(self.0.saturating_add(packets))
    }
}

/// The number of packets between two numbers; 0 if the second is the later one.
impl Sub for Sequence {
    type Output = u64;

    fn sub(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_where_the_wire_wraps() {
        let last = Sequence::START + u64::from(u32::MAX);
        assert_eq!(last.wire(), u32::MAX);
        assert_eq!(last.next().wire(), 0);
        assert_eq!(last.nearest(3), last + 4);
        assert_eq!((last + 4).nearest(u32::MAX), last);
    }

    #[test]
    fn the_nearest_number_is_at_most_half_the_circle_away() {
        let here = Sequence::START + 100;
        assert_eq!(here.nearest(100), here);
        assert_eq!(here.nearest(99) - Sequence::START, 99);
        assert_eq!(here.nearest(0x7fff_ffff + 100) - here, 0x7fff_ffff);
        assert!(here.nearest(0x8000_0000 + 100) < here, "half the circle counts as behind");
        assert!(Sequence::START.nearest(u32::MAX) < Sequence::START);
    }
}

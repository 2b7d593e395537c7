//! Cluster slots, and the groups that claims are spread over.
//!
//! A claim and the record of its epoch must lie in one slot, so that the same server answers for both. Every claim
//! belongs to one of 1024 groups, whose tags are chosen so that each group has its own sixteenth of a thousandth of the
//! slots: however the slots are dealt out, every server gets its share to within one group.

/// Slots of a Redis cluster.
pub(super) const SLOTS: u16 = 16_384;
/// Groups of claims in a cluster.
pub(super) const GROUPS: u16 = 1024;

/// What a tag is spelled with.
const ALPHABET: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
const SLOTS_PER_GROUP: u16 = SLOTS / GROUPS;

/// The tag of a group: what stands between the braces of its keys.
pub(super) type Tag = [u8; 3];

/// The slot of a tag: CRC-16/XMODEM, as the cluster specification has it.
pub(super) fn slot(tag: &[u8]) -> u16 {
    let crc = tag.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 },
        )
    });
    crc % SLOTS
}

/// The tag of every group. All replicas must come to the same, so this never changes: the first tag in the order of the
/// alphabet whose slot falls into the group's range.
pub(super) fn tags() -> Vec<Tag> {
    let mut tags: Vec<Option<Tag>> = vec![None; usize::from(GROUPS)];
    let mut missing = tags.len();
    for number in 0..64_usize.pow(3) {
        let tag = [number / 4096, number / 64 % 64, number % 64].map(|place| ALPHABET[place]);
        let place = &mut tags[usize::from(slot(&tag) / SLOTS_PER_GROUP)];
        if place.is_none() {
            *place = Some(tag);
            missing -= 1;
            if missing == 0 {
                break;
            }
        }
    }
    tags.into_iter().map(Option::unwrap_or_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b""), 0);
    }

    #[test]
    fn every_group_has_a_tag_in_its_own_range() {
        for (group, tag) in tags().iter().enumerate() {
            assert_eq!(usize::from(slot(tag) / SLOTS_PER_GROUP), group);
        }
    }

    #[test]
    fn the_tags_never_change() {
        let tags = tags();
        assert_eq!((tags[0], tags[511], tags[1023]), (*b"06S", *b"02K", *b"03S"));
    }
}

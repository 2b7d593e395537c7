//! The names of things in Redis.

use super::settings::MAX_KEY;
use super::slots::{self, GROUPS};
use crate::store::NonceKey;

/// How keys are spelled: `PREFIX:` and the 16 raw bytes of a nonce; in a cluster `PREFIX{tag}` and those bytes.
///
/// A claim's key is at most 30 bytes: its string then costs 32 bytes of Redis' memory, and one byte more would cost 40.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    groups: Vec<Group>,
    owners: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Group {
    head: Vec<u8>,
    record: Vec<u8>,
    slot: u16,
}

/// The key of one claim.
#[derive(Clone, Copy)]
pub(super) struct ClaimKey {
    bytes: [u8; MAX_KEY],
    len: usize,
}

impl ClaimKey {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Keys {
    /// The keys of a single server: one group.
    pub(super) fn single(prefix: &str) -> Self {
        Self::new(vec![Group::new(format!("{prefix}:").as_bytes(), 0)])
    }

    /// The keys of a cluster.
    pub(super) fn clustered(prefix: &str) -> Self {
        let head = |tag: &slots::Tag| [prefix.as_bytes(), b"{", tag, b"}"].concat();
        Self::new(slots::tags().iter().map(|tag| Group::new(&head(tag), slots::slot(tag))).collect())
    }

    fn new(groups: Vec<Group>) -> Self {
        let owners = groups.first().map(|group| [&group.head[..], b"owners"].concat()).unwrap_or_default();
        Self { groups, owners }
    }

    /// How many groups there are.
    pub(super) fn groups(&self) -> u16 {
        u16::try_from(self.groups.len()).unwrap_or(GROUPS)
    }

    /// The group of a nonce.
    pub(super) fn group(&self, nonce: &NonceKey) -> u16 {
        let [first, second, ..] = *nonce.as_bytes();
        u16::from_be_bytes([first, second]) % self.groups()
    }

    /// The slot of a group, and of every key in it.
    pub(super) fn slot(&self, group: u16) -> u16 {
        self.groups[usize::from(group)].slot
    }

    /// The key of a claim.
    pub(super) fn claim(&self, nonce: &NonceKey) -> ClaimKey {
        let head = &self.groups[usize::from(self.group(nonce))].head;
        let len = head.len() + 16;
        let mut bytes = [0; MAX_KEY];
        bytes[..head.len()].copy_from_slice(head);
        bytes[head.len()..len].copy_from_slice(nonce.as_bytes());
        ClaimKey { bytes, len }
    }

    /// The key of the record of a group's epoch.
    pub(super) fn record(&self, group: u16) -> &[u8] {
        &self.groups[usize::from(group)].record
    }

    /// The key of the counter that hands out owner tags, where `group` has it.
    pub(super) fn owners(&self, group: u16) -> Option<&[u8]> {
        (group == 0).then_some(&self.owners)
    }
}

impl Keys {
    /// The key called `name`, in the slot of a group. A name is never as long as a nonce, so that it is no claim's key.
    pub(super) fn named(&self, group: u16, name: &str) -> Vec<u8> {
        let head = self.groups.get(usize::from(group)).map(|group| &group.head[..]).unwrap_or_default();
        [head, name.as_bytes()].concat()
    }
}

impl Group {
    fn new(head: &[u8], slot: u16) -> Self {
        Self { head: head.to_vec(), record: [head, b"epoch"].concat(), slot }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_of_a_claim_is_longer_than_thirty_bytes() {
        let nonce = NonceKey::new("jti", "a", "b");
        for keys in [Keys::single("tollgate"), Keys::clustered("tollgate"), Keys::clustered("123456789")] {
            assert!(keys.claim(&nonce).as_bytes().len() <= MAX_KEY);
        }
    }

    #[test]
    fn a_claim_lies_in_the_slot_of_its_record() {
        let keys = Keys::clustered("tollgate");
        for id in 0..100 {
            let nonce = NonceKey::new("jti", "a", &id.to_string());
            let (key, record) = (keys.claim(&nonce), keys.record(keys.group(&nonce)).to_vec());
            let tag = |key: &[u8]| key[key.iter().position(|byte| *byte == b'{').unwrap() + 1..][..3].to_vec();
            assert_eq!(tag(key.as_bytes()), tag(&record));
            assert_eq!(slots::slot(&tag(&record)), keys.slot(keys.group(&nonce)));
        }
    }
}

//! Who comes a second time. A token that comes once and never again is not worth a place among the verdicts: taking it
//! costs memory, and throws out what would have been asked for again.

use std::sync::atomic::{AtomicU32, Ordering};

/// The fewest places, and the most: 4 KiB of them, and 4 MiB.
const PLACES: (usize, usize) = (1 << 10, 1 << 20);

/// A table of marks. Each key has one place, whose mark the next key that falls on it replaces: so what was seen is
/// forgotten by itself, the sooner the more comes, and no two keys are taken for one but once in two thousand million.
pub(super) struct Doorkeeper {
    marks: Box<[AtomicU32]>,
}

impl Doorkeeper {
    /// A doorkeeper for a cache of `entries`.
    pub(super) fn new(entries: usize) -> Self {
        let places = entries.clamp(PLACES.0, PLACES.1).next_power_of_two();
        Self { marks: (0..places).map(|_| AtomicU32::new(0)).collect() }
    }

    /// True when `key`, a keyed hash, was here before and is not forgotten. From now on it was.
    pub(super) fn knows(&self, key: &[u8; 32]) -> bool {
        let word = |at: usize| u32::from_ne_bytes([key[at], key[at + 1], key[at + 2], key[at + 3]]);
        let place = word(0) as usize % self.marks.len();
        // Zero is the mark of nobody.
        let mark = word(4) | 1;
        let known = self.marks[place].load(Ordering::Relaxed) == mark;
        if !known {
            self.marks[place].store(mark, Ordering::Relaxed);
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So far apart they share a place, in a table as small as it gets.
    const AGAIN: u32 = 1 << 10;

    fn key(place: u32, rest: u8) -> [u8; 32] {
        let mut key = [rest; 32];
        key[..4].copy_from_slice(&place.to_ne_bytes());
        key
    }

    #[test]
    fn a_key_is_known_from_its_second_time_on() {
        let door = Doorkeeper::new(100);
        assert_eq!([(); 3].map(|()| door.knows(&key(7, 2))), [false, true, true]);
        assert!(!door.knows(&key(8, 2)) && !door.knows(&[0; 32]));
    }

    #[test]
    fn a_key_is_forgotten_when_another_takes_its_place() {
        let door = Doorkeeper::new(1);
        assert!(!door.knows(&key(1, 2)) && !door.knows(&key(1 + AGAIN, 4)) && !door.knows(&key(1, 2)));
    }

    #[test]
    fn a_table_is_as_large_as_its_cache_within_bounds() {
        let places = |entries| Doorkeeper::new(entries).marks.len();
        assert_eq!([0, 100_000, usize::MAX].map(places), [PLACES.0, 1 << 17, PLACES.1]);
    }
}

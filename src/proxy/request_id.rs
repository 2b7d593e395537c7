//! New identifiers of requests, of their traces and spans.

use crate::request::RequestId;
use std::cell::RefCell;

/// Random bytes drawn at once. A draw takes the generator's lock and works a whole cipher up, for one identifier as for
/// sixty-four.
const DRAWN: usize = 1024;
const ONE: usize = size_of::<u128>();

struct Pool {
    bytes: [u8; DRAWN],
    used: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; DRAWN], used: DRAWN }) };
}

/// An identifier that no other request has. It is no secret, and nothing is decided by it.
pub(super) fn new() -> RequestId {
    RequestId::from_random(random())
}

/// Random bits that nobody has to guess and nobody may rely on.
pub(super) fn random() -> u128 {
    POOL.with_borrow_mut(|pool| {
        if pool.used + ONE > DRAWN {
            // Identifiers only have to differ; should the random source fail, they still are well-formed.
            let _ = openssl::rand::rand_bytes(&mut pool.bytes);
            pool.used = 0;
        }
        let mut bits = [0; ONE];
        bits.copy_from_slice(&pool.bytes[pool.used..pool.used + ONE]);
        pool.used += ONE;
        u128::from_be_bytes(bits)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn identifiers_differ_within_a_draw_and_beyond() {
        let made: HashSet<String> = (0..10 * DRAWN).map(|_| new().as_str().to_owned()).collect();
        assert_eq!(made.len(), 10 * DRAWN);
    }
}

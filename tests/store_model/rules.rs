//! What the store does, and what may go wrong.

/// What the store does; each can be left out.
#[expect(clippy::struct_excessive_bools, reason = "each rule is there or not, whatever the others are")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    /// A claim counts only with the epoch's record beside it.
    pub record_beside_claim: bool,
    /// The record names the process that it speaks of; another one moves the epoch.
    pub record_names_process: bool,
    /// A replica knows its own claims, and sends no other while one is good or on its way.
    pub remembers_own: bool,
    /// A release whose answer is lost is not sent again.
    pub releases_once: bool,
    /// A release takes back a claim of its own replica only.
    pub release_asks_owner: bool,
    /// A claim counts only if a majority of replicas holds it.
    pub acks: bool,
    /// Then the epoch of a primary begins when a majority follows it, not when it is promoted.
    pub settles_when_followed: bool,
    /// A claim whose answer is lost is sent again.
    pub resends: bool,
}

impl Rules {
    pub const ALL: Self = Self {
        record_beside_claim: true,
        record_names_process: true,
        remembers_own: true,
        releases_once: true,
        release_asks_owner: true,
        acks: true,
        settles_when_followed: true,
        resends: false,
    };
}

/// How often what may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Faults {
    pub cuts: u8,
    pub flushes: u8,
    pub restarts: u8,
    pub failovers: u8,
    /// The old primary may go on after a failover.
    pub two_primaries: bool,
}

impl Faults {
    pub const NONE: Self = Self { cuts: 0, flushes: 0, restarts: 0, failovers: 0, two_primaries: false };
}

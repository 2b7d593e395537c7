//! HTTP/2 as bytes: frames and header blocks written by hand, because a library would refuse to send most of this.

mod rows;
mod wire;

pub use rows::{Frames, rows};

use crate::World;
use crate::row::Expect;
use wire::{End, Wire};

/// Begins `count` requests at once, whose bodies never come; answers which stream is reset, and the code of the error.
pub(crate) fn crowd(world: &World, count: u32) -> std::io::Result<(u32, u32)> {
    let mut wire = Wire::open(&world.gateway, wire::PREFACE)?;
    let requests = (0..count).flat_map(|number| rows::begun(2 * number + 1));
    wire.send(&wire::frame(wire::SETTINGS, 0, 0, b"").into_iter().chain(requests).collect::<Vec<_>>())?;
    wire.first_reset()
}

/// Sends the frames of `row`, and checks what became of them.
pub(crate) fn attack(world: &World, row: &Frames) -> Result<(), String> {
    let mut wire = Wire::open(&world.gateway, row.preface).map_err(|fault| format!("connect: {fault}"))?;
    // A gateway that has seen enough may close before everything is sent.
    let _ = wire.send(&row.bytes);
    match (&row.expect, wire.end()) {
        (Expect::Refused(status), End::Status(found)) if found == *status => world.heard(None),
        (Expect::Cut(_) | Expect::Unheard, End::Reset | End::Closed) => world.heard(None),
        (Expect::Unheard, End::Status(found)) if found >= 400 => world.heard(None),
        (Expect::Forwarded(heard), End::Status(200)) => world.heard(Some(heard)),
        (_, end) => Err(format!("ended with {end:?}; heard {}", crate::told(&world.upstream.take()))),
    }
}

//! (room jose)

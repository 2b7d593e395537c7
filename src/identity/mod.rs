//! (room identity)

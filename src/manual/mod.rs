//! (room manual)

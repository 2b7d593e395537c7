//! (room route)

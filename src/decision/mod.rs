//! (room decision)

//! (room authn)

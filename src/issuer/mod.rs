//! (room issuer)

//! (room tls)

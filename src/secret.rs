//! Values that must not leave the process: no `Debug` content, no `Serialize`, wiped when dropped.

use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// A secret value. Its `Debug` shows nothing; it has no `Display` and no `Serialize`; it is wiped on drop.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes charge of `value`.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value itself. Every call site is a place where a secret could leak: keep them few.
    #[must_use]
    pub fn expose(&self) -> &T {
        &self.0
    }
}

/// In constant time, as far as the lengths agree: nobody has to ask whether a comparison is one with a stranger's value.
impl<T: Zeroize + AsRef<[u8]>> PartialEq for Secret<T> {
    fn eq(&self, other: &Self) -> bool {
        let (left, right): (&[u8], &[u8]) = (self.expose().as_ref(), other.expose().as_ref());
        left.len() == right.len() && openssl::memcmp::eq(left, right)
    }
}

impl<T: Zeroize + AsRef<[u8]>> Eq for Secret<T> {}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_equal_when_every_byte_is() {
        let secret = |text: &str| Secret::new(text.to_owned());
        assert_eq!(secret("hunter2"), secret("hunter2"));
        assert_ne!(secret("hunter2"), secret("hunter3"));
        assert_ne!(secret("hunter2"), secret("hunter22"));
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new(String::from("hunter2"))), "Secret(…)");
    }
}

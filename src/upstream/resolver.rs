//! From a name to its addresses, without blocking a thread that serves requests.

use async_trait::async_trait;
use std::io;
use std::net::SocketAddr;

/// Who knows the addresses of a name.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// Every address of `host`, each with `port`, in the order in which they are worth a try.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The system's resolver, asked on a thread of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for address in tokio::net::lookup_host((host, port)).await? {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_resolved_and_an_unknown_one_is_an_error() {
        let local = SystemResolver.resolve("localhost", 80).await.unwrap();
        assert!(!local.is_empty() && local.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
        assert!(SystemResolver.resolve("no-such-host.invalid", 80).await.is_err());
    }
}

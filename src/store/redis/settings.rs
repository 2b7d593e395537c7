//! What the configuration says about Redis, as finished types.

use crate::secret::Secret;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The longest key a nonce may have in Redis: up to here a key's string costs 32 bytes, above it 40.
pub(super) const MAX_KEY: usize = 30;
/// What is left of [`MAX_KEY`] for the prefix, beside the slot tag `{xyz}` and the 16 bytes of the nonce.
const MAX_PREFIX: usize = MAX_KEY - 16 - 5;
const MAX_CONNECTIONS: usize = 64;

/// How to reach the store, and how to use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// Where the data lies.
    pub servers: Servers,
    /// The ACL user; without one a password is the default user's.
    pub username: Option<String>,
    /// The password of `username`, or of the default user.
    pub password: Option<Secret<String>>,
    /// The authorities whose certificates a `rediss://` server may show, as PEM. Nobody else is trusted then; without
    /// it the system's authorities are.
    pub ca: Option<Vec<u8>>,
    /// The certificate shown to the server.
    pub client_certificate: Option<ClientCertificate>,
    /// The longest time a request waits for the store.
    pub timeout: Duration,
    /// Connections to each server; requests take turns. One carries about 100,000 claims a second.
    pub connections: usize,
    /// What every key begins with: 1 to 9 bytes of `[A-Za-z0-9._:-]`.
    pub key_prefix: String,
    /// How many replicas must hold a claim before it counts; 0 does not ask.
    pub replica_acks: u32,
    /// How many claims the process itself remembers, so that a flood of replays does not reach Redis. About 80 bytes
    /// each.
    pub recent_claims: usize,
    /// How long a claim of another replica is remembered without asking again. It may yet be released, so this is the
    /// time in which an upstream connection fails: the longest `timeouts.connect`.
    pub foreign_memory: Duration,
}

impl RedisSettings {
    /// The settings for `servers` with the defaults of gateway.yaml.
    #[must_use]
    pub fn new(servers: Servers) -> Self {
        Self {
            servers,
            username: None,
            password: None,
            ca: None,
            client_certificate: None,
            timeout: Duration::from_millis(100),
            connections: 1,
            key_prefix: String::from("tollgate"),
            replica_acks: 0,
            recent_claims: 262_144,
            foreign_memory: Duration::from_secs(2),
        }
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let urls = self.servers.urls();
        if urls.is_empty() {
            return Err(SettingsError::NoServer);
        }
        if urls.iter().any(|url| url.tls != urls[0].tls) {
            return Err(SettingsError::MixedTls);
        }
        if !urls[0].tls && (self.ca.is_some() || self.client_certificate.is_some()) {
            return Err(SettingsError::CertificateWithoutTls);
        }
        if matches!(self.servers, Servers::Cluster(_)) && urls.iter().any(|url| url.database != 0) {
            return Err(SettingsError::DatabaseInCluster);
        }
        let legible = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        if !(1..=MAX_PREFIX).contains(&self.key_prefix.len()) || !self.key_prefix.bytes().all(legible) {
            return Err(SettingsError::KeyPrefix);
        }
        if self.timeout.is_zero() {
            return Err(SettingsError::Timeout);
        }
        if !(1..=MAX_CONNECTIONS).contains(&self.connections) {
            return Err(SettingsError::Connections);
        }
        Ok(())
    }
}

/// Where the data lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Servers {
    /// One server.
    Single(RedisUrl),
    /// A cluster, found through any of these.
    Cluster(Vec<RedisUrl>),
    /// The primary that these Sentinels name for `service`.
    Sentinel {
        /// The Sentinels themselves.
        urls: Vec<RedisUrl>,
        /// The name under which they watch the primary.
        service: String,
    },
}

impl Servers {
    /// The URLs, as they are written.
    #[must_use]
    pub fn urls(&self) -> &[RedisUrl] {
        match self {
            Self::Single(url) => std::slice::from_ref(url),
            Self::Cluster(urls) | Self::Sentinel { urls, .. } => urls,
        }
    }
}

/// A certificate chain and its key, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, then its intermediates.
    pub chain: Vec<u8>,
    /// The private key.
    pub key: Secret<Vec<u8>>,
}

/// `redis://HOST[:PORT][/DATABASE]`, or `rediss://` for TLS. It holds no credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RedisUrl {
    /// Whether the connection is TLS.
    pub tls: bool,
    /// A name or an address, an IPv6 one without brackets.
    pub host: String,
    /// The port, if the URL names one.
    pub port: Option<u16>,
    /// The database.
    pub database: u32,
}

impl FromStr for RedisUrl {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let (scheme, rest) = text.split_once("://").ok_or(SettingsError::Url)?;
        let tls = match scheme {
            "redis" => false,
            "rediss" => true,
            _ => return Err(SettingsError::Url),
        };
        if rest.contains('@') {
            return Err(SettingsError::CredentialsInUrl);
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let database = if path.is_empty() { 0 } else { path.parse().map_err(|_| SettingsError::Url)? };
        let (host, port) = split_authority(authority).ok_or(SettingsError::Url)?;
        let port = port.map(|port| port.parse().map_err(|_| SettingsError::Url)).transpose()?;
        let legible = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-%".contains(&byte);
        if host.is_empty() || !host.bytes().all(legible) || port == Some(0) {
            return Err(SettingsError::Url);
        }
        Ok(Self { tls, host: host.to_owned(), port, database })
    }
}

fn split_authority(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return if rest.is_empty() { Some((host, None)) } else { Some((host, Some(rest.strip_prefix(':')?))) };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        write!(f, "{scheme}://{}", self.host)?;
        if let Some(port) = self.port { write!(f, ":{port}") } else { Ok(()) }
    }
}

/// Why settings can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not a URL of a Redis server.
    #[error("not a URL of a Redis server; write redis://HOST:PORT or rediss://HOST:PORT")]
    Url,
    /// Credentials in the URL.
    #[error("credentials don't belong into a URL; write `username:` and `password: env:NAME` beside it")]
    CredentialsInUrl,
    /// No server is named.
    #[error("no server is named")]
    NoServer,
    /// TLS and plain servers side by side.
    #[error("some servers are redis:// and some are rediss://; write the same for all")]
    MixedTls,
    /// A certificate without TLS.
    #[error("`ca` and `client_certificate` need rediss://")]
    CertificateWithoutTls,
    /// A database other than 0 in a cluster.
    #[error("a cluster has database 0 only")]
    DatabaseInCluster,
    /// The key prefix is too long or has odd bytes.
    #[error("the key prefix must be 1 to 9 characters of [A-Za-z0-9._:-]")]
    KeyPrefix,
    /// A time-out of zero.
    #[error("the time-out must be longer than zero")]
    Timeout,
    /// No connection, or too many.
    #[error("connections must be 1 to 64")]
    Connections,
    /// The authorities can't be read.
    #[error("`ca` is not a PEM file of certificates")]
    Ca,
    /// The client certificate or its key can't be read, or they don't belong together.
    #[error("`client_certificate` is not a PEM chain with its own PEM key")]
    ClientCertificate,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<RedisUrl, SettingsError> {
        text.parse()
    }

    #[test]
    fn urls_are_read_and_written() {
        for text in ["redis://127.0.0.1:6379", "rediss://store.internal:6380", "redis://store"] {
            assert_eq!(url(text).map(|url| url.to_string()), Ok(text.to_owned()));
        }
        let six = url("rediss://[::1]:7000/3").unwrap();
        assert_eq!((six.tls, six.host.as_str(), six.port, six.database), (true, "::1", Some(7000), 3));
    }

    #[test]
    fn odd_urls_are_refused() {
        for text in
            ["", "redis://", "http://a", "redis://a:0", "redis://a:b", "redis://a/b", "redis://::1", "redis://a b"]
        {
            assert_eq!(url(text), Err(SettingsError::Url), "{text}");
        }
    }

    #[test]
    fn a_url_with_credentials_is_refused_without_repeating_them() {
        let error = url("redis://user:hunter2@store:6379").unwrap_err();
        assert_eq!(error, SettingsError::CredentialsInUrl);
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn settings_are_checked() {
        let good = RedisSettings::new(Servers::Single(url("redis://store").unwrap()));
        assert_eq!(good.check(), Ok(()));
        let with = |change: fn(&mut RedisSettings)| {
            let mut settings = good.clone();
            change(&mut settings);
            settings.check()
        };
        assert_eq!(with(|s| s.key_prefix = String::from("abcdefghij")), Err(SettingsError::KeyPrefix));
        assert_eq!(with(|s| s.key_prefix = String::from("a{b}")), Err(SettingsError::KeyPrefix));
        assert_eq!(with(|s| s.timeout = Duration::ZERO), Err(SettingsError::Timeout));
        assert_eq!(with(|s| s.connections = 0), Err(SettingsError::Connections));
        assert_eq!(with(|s| s.ca = Some(Vec::new())), Err(SettingsError::CertificateWithoutTls));
        assert_eq!(with(|s| s.servers = Servers::Cluster(Vec::new())), Err(SettingsError::NoServer));
    }

    #[test]
    fn debug_shows_no_secret() {
        let mut settings = RedisSettings::new(Servers::Single(url("rediss://store").unwrap()));
        settings.password = Some(Secret::new(String::from("hunter2")));
        settings.client_certificate =
            Some(ClientCertificate { chain: Vec::new(), key: Secret::new(b"hunter2".to_vec()) });
        let shown = format!("{settings:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("104, 117"), "{shown}");
    }
}

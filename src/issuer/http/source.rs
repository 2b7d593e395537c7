//! Where an issuer's keys come from, how they are fetched, and which URLs may be asked at all.

use super::place::Place;
use crate::issuer::address::AddressRule;
use crate::issuer::refresh::RefreshPolicy;
use openssl::x509::X509;
use reqwest::Url;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Why a URL, or a setting of the fetches, is refused. The text never holds the URL: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Not an absolute URL with a host.
    #[error("is not an absolute URL")]
    Malformed,
    /// Neither `https`, nor `http` to this very host.
    #[error("is neither https nor http to a loopback address")]
    Scheme,
    /// User name, password or fragment; a query in an issuer's name (RFC 8414 §2).
    #[error("has a user name, a fragment or a query, which have no place there")]
    Parts,
    /// An address that is not fetched from.
    #[error("is a private, loopback or otherwise forbidden address")]
    Address,
    /// No certificate in the CA file.
    #[error("holds no certificate in PEM")]
    Ca,
    /// A proxy other than `http://host:port` or `https://host:port`.
    #[error("is no http or https URL of a proxy")]
    Proxy,
    /// The TLS library refused the settings.
    #[error("can't be used by the TLS library")]
    Tls,
}

/// Where the keys are published.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeySource {
    url: Url,
    /// The exact issuer, where the URL of the keys stands in its metadata.
    issuer: Option<Arc<str>>,
}

impl KeySource {
    /// The keys that the metadata of `issuer` names (OpenID Connect Discovery §4, RFC 8414 §3).
    pub fn discovery(issuer: &str) -> Result<Self, SourceError> {
        let url = sound_url(issuer)?;
        if url.query().is_some() {
            return Err(SourceError::Parts);
        }
        Ok(Self { url, issuer: Some(issuer.into()) })
    }

    /// The keys at `url`.
    pub fn jwks(url: &str) -> Result<Self, SourceError> {
        Ok(Self { url: sound_url(url)?, issuer: None })
    }

    /// The configured URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.issuer.as_deref().unwrap_or(self.url.as_str())
    }

    /// The configured URL as it may be shown: a query may hold a key.
    #[must_use]
    pub fn shown(&self) -> String {
        let url = self.as_str();
        url.split_once('?').map_or_else(|| url.to_owned(), |(before, _)| format!("{before}?..."))
    }

    /// The exact issuer whose metadata names the keys.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Where the keys are, if that is configured.
    pub(super) fn keys_url(&self) -> Option<&Url> {
        self.issuer.is_none().then_some(&self.url)
    }

    /// Where the metadata may be, in the order in which to ask: OpenID Connect Discovery §4 appends its well-known
    /// part to the issuer, RFC 8414 §3.1 puts its own between host and path.
    pub(super) fn metadata_urls(&self) -> [Url; 2] {
        let path = self.url.path().trim_end_matches('/');
        let with_path = |path: &str| {
            let mut url = self.url.clone();
            url.set_path(path);
            url
        };
        [
            with_path(&format!("{path}/.well-known/openid-configuration")),
            with_path(&format!("/.well-known/oauth-authorization-server{path}")),
        ]
    }
}

/// How keys are fetched: `issuers[].fetch`.
#[derive(Clone, Debug)]
pub struct FetchSettings {
    /// The certificates, in PEM, that vouch for the servers, instead of the system's.
    pub ca: Option<Arc<[u8]>>,
    /// How long one document may take, name resolution and redirects included.
    pub timeout: Duration,
    /// When to fetch again, and how long to believe.
    pub refresh: RefreshPolicy,
    /// Where the last good set is kept for a cold start.
    pub snapshot: Option<PathBuf>,
    /// The proxy to go through. Proxies of the environment are ignored.
    pub proxy: Option<String>,
    /// Whether private and link-local addresses may be asked.
    pub allow_private_addresses: bool,
}

impl Default for FetchSettings {
    fn default() -> Self {
        Self {
            ca: None,
            timeout: Duration::from_secs(5),
            refresh: RefreshPolicy::default(),
            snapshot: None,
            proxy: None,
            allow_private_addresses: false,
        }
    }
}

/// By what right and on which way a document is fetched. Only what was fetched alike is shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Access {
    pub(super) ca: Option<Arc<[u8]>>,
    pub(super) proxy: Option<Url>,
    pub(super) rule: AddressRule,
}

impl Access {
    pub(super) fn new(source: &KeySource, settings: &FetchSettings) -> Result<Self, SourceError> {
        let rule = AddressRule {
            loopback: Place::of(&source.url) == Place::Loopback,
            private: settings.allow_private_addresses,
        };
        let access =
            Self { ca: settings.ca.clone(), proxy: settings.proxy.as_deref().map(proxy_url).transpose()?, rule };
        access.permit(&source.url)?;
        Ok(access)
    }

    /// The certificates of the CA.
    pub(super) fn ca_certificates(&self) -> Result<Option<Vec<X509>>, SourceError> {
        let Some(pem) = &self.ca else { return Ok(None) };
        let certificates = X509::stack_from_pem(pem).map_err(|_| SourceError::Ca)?;
        if certificates.is_empty() { Err(SourceError::Ca) } else { Ok(Some(certificates)) }
    }

    /// Whether a URL may be asked, as far as it shows by itself: configured, discovered or redirected to. What its
    /// name resolves to is checked by the resolver.
    ///
    /// A proxy resolves names itself, out of our sight. Then addresses written as such are checked, plain http and
    /// loopback are refused (they would be the proxy's), and the server's certificate is what proves the place.
    pub(super) fn permit(&self, url: &Url) -> Result<(), SourceError> {
        let place = Place::of(url);
        let rule = if self.proxy.is_some() { AddressRule { loopback: false, ..self.rule } } else { self.rule };
        let admitted = match place {
            Place::Name => true,
            Place::Loopback => rule.loopback,
            Place::Address(address) => rule.admits(address),
        };
        match url.scheme() {
            _ if !admitted => Err(SourceError::Address),
            "https" => Ok(()),
            "http" if place == Place::Loopback => Ok(()),
            _ => Err(SourceError::Scheme),
        }
    }
}

/// A URL that may be configured: absolute, https or http to loopback, nothing but scheme, host, port, path and query.
fn sound_url(text: &str) -> Result<Url, SourceError> {
    let url = Url::parse(text).map_err(|_| SourceError::Malformed)?;
    if !url.has_host() {
        return Err(SourceError::Malformed);
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(SourceError::Parts);
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if Place::of(&url) == Place::Loopback => Ok(url),
        _ => Err(SourceError::Scheme),
    }
}

/// The URL of a proxy. A password in it would be a secret in the file, so it has none.
fn proxy_url(text: &str) -> Result<Url, SourceError> {
    let url = Url::parse(text).map_err(|_| SourceError::Proxy)?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    if url.has_host() && bare && anonymous && matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err(SourceError::Proxy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(url: &str, settings: &FetchSettings) -> Result<Access, SourceError> {
        Access::new(&KeySource::jwks(url)?, settings)
    }

    fn plain(url: &str) -> Option<SourceError> {
        access(url, &FetchSettings::default()).err()
    }

    #[test]
    fn only_https_and_http_to_this_very_host_may_be_configured() {
        for good in
            ["https://idp.example.com/jwks?v=1", "http://127.0.0.1:8080/j", "http://[::1]/j", "http://localhost:1/"]
        {
            assert_eq!(plain(good), None, "{good}");
        }
        for (bad, error) in [
            ("http://idp.example.com/jwks", SourceError::Scheme),
            ("http://localhost.example.com/", SourceError::Scheme),
            ("http://10.0.0.1/", SourceError::Scheme),
            ("file:///etc/passwd", SourceError::Malformed),
            ("ftp://idp.example.com/", SourceError::Scheme),
            ("idp.example.com", SourceError::Malformed),
            ("https://user:secret@idp.example.com/", SourceError::Parts),
            ("https://idp.example.com/#x", SourceError::Parts),
        ] {
            assert_eq!(plain(bad), Some(error), "{bad}");
        }
        assert_eq!(KeySource::discovery("https://idp.example.com/?x"), Err(SourceError::Parts));
    }

    #[test]
    fn an_address_in_the_url_is_checked_however_it_is_spelled() {
        for bad in
            ["10.0.0.1", "0x0a000001", "167772161", "012.0.0.1", "169.254.169.254", "0.0.0.0", "[::]", "[fd00::1]"]
        {
            assert_eq!(plain(&format!("https://{bad}/")), Some(SourceError::Address), "{bad}");
        }
        let private = FetchSettings { allow_private_addresses: true, ..FetchSettings::default() };
        assert!(access("https://10.0.0.1/", &private).is_ok());
        assert!(access("https://169.254.169.254/", &private).is_err());
    }

    #[test]
    fn loopback_is_open_only_to_a_source_configured_there() {
        let permit = |configured: &str, asked: &str| {
            access(configured, &FetchSettings::default()).unwrap().permit(&Url::parse(asked).unwrap())
        };
        assert_eq!(permit("https://idp.example.com/", "https://127.0.0.1/"), Err(SourceError::Address));
        assert_eq!(permit("https://idp.example.com/", "https://localhost./"), Err(SourceError::Address));
        assert_eq!(permit("https://idp.example.com/", "http://localhost/"), Err(SourceError::Address));
        assert_eq!(permit("https://idp.example.com/", "http://idp.example.com/"), Err(SourceError::Scheme));
        assert_eq!(permit("https://127.0.0.1/", "http://[::1]:99/"), Ok(()));
        assert_eq!(permit("https://127.0.0.1/", "https://idp.example.com/"), Ok(()));
    }

    #[test]
    fn through_a_proxy_only_https_to_elsewhere_is_asked() {
        let settings = FetchSettings { proxy: Some("http://10.0.0.9:3128".into()), ..FetchSettings::default() };
        assert!(access("https://idp.example.com/", &settings).is_ok());
        for bad in ["http://127.0.0.1/", "https://localhost/", "https://10.0.0.1/"] {
            assert_eq!(access(bad, &settings).err(), Some(SourceError::Address), "{bad}");
        }
        for bad in ["socks5://p:1", "http://user:secret@p:1", "p:1", "http://p:1/path", ""] {
            let settings = FetchSettings { proxy: Some(bad.into()), ..FetchSettings::default() };
            assert_eq!(access("https://idp.example.com/", &settings).err(), Some(SourceError::Proxy), "{bad}");
        }
    }

    #[test]
    fn metadata_stands_where_the_two_specifications_put_it() {
        for issuer in ["https://idp.example.com/t/a", "https://idp.example.com/t/a/"] {
            let source = KeySource::discovery(issuer).unwrap();
            assert_eq!(source.as_str(), issuer);
            assert_eq!(
                source.metadata_urls().map(String::from),
                [
                    "https://idp.example.com/t/a/.well-known/openid-configuration",
                    "https://idp.example.com/.well-known/oauth-authorization-server/t/a",
                ]
            );
        }
        let bare = KeySource::discovery("https://idp.example.com").unwrap();
        assert_eq!(bare.metadata_urls()[1].as_str(), "https://idp.example.com/.well-known/oauth-authorization-server");
    }

    #[test]
    fn a_query_is_asked_for_and_never_shown() {
        let source = KeySource::jwks("https://keys.example.com/keys?code=hunter2").unwrap();
        assert_eq!(source.keys_url().unwrap().query(), Some("code=hunter2"));
        assert_eq!(source.shown(), "https://keys.example.com/keys?...");
        assert_eq!(KeySource::jwks("https://keys.example.com/keys").unwrap().shown(), "https://keys.example.com/keys");
    }

    #[test]
    fn a_ca_without_a_certificate_is_refused() {
        let settings = FetchSettings { ca: Some(Arc::from(&b"no certificate"[..])), ..FetchSettings::default() };
        let access = access("https://idp.example.com/", &settings).unwrap();
        assert_eq!(access.ca_certificates().map(drop), Err(SourceError::Ca));
    }
}

//! From an address to a connection that has logged in.

use super::fault::OpenError;
use super::settings::{ClientCertificate, RedisSettings, SettingsError};
use openssl::pkey::PKey;
use openssl::ssl::{SslConnector, SslMethod, SslVersion};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisConnectionInfo, RedisError};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

/// Requests that may wait for the socket at once before their senders wait.
const SEND_QUEUE: usize = 1024;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// As whom to log in, and to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Login {
    /// With the credentials of the settings, to their database.
    Store,
    /// With the same credentials, to a Sentinel, which has no databases.
    Sentinel,
    /// Not at all.
    Nobody,
}

/// Opens connections by the settings.
pub(super) struct Dialer {
    tls: Option<SslConnector>,
}

/// The future that moves a connection's bytes; when it ends, the connection is closed.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection before anybody logged in.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Dialer {
    /// Reads the certificates.
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, SettingsError> {
        let tls = settings.servers.urls().iter().any(|url| url.tls);
        Ok(Self { tls: if tls { Some(connector(settings)?) } else { None } })
    }

    /// Connects.
    pub(super) async fn stream(&self, address: &Address) -> Result<Box<dyn Stream>, OpenError> {
        let socket = TcpStream::connect((address.host.as_str(), address.port))
            .await
            .map_err(|error| OpenError::Dial(error.kind()))?;
        socket.set_nodelay(true).map_err(|error| OpenError::Dial(error.kind()))?;
        Ok(match &self.tls {
            Some(connector) => Box::new(handshake(connector, &address.host, socket).await?),
            None => Box::new(socket),
        })
    }

    /// Connects, and logs in.
    pub(super) async fn open(
        &self,
        address: &Address,
        settings: &RedisSettings,
        login: Login,
    ) -> Result<(MultiplexedConnection, Driver), OpenError> {
        let stream = self.stream(address).await?;
        let login = login.by(settings);
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(None)
            .set_pipeline_buffer_size(SEND_QUEUE);
        let opened = MultiplexedConnection::new_with_config(&login, stream, config).await;
        let (connection, driver) = opened.map_err(|error| login_error(&error))?;
        Ok((connection, Box::pin(driver)))
    }
}

impl Login {
    pub(super) fn by(self, settings: &RedisSettings) -> RedisConnectionInfo {
        let login = RedisConnectionInfo::default().set_skip_set_lib_name();
        if self == Self::Nobody {
            return login;
        }
        let database = settings.servers.urls().first().map_or(0, |url| url.database);
        let login = if self == Self::Store { login.set_db(i64::from(database)) } else { login };
        match (&settings.username, &settings.password) {
            (Some(user), Some(password)) => login.set_username(user).set_password(password.expose()),
            (None, Some(password)) => login.set_password(password.expose()),
            _ => login,
        }
    }
}

pub(super) fn login_error(error: &RedisError) -> OpenError {
    match error.kind() {
        ErrorKind::Io => OpenError::Dial(std::io::ErrorKind::ConnectionReset),
        _ => OpenError::Login,
    }
}

async fn handshake(connector: &SslConnector, host: &str, socket: TcpStream) -> Result<SslStream<TcpStream>, OpenError> {
    let ssl = connector.configure().and_then(|ssl| ssl.into_ssl(host)).map_err(|_| OpenError::Tls)?;
    let mut stream = SslStream::new(ssl, socket).map_err(|_| OpenError::Tls)?;
    Pin::new(&mut stream).connect().await.map_err(|_| OpenError::Tls)?;
    Ok(stream)
}

fn connector(settings: &RedisSettings) -> Result<SslConnector, SettingsError> {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(|_| SettingsError::Ca)?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2)).map_err(|_| SettingsError::Ca)?;
    if let Some(pem) = &settings.ca {
        // A store of its own, so that the system's authorities are not trusted beside it.
        let mut store = X509StoreBuilder::new().map_err(|_| SettingsError::Ca)?;
        let authorities = X509::stack_from_pem(pem).map_err(|_| SettingsError::Ca)?;
        if authorities.is_empty() {
            return Err(SettingsError::Ca);
        }
        for authority in authorities {
            store.add_cert(authority).map_err(|_| SettingsError::Ca)?;
        }
        builder.set_cert_store(store.build());
    }
    if let Some(certificate) = &settings.client_certificate {
        present(&mut builder, certificate).ok_or(SettingsError::ClientCertificate)?;
    }
    Ok(builder.build())
}

fn present(builder: &mut openssl::ssl::SslConnectorBuilder, certificate: &ClientCertificate) -> Option<()> {
    let mut chain = X509::stack_from_pem(&certificate.chain).ok()?.into_iter();
    let own = chain.next()?;
    builder.set_certificate(&own).ok()?;
    for intermediate in chain {
        builder.add_extra_chain_cert(intermediate).ok()?;
    }
    let key = PKey::private_key_from_pem(certificate.key.expose()).ok()?;
    builder.set_private_key(&key).ok()?;
    builder.check_private_key().ok()
}

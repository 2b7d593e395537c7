//! The measure of all others: a proxy of the same engine, TLS library and build as tollgate, which sets one header and
//! checks nothing.

use crate::tokens::SUBJECT;
use async_trait::async_trait;
use pingora::http::RequestHeader;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

struct Bare {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        (): &mut (),
    ) -> pingora::Result<()> {
        request.insert_header("X-User-Id", SUBJECT)
    }
}

/// The command that serves it: this very program.
pub fn command(listen: SocketAddr, upstream: SocketAddr, chain: &Path, key: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.arg("bare").args([listen.to_string(), upstream.to_string()]).args([chain, key]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Serves until it is killed.
pub fn serve(arguments: &[String]) -> ExitCode {
    let [listen, upstream, chain, key] = arguments else { return ExitCode::from(2) };
    let conf = ServerConf { threads: 1, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let bare = Bare { upstream: upstream.parse().expect("an address") };
    let mut service = http_proxy_service(&server.configuration, bare);
    service.add_tls(listen, chain, key).expect("a certificate and its key");
    server.add_service(service);
    server.run_forever()
}

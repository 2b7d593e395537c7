//! Health checks: one request a target, on the same terms as real ones.

use super::{Pool, Protocol, Upstreams, in_force};
use http::{Uri, Version};
use pingora::Result;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::JoinSet;

/// Keeps the pool at `index` informed for as long as its upstreams are in force.
pub(super) async fn keep(upstreams: Weak<Upstreams>, index: usize) {
    let connector = Arc::new(Connector::new(None));
    while let Some(interval) = round(&upstreams, index, &connector).await {
        tokio::time::sleep(interval).await;
    }
}

/// Asks every target of the pool at `index` once; says after how long to do so again.
async fn round(upstreams: &Weak<Upstreams>, index: usize, connector: &Arc<Connector>) -> Option<Duration> {
    let upstreams = in_force(upstreams)?;
    let pool = upstreams.pool(index)?;
    let health = pool.health()?;
    let mut questions = JoinSet::new();
    for (target, peer) in pool.peers() {
        let Some(question) = question(pool, target, &peer, &health.path) else { continue };
        let (connector, limit) = (Arc::clone(connector), health.interval);
        questions.spawn(async move {
            let answer = tokio::time::timeout(limit, ask(&connector, &peer, question)).await;
            (target, matches!(answer, Ok(Ok(true))))
        });
    }
    while let Some(answer) = questions.join_next().await {
        // A question that broke down says nothing of its target.
        if let Ok((target, well)) = answer {
            pool.checked(target, well);
        }
    }
    Some(health.interval)
}

/// The request to `target`; `None` if the configuration holds one that can't be written, which `check` refuses.
fn question(pool: &Pool, target: usize, peer: &HttpPeer, path: &str) -> Option<RequestHeader> {
    let host = pool.own_host(target)?;
    let mut question = RequestHeader::build("GET", path.as_bytes(), Some(4)).ok()?;
    question.insert_header("User-Agent", "tollgate-health").ok()?;
    if pool.protocol() == Protocol::Http2 {
        let scheme = if peer.is_tls() { "https" } else { "http" };
        question.set_uri(Uri::builder().scheme(scheme).authority(host).path_and_query(path).build().ok()?);
        question.set_version(Version::HTTP_2);
    } else {
        question.insert_header("Host", host).ok()?;
        question.insert_header("Connection", "close").ok()?;
    }
    Some(question)
}

/// True when the answer's status is 2xx.
async fn ask(connector: &Connector, peer: &HttpPeer, question: RequestHeader) -> Result<bool> {
    let (mut session, _) = connector.get_http_session(peer).await?;
    session.write_request_header(Box::new(question)).await?;
    session.finish_request_body().await?;
    session.read_response_header().await?;
    Ok(session.response_header().is_some_and(|response| response.status.is_success()))
}

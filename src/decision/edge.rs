//! What one route asks of the edge itself: who may read across origins, how much may come, what is rewritten.

use crate::limit::Limits;
use crate::request::CanonicalPath;
use crate::route::{CorsPolicy, Rewrite};
use http::{HeaderName, HeaderValue};

/// The rooms' policies at the edge of one route.
#[derive(Debug, Default)]
pub struct Edge {
    /// Whose pages may read answers; `None`: what the upstream says of it passes.
    pub cors: Option<CorsPolicy>,
    /// How often, how large, how many at once.
    pub limits: Limits,
    /// The path the upstream sees, where it is not the one that was matched.
    pub rewrite: Option<Rewrite>,
    /// Headers of every answer of the route, in this spelling; `None` takes the upstream's away.
    pub response_headers: Vec<(HeaderName, Option<HeaderValue>)>,
}

impl Edge {
    /// True where the route has its own word on the header `name`, be it that there is none.
    #[must_use]
    pub fn speaks_of(&self, name: &HeaderName) -> bool {
        self.response_headers.iter().any(|(own, _)| own == name)
    }

    /// The path for the upstream of a request that was matched by `path`.
    #[must_use]
    pub fn forwarded(&self, path: CanonicalPath) -> CanonicalPath {
        match &self.rewrite {
            Some(rewrite) => rewrite.apply(&path),
            None => path,
        }
    }
}

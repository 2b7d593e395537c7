//! `routes[].cors`, `rewrite` and `response_headers` → the edge of one route.

use super::limits;
use crate::config::fault::Faults;
use crate::config::gather::Placed;
use crate::config::schema::edge::{Cors, Limits as WrittenLimits, Rewrite as WrittenRewrite};
use crate::config::schema::routes::Route;
use crate::config::schema::value::{Duration, HeaderName as WrittenName, List};
use crate::config::site::Site;
use crate::decision::{Access, Edge};
use crate::identity::firewall::fold;
use crate::route::{CorsError, CorsPolicy, CorsRule, Origins, Rewrite};
use http::{HeaderName, HeaderValue, Method};
use std::time::Duration as Span;

/// How long a browser may remember a preflight, unless it is written.
const PREFLIGHT: Span = Span::from_secs(600);
/// Headers of answers that frame a message, or that the gateway itself sets, in folded form.
const RESERVED: [&str; 13] = [
    "connection",
    "content-length",
    "content-type",
    "dpop-nonce",
    "keep-alive",
    "proxy-connection",
    "retry-after",
    "set-cookie",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
    "x-request-id",
];

/// Compiles the edge of `route`; `None` after a fault.
pub fn compile(
    route: &Placed<Route>,
    defaults: Option<&Placed<WrittenLimits>>,
    access: Option<&Access>,
    methods: Option<&[Method]>,
    faults: &mut Faults,
) -> Option<Edge> {
    let limits = limits::compile(route, defaults, access, faults);
    let cors = match &route.value.cors {
        Some(cors) => compile_cors(cors, methods, &route.site.key("cors"), faults).map(Some),
        None => Some(None),
    };
    let rewrite = match &route.value.rewrite {
        Some(written) => compile_rewrite(written, route, faults).map(Some),
        None => Some(None),
    };
    let response_headers = response_headers(route, faults);
    Some(Edge { cors: cors?, limits: limits?, rewrite: rewrite?, response_headers: response_headers? })
}

fn compile_cors(cors: &Cors, matched: Option<&[Method]>, site: &Site, faults: &mut Faults) -> Option<CorsPolicy> {
    let origins = origins(cors.origins.as_ref()?, &site.key("origins"), faults);
    let methods = cors_methods(cors, matched, &site.key("methods"), faults);
    let names = |list: &Option<List<WrittenName>>| -> Vec<String> {
        list.iter().flat_map(List::items).map(ToString::to_string).collect()
    };
    let rule = CorsRule {
        origins: origins?,
        methods: methods?,
        headers: names(&cors.headers),
        expose: names(&cors.expose),
        credentials: cors.credentials.unwrap_or(false),
        max_age: cors.max_age.map_or(PREFLIGHT, Duration::get),
    };
    let policy = CorsPolicy::new(&rule);
    match &policy {
        Ok(_) => {}
        Err(CorsError::AnyWithCredentials) => {
            let problem = "would give every page in the world the user's session";
            faults.push(&site.key("credentials"), problem, "remove it, or write the origins one by one");
        }
        Err(error @ CorsError::BadValue) => {
            faults.push(site, error.to_string(), "write visible ASCII");
        }
    }
    policy.ok()
}

/// An origin is compared byte for byte: one that no browser would send is a fault, not a rule without effect.
fn origins(written: &List<crate::config::schema::value::Line>, site: &Site, faults: &mut Faults) -> Option<Origins> {
    let mut origins = Vec::new();
    let (mut any, mut sound) = (false, true);
    for (index, origin) in written.iter() {
        match origin.as_str() {
            "*" => any = true,
            text if is_origin(text) => origins.push(text.to_owned()),
            _ => {
                let remedy = "write scheme, host and port as a browser does, such as `https://app.example.com`";
                faults.push(&site.index(index), "is no origin", remedy);
                sound = false;
            }
        }
    }
    if any && !origins.is_empty() {
        faults.push(site, "holds `*` beside other origins", "write `*` alone, or take it out");
        return None;
    }
    let origins = if any { Origins::Any } else { Origins::Only(origins) };
    sound.then_some(origins)
}

/// `scheme://host[:port]` in lower case, without a path and without the scheme's own port (RFC 6454 §6.2).
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let default = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return false,
    };
    let canonical = crate::request::Authority::parse(authority).map(|authority| authority.to_string());
    canonical.as_deref() == Some(authority) && !authority.ends_with(default)
}

fn cors_methods(cors: &Cors, matched: Option<&[Method]>, site: &Site, faults: &mut Faults) -> Option<Vec<Method>> {
    let Some(written) = &cors.methods else {
        let matched = matched.filter(|methods| !methods.is_empty());
        return Some(matched.map_or_else(|| vec![Method::GET, Method::HEAD, Method::POST], <[Method]>::to_vec));
    };
    let mut methods = Vec::new();
    for (index, name) in written.iter() {
        let method = Method::from_bytes(name.as_str().as_bytes()).ok();
        let method = method.filter(|method| !method.as_str().bytes().any(|byte| byte.is_ascii_lowercase()));
        if method.is_none() {
            faults.push(&site.index(index), "is not a method", "write one such as `GET`, in capitals");
        }
        methods.push(method);
    }
    methods.into_iter().collect()
}

fn compile_rewrite(written: &WrittenRewrite, route: &Placed<Route>, faults: &mut Faults) -> Option<Rewrite> {
    let site = route.site.key("rewrite");
    let remedy = "write whole segments in canonical form, such as `/orders`";
    let mut sound = true;
    for (key, text) in [("strip_prefix", &written.strip_prefix), ("add_prefix", &written.add_prefix)] {
        if let Some(Err(error)) = text.as_ref().map(|text| crate::route::rewrite::prefix(text.as_str())) {
            faults.push(&site.key(key), error.to_string(), remedy);
            sound = false;
        }
    }
    if written.strip_prefix.is_none() && written.add_prefix.is_none() && sound {
        faults.push(&site, "changes nothing", "write `strip_prefix`, `add_prefix` or both, or remove it");
        return None;
    }
    let text = |line: &Option<crate::config::schema::value::Line>| line.as_ref().map(|line| line.as_str().to_owned());
    let (strip, add) = (text(&written.strip_prefix), text(&written.add_prefix));
    let rewrite = Rewrite::new(strip.as_deref(), add.as_deref()).ok()?;
    let path = route.value.r#match.as_ref().and_then(|rule| rule.path.as_ref());
    if path.is_some_and(|path| !rewrite.fits(path.as_str())) {
        let remedy = "write a beginning of `match.path`, in whole literal segments";
        faults.push(&site.key("strip_prefix"), "is not how the paths of the route begin", remedy);
        return None;
    }
    Some(rewrite)
}

fn response_headers(route: &Placed<Route>, faults: &mut Faults) -> Option<Vec<(HeaderName, Option<HeaderValue>)>> {
    let site = route.site.key("response_headers");
    let mut headers = Vec::new();
    let mut sound = true;
    for (name, value) in route.value.response_headers.iter().flatten() {
        let place = site.key(name.as_str());
        let folded = fold(name.as_str());
        if RESERVED.contains(&&*folded) || folded.starts_with("access-control-") {
            let remedy = "remove it; `cors` writes the headers about other origins";
            faults.push(&place, "is a header of the protocol or of the gateway itself", remedy);
            sound = false;
            continue;
        }
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            headers.push((name, Some(value).filter(|value| !value.is_empty())));
        } else {
            faults.push(&place, "can't stand in a header", "write visible ASCII on one line");
            sound = false;
        }
    }
    sound.then_some(headers)
}

#[cfg(test)]
mod tests {
    use super::is_origin;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for origin in ["https://app.example.com", "http://localhost:3000", "https://[::1]:8443", "http://10.0.0.1"] {
            assert!(is_origin(origin), "{origin}");
        }
        for text in [
            "app.example.com",
            "https://App.example.com",
            "https://a.test/",
            "https://a.test:443",
            "http://a.test:80",
            "null",
            "ftp://a.test",
            "https://*.a.test",
            "",
        ] {
            assert!(!is_origin(text), "{text}");
        }
    }
}

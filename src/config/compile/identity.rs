//! `routes[].identity`, joined with `defaults.identity` → the identity room's plan; the firewall all routes share.

use super::issuers::{claim_is_sound, form};
use super::names::Names;
use crate::config::defaults::Merged;
use crate::config::fault::Faults;
use crate::config::gather::Written;
use crate::config::schema::identity::{
    Encoding as WrittenEncoding, Format as WrittenFormat, HeaderSource, Identity, StripPattern, TokenForwarding,
};
use crate::config::schema::value::{HeaderName, List};
use crate::config::site::Site;
use crate::decision::Access;
use crate::identity::firewall::fold;
use crate::identity::{Encoding, Firewall, Format, HeaderRule, IdentityPlan, TokenHandling};
use crate::issuer::Form;

/// Headers that frame a message, route it, or are the gateway's own to set, in folded form.
const RESERVED: [&str; 19] = [
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "content-length",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "via",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
    "cookie",
    "content-type",
];

/// Compiles what a route tells its upstream; `None` after a fault.
pub fn compile(
    identity: &Merged<Identity>,
    own: &Site,
    access: Option<&Access>,
    names: &Names,
    faults: &mut Faults,
) -> Option<IdentityPlan> {
    let public = matches!(access, Some(Access::Public));
    if public && own.key("headers").is_written() {
        let remedy = "remove them, or write what a token must show in `access`";
        faults.push(&own.key("headers"), "have no claims to be set from: the route is public", remedy);
    }
    let mut headers = Vec::new();
    let mut complete = true;
    for (name, source) in identity.value.headers.iter().flatten().filter(|_| !public) {
        match header(name, source, &identity.site_within("headers", name.as_str()), faults) {
            Some(rule) => headers.push(rule),
            None => complete = false,
        }
    }
    check_strip(&identity.value, &identity.site("strip"), faults);
    let token = token(identity, access, names, faults);
    let token = token.filter(|_| complete)?;
    Some(IdentityPlan { headers, token })
}

fn header(name: &HeaderName, source: &HeaderSource, site: &Site, faults: &mut Faults) -> Option<HeaderRule> {
    let sound = header_is_sound(name, site, faults);
    let claim = source.claim.as_ref()?;
    let claim_sound = claim_is_sound(claim, &site.key("claim"), faults);
    (sound && claim_sound).then(|| HeaderRule {
        name: name.to_string(),
        claim: claim.to_string(),
        format: match source.format {
            None | Some(WrittenFormat::Comma) => Format::Comma,
            Some(WrittenFormat::Json) => Format::Json,
            Some(WrittenFormat::Repeat) => Format::Repeat,
        },
        encoding: match source.encoding {
            None | Some(WrittenEncoding::Reject) => Encoding::Reject,
            Some(WrittenEncoding::Percent) => Encoding::Percent,
            Some(WrittenEncoding::Base64url) => Encoding::Base64Url,
        },
    })
}

fn header_is_sound(name: &HeaderName, site: &Site, faults: &mut Faults) -> bool {
    let folded = fold(name.as_str());
    // `Proxy` is no header at all, but CGI makes `HTTP_PROXY` of it.
    if RESERVED.contains(&&*folded) || folded == "proxy" {
        faults.push(site, "is a header of the protocol or of the gateway itself", "choose a name such as `X-User-Id`");
    } else if Firewall::is_credential(name.as_str()) {
        faults.push(
            site,
            "is a header of credentials",
            "write `token: keep` or `token: inner`, or choose another name",
        );
    } else if !HeaderRule::name_is_sound(name.as_str()) {
        faults.push(
            site,
            "has a name that upstreams drop or confuse with another",
            "write letters, digits and `-` only",
        );
    } else {
        return true;
    }
    false
}

fn check_strip(identity: &Identity, site: &Site, faults: &mut Faults) {
    for (index, pattern) in identity.strip.iter().flat_map(List::iter) {
        let name = pattern.as_str().strip_suffix('*').unwrap_or(pattern.as_str());
        let place = site.index(index);
        if name.is_empty() || http::HeaderName::from_bytes(name.as_bytes()).is_err() || name.contains('*') {
            faults.push(&place, "is not a header name", "write a name such as `X-Legacy-User`, or `X-Legacy-*`");
            continue;
        }
        let firewall = Firewall::new([], [pattern.as_str()]);
        if let Some(needed) = RESERVED.iter().find(|needed| firewall.strips(needed)) {
            let problem = format!("removes `{needed}`, without which requests can't be forwarded");
            faults.push(&place, problem, "write a longer name");
        }
    }
}

fn token(
    identity: &Merged<Identity>,
    access: Option<&Access>,
    names: &Names,
    faults: &mut Faults,
) -> Option<TokenHandling> {
    match identity.value.token {
        None | Some(TokenForwarding::Drop) => Some(TokenHandling::Drop),
        Some(TokenForwarding::Keep) => Some(TokenHandling::Keep),
        Some(TokenForwarding::Inner) => {
            let site = identity.site("token");
            let Some(Access::Guarded(guard)) = access else {
                if access.is_some() {
                    faults.push(
                        &site,
                        "is `inner` on a public route, where no token is opened",
                        "write `drop` or `keep`",
                    );
                }
                return None;
            };
            let issuers = guard.issuers.iter().filter_map(|id| names.issuers.get(id.index()));
            for issuer in
                issuers.filter(|item| item.value.token.as_ref().is_some_and(|token| form(token) != Form::Nested))
            {
                if let Some(name) = &issuer.value.name {
                    let problem = format!("is `inner`, but tokens of issuer `{name}` have no JWS inside a JWE");
                    faults.push(&site, problem, "write `drop` or `keep`, or take the issuer out");
                }
            }
            Some(TokenHandling::Inner)
        }
    }
}

/// What stands in `defaults.identity`, whether or not a route inherits it: it goes into the firewall of all.
pub fn check_defaults(written: &Written, faults: &mut Faults) {
    let Some(identity) = written.gateway.defaults.as_ref().and_then(|defaults| defaults.identity.as_ref()) else {
        return;
    };
    let site = written.root.key("defaults").key("identity");
    for (name, source) in identity.headers.iter().flatten() {
        header(name, source, &site.key("headers").key(name.as_str()), faults);
    }
    check_strip(identity, &site.key("strip"), faults);
}

/// The firewall of all routes: what is an identity on one is a forgery on all others.
pub fn firewall(written: &Written) -> Firewall {
    let defaults = written.gateway.defaults.iter().filter_map(|defaults| defaults.identity.as_ref());
    let routes = written.routes.iter().filter_map(|route| route.value.identity.as_ref());
    let all: Vec<&Identity> = defaults.chain(routes).collect();
    let headers = all.iter().filter_map(|identity| identity.headers.as_ref()).flat_map(|headers| headers.keys());
    let patterns = all.iter().filter_map(|identity| identity.strip.as_ref()).flat_map(List::items);
    Firewall::new(headers.map(HeaderName::as_str), patterns.map(StripPattern::as_str))
}

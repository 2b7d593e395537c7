//! `issuers` → the issuer room's profiles.

use super::Workbench;
use super::keys::{self, Keys};
use super::names::Names;
use super::remote;
use crate::config::fault::Faults;
use crate::config::gather::Placed;
use crate::config::schema::issuers::{Form as WrittenForm, Issuer, Token};
use crate::config::schema::value::{ClaimPath, Duration, List, Size};
use crate::config::site::Site;
use crate::issuer::http::RemoteKeys;
use crate::issuer::{AcceptedTypes, Form, IssuerProfile, TokenContract};
use crate::jose::SigningAlgorithm;
use std::sync::Arc;
use std::time::Duration as Span;

/// How far an issuer's clock may be off if nothing is written.
const DEFAULT_LEEWAY: Span = Span::from_secs(10);
/// A leeway that is worth a warning: that long an expired token still opens doors.
const WIDE_LEEWAY: Span = Span::from_secs(60);
/// The largest token if nothing is written.
const DEFAULT_MAX_SIZE: u64 = 8 * 1024;
/// The bounds of the largest token.
const MAX_SIZES: std::ops::RangeInclusive<u64> = 256..=256 * 1024;
/// Claims that many tokens share, so that none of them tells one token from another.
const SHARED_CLAIMS: [&str; 8] = ["iss", "sub", "aud", "exp", "nbf", "iat", "scope", "client_id"];

/// Whom we believe.
pub struct Believed {
    /// In the order of their ids.
    pub issuers: Vec<Arc<IssuerProfile>>,
    /// Those among them whose keys are fetched.
    pub remote_keys: Vec<(Arc<IssuerProfile>, RemoteKeys)>,
}

/// What issuers must not share, seen so far.
#[derive(Default)]
struct Seen {
    symmetric: keys::Symmetric,
    snapshots: remote::Snapshots,
}

/// Compiles `issuers`; `None` after a fault.
pub fn compile(names: &Names, bench: &mut Workbench<'_>) -> Option<Believed> {
    let mut seen = Seen::default();
    let mut remote_keys = Vec::new();
    let mut compiled = Vec::new();
    for issuer in &names.issuers {
        let profile = compile_one(issuer, &mut seen, bench);
        let remote = remote::compile(&issuer.value, &issuer.site, &mut seen.snapshots, bench);
        remote_keys.extend(profile.clone().zip(remote));
        compiled.push(profile);
    }
    Some(Believed { issuers: compiled.into_iter().collect::<Option<_>>()?, remote_keys })
}

fn compile_one(issuer: &Placed<Issuer>, seen: &mut Seen, bench: &mut Workbench<'_>) -> Option<Arc<IssuerProfile>> {
    let (site, value) = (&issuer.site, &issuer.value);
    let token = value.token.clone()?;
    let contract = contract(&token, &site.key("token"), bench);
    let keys = Keys { issuer: value, token: &token, form: form(&token), site }.compile(&mut seen.symmetric, bench);
    Some(Arc::new(IssuerProfile {
        name: value.name.as_ref()?.as_str().into(),
        issuer: value.issuer.as_ref()?.as_str().into(),
        audiences: value.audiences.as_ref()?.items().map(ToString::to_string).collect(),
        contract: contract?,
        keys: keys?,
    }))
}

/// The form of an issuer's tokens.
pub fn form(token: &Token) -> Form {
    match token.form {
        None | Some(WrittenForm::Signed) => Form::Signed,
        Some(WrittenForm::Nested) => Form::Nested,
        Some(WrittenForm::Sealed) => Form::Sealed,
    }
}

fn contract(token: &Token, site: &Site, bench: &mut Workbench<'_>) -> Option<TokenContract> {
    let form = form(token);
    algorithms_of_form(token, form, site, bench.faults);
    let types = types(token, &site.key("types"), bench.faults);
    let scope_claim = claim(token.scope_claim.as_ref(), "scope", &site.key("scope_claim"), bench.faults);
    let id_claim = claim(token.id_claim.as_ref(), "jti", &site.key("id_claim"), bench.faults);
    if id_claim.as_deref().is_some_and(|claim| SHARED_CLAIMS.contains(&claim)) {
        let problem = "names a claim that many tokens share";
        bench.faults.push(
            &site.key("id_claim"),
            problem,
            "name the one that identifies a token, such as `jti` or `uti`",
        );
    }
    let required_claims = required(token.required_claims.as_ref(), &site.key("required_claims"), bench.faults);
    let max_lifetime = max_lifetime(token, site, bench);
    let leeway = token.leeway.map_or(DEFAULT_LEEWAY, Duration::get);
    if leeway > WIDE_LEEWAY {
        bench.warn(&site.key("leeway"), "is long: so long an expired token still opens doors");
    }
    let max_size = max_size(token.max_size, &site.key("max_size"), bench.faults);
    Some(TokenContract {
        form,
        signing_algorithms: list(token.signing_algorithms.as_ref(), |name| name.0),
        key_algorithms: list(token.key_algorithms.as_ref(), |name| name.0),
        content_encryptions: list(token.content_encryptions.as_ref(), |name| name.0),
        types: types?,
        scope_claim: scope_claim?,
        id_claim: id_claim?,
        max_lifetime,
        leeway,
        max_size: max_size?,
        required_claims: required_claims?,
    })
}

fn list<T, U>(written: Option<&List<T>>, value: impl Fn(&T) -> U) -> Vec<U> {
    written.into_iter().flat_map(List::items).map(value).collect()
}

/// A form needs its algorithms, and has no use for those of the others.
fn algorithms_of_form(token: &Token, form: Form, site: &Site, faults: &mut Faults) {
    let signed = form != Form::Sealed;
    let lists = [
        ("signing_algorithms", token.signing_algorithms.is_some(), signed, "[ES256]"),
        ("key_algorithms", token.key_algorithms.is_some(), form.is_encrypted(), "[A256KW]"),
        ("content_encryptions", token.content_encryptions.is_some(), form.is_encrypted(), "[A256GCM]"),
    ];
    for (key, written, needed, example) in lists {
        let place = site.key(key);
        if needed && !written {
            let problem = format!("is missing: a `{}` token needs it, and there is no default", form.name());
            faults.push_missing(&place, problem, format!("write those the issuer uses, such as `{key}: {example}`"));
        } else if written && !needed {
            let problem = format!("has no meaning for a `{}` token", form.name());
            faults.push(&place, problem, "remove it, or write another `form`");
        }
    }
    if token.decryption_keys.is_some() && !form.is_encrypted() {
        let remedy = "remove it, or write `form: nested`";
        faults.push(&site.key("decryption_keys"), "has no meaning for a `signed` token", remedy);
    }
    if form == Form::Sealed {
        for (index, name) in token.key_algorithms.iter().flat_map(List::iter) {
            if !name.0.is_symmetric() {
                // Anyone can encrypt to a public key: what such a JWE says proves nothing without a signature inside.
                let problem = "is no symmetric algorithm, so that anyone could seal a token";
                let remedy = "write `dir`, an A*KW or an A*GCMKW, or `form: nested`";
                faults.push(&site.key("key_algorithms").index(index), problem, remedy);
            }
        }
    }
}

/// Notes signing algorithms that do not go with where the keys come from.
pub fn algorithms_of_source(token: &Token, shared: bool, site: &Site, faults: &mut Faults) {
    for (index, name) in token.signing_algorithms.iter().flat_map(List::iter) {
        let place = site.key("signing_algorithms").index(index);
        if SigningAlgorithm::is_symmetric(name.0) && !shared {
            // A public key taken for an HMAC secret lets everyone sign.
            let problem = format!("`{}` needs a secret, and the issuer's keys are public", name.0);
            faults.push(&place, problem, "remove it, or write `shared_secret` in `keys`");
        } else if !SigningAlgorithm::is_symmetric(name.0) && shared {
            let problem = format!("`{}` needs a public key, and the issuer's key is a shared secret", name.0);
            faults.push(&place, problem, "write HS256, HS384 or HS512, or another source in `keys`");
        }
    }
}

fn types(token: &Token, site: &Site, faults: &mut Faults) -> Option<AcceptedTypes> {
    let Some(list) = &token.types else { return Some(AcceptedTypes::default()) };
    let mut sound = true;
    for (index, name) in list.iter() {
        if AcceptedTypes::only(&[name.to_string()]).is_err() {
            let problem = "is a type that is never an access token";
            faults.push(&site.index(index), problem, "remove it, and write the `typ` of the issuer's access tokens");
            sound = false;
        }
    }
    let names: Vec<String> = list.items().map(ToString::to_string).collect();
    AcceptedTypes::only(&names).ok().filter(|_| sound)
}

/// The claim written, or `default`; `None` after a fault.
fn claim(written: Option<&ClaimPath>, default: &str, site: &Site, faults: &mut Faults) -> Option<String> {
    let Some(claim) = written else { return Some(default.to_owned()) };
    claim_is_sound(claim, site, faults).then(|| claim.to_string())
}

fn required(written: Option<&List<ClaimPath>>, site: &Site, faults: &mut Faults) -> Option<Vec<String>> {
    let claims: Vec<_> = written
        .into_iter()
        .flat_map(List::iter)
        .map(|(index, claim)| claim_is_sound(claim, &site.index(index), faults).then(|| claim.to_string()))
        .collect();
    claims.into_iter().collect()
}

/// False, after a fault, for a JSON Pointer with a `~` that escapes nothing (RFC 6901 §3).
pub fn claim_is_sound(claim: &ClaimPath, site: &Site, faults: &mut Faults) -> bool {
    let mut escapes = claim.as_str().split('~').skip(1);
    let sound = !claim.as_str().starts_with('/') || escapes.all(|rest| rest.starts_with(['0', '1']));
    if !sound {
        faults.push(site, "is no JSON Pointer: a `~` in it escapes nothing", "write `~0` for `~` and `~1` for `/`");
    }
    sound
}

fn max_lifetime(token: &Token, site: &Site, bench: &mut Workbench<'_>) -> Option<Span> {
    let place = site.key("max_lifetime");
    let Some(written) = token.max_lifetime else {
        if !place.is_written() {
            bench.warn(site, "has no `max_lifetime`: a token is believed as long as its issuer pleases");
        }
        return None;
    };
    super::server::positive(Some(written), Span::ZERO, &place, bench.faults)
}

fn max_size(written: Option<Size>, site: &Site, faults: &mut Faults) -> Option<usize> {
    let bytes = written.map_or(DEFAULT_MAX_SIZE, Size::bytes);
    if !MAX_SIZES.contains(&bytes) {
        faults.push(site, "is out of range", "write a size from `256B` to `256KiB`");
        return None;
    }
    usize::try_from(bytes).ok()
}

//! Keys of the contract that this version does not have yet.
//!
//! The table below is the only place that knows them. A key in it is refused as not supported, never as unknown and
//! never read and ignored: whoever writes `sessions` must not believe that there are some. To support a key, give
//! it a place in [`schema`](super::schema) and take its row out here.

use super::check::cut;
use super::fault::Faults;
use super::path::Segment;
use super::site::Site;
use serde_json::Value;

/// A key, or a value of a key, that is not built yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The path from the root of gateway.yaml; `[]` stands for every item of a list.
    pub path: &'static str,
    /// The one value that is not supported; `None`: the whole key.
    pub value: Option<&'static str>,
    /// What to do instead.
    pub remedy: &'static str,
}

const fn key(path: &'static str) -> Row {
    Row { path, value: None, remedy: "remove it" }
}

const fn value_but(path: &'static str, value: &'static str, remedy: &'static str) -> Row {
    Row { path, value: Some(value), remedy }
}

/// Every key and value of the contract that is not supported in this version.
///
/// What is said of `routes[].access` and `routes[].identity` holds for `defaults` too.
pub const UNSUPPORTED: &[Row] = &[
    key("sessions"),
    key("refresh_guards"),
    key("store.redis.encryption_keys"),
    value_but("issuers[].token.form", "opaque", "write `signed`, `nested` or `sealed`"),
    key("issuers[].introspection"),
    value_but("routes[].access.credentials[]", "session", "write `header`"),
    key("routes[].access.second_factor"),
    key("routes[].identity.signed"),
    key("routes[].session"),
];

/// Notes every unsupported key in `tree` and cuts it out.
pub fn refuse(tree: &mut Value, root: &Site, faults: &mut Faults) {
    let mut found = Vec::new();
    for row in UNSUPPORTED {
        find(tree, row.path, row, Vec::new(), &mut found);
        if let Some(shared) = shared_with_defaults(row.path) {
            find(tree, &shared, row, Vec::new(), &mut found);
        }
    }
    for (path, row) in found {
        let site = root.at(path.iter().cloned().collect()).known();
        faults.push(&site, "is not supported in this version", row.remedy);
        cut(tree, &path);
    }
}

/// `defaults.access.x` for `routes[].access.x`, likewise for `identity`.
fn shared_with_defaults(path: &str) -> Option<String> {
    let rest = path.strip_prefix("routes[].")?;
    (rest.starts_with("access.") || rest.starts_with("identity.")).then(|| format!("defaults.{rest}"))
}

/// Follows `path` through `node`, collecting the places that match `row`.
fn find<'r>(node: &Value, path: &str, row: &'r Row, at: Vec<Segment>, found: &mut Vec<(Vec<Segment>, &'r Row)>) {
    if let Some(rest) = path.strip_prefix("[]") {
        let rest = rest.strip_prefix('.').unwrap_or(rest);
        for (index, item) in node.as_array().into_iter().flatten().enumerate() {
            find(item, rest, row, step(&at, Segment::Index(index)), found);
        }
    } else if path.is_empty() {
        if row.value.is_none_or(|value| node.as_str() == Some(value)) {
            found.push((at, row));
        }
    } else {
        let (key, rest) = path.split_at(path.find(['.', '[']).unwrap_or(path.len()));
        if let Some(child) = node.get(key) {
            let rest = rest.strip_prefix('.').unwrap_or(rest);
            find(child, rest, row, step(&at, Segment::Key(key.to_owned())), found);
        }
    }
}

fn step(at: &[Segment], segment: Segment) -> Vec<Segment> {
    at.iter().cloned().chain([segment]).collect()
}

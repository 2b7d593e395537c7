//! Is the tree what the schema says? Every fault, and a tree without the faulty parts.
//!
//! The faulty parts are cut out rather than ending the check, so that what stands beside them is read and judged too.

mod phrase;
mod translate;

use super::fault::{Faults, MAX_FAULTS};
use super::path::Segment;
use super::site::Site;
use super::source::Document;
use super::{schema, unsupported};
use jsonschema::Validator;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::sync::{Arc, LazyLock};

/// A schema, and what checks a tree against it. Making it takes longer than most checks: it is made once.
struct Checker {
    schema: Value,
    validator: Option<Validator>,
}

impl Checker {
    fn new(schema: Value) -> Self {
        Self { validator: jsonschema::validator_for(&schema).ok(), schema }
    }
}

static GATEWAY: LazyLock<Checker> = LazyLock::new(|| Checker::new(schema::gateway()));
static INCLUDED: LazyLock<Checker> = LazyLock::new(|| Checker::new(schema::included()));

/// Checks `document` as gateway.yaml; answers what of it is sound.
pub fn gateway(document: &Arc<Document>, faults: &mut Faults) -> schema::Gateway {
    read(document, &GATEWAY, faults)
}

/// Checks `document` as a file named by `include`; answers what of it is sound.
pub fn included(document: &Arc<Document>, faults: &mut Faults) -> schema::include::Included {
    read(document, &INCLUDED, faults)
}

fn read<T: DeserializeOwned + Default>(document: &Arc<Document>, checker: &Checker, faults: &mut Faults) -> T {
    let root = Site::root(document);
    let mut tree = document.root().to_json();
    if !tree.is_object() {
        if document.is_complete() {
            faults.push(&root, "is not a mapping", "write keys and values, beginning with `version: 1`");
        }
        tree = Value::Object(Map::new());
        if !document.is_complete() || !faults.is_empty() {
            return T::default();
        }
    }
    unsupported::refuse(&mut tree, &root, faults);
    refuse(&mut tree, checker, &root, faults);
    serde_json::from_value(tree).unwrap_or_else(|_| {
        // What passed the schema can be read, else the schema is wrong. The reader's own message may quote a value.
        if faults.is_empty() {
            faults.push(&root, "passes the schema and can't be read", "report this as a defect of tollgate");
        }
        T::default()
    })
}

/// Notes each breach of the schema and cuts it out of `tree`.
fn refuse(tree: &mut Value, checker: &Checker, root: &Site, faults: &mut Faults) {
    let Some(validator) = &checker.validator else {
        return faults.push(root, "can't be checked: the schema is broken", "report this as a defect of tollgate");
    };
    let mut breaches = Vec::new();
    for error in validator.iter_errors(tree) {
        translate::translate(&error, &checker.schema, &mut breaches);
        if breaches.len() > MAX_FAULTS {
            break;
        }
    }
    for breach in breaches {
        if faults.is_full() {
            return;
        }
        let site = root.at(breach.path);
        // What was cut out here or below leaves a hole, which is no second fault; what a broken-off file lacks may stand
        // behind the break.
        let hole = breach.hollow && faults.touches(&site);
        let known = hole || (breach.lacking && !root.document().is_complete());
        if !known {
            faults.push(&site, breach.problem, breach.remedy);
        }
        cut(tree, site.path().segments());
    }
}

/// Takes the value at `path` out of `tree`; in a list it leaves a gap, so that the others keep their positions.
pub fn cut(tree: &mut Value, path: &[Segment]) {
    let Some((last, way)) = path.split_last() else {
        *tree = Value::Object(Map::new());
        return;
    };
    let mut node = tree;
    for segment in way {
        let next = match (segment, node) {
            (Segment::Key(key), Value::Object(map)) => map.get_mut(key),
            (Segment::Index(index), Value::Array(items)) => items.get_mut(*index),
            _ => None,
        };
        let Some(next) = next else { return };
        node = next;
    }
    match (last, node) {
        (Segment::Key(key), Value::Object(map)) => {
            map.remove(key);
        }
        (Segment::Index(index), Value::Array(items)) => {
            if let Some(item) = items.get_mut(*index) {
                *item = Value::Null;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source;
    use std::path::Path;

    fn faults(text: &str) -> String {
        let mut faults = Faults::default();
        let document = source::read(Path::new("gateway.yaml"), 0, text.as_bytes(), &mut faults);
        let _ = gateway(&document, &mut faults);
        faults.into_result::<()>(None).expect_err("faults").to_string()
    }

    #[test]
    fn every_breach_is_found_in_one_run() {
        let text = "version: 2\nlisteners: []\nadmin:\n  adress: 1\n  address: localhost:80\n";
        assert_eq!(
            faults(text).lines().map(|line| line.split(", ").next().unwrap_or_default()).collect::<Vec<_>>(),
            [
                "gateway.yaml:1: version: is a number out of range",
                "gateway.yaml:2: listeners: is an empty list",
                "gateway.yaml:4: admin.adress: is an unknown key",
                "gateway.yaml:5: admin.address: is not an address to listen on",
            ]
        );
    }

    #[test]
    fn the_branch_of_a_choice_that_was_meant_is_judged() {
        let text = "version: 1\nlisteners: [{name: a, address: 1.1.1.1:1}]\nroutes:\n- name: r\n  match: {path: /}\n  \
                    upstream: u\n  access: {scope: [a]}\nserver: {threads: many}\n";
        let faults = faults(text);
        assert!(faults.contains("routes[r].access.scope: is an unknown key, write `scopes` instead"), "{faults}");
        assert!(faults.contains("server.threads: is text, write `auto` or a whole number from 1 to 1024"), "{faults}");
    }

    #[test]
    fn a_file_that_breaks_off_lacks_nothing() {
        let faults = faults("version: 1\nadmin: {adress: 1}\nroutes: [\n");
        assert!(!faults.contains("missing"), "{faults}");
        assert!(faults.contains("gateway.yaml:2: admin.adress: is an unknown key"), "{faults}");
    }

    #[test]
    fn an_unsupported_key_is_one_fault() {
        let text = "version: 1\nlisteners: [{name: a, address: 1.1.1.1:1}]\ndefaults: {access: {second_factor: {}}}\n";
        let faults = faults(text);
        assert_eq!(
            faults,
            "gateway.yaml:3: defaults.access.second_factor: is not supported in this version, remove it"
        );
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_never_repeated() {
        for value in ["hunter2", "[hunter2]", "{hunter2: hunter2}", "{value: hunter2}"] {
            let faults = faults(&format!("admin: {{address: 127.0.0.1:9, token: {value}}}\n"));
            assert!(!faults.contains("hunter2"), "{faults}");
        }
    }
}

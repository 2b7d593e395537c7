//! Secrets by reference: the only file that reads the environment.
//!
//! A fault about a secret names the reference, never the content.

use super::fault::Faults;
use super::files;
use super::inputs::Inputs;
use super::schema::value::SecretRef;
use super::site::Site;
use crate::secret::Secret;
use std::os::unix::ffi::OsStringExt as _;

/// The largest secret read: a JWKS of many private keys stays far below.
const MAX_BYTES: usize = 64 * 1024;

/// Where `env:NAME` is looked up. Tests bring their own.
pub trait Environment {
    /// The value of the variable `name`, if it is set.
    fn variable(&self, name: &str) -> Option<Secret<Vec<u8>>>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<Secret<Vec<u8>>> {
        std::env::var_os(name).map(|value| Secret::new(value.into_vec()))
    }
}

/// The bytes `reference` stands for, as they are; `None` after a fault at `site`.
pub fn read(
    reference: &SecretRef,
    site: &Site,
    environment: &dyn Environment,
    inputs: &mut Inputs,
    faults: &mut Faults,
) -> Option<Secret<Vec<u8>>> {
    let bytes = match reference {
        SecretRef::Env(name) => variable(name, site, environment, faults)?,
        SecretRef::File(path) => Secret::new(files::read(path, MAX_BYTES, site, inputs, faults)?),
    };
    if without_newline(bytes.expose()).is_empty() {
        faults.push(site, format!("names `{reference}`, which is empty"), "put the secret there");
        return None;
    }
    Some(bytes)
}

/// As [`read`], for a secret that is one line of text: without its trailing newline.
pub fn read_line(
    reference: &SecretRef,
    site: &Site,
    environment: &dyn Environment,
    inputs: &mut Inputs,
    faults: &mut Faults,
) -> Option<Secret<Vec<u8>>> {
    let bytes = read(reference, site, environment, inputs, faults)?;
    let line = without_newline(bytes.expose());
    if line.iter().any(u8::is_ascii_control) {
        let problem = format!("names `{reference}`, which is more than one line of text");
        faults.push(site, problem, "put one line without control characters there");
        return None;
    }
    Some(Secret::new(line.to_vec()))
}

fn variable(name: &str, site: &Site, environment: &dyn Environment, faults: &mut Faults) -> Option<Secret<Vec<u8>>> {
    let value = environment.variable(name);
    if value.is_none() {
        let problem = format!("names `env:{name}`, which is not set");
        faults.push(site, problem, "set the variable where the gateway starts, or name another secret");
    }
    value.filter(|value| value.expose().len() <= MAX_BYTES)
}

/// `bytes` without one newline at the end: editors add it, and nobody means it.
fn without_newline(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\n").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source;
    use std::path::Path;

    struct Fixed;

    impl Environment for Fixed {
        fn variable(&self, name: &str) -> Option<Secret<Vec<u8>>> {
            (name == "SET").then(|| Secret::new(b"hunter2\n".to_vec()))
        }
    }

    fn line(reference: &SecretRef) -> (Option<Vec<u8>>, String) {
        let mut faults = Faults::default();
        let site = Site::root(&source::unreadable(Path::new("dir/gateway.yaml"), 0)).key("token");
        let value = read_line(reference, &site, &Fixed, &mut Inputs::default(), &mut faults)
            .map(|secret| secret.expose().clone());
        (value, faults.to_string())
    }

    #[test]
    fn a_variable_is_read_without_its_newline() {
        assert_eq!(line(&SecretRef::Env("SET".into())), (Some(b"hunter2".to_vec()), String::new()));
    }

    #[test]
    fn what_is_not_there_is_named_by_its_reference() {
        let (value, fault) = line(&SecretRef::Env("UNSET".into()));
        assert_eq!(value, None);
        assert!(fault.contains("token: names `env:UNSET`, which is not set, set the variable"), "{fault}");
        let (value, fault) = line(&SecretRef::File("none.txt".into()));
        assert_eq!(value, None);
        assert!(fault.contains("dir/none.txt"), "{fault}");
    }
}

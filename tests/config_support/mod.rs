//! What the tests of the configuration share: a directory with the keys, certificates and secrets that the fixtures
//! name, and an environment of their own.

#![allow(dead_code, reason = "every test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

#[path = "../common/certs.rs"]
mod certs;

use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tollgate::config::{self, Environment, Faults, Loaded};
use tollgate::jose::ContentEncryption;
use tollgate::jose::sign::{generate, public_jwk};
use tollgate::secret::Secret;

/// What every secret in the workshop contains: it must never be seen in a fault.
pub const CANARY: &str = "hunter2";

/// A directory in which every file exists that a fixture may name.
pub struct Workshop {
    directory: TempDir,
}

impl Workshop {
    pub fn new() -> Self {
        let workshop = Self { directory: tempfile::tempdir().unwrap() };
        for name in ["certs", "keys", "secrets", "routes.d"] {
            fs::create_dir(workshop.path(name)).unwrap();
        }
        workshop.certificates();
        workshop.keys();
        workshop.secrets();
        workshop
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Writes `text` as gateway.yaml and loads it.
    pub fn load(&self, text: &str) -> Result<Loaded, Faults> {
        load(&self.write("gateway.yaml", text))
    }

    /// The faults of `text`, one a line, with the directory taken off the file names.
    pub fn faults(&self, text: &str) -> Vec<String> {
        match self.load(text) {
            Ok(_) => Vec::new(),
            Err(faults) => self.lines(&faults),
        }
    }

    /// `faults`, one a line, with the directory taken off the file names.
    pub fn lines(&self, faults: &Faults) -> Vec<String> {
        let directory = format!("{}/", self.directory.path().display());
        faults.to_string().replace(&directory, "").lines().map(str::to_owned).collect()
    }

    fn certificates(&self) {
        let authority = certs::Authority::new("The workshop's authority");
        authority.write(&self.path("certs"), "edge", &["api.example.com", "*.example.org"]);
        authority.write(&self.path("certs"), "other", &["other.example.com"]);
        self.write("certs/ca.pem", authority.pem());
        self.write("certs/ca.crl", authority.revocations(&[]));
        self.write("certs/edge.ocsp", "nothing yet");
        for key in ["certs/edge.key", "certs/other.key"] {
            fs::set_permissions(self.path(key), Permissions::from_mode(0o600)).unwrap();
        }
    }

    fn keys(&self) {
        let enc = ContentEncryption::A256GCM;
        let signing = generate("ES256", enc).unwrap();
        let opening = generate("RSA-OAEP-256", enc).unwrap();
        let sealing = generate("A256KW", enc).unwrap();
        let set = |keys: &[&Value]| json!({ "keys": keys }).to_string();
        self.write("keys/corp.jwks.json", set(&[&public_jwk(&signing).unwrap()]));
        self.write("keys/private.jwks.json", set(&[&signing]));
        self.write("keys/empty.jwks.json", set(&[]));
        self.write("keys/decrypt.jwks.json", set(&[&opening]));
        self.write("keys/seal.jwk.json", sealing.to_string());
        self.write("keys/broken.json", "{\"keys\": [");
    }

    fn secrets(&self) {
        self.write("secrets/hmac", format!("{CANARY}-{}\n", "x".repeat(60)));
        self.write("secrets/other-hmac", format!("{CANARY}-{}\n", "y".repeat(60)));
        self.write("secrets/key-256", format!("{CANARY}-{}", "z".repeat(24)));
        self.write("secrets/short", CANARY);
        self.write("secrets/empty", "\n");
        self.write("secrets/lines", format!("{CANARY}\n{}", "x".repeat(40)));
        let open = self.write("secrets/open", format!("{CANARY}-{}", "o".repeat(60)));
        fs::set_permissions(open, Permissions::from_mode(0o644)).unwrap();
        self.write("secrets/admin.token", format!("{CANARY}-{}\n", "t".repeat(40)));
    }
}

/// Loads the file at `path` with the tests' environment.
pub fn load(path: &Path) -> Result<Loaded, Faults> {
    config::load_with(path, &Fixed)
}

/// An environment in which `SET` holds a secret, and nothing else is set.
pub struct Fixed;

impl Environment for Fixed {
    fn variable(&self, name: &str) -> Option<Secret<Vec<u8>>> {
        (name == "SET").then(|| Secret::new(format!("{CANARY}-{}", "e".repeat(60)).into_bytes()))
    }
}

/// A configuration without a fault, which uses most keys.
pub const SOUND: &str = include_str!("../fixtures/config/good/everything.yaml");

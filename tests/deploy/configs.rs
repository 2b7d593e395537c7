//! The configurations that are shipped, judged by the gateway itself.

use std::path::Path;
use std::process::Command;

use super::common::{Authority, Issuer};
use super::judge::{passes, read};

/// The dev keys that shipped configurations name, made anew.
fn write_keys(directory: &Path) {
    Authority::new("Shipped").write(directory, "edge", &["localhost", "api.example.com"]);
    std::fs::write(directory.join("issuer.jwks.json"), Issuer::new("dev", "ES256").jwks().to_string()).unwrap();
    std::fs::write(directory.join("admin.token"), "0123456789abcdef0123456789abcdef").unwrap();
}

/// Panics unless `tollgate check` accepts `config`, once `places` are where the dev keys are: a directory, or a file by
/// the name of the key it stands for.
pub fn assert_accepted(config: &str, places: &[(&str, &str)]) {
    let directory = tempfile::tempdir().unwrap();
    write_keys(directory.path());
    let config = places.iter().fold(config.to_owned(), |text, (shipped, key)| {
        let real = directory.path().join(key);
        text.replace(shipped, real.to_str().unwrap().trim_end_matches('/'))
    });
    std::fs::write(directory.path().join("gateway.yaml"), &config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(["check", "-c", "gateway.yaml"]).current_dir(directory.path());
    command.env("TOLLGATE_ADMIN_TOKEN", "0123456789abcdef0123456789abcdef").env("REDIS_PASSWORD", "secret");
    passes(&mut command);
}

#[test]
fn the_configuration_of_compose_loads() {
    assert_accepted(&read("deploy/compose/gateway.yaml"), &[("/etc/tollgate/keys", "")]);
}

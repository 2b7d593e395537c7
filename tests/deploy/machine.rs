//! The image, the composition, the unit and the package, judged by hadolint, the Compose schema and systemd. No engine
//! of containers runs here: images are not built by the tests, but the health check of ours is run.

use std::process::Command;

use super::common::{Config, Upstream};
use super::judge::{judge, passes, read, repository, verdict};

/// The exposure that `systemd-analyze security` may find, in tenths: below 3.
const EXPOSURE: &str = "--threshold=29";

#[test]
fn hadolint_finds_no_fault_in_the_dockerfile() {
    passes(judge("judges/venv/bin/hadolint").arg("deploy/Dockerfile"));
    let faulty = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(faulty.path(), "FROM debian:latest\nRUN cd /tmp && apt-get install -y curl\n").unwrap();
    assert!(!verdict(judge("judges/venv/bin/hadolint").arg(faulty.path())).0, "hadolint says yes to everything");
}

/// The last stage runs as somebody without a name, and holds nothing but what it needs.
#[test]
fn the_image_runs_as_nobody() {
    let text = read("deploy/Dockerfile");
    let last = text.rsplit("\nFROM ").next().unwrap();
    let uid = last.lines().find_map(|line| line.strip_prefix("USER ")).expect("a user");
    assert!(uid.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "Kubernetes checks numbers: {uid}");
    assert!(last.contains("COPY --from=build"), "{last}");
    for build_tool in ["cmake", "cargo", "gcc"] {
        assert!(!last.contains(build_tool), "the image has {build_tool} in it");
    }
}

/// What the image is made from is sent to the engine, and nothing else, such as keys.
#[test]
fn the_image_is_made_from_what_is_there() {
    let allowed = read(".dockerignore");
    let allowed: Vec<&str> = allowed.lines().filter_map(|line| line.strip_prefix('!')).collect();
    for line in read("deploy/Dockerfile").lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from")) {
        for source in line.split_whitespace().skip(1).collect::<Vec<_>>().split_last().unwrap().1 {
            assert!(repository(source).exists() && allowed.contains(source), "{source} is not sent to the engine");
        }
    }
}

#[test]
fn the_health_check_of_the_image_tells_a_living_gateway_from_a_dead_one() {
    let text = read("deploy/Dockerfile");
    let check = text.lines().find_map(|line| line.trim_start().strip_prefix("CMD [\"bash\"")).expect("a health check");
    let words: Vec<String> = serde_json::from_str(&format!("[\"bash\"{check}")).unwrap();
    let upstream = Upstream::start();
    let config = Config::new().upstream("echo", &upstream);
    let mut gateway = config.route("name: all\nmatch: { path: /all }\nupstream: echo\naccess: public").start();
    let port = gateway.admin().address().port().to_string();
    let mut ask = Command::new("bash");
    ask.args(words[1..].iter().map(|word| word.replace("9902", &port)));
    passes(&mut ask);
    gateway.stop();
    assert!(!verdict(&mut ask).0, "a dead gateway passes for a living one");
}

#[test]
fn the_composition_keeps_to_the_specification() {
    let schema = ["--builtin-schema", "vendor.compose-spec"];
    passes(judge("judges/venv/bin/check-jsonschema").args(schema).arg("deploy/compose.yaml"));
    let faulty = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::fs::write(faulty.path(), read("deploy/compose.yaml").replace("read_only:", "readonly:")).unwrap();
    let (passed, _) = verdict(judge("judges/venv/bin/check-jsonschema").args(schema).arg(faulty.path()));
    assert!(!passed, "the schema says yes to everything");
}

#[test]
fn the_composition_mounts_files_that_there_are() {
    let compose: serde_yaml::Value = serde_yaml::from_str(&read("deploy/compose.yaml")).unwrap();
    assert_eq!(compose["services"]["tollgate"]["deploy"]["replicas"], 2);
    let mut mounted = 0;
    for (_, service) in compose["services"].as_mapping().unwrap() {
        for volume in service["volumes"].as_sequence().into_iter().flatten() {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            // The dev keys are made by the quickstart; what has no slash is a volume.
            if source.starts_with('.') && !source.ends_with(".tollgate") {
                assert!(repository("deploy").join(source).exists(), "{source}");
                mounted += 1;
            }
        }
    }
    assert!(mounted >= 4, "{mounted} files");
}

/// The unit with the paths that the package installs taken from this build.
fn unit() -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tollgate.service");
    let text = read("deploy/systemd/tollgate.service");
    std::fs::write(&file, text.replace("/usr/bin/tollgate", env!("CARGO_BIN_EXE_tollgate"))).unwrap();
    (directory, file)
}

#[test]
fn systemd_finds_no_fault_in_the_unit() {
    let (_directory, file) = unit();
    let (passed, said) = verdict(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file));
    // Units of the machine that are pulled in may have faults of their own.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("tollgate")).collect();
    assert!(passed && ours.is_empty(), "{said}");
}

#[test]
fn the_unit_exposes_little() {
    let (_directory, file) = unit();
    let security = ["security", "--offline=true", "--no-pager", EXPOSURE];
    passes(Command::new("systemd-analyze").args(security).arg(&file));
    let bare = read("deploy/systemd/tollgate.service")
        .lines()
        .take_while(|line| !line.starts_with("# Ports"))
        .fold(String::new(), |text, line| text + line + "\n");
    std::fs::write(&file, bare).unwrap();
    assert!(!verdict(Command::new("systemd-analyze").args(security).arg(&file)).0, "systemd says yes to everything");
}

/// What cargo-deb packs is there; the package itself is made by `.ci/run`.
#[test]
fn the_package_is_made_from_what_is_there() {
    let manifest = read("Cargo.toml");
    let assets = manifest.split("assets = [").nth(1).expect("assets").split("\n]").next().unwrap();
    let sources = assets.lines().filter_map(|line| line.trim().strip_prefix("[\"")?.split('"').next());
    let sources: Vec<&str> = sources.filter(|source| !source.starts_with("target/")).collect();
    assert!(sources.len() >= 4, "{sources:?}");
    for source in sources {
        assert!(repository(source).exists(), "{source}");
    }
}

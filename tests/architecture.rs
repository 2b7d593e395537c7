//! The rules of the house, checked against the source: layers, pure core, one clock, file sizes, the root.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/tokens.rs"]
mod tokens;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rules::{Layers, clock_outside, io_in_the_core, session_outside_proxy, strangers_at_root, too_long};
use tokens::{Token, tokens, without_tests};

#[test]
fn every_room_imports_only_from_lower_layers() {
    let house = House::open();
    let layers = Layers::parse(&house.sources["lib.rs"]).expect("the layer table");
    let mut faults = layers.undeclared(&tokens(&house.sources["lib.rs"]));
    faults.extend(house.faults(|file, tokens| if file == "lib.rs" { vec![] } else { layers.faults(file, tokens) }));
    assert_none(&faults);
}

#[test]
fn the_core_names_no_crate_that_does_io() {
    assert_none(&House::open().faults(io_in_the_core));
}

#[test]
fn only_the_proxy_room_knows_the_session() {
    assert_none(&House::open().faults(session_outside_proxy));
}

#[test]
fn only_one_file_reads_the_clock() {
    assert_none(&House::open().faults(clock_outside));
}

#[test]
fn every_file_can_be_read_at_once() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut faults = Vec::new();
    for directory in ["src", "tests", "benches"] {
        for (path, source) in rust_files(&root.join(directory)) {
            faults.extend(too_long(&format!("{directory}/{path}"), &source));
        }
    }
    assert_none(&faults);
}

#[test]
fn nothing_strange_stands_at_the_root() {
    let entries = fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the repository");
    let names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    assert_none(&strangers_at_root(names.iter().map(String::as_str)));
}

/// The source under src/, by path, and which of it ships.
struct House {
    sources: BTreeMap<String, String>,
    shipped: BTreeMap<String, Vec<Token>>,
}

impl House {
    fn open() -> Self {
        let sources: BTreeMap<_, _> =
            rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).into_iter().collect();
        assert!(sources.contains_key("lib.rs"), "no sources found: every rule would hold");
        let mut shipped = BTreeMap::new();
        let mut only_tests = Vec::new();
        for (file, source) in &sources {
            let (kept, modules) = without_tests(&tokens(source));
            let directory = file.strip_suffix("mod.rs").map_or_else(|| file.replace(".rs", "/"), str::to_owned);
            only_tests.extend(modules.iter().map(|module| format!("{directory}{module}")));
            shipped.insert(file.clone(), kept);
        }
        shipped.retain(|file, _| {
            !only_tests.iter().any(|module| *file == format!("{module}.rs") || file.starts_with(&format!("{module}/")))
        });
        Self { sources, shipped }
    }

    fn faults(&self, rule: impl Fn(&str, &[Token]) -> Vec<String>) -> Vec<String> {
        self.shipped.iter().flat_map(|(file, tokens)| rule(file, tokens)).collect()
    }
}

/// Every Rust file under `directory`, its path from there, with its text.
fn rust_files(directory: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(directory) else { return found };
    for entry in entries {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(rust_files(&path).into_iter().map(|(below, text)| (format!("{name}/{below}"), text)));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((name, fs::read_to_string(&path).expect("a source file")));
        }
    }
    found
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// The checker itself: each rule finds what it is there for, and leaves the rest alone.
mod the_checker {
    use super::*;

    const LIB: &str = "//! ```layers\n//! 0 clock\n//! 1 jose request\n//! 5 decision\n//! 9 app\n//! ```\npub mod clock;\npub mod jose;";

    fn edges(file: &str, source: &str) -> Vec<String> {
        Layers::parse(LIB).expect("a table").faults(file, &without_tests(&tokens(source)).0)
    }

    #[test]
    fn finds_an_edge_to_a_higher_layer_however_it_is_written() {
        for source in [
            "use crate::decision::Permit;",
            "use crate::{clock::UnixTime, decision::{Denial, Permit}};",
            "fn f() { crate::decision::decide() }",
            "use super::super::decision;",
            "mod inner { use super::super::super::decision::Permit; }",
            "fn f() { tollgate::decision::decide() }",
            "pub use crate::decision as d;",
        ] {
            let faults = edges("jose/jws.rs", source);
            assert_eq!(faults, ["src/jose/jws.rs:1: `jose` (layer 1) imports `decision` (layer 5)"], "{source}");
        }
    }

    #[test]
    fn finds_an_edge_to_the_same_layer_and_to_an_unknown_room() {
        assert_eq!(edges("jose/mod.rs", "\nuse crate::request;").len(), 1);
        assert!(edges("jose/mod.rs", "\nuse crate::request;")[0].starts_with("src/jose/mod.rs:2:"));
        assert_eq!(edges("jose/mod.rs", "use super::elsewhere::Thing;").len(), 1);
        assert_eq!(edges("app.rs", "use super::attic;").len(), 1);
        assert_eq!(edges("attic.rs", "").len(), 1, "a room without a layer");
    }

    #[test]
    fn leaves_lower_layers_own_rooms_tests_and_prose_alone() {
        for source in [
            "use crate::clock::UnixTime;",
            "use crate::jose::header::Header; use super::alg; use self::b::c;",
            "mod inner { use super::decision; }",
            "// crate::decision\n/* crate::decision /* nested */ crate::decision */",
            r##"const A: &str = "crate::decision"; const B: &str = r#"crate::decision " "#; const C: char = '"';"##,
            "fn f<'a>(x: &'a str) {} #[cfg(test)] mod tests { use crate::decision; fn f() {} }",
            "#[cfg(all(test, unix))] #[expect(dead_code)] use crate::{decision, app};",
            "pub(crate) fn f() {}",
        ] {
            assert_eq!(edges("jose/jws.rs", source), [""; 0], "{source}");
        }
    }

    #[test]
    fn reads_on_after_a_test_module() {
        let source = "#[cfg(test)] mod tests { fn f() { g(\"}\") } }\nuse crate::app;";
        assert_eq!(edges("jose/jws.rs", source), ["src/jose/jws.rs:2: `jose` (layer 1) imports `app` (layer 9)"]);
        assert_eq!(edges("jose/jws.rs", "#[cfg(not(test))] use crate::app;").len(), 1);
        assert_eq!(without_tests(&tokens("#[cfg(test)]\nmod vectors;")).1, ["vectors"]);
    }

    #[test]
    fn refuses_a_table_with_faults() {
        assert!(Layers::parse("//! nothing").is_err());
        assert!(Layers::parse("//! ```layers\n//! 0 a\n//! 1 a\n//! ```").is_err());
        assert!(Layers::parse("//! ```layers\n//! a b\n//! ```").is_err());
        let layers = Layers::parse(LIB).expect("a table");
        assert_eq!(layers.undeclared(&tokens("pub mod jose; pub mod attic; pub mod manual;")).len(), 1);
    }

    #[test]
    fn finds_io_crates_only_in_the_core() {
        for source in
            ["use tokio::net::TcpStream;", "use redis;", "fn f(x: pingora_core::Error) {}", "extern crate reqwest;"]
        {
            assert_eq!(io_in_the_core("authn/token.rs", &tokens(source)).len(), 1, "{source}");
            assert_eq!(io_in_the_core("issuer/http.rs", &tokens(source)).len(), 0, "{source}");
            assert_eq!(io_in_the_core("proxy/mod.rs", &tokens(source)).len(), 0, "{source}");
        }
        assert_eq!(io_in_the_core("store/mod.rs", &tokens("pub mod redis; pub use redis::RedisStore;")), [""; 0]);
        assert_eq!(io_in_the_core("config/schema.rs", &tokens("struct S { redis: Redis }")), [""; 0]);
    }

    #[test]
    fn finds_the_session_of_pingora_only() {
        let leak = "use pingora::proxy::{ProxyHttp, Session};";
        assert_eq!(session_outside_proxy("admin/mod.rs", &tokens(leak)).len(), 1);
        assert_eq!(session_outside_proxy("proxy/mod.rs", &tokens(leak)).len(), 0);
        assert_eq!(session_outside_proxy("app.rs", &tokens("fn f(s: &mut pingora::proxy::Session) {}")).len(), 1);
        let own = "use crate::session::Session; use pingora::apps::ServerSession;";
        assert_eq!(session_outside_proxy("app.rs", &tokens(own)).len(), 0);
    }

    #[test]
    fn finds_clocks_long_files_and_strangers() {
        assert_eq!(clock_outside("store/embedded.rs", &tokens("let t = std::time::SystemTime::now();")).len(), 1);
        assert_eq!(clock_outside("clock.rs", &tokens("SystemTime::now()")).len(), 0);
        assert_eq!(too_long("src/a.rs", &"\n".repeat(451)).len(), 1);
        assert_eq!(too_long("src/a.rs", &"\n".repeat(450)).len(), 0);
        assert_eq!(strangers_at_root([".ci", "src", "target", "notes"].into_iter()).len(), 1);
    }
}

//! The rules of the house, each a function from a file's tokens to the faults in it.

use std::collections::BTreeMap;

use crate::tokens::{Token, starts};

/// Rooms beside the layers: they may look at everything, and nothing may import them.
const BESIDE: [&str; 1] = ["manual"];
/// Crates that do I/O; the pure core names none of them.
const IO_CRATES: [&str; 5] = ["pingora", "prometheus", "redis", "reqwest", "tokio"];
/// Where an I/O crate may be named: files and directories (with a final `/`) under src/.
const IO_PLACES: [&str; 13] = [
    "admin/",
    "app.rs",
    "app/",
    "cli/",
    "config/reload.rs",
    "issuer/http/",
    "proxy/",
    "store/redis.rs",
    "store/redis/",
    "store/revocation/file.rs",
    "telemetry/",
    "tls/",
    "upstream/",
];
/// The longest file we want to read.
const MAX_LINES: usize = 450;
/// What stands at the root of the repository, besides dot-files and cargo's `target`.
const ROOT: [&str; 13] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "benches",
    "deploy",
    "gateway.yaml",
    "src",
    "tests",
];

/// The layer of each room.
pub struct Layers(BTreeMap<String, u32>);

impl Layers {
    /// Reads the block "```layers" out of the crate's documentation.
    pub fn parse(lib: &str) -> Result<Self, String> {
        let documentation = lib.lines().filter_map(|line| line.strip_prefix("//!")).map(str::trim);
        let table = documentation.skip_while(|line| *line != "```layers").skip(1).take_while(|line| *line != "```");
        let mut layers = BTreeMap::new();
        for line in table {
            let mut words = line.split_whitespace();
            let number = words.next().and_then(|word| word.parse().ok());
            let number: u32 = number.ok_or_else(|| format!("src/lib.rs: no layer number in `{line}`"))?;
            for room in words {
                if layers.insert(room.to_owned(), number).is_some() {
                    return Err(format!("src/lib.rs: room `{room}` stands in two layers"));
                }
            }
        }
        if layers.is_empty() { Err("src/lib.rs: no ```layers table".to_owned()) } else { Ok(Self(layers)) }
    }

    /// Every room that src/lib.rs declares must have its layer.
    pub fn undeclared(&self, lib: &[Token]) -> Vec<String> {
        let modules = lib.windows(3).filter(|w| w[0].text == "mod" && w[2].text == ";").map(|w| &w[1]);
        modules
            .filter(|name| !self.0.contains_key(&name.text) && !BESIDE.contains(&name.text.as_str()))
            .map(|name| format!("src/lib.rs:{}: room `{}` has no layer", name.line, name.text))
            .collect()
    }

    /// Edges of `file` (its path under src/) to its own layer or a higher one.
    pub fn faults(&self, file: &str, tokens: &[Token]) -> Vec<String> {
        let room = room_of(file);
        let own = self.0.get(room).copied();
        let mut faults = Vec::new();
        if own.is_none() && !BESIDE.contains(&room) {
            faults.push(format!("src/{file}: room `{room}` has no layer"));
        }
        for target in rooms_named(file, tokens) {
            let place = format!("src/{file}:{}", target.line);
            match (own, self.0.get(&target.text)) {
                _ if target.text == room => {}
                (None, Some(_)) => {}
                (Some(own), Some(other)) if *other < own => {}
                (Some(own), Some(other)) => {
                    faults.push(format!("{place}: `{room}` (layer {own}) imports `{}` (layer {other})", target.text));
                }
                (_, None) => faults.push(format!("{place}: `{}` is not a room of the layer table", target.text)),
            }
        }
        faults
    }
}

/// The room a file belongs to: its first directory, or its own name.
fn room_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// The module that a file is: `a/mod.rs` is `a`, `a/b.rs` is `a::b`, `main.rs` is the root.
fn depth_of(file: &str) -> usize {
    if file == "main.rs" || file == "lib.rs" {
        return 0;
    }
    let names = file.split('/').count();
    if file.ends_with("/mod.rs") { names - 1 } else { names }
}

/// The first segment after the crate's root of every path in `tokens`, whether written from `crate`, from the crate's
/// name or through `super`.
fn rooms_named(file: &str, tokens: &[Token]) -> Vec<Token> {
    let mut found = Vec::new();
    let mut modules = vec![]; // the brace depths at which inline modules began
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                modules.retain(|start| *start < depth);
            }
            "mod" if tokens.get(at + 2).is_some_and(|next| next.text == "{") => modules.push(depth),
            "crate" | "tollgate" if begins_path(tokens, at) => found.extend(first_segments(tokens, at + 2)),
            "super" if begins_path(tokens, at) => {
                let ups = (0..=depth_of(file) + modules.len())
                    .take_while(|n| starts(tokens, at + 2 * n, &["super", "::"]))
                    .count();
                if ups == depth_of(file) + modules.len() {
                    found.extend(first_segments(tokens, at + 2 * ups));
                }
            }
            _ => {}
        }
    }
    found
}

/// Whether the word at `at` is the start of a path, not its middle.
fn begins_path(tokens: &[Token], at: usize) -> bool {
    starts(tokens, at + 1, &["::"]) && (at == 0 || tokens[at - 1].text != "::")
}

/// The word at `at`, or the first word of each branch of the `{…}` group there.
fn first_segments(tokens: &[Token], at: usize) -> Vec<Token> {
    if !starts(tokens, at, &["{"]) {
        return tokens.get(at).cloned().into_iter().collect();
    }
    let mut depth = 0;
    let mut found = Vec::new();
    for pair in tokens[at..].windows(2) {
        match pair[0].text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && (pair[0].text == "{" || pair[0].text == ",") && pair[1].text != "}" && pair[1].text != "self" {
            found.push(pair[1].clone());
        }
    }
    found
}

/// I/O crates named where the core has to stay pure.
pub fn io_in_the_core(file: &str, tokens: &[Token]) -> Vec<String> {
    let allowed = IO_PLACES.iter().any(|place| file == *place || (place.ends_with('/') && file.starts_with(place)));
    if allowed || file.ends_with("/http.rs") {
        return Vec::new();
    }
    let own_module = |name: &str| tokens.windows(2).any(|w| w[0].text == "mod" && w[1].text == name);
    let mut faults = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let name = token.text.as_str();
        let io_crate = IO_CRATES.iter().find(|io| name == **io || name.starts_with(&format!("{io}_")));
        let used = begins_path(tokens, at) || (at > 0 && ["use", "crate"].contains(&tokens[at - 1].text.as_str()));
        if io_crate.is_some() && used && !own_module(name) {
            faults.push(format!("src/{file}:{}: the core names the I/O crate `{name}`", token.line));
        }
    }
    faults
}

/// pingora's `Session` outside the room that speaks HTTP.
pub fn session_outside_proxy(file: &str, tokens: &[Token]) -> Vec<String> {
    if file.starts_with("proxy/") {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if !(token.text.starts_with("pingora") && begins_path(tokens, at)) {
            continue;
        }
        let path = tokens[at..].iter().take_while(|next| {
            next.text.chars().all(|c| c.is_alphanumeric() || c == '_')
                || ["::", "{", "}", ",", "*"].contains(&next.text.as_str())
        });
        if path.clone().any(|next| next.text == "Session") {
            faults.push(format!("src/{file}:{}: only src/proxy/ may name pingora's `Session`", token.line));
        }
    }
    faults
}

/// The clock read anywhere but in clock.rs.
pub fn clock_outside(file: &str, tokens: &[Token]) -> Vec<String> {
    if file == "clock.rs" {
        return Vec::new();
    }
    let reads = (0..tokens.len()).filter(|at| {
        starts(tokens, *at, &["SystemTime", "::", "now"]) || starts(tokens, *at, &["Instant", "::", "now"])
    });
    reads.map(|at| format!("src/{file}:{}: only clock.rs reads the clock", tokens[at].line)).collect()
}

/// Files that have grown too long to be read at once.
pub fn too_long(path: &str, source: &str) -> Vec<String> {
    let lines = source.lines().count();
    if lines > MAX_LINES { vec![format!("{path}: {lines} lines, more than {MAX_LINES}")] } else { Vec::new() }
}

/// Entries at the repository's root that the plan of the house does not have.
pub fn strangers_at_root<'a>(entries: impl Iterator<Item = &'a str>) -> Vec<String> {
    entries
        .filter(|name| !name.starts_with('.') && *name != "target" && !ROOT.contains(name))
        .map(|name| format!("{name}: nothing of that name belongs at the root"))
        .collect()
}

//! A cold start while the issuer is down, from the snapshot on disk.

use super::clock::until;
use super::server::{Reply, Server};
use super::world::{World, at, jwks, key, long, token};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tollgate::authn::token::TokenError;
use tollgate::issuer::http::{FetchSettings, RemoteKeys};
use tollgate::observe::FetchResult;

const PATH: &str = "/jwks";

/// A server that was up once, and what a gateway saved then.
struct Scene {
    server: Server,
    key: Value,
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let scene = Self {
            server: Server::plain(),
            key: key("a"),
            path: directory.path().join("keys.json"),
            _directory: directory,
        };
        scene.server.on(PATH, Reply::json(&jwks(&[&scene.key])));
        let _world = World::started(vec![scene.keys()]);
        until("the snapshot", || scene.path.exists().then_some(()));
        scene.server.on(PATH, Reply::HangUp);
        scene
    }

    fn keys(&self) -> RemoteKeys {
        at(&self.server.url(PATH), FetchSettings { snapshot: Some(self.path.clone()), ..long() })
    }

    /// What a gateway that starts now says to a token.
    fn cold_start(&self) -> Result<(), TokenError> {
        World::new(vec![self.keys()]).judge(0, &token(&self.key))
    }

    fn edit(&self, change: impl Fn(&mut Value)) {
        let mut document: Value = serde_json::from_slice(&fs::read(&self.path).unwrap()).unwrap();
        change(&mut document);
        fs::write(&self.path, document.to_string()).unwrap();
    }
}

#[test]
fn a_cold_start_works_while_the_issuer_is_down() {
    let scene = Scene::new();
    assert_eq!(scene.cold_start(), Ok(()), "before anything is fetched");
    let world = World::started(vec![scene.keys()]);
    until("the first fetch", || (world.status(0).failures == 1).then_some(()));
    assert_eq!(world.judge(0, &token(&scene.key)), Ok(()));
    assert_eq!(world.last(0), FetchResult::Unreachable);
}

#[test]
fn the_age_of_a_snapshot_counts_towards_max_stale() {
    let scene = Scene::new();
    scene.edit(|document| {
        let then = document["fetched_at_ms"].as_i64().unwrap() - 23 * 3_600_000;
        document["fetched_at_ms"] = then.into();
    });
    let world = World::new(vec![scene.keys()]);
    assert_eq!(world.judge(0, &token(&scene.key)), Ok(()));
    world.clock.forward(Duration::from_secs(3600));
    assert_eq!(world.judge(0, &token(&scene.key)), Err(TokenError::KeysUnavailable));
}

#[test]
fn a_snapshot_from_the_future_or_the_distant_past_is_not_used() {
    for hours in [24, -1] {
        let scene = Scene::new();
        scene.edit(|document| {
            let then = document["fetched_at_ms"].as_i64().unwrap() - hours * 3_600_000;
            document["fetched_at_ms"] = then.into();
        });
        assert_eq!(scene.cold_start(), Err(TokenError::KeysUnavailable), "{hours}");
    }
}

#[test]
fn a_snapshot_is_believed_no_more_than_the_wire() {
    let scene = Scene::new();
    let private = serde_json::json!({ "keys": [scene.key] }).to_string();
    scene.edit(|document| document["jwks"] = private.clone().into());
    assert_eq!(scene.cold_start(), Err(TokenError::KeysUnavailable), "a private key in it");
    scene.edit(|document| document["jwks"] = "<html>".into());
    assert_eq!(scene.cold_start(), Err(TokenError::KeysUnavailable));
    fs::write(&scene.path, "torn").unwrap();
    assert_eq!(scene.cold_start(), Err(TokenError::KeysUnavailable));
}

#[test]
fn a_snapshot_of_another_source_is_not_used() {
    let scene = Scene::new();
    scene.edit(|document| document["source"] = "https://elsewhere.example.com/jwks".into());
    assert_eq!(scene.cold_start(), Err(TokenError::KeysUnavailable));
}

#[test]
fn a_place_that_can_not_be_written_stops_nothing() {
    let (server, a) = (Server::plain(), key("a"));
    server.on(PATH, Reply::json(&jwks(&[&a])));
    let nowhere = Path::new("/nonexistent/keys.json").to_path_buf();
    let keys = at(&server.url(PATH), FetchSettings { snapshot: Some(nowhere), ..long() });
    let world = World::started(vec![keys]);
    assert_eq!(world.judge(0, &token(&a)), Ok(()));
}

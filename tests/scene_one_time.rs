//! One-time tokens: exactly one presenter gets through, whatever the number of gateways, and a lost or forgetful store
//! never opens a door twice.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use std::collections::BTreeSet;
use std::sync::{Barrier, Mutex};
use std::thread;

use common::{Answer, Config, Gateway, Issuer, Redis, Upstream, until};

const TOKENS: usize = 200;
const PRESENTERS: usize = 8;

/// An issuer whose tokens are believed to the second, so that a new store can vouch for them soon.
fn issuer() -> Issuer {
    Issuer::new("corp", "ES256").with("leeway: 0s")
}

/// Two one-time routes, one where a token may be shown again, and a public one.
fn config(issuer: &Issuer, upstream: &Upstream) -> Config {
    let route = |name: &str, access: &str| {
        format!(
            "name: {name}\nmatch: {{ path: /{name} }}\nupstream: echo\naccess: {access}\n\
             identity: {{ headers: {{ X-User-Id: {{ claim: sub }} }} }}"
        )
    };
    Config::new()
        .issuer(issuer)
        .upstream("echo", upstream)
        .route(&route("once", "{ issuers: [corp], replay: once }"))
        .route(&route("once-too", "{ issuers: [corp], replay: once }"))
        .route(&route("again", "{ issuers: [corp] }"))
        .route("name: public\nmatch: { path: /public }\nupstream: echo\naccess: public")
}

/// Waits until the store is old enough to vouch for tokens made now, and forgets the requests that took.
fn until_claims_are_proven(gateway: &Gateway, issuer: &Issuer, upstream: &Upstream) {
    until("the store vouches for new tokens", || {
        let answer = gateway.client().get("/once", Some(&issuer.token("probe")));
        (answer.status == 200).then_some(())
    });
    upstream.take();
}

fn assert_replayed(answer: &Answer) {
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert!(answer.header("WWW-Authenticate").unwrap().contains("error=\"invalid_token\""));
}

/// How many requests these gateways have refused for `reason`.
fn refused_for(reason: &str, gateways: &[&Gateway]) -> u64 {
    let count = |gateway: &&Gateway| gateway.admin().metrics().count("tollgate_denials_total", &[("reason", reason)]);
    gateways.iter().map(count).sum()
}

/// Waits until that number is `expected`: a request is counted once it is over, which is after its answer was sent.
fn until_refused_for(reason: &str, gateways: &[&Gateway], expected: u64) {
    until(&format!("{expected} requests are counted as {reason}"), || {
        (refused_for(reason, gateways) == expected).then_some(())
    });
}

#[test]
fn exactly_one_of_eight_presenters_at_two_gateways_gets_through() {
    let (redis, upstream, issuer) = (Redis::start(), Upstream::start(), issuer());
    let gateways = [(); 2].map(|()| config(&issuer, &upstream).redis(&redis).start());
    for gateway in &gateways {
        until_claims_are_proven(gateway, &issuer, &upstream);
    }

    let tokens: Vec<String> = (0..TOKENS).map(|n| issuer.token(&format!("user-{n}"))).collect();
    let (barrier, statuses) = (Barrier::new(PRESENTERS), Mutex::new(vec![Vec::new(); TOKENS]));
    thread::scope(|scope| {
        for presenter in 0..PRESENTERS {
            let client = gateways[presenter % gateways.len()].client();
            let (tokens, barrier, statuses) = (&tokens, &barrier, &statuses);
            scope.spawn(move || {
                let mut connection = client.connect().unwrap();
                for (n, token) in tokens.iter().enumerate() {
                    barrier.wait();
                    let answer = connection.get("/once", Some(token));
                    statuses.lock().unwrap()[n].push(answer.map_or(0, |answer| answer.status));
                }
            });
        }
    });

    for (n, mut statuses) in statuses.into_inner().unwrap().into_iter().enumerate() {
        statuses.sort_unstable();
        let expected = [vec![200], vec![401; PRESENTERS - 1]].concat();
        assert_eq!(statuses, expected, "token {n}");
    }
    let seen = upstream.take();
    let users: BTreeSet<String> = seen.iter().flat_map(|request| request.values("X-User-Id")).collect();
    assert_eq!((seen.len(), users.len()), (TOKENS, TOKENS), "each token reached the upstream once");
    let longest = redis.keys().iter().map(Vec::len).max();
    assert!(longest.is_some_and(|bytes| bytes <= 30), "a key is short, whatever the token says: {longest:?}");
    let [one, other] = &gateways;
    until_refused_for("replayed", &[one, other], (TOKENS * (PRESENTERS - 1)) as u64);
}

#[test]
fn a_token_spent_on_one_route_is_spent_on_the_other_and_untouched_by_a_third() {
    let (upstream, issuer) = (Upstream::start(), issuer());
    let gateway = config(&issuer, &upstream).start();
    until_claims_are_proven(&gateway, &issuer, &upstream);
    let (client, token) = (gateway.client(), issuer.token("alice"));
    let mut connection = client.connect().unwrap();
    assert_eq!(connection.get("/again", Some(&token)).unwrap().status, 200, "a route without replay spends nothing");
    assert_eq!(connection.get("/once", Some(&token)).unwrap().status, 200);
    assert_replayed(&connection.get("/once", Some(&token)).unwrap());
    assert_replayed(&connection.get("/once-too", Some(&token)).unwrap());
    assert_eq!(connection.get("/again", Some(&token)).unwrap().status, 200, "nor does it look");
}

#[test]
fn a_counted_token_opens_so_many_times_at_all_gateways_together() {
    let (redis, upstream, issuer) = (Redis::start(), Upstream::start(), issuer());
    let counted = "name: thrice\nmatch: { path: /thrice }\nupstream: echo\n\
                   access: { issuers: [corp], replay: { uses: 3 } }";
    let gateways = [(); 2].map(|()| config(&issuer, &upstream).route(counted).redis(&redis).start());
    for gateway in &gateways {
        until_claims_are_proven(gateway, &issuer, &upstream);
    }
    let (token, barrier) = (issuer.token("alice"), Barrier::new(PRESENTERS));
    let mut statuses: Vec<u16> = thread::scope(|scope| {
        let presenters: Vec<_> = (0..PRESENTERS)
            .map(|presenter| {
                let (client, token, barrier) = (gateways[presenter % 2].client(), &token, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    client.get("/thrice", Some(token)).status
                })
            })
            .collect();
        presenters.into_iter().map(|presenter| presenter.join().unwrap()).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200; 3], vec![401; PRESENTERS - 3]].concat());
    assert_replayed(&gateways[0].client().get("/once", Some(&token)));
    let counts = |result: &str| {
        let labels = [("mode", "uses"), ("result", result)];
        let count = |gateway: &Gateway| gateway.admin().metrics().count("tollgate_replay_claims_total", &labels);
        gateways.iter().map(count).sum::<u64>()
    };
    assert_eq!((counts("fresh"), counts("replayed")), (3, PRESENTERS as u64 - 3));
}

#[test]
fn a_refused_request_spends_nothing() {
    let (upstream, issuer) = (Upstream::start(), issuer());
    let guarded = "name: scoped\nmatch: { path: /scoped }\nupstream: echo\n\
                   access: { issuers: [corp], replay: once, scopes: [orders:write] }";
    let gateway = config(&issuer, &upstream).route(guarded).start();
    until_claims_are_proven(&gateway, &issuer, &upstream);
    let (client, token) = (gateway.client(), issuer.token("alice"));
    assert_eq!(client.get("/scoped", Some(&token)).status, 403);
    assert_eq!(client.request("DELETE", "/nowhere", &[], b"").status, 404);
    assert_eq!(client.get("/once", Some(&token)).status, 200, "the refusal on another route had not spent it");
}

#[test]
fn a_store_away_at_the_start_closes_what_needs_it_and_what_needs_its_list_of_revocations() {
    let (mut redis, upstream, issuer) = (Redis::start(), Upstream::start(), issuer());
    redis.kill();
    let mut gateway = config(&issuer, &upstream).redis(&redis).start_unready();
    let client = gateway.client();
    assert_eq!(client.get("/public", None).status, 200);
    assert_eq!(client.get("/again", Some(&issuer.token("alice"))).status, 503, "who knows what was revoked?");
    let closed = client.get("/once", Some(&issuer.token("alice")));
    assert_eq!(closed.status, 503, "{}", closed.text());
    assert!(closed.header("Retry-After").is_some());
    assert_eq!(closed.header("WWW-Authenticate"), None, "a new token would not help");
    let ready = gateway.admin().get("/readyz");
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("store"), "it says why: {}", ready.text());

    redis.restart();
    gateway.until_answer("/readyz", 200);
    until_claims_are_proven(&gateway, &issuer, &upstream);
}

#[test]
fn a_store_that_stops_answering_closes_the_route_and_a_spent_token_stays_spent() {
    let (redis, upstream, issuer) = (Redis::start(), Upstream::start(), issuer());
    let store = format!("redis: {{ url: \"{}\", timeout: 300ms }}", redis.url());
    let gateway = config(&issuer, &upstream).store(&store).start();
    until_claims_are_proven(&gateway, &issuer, &upstream);
    let (client, spent) = (gateway.client(), issuer.token("alice"));
    assert_eq!(client.get("/once", Some(&spent)).status, 200);

    redis.freeze();
    for _ in 0..3 {
        assert_ne!(client.get("/once", Some(&spent)).status, 200, "spent, whether the store says so or not");
    }
    assert_eq!(client.get("/once", Some(&issuer.token("bob"))).status, 503);
    assert_eq!(client.get("/again", Some(&issuer.token("bob"))).status, 200);

    redis.thaw();
    until("the route opens again", || {
        let answer = client.get("/once", Some(&issuer.token("carol")));
        (answer.status == 200).then_some(())
    });
    assert_eq!(client.get("/once", Some(&spent)).status, 401);
}

#[test]
fn a_store_that_forgot_makes_old_tokens_unprovable() {
    let (mut redis, upstream, issuer) = (Redis::start(), Upstream::start(), issuer());
    let gateway = config(&issuer, &upstream).redis(&redis).start();
    until_claims_are_proven(&gateway, &issuer, &upstream);
    let (client, spent, unspent) = (gateway.client(), issuer.token("alice"), issuer.token("bob"));
    assert_eq!(client.get("/once", Some(&spent)).status, 200);

    let remembered = redis.keys().len();
    let before = refused_for("replay_unprovable", &[&gateway]);
    redis.restart();
    // The gateway may be back already with a note of its own.
    assert!(redis.keys().len() < remembered, "it has forgotten the claims");
    let refused_again_and_again = |token: &str| {
        until("the store answers again", || {
            let status = client.get("/once", Some(token)).status;
            assert_ne!(status, 200, "a token from before the loss was accepted");
            (status == 401).then_some(())
        });
    };
    refused_again_and_again(&spent);
    refused_again_and_again(&unspent);
    until("the reason is counted", || (refused_for("replay_unprovable", &[&gateway]) > before).then_some(()));
    until_claims_are_proven(&gateway, &issuer, &upstream);
}

#[test]
fn an_embedded_store_forgets_with_its_process_and_says_so() {
    let (upstream, issuer) = (Upstream::start(), issuer());
    let mut first = config(&issuer, &upstream).start();
    until_claims_are_proven(&first, &issuer, &upstream);
    let spent = issuer.token("alice");
    assert_eq!(first.client().get("/once", Some(&spent)).status, 200);
    assert!(first.stop().success());

    let second = config(&issuer, &upstream).start();
    let answer = second.client().get("/once", Some(&spent));
    assert_replayed(&answer);
    until_refused_for("replay_unprovable", &[&second], 1);
}

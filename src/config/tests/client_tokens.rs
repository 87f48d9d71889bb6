//! What `[[clients]]` says of tokens.

use std::time::Duration;

use serde_json::json;

use super::{development_with_file, faults};
use crate::config::Settings;

fn with(text: &str) -> Settings {
    let client = format!("[[clients]]\nid = 'a'\naudience = 'api'\n{text}");
    development_with_file(&client, &[]).unwrap()
}

fn faults_of(text: &str) -> Vec<String> {
    let client = format!("[[clients]]\nid = 'a'\naudience = 'api'\n{text}");
    faults(development_with_file(&client, &[]))
}

#[test]
fn a_client_has_lifetimes_of_its_own_or_the_usual_ones() {
    let of = |text: &str| {
        let settings = with(text);
        let life = settings.clients.get("a").unwrap().refresh;
        (life.idle.as_secs(), life.absolute.as_secs())
    };

    assert_eq!(of(""), (2_592_000, 7_776_000));
    assert_eq!(of("refresh_idle_ttl = 60\n"), (60, 7_776_000));
    let both = "refresh_idle_ttl = 60\nrefresh_absolute_ttl = 31536000\n";
    assert_eq!(of(both), (60, 31_536_000));
    let global = "[tokens]\nrefresh_idle_seconds = 7\nrefresh_absolute_seconds = 8\n";
    assert_eq!(of(global), (7, 8));
}

#[test]
fn lifetimes_that_make_no_sense_are_told() {
    for (text, fault) in [
        (
            "refresh_idle_ttl = 59\n",
            "clients[0].refresh_idle_ttl (from FILE): is not a whole number of seconds from 60 to 31536000",
        ),
        (
            "refresh_absolute_ttl = 31536001\n",
            "clients[0].refresh_absolute_ttl (from FILE): is not a whole number of seconds from 60 to \
             31536000",
        ),
        (
            "refresh_idle_ttl = 120\nrefresh_absolute_ttl = 60\n",
            "clients[0].refresh_idle_ttl (from FILE): is longer than the session can be; lower it",
        ),
    ] {
        assert_eq!(faults_of(text), [fault], "{text}");
    }
}

#[test]
fn claims_are_anything_that_json_can_say() {
    let settings = with(
        "claims = { Tenant = 'acme', level = 3, share = 0.5, on = true, \
         'https://a.example/r' = ['x', { y = -1 }] }\n",
    );

    let claims = &settings.clients.get("a").unwrap().claims;
    let expected = json!({
        "Tenant": "acme", "level": 3, "share": 0.5, "on": true,
        "https://a.example/r": ["x", {"y": -1}],
    });
    assert_eq!(&json!(claims), &expected);
    assert!(with("").clients.get("a").unwrap().claims.is_empty());
    let life = with("access_token_ttl = 60\n");
    let life = life.clients.get("a").unwrap().access_token_ttl;
    assert_eq!(life, Duration::from_mins(1));
}

#[test]
fn claims_that_mean_something_already_are_refused() {
    for name in [
        "sub",
        "aud",
        "exp",
        "SCOPE",
        "phone_number",
        "active",
        "cnf",
    ] {
        assert_eq!(
            faults_of(&format!("claims = {{ {name} = 'x' }}\n")),
            [format!(
                "clients[0].claims (from FILE): has {name:?}: this service or a standard says what it \
                 means; rename it"
            )]
        );
    }
    let long = |length: usize| format!("claims = {{ a = '{}' }}\n", "x".repeat(length));
    // Beside the text there are eight characters: {"a":""}.
    assert_eq!(with(&long(2040)).clients.get("a").unwrap().claims.len(), 1);
    assert_eq!(
        faults_of(&long(2041)),
        ["clients[0].claims (from FILE): is longer than 2048 bytes of JSON; every call carries it"]
    );
    assert_eq!(
        faults_of("claims = 'x'\n"),
        ["clients[0].claims (from FILE): must be a table, of what JSON can say"]
    );
    assert_eq!(
        faults_of("claims = { a = nan }\n"),
        ["clients[0].claims (from FILE): must be a table, of what JSON can say"]
    );
}

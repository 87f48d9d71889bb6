//! `/v1/authorize`: what a gateway is told, and that nothing else is.

use otp_auth::clock::rfc3339;
use reqwest::Method;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, CLIENTS, Instance, OTHER_PHONE, PHONE, World};

const IDENTITY: [&str; 6] = [
    "x-auth-subject",
    "x-auth-session",
    "x-auth-client",
    "x-auth-scope",
    "x-auth-expires",
    "x-auth-phone",
];

/// A call of the hook with these headers.
pub(crate) async fn ask(app: &Instance, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers
        .iter()
        .fold(app.request(Method::GET, path), |request, (name, value)| {
            request.header(*name, *value)
        });
    let answer = Answer::of(request).await;
    assert_eq!(answer.body, "", "no answer of the hook has a body");
    assert_eq!(answer.header("cache-control"), "no-store");
    if answer.status != 200 {
        for name in IDENTITY {
            assert_eq!(answer.header(name), "", "{name}");
        }
    }
    answer
}

/// The status of a call with a token, and what its challenge says is wrong.
pub(crate) async fn status(app: &Instance, path: &str, token: &str) -> (u16, String) {
    let bearer = format!("Bearer {token}");
    let answer = ask(app, path, &[("authorization", &bearer)]).await;
    let challenge = answer.header("www-authenticate");
    let error = challenge.split("error=\"").nth(1).unwrap_or_default();
    (
        answer.status,
        error.split('"').next().unwrap_or_default().to_owned(),
    )
}

pub(crate) fn refused(status: u16, error: &str) -> (u16, String) {
    (status, error.to_owned())
}

pub(crate) fn passed() -> (u16, String) {
    refused(200, "")
}

#[sqlx::test]
async fn a_good_token_becomes_identity_headers(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], CLIENTS).await;
    let web = world.log_in_as(&app, "web", PHONE).await;
    let shop = world.log_in_as(&app, "shop", OTHER_PHONE).await;

    for (login, client, audience, scope, phone, life) in [
        (&web, "web", "api", "", "", 900),
        (
            &shop,
            "shop",
            "billing",
            "phone orders:read",
            OTHER_PHONE,
            120,
        ),
    ] {
        let token = login.text("access_token");
        let bearer = format!("Bearer {token}");
        let claims = app.checked(&token, audience).await;
        assert_eq!(claims["exp"], world.seconds() + life);
        let end = chrono::DateTime::from_timestamp(world.seconds() + life, 0).unwrap();

        // The second time it is remembered.
        for _ in 0..2 {
            let answer = ask(&app, "/v1/authorize", &[("authorization", &bearer)]).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("www-authenticate"), "");
            let told = IDENTITY.map(|name| answer.header(name));
            let (subject, session) = (login.text("subject"), login.text("session_id"));
            let end = rfc3339(end);
            assert_eq!(
                told,
                [&*subject, &session, client, scope, &end, phone].map(str::to_owned)
            );
        }
    }
}

/// security.md 40.
#[sqlx::test]
async fn what_the_request_says_of_an_identity_is_never_sent_back(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let token = world.log_in(&app, PHONE).await.text("access_token");
    let bearer = format!("Bearer {token}");
    let spoofed: Vec<_> = IDENTITY.map(|name| (name, "spoofed")).into();

    let without = ask(&app, "/v1/authorize", &spoofed).await;
    let with = [&spoofed[..], &[("authorization", &bearer)]].concat();
    let with = ask(&app, "/v1/authorize", &with).await;

    assert_eq!(without.status, 401);
    assert_eq!(with.status, 200);
    for name in IDENTITY {
        let values: Vec<_> = with.headers.get_all(name).iter().collect();
        assert!(values.iter().all(|value| *value != "spoofed"), "{name}");
        assert!(values.len() <= 1, "{name}");
    }
    assert_eq!(with.header("x-auth-phone"), "", "no scope, no number");
}

#[sqlx::test]
async fn every_method_and_every_path_below_are_the_same_hook(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let token = world.log_in(&app, PHONE).await.text("access_token");
    let methods = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "PURGE",
    ];

    for path in [
        "/v1/authorize",
        "/v1/authorize/",
        "/v1/authorize/orders/7",
        "/v1/authorize//",
        "/v1/authorize/a%2f..%2fb/%ff",
        // A client's own parameters, as Envoy appends them.
        "/v1/authorize/orders?audience=another&scope=admin&max_age=0",
    ] {
        for method in methods {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let call = || {
                let body = "{\"never\": read".repeat(2000);
                app.request(method.clone(), path).body(body)
            };
            let good = Answer::of(call().bearer_auth(&token)).await;
            let none = Answer::of(call()).await;
            assert_eq!((good.status, none.status), (200, 401), "{method} {path}");
            assert_eq!((&*good.body, &*none.body), ("", ""));
        }
    }
}

#[sqlx::test]
async fn a_request_without_one_good_token_is_refused(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let login = world.log_in(&app, PHONE).await;
    let token = login.text("access_token");
    let good = format!("Bearer {token}");
    let refresh = format!("Bearer {}", login.text("refresh_token"));
    let middle = token.rfind('.').unwrap() + 20;
    let flip = if token.as_bytes()[middle] == b'A' {
        "B"
    } else {
        "A"
    };
    let mut tampered = good.clone();
    tampered.replace_range(7 + middle..8 + middle, flip);

    for (what, headers) in [
        ("nothing", vec![]),
        ("empty", vec![("authorization", "")]),
        ("no token", vec![("authorization", "Bearer")]),
        ("another scheme", vec![("authorization", "Basic d2ViOg==")]),
        ("rubbish", vec![("authorization", "Bearer a.b.c")]),
        ("a flipped character", vec![("authorization", &*tampered)]),
        ("a refresh token", vec![("authorization", &*refresh)]),
        (
            "two",
            vec![("authorization", &*good), ("authorization", &*good)],
        ),
        // The cookie's name is not set, so no cookie is looked at.
        ("a cookie", vec![("cookie", &*good)]),
    ] {
        let answer = ask(&app, "/v1/authorize", &headers).await;
        assert_eq!(answer.status, 401, "{what}");
        let challenge = answer.header("www-authenticate");
        let begins = r#"Bearer realm="otp-auth", error="invalid_token", error_description=""#;
        assert!(challenge.starts_with(begins), "{what}: {challenge}");
    }
    assert_eq!(status(&app, "/v1/authorize", &token).await, passed());
    let life = 900;
    world.clock.advance(life - 1);
    assert_eq!(status(&app, "/v1/authorize", &token).await, passed());
    world.clock.advance(1);
    // It is remembered, and refused all the same.
    let over = status(&app, "/v1/authorize", &token).await;
    assert_eq!(over, refused(401, "invalid_token"));
}

#[sqlx::test]
async fn a_cookie_may_carry_the_token_if_the_settings_name_it(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world
        .instance_with(&[("GATEWAY__COOKIE", "__Host-token")], "")
        .await;
    let token = world.log_in(&app, PHONE).await.text("access_token");
    let bearer = format!("Bearer {token}");
    let cookie = format!("a=b; __Host-token={token}; c");
    let quoted = format!("__Host-token=\"{token}\"");
    let bad = "__Host-token=a.b.c";
    let twice = format!("{bad}; __Host-token={token}");

    for (what, headers, status) in [
        ("the cookie", vec![("cookie", &*cookie)], 200),
        ("in quotes", vec![("cookie", &*quoted)], 200),
        ("a bad one", vec![("cookie", bad)], 401),
        ("an empty one", vec![("cookie", "__Host-token=")], 401),
        ("another's name", vec![("cookie", "Host-token=a")], 401),
        ("two in one line", vec![("cookie", &*twice)], 401),
        (
            "two lines",
            vec![("cookie", bad), ("cookie", &*cookie)],
            401,
        ),
        (
            "a token beside a bad cookie",
            vec![("authorization", &*bearer), ("cookie", bad)],
            200,
        ),
        (
            "a bad token beside it",
            vec![("authorization", "Bearer x"), ("cookie", &*cookie)],
            401,
        ),
        // A page behind a password of its own.
        (
            "Basic beside it",
            vec![("authorization", "Basic d2ViOg=="), ("cookie", &*cookie)],
            200,
        ),
    ] {
        let answer = ask(&app, "/v1/authorize", &headers).await;
        assert_eq!(answer.status, status, "{what}");
    }
}

#[sqlx::test]
async fn only_a_real_preflight_passes_without_a_token(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let preflight = [
        ("Origin", "https://shop.example"),
        ("Access-Control-Request-Method", "PUT"),
        ("Access-Control-Request-Headers", "authorization"),
    ];
    let call = async |method: Method, headers: &[(&str, &str)]| {
        let request = headers.iter().fold(
            app.request(method, "/v1/authorize/orders"),
            |request, (name, value)| request.header(*name, *value),
        );
        Answer::of(request).await
    };

    let passes = call(Method::OPTIONS, &preflight).await;
    assert_eq!(passes.status, 200);
    assert!(IDENTITY.iter().all(|name| passes.header(name).is_empty()));
    // The service behind the gateway says who may ask it.
    assert_eq!(passes.header("access-control-allow-origin"), "");
    assert_eq!(call(Method::OPTIONS, &preflight[..1]).await.status, 401);
    assert_eq!(call(Method::OPTIONS, &preflight[1..]).await.status, 401);
    // A client can send these through a gateway that does not replace them.
    for name in [
        "X-Forwarded-Method",
        "X-Original-Method",
        "X-HTTP-Method-Override",
    ] {
        let forged = [&preflight[..], &[(name, "OPTIONS")]].concat();
        assert_eq!(call(Method::GET, &forged).await.status, 401, "{name}");
    }
    let with_bad_token = [&preflight[..], &[("authorization", "Bearer x")]].concat();
    assert_eq!(call(Method::OPTIONS, &with_bad_token).await.status, 401);
}

#[sqlx::test]
async fn a_token_is_forgotten_when_its_key_is_revoked(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let token = app.token(&world, PHONE).await;
    assert_eq!(status(&app, "/v1/authorize", &token).await, passed());
    let kid = crate::support::keys::kid_of(&token);

    let keeper = world.keeper(&[]).await;
    let by = crate::support::keys::SOMEBODY;
    keeper.revoke(&kid, false, by).await.unwrap();
    let others = keeper.keys().await.unwrap();
    let others: Vec<String> = others.into_iter().map(|key| key.kid).collect();
    app.publishes(&others).await;

    let refused_now = status(&app, "/v1/authorize", &token).await;
    assert_eq!(refused_now, refused(401, "invalid_token"));
}

#[sqlx::test]
async fn the_hook_needs_no_database(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world
        .instance_with(&[("GATEWAY__CACHED_TOKENS", "0")], "")
        .await;
    let token = world.log_in(&app, PHONE).await.text("access_token");
    world.cut_off().await;

    let (passes, answers) = (
        status(&app, "/v1/authorize", &token).await,
        app.bearer(Method::GET, "/v1/userinfo", &token).await,
    );

    assert_eq!(passes, passed());
    assert_eq!(answers.status, 503, "it is gone indeed");
}

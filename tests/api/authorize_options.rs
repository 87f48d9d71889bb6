//! `/v1/authorize`: what a gateway may require of a good token.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::authorize::{ask, passed, refused, status};
use crate::support::{CLIENTS, PHONE, World};

#[sqlx::test]
async fn a_good_token_must_have_all_that_is_required(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], CLIENTS).await;
    let token = world
        .log_in_as(&app, "shop", PHONE)
        .await
        .text("access_token");
    world.clock.advance(60);
    let (scope, age) = ("insufficient_scope", "insufficient_user_authentication");

    for (query, expected) in [
        ("audience=orders", passed()),
        ("audience=orders&audience=billing", passed()),
        ("audience=api", refused(403, scope)),
        ("audience=orders&audience=api", refused(403, scope)),
        ("audience=order", refused(403, scope)),
        ("audience=Orders", refused(403, scope)),
        ("audience=", refused(403, scope)),
        ("scope=phone", passed()),
        ("scope=phone+orders:read", passed()),
        ("scope=phone%20orders%3Aread", passed()),
        ("scope=phone&scope=orders:read", passed()),
        ("scope=phone+orders:write", refused(403, scope)),
        ("scope=phone&scope=orders:write", refused(403, scope)),
        ("scope=", refused(403, scope)),
        ("max_age=60", passed()),
        ("max_age=59", refused(403, age)),
        ("max_age=60&max_age=59", refused(403, age)),
        ("max_age=99999999", passed()),
        ("max_age=-1", refused(403, scope)),
        ("max_age=1m", refused(403, scope)),
        ("max_age=99999999999999999999", refused(403, scope)),
        ("max_age=", refused(403, scope)),
        ("audience=orders&scope=phone&max_age=60", passed()),
        ("another=1", passed()),
    ] {
        let by_query = format!("/v1/authorize?{query}");
        assert_eq!(status(&app, &by_query, &token).await, expected, "{query}");

        let bearer = format!("Bearer {token}");
        let headers: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| {
                let name = name.replace('_', "-");
                (format!("X-Auth-Require-{name}"), value.into_owned())
            })
            .collect();
        let mut headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        headers.push(("authorization", &bearer));
        let by_header = ask(&app, "/v1/authorize/orders", &headers).await;
        assert_eq!(by_header.status, expected.0, "{query} by headers");
    }

    let bearer = format!("Bearer {token}");
    let looser = [
        ("authorization", &*bearer),
        ("X-Auth-Require-Audience", "orders"),
        ("X-Auth-Require-Scope", "phone"),
        ("X-Auth-Require-Max-Age", "9999"),
    ];
    for query in ["audience=api", "scope=orders:write", "max_age=1"] {
        let answer = ask(&app, &format!("/v1/authorize?{query}"), &looser).await;
        assert_eq!(answer.status, 403, "a header took {query} away");
    }
    let challenge = ask(&app, "/v1/authorize?scope=a+b", &looser).await;
    assert_eq!(
        challenge.header("www-authenticate"),
        r#"Bearer realm="otp-auth", error="insufficient_scope", error_description="the token lacks a scope that is required", scope="a b phone""#
    );
    let expired = status(&app, "/v1/authorize?audience=api", "a.b.c").await;
    assert_eq!(
        expired,
        refused(401, "invalid_token"),
        "first of all it must be good"
    );
}

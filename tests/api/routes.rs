//! The route table says which limits of addresses and networks each route is under.

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::World;

const SETTINGS: [(&str, &str); 7] = [
    ("LIMITS__IP__SENDS_PER_MINUTE", "5"),
    ("LIMITS__IP__SENDS_PER_10_MINUTES", "20"),
    ("LIMITS__IP__SENDS_PER_HOUR", "50"),
    ("LIMITS__IP__VERIFIES_PER_MINUTE", "60"),
    ("LIMITS__NETWORK__SENDS_PER_MINUTE", "7"),
    ("LIMITS__NETWORK__SENDS_PER_HOUR", "500"),
    ("LIMITS__NETWORK__VERIFIES_PER_MINUTE", "600"),
];

/// security.md 22: a limit is told before it is met.
#[sqlx::test]
async fn each_route_tells_the_limits_that_it_is_under(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&SETTINGS, "").await;
    let sends = r#""ip-60s";q=5;w=60, "ip-600s";q=20;w=600, "ip-3600s";q=50;w=3600, "network-60s";q=7;w=60, "network-3600s";q=500;w=3600"#;
    let verifies = r#""ip-60s";q=60;w=60, "network-60s";q=600;w=60"#;
    for (path, expected) in [
        ("/v1/otp/send", sends),
        ("/v1/otp/resend", sends),
        ("/v1/otp/verify", verifies),
        ("/auth/send-otp/", sends),
        ("/auth/send-otp", sends),
        ("/auth/verify-otp/", verifies),
        ("/auth/verify-otp", verifies),
    ] {
        let answer = app.post(path, &json!({})).await;

        assert_eq!(answer.status, 400, "{path}: {}", answer.body);
        assert_eq!(answer.header("ratelimit-policy"), expected, "{path}");
    }
}

/// security.md 22: waiting as told succeeds.
///
/// Many addresses of one network are held together, and one of them alone does not use up what its
/// neighbours have.
#[sqlx::test]
async fn the_addresses_of_a_network_share_a_limit(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let settings = [&SETTINGS[..], &[("SERVER__TRUSTED_PROXIES", "127.0.0.1")]].concat();
    let app = world.instance_with(&settings, "").await;
    let send = async |address: &str, phone: u32| {
        let body = json!({"phone_number": format!("+9198765432{phone:02}")});
        app.post_from(address, "/v1/otp/send", &body).await
    };
    for phone in 0..9 {
        let expected = if phone < 5 { 201 } else { 429 };
        assert_eq!(send("192.0.2.1", phone).await.status, expected, "{phone}");
    }
    assert_eq!(send("192.0.2.2", 10).await.status, 201);
    assert_eq!(send("192.0.2.3", 11).await.status, 201);

    let refused = send("192.0.2.4", 12).await;

    assert_eq!(refused.text("limit"), "ip", "{}", refused.body);
    assert_eq!(send("192.0.3.4", 12).await.status, 201, "another network");
    world.clock.advance(refused.retry_after());
    assert_eq!(
        send("192.0.2.4", 13).await.status,
        201,
        "after waiting as told"
    );
}

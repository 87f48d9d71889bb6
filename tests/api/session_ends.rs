//! Everything but its user and its time that ends a session: it is over at once, everywhere.

use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, CLIENTS, Instance, OFTEN, OTHER_PHONE, PHONE, World};

/// Whether a login's tokens are worth anything at another instance.
async fn lives(app: &Instance, login: &Answer) -> bool {
    let lets_in = app.lets_in(&login.text("access_token")).await;
    if !lets_in {
        let refreshed = app.refresh(&login.text("refresh_token")).await;
        assert_eq!(refreshed.oauth_error(), (400, "invalid_grant".to_owned()));
    }
    lets_in
}

/// security.md 38.
#[sqlx::test]
async fn an_operator_sees_and_ends_a_users_sessions(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let (app, two) = (
        world.instance_with(&OFTEN, "").await,
        world.instance().await,
    );
    let mut logins = Vec::new();
    for _ in 0..3 {
        logins.push(world.log_in(&app, PHONE).await);
    }
    let other = world.log_in(&app, OTHER_PHONE).await;
    let of_user = format!("/admin/v1/users/{}/sessions", logins[0].text("subject"));
    let one = format!("/admin/v1/sessions/{}", logins[0].text("session_id"));

    let listed = app.admin_get(&of_user).await.json();
    let listed = listed["sessions"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 3);
    assert!(listed[0].get("current").is_none());
    let delete = async |path: &str| Answer::of(app.admin(Method::DELETE, path)).await;
    assert_eq!(delete(&one).await.status, 204);
    assert!(!lives(&two, &logins[0]).await);
    assert!(lives(&two, &logins[1]).await);
    let again = delete(&one).await;
    assert_eq!(again.problem(), (404, "not_found".to_owned()));
    assert_eq!(delete("/admin/v1/sessions/x").await.status, 404);
    assert_eq!(delete(&of_user).await.json(), json!({"ended": 2}));
    assert_eq!(delete(&of_user).await.json(), json!({"ended": 0}));
    assert!(!lives(&two, &logins[2]).await);
    assert!(lives(&two, &other).await);
    let events = app.events("action=session.end").await;
    assert_eq!(events.len(), 2, "nothing ended, nothing told");
    assert!(events.iter().all(|event| event["actor"] == "admin"));
}

/// security.md 37: a ban and a deletion.
#[sqlx::test]
async fn a_ban_and_an_erasure_end_all_sessions(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let (app, two) = (
        world.instance_with(&OFTEN, "").await,
        world.instance().await,
    );
    let logins = [
        world.log_in(&app, PHONE).await,
        world.log_in(&app, PHONE).await,
    ];
    let other = world.log_in(&app, OTHER_PHONE).await;

    let rule = json!({"kind": "phone", "value": PHONE, "verdict": "block", "reason": "fraud"});
    let banned = app.admin_post("/admin/v1/rules", &rule).await;
    assert_eq!(banned.status, 201, "{}", banned.body);
    for login in &logins {
        assert!(!lives(&two, login).await);
    }
    let events = app.events("action=session.end").await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["reason"], "phone_blocked");
    assert_eq!(events[0]["detail"]["sessions"].as_array().unwrap().len(), 2);

    assert!(lives(&two, &other).await);
    let user = format!("/admin/v1/users/{}", other.text("subject"));
    assert_eq!(
        Answer::of(app.admin(Method::DELETE, &user)).await.status,
        204
    );
    assert!(!lives(&two, &other).await);
}

/// A rule that lets a phone through, or is about others, logs nobody out.
#[sqlx::test]
async fn other_rules_end_no_session(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let login = world.log_in(&app, PHONE).await;
    for rule in [
        json!({"kind": "phone", "value": PHONE, "verdict": "allow", "reason": "vip"}),
        json!({"kind": "phone", "value": OTHER_PHONE, "verdict": "block", "reason": "x"}),
        json!({"kind": "network", "value": "192.0.2.0/24", "verdict": "block", "reason": "x"}),
    ] {
        let made = app.admin_post("/admin/v1/rules", &rule).await;
        assert_eq!(made.status, 201, "{}", made.body);
    }

    assert!(lives(&app, &login).await);
}

/// A code that was sent before the ban is worth nothing after it.
#[sqlx::test]
async fn a_ban_ends_the_live_code_too(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let (app, two) = (world.instance().await, world.instance().await);
    let id = app.sent(PHONE).await;
    let rule = json!({"kind": "phone", "value": PHONE, "verdict": "block", "reason": "fraud"});
    app.admin_post("/admin/v1/rules", &rule).await;

    let tried = two.verify(&id, &world.code(PHONE)).await;

    assert_eq!(tried.problem(), (400, "otp_request_expired".to_owned()));
}

#[sqlx::test]
async fn a_user_with_too_many_sessions_loses_the_one_not_used_for_longest(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let mut settings = OFTEN.to_vec();
    settings.push(("TOKENS__SESSIONS_PER_USER", "3"));
    let app = world.instance_with(&settings, "").await;
    let mut logins = Vec::new();
    for _ in 0..3 {
        logins.push(world.log_in(&app, PHONE).await);
        world.clock.advance(1);
    }
    let mut first = app.refresh(&logins[0].text("refresh_token")).await;
    world.clock.advance(1);
    assert!(app.events("action=session.end").await.is_empty());

    let fourth = world.log_in(&app, PHONE).await;

    assert!(!lives(&app, &logins[1]).await);
    assert!(lives(&app, &logins[2]).await && lives(&app, &fourth).await);
    first = app.refresh(&first.text("refresh_token")).await;
    assert_eq!(first.status, 200);
    let events = app.events("action=session.end").await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["reason"], "too_many");
    assert_eq!(events[0]["session_id"], logins[1].text("session_id"));
    assert_eq!(events[0]["user_id"], logins[1].text("subject"));

    // Where the limit was lowered, the next login ends all that are beyond it.
    world.clock.advance(1);
    settings.pop();
    settings.push(("TOKENS__SESSIONS_PER_USER", "1"));
    let strict = world.instance_with(&settings, "").await;
    let last = world.log_in(&strict, PHONE).await;
    assert!(lives(&app, &last).await);
    for login in [&logins[2], &fourth] {
        assert!(!lives(&app, login).await);
    }
    let events = app.events("action=session.end").await;
    assert_eq!(events[0]["detail"]["sessions"].as_array().unwrap().len(), 3);
}

/// RFC 7009: whichever token of a session its client revokes, the session ends.
#[sqlx::test]
async fn a_client_revokes_its_own_tokens_and_no_others(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&OFTEN, CLIENTS).await;
    let web = ("client_id", "web");
    let good = async |login: &Answer| app.lets_in(&login.text("access_token")).await;
    let shop = world.log_in_as(&app, "shop", OTHER_PHONE).await;
    for kind in ["refresh_token", "access_token"] {
        let login = world.log_in_as(&app, "web", PHONE).await;
        let (own, foreign) = (login.text(kind), shop.text(kind));
        for token in [foreign.as_str(), "x", "rt_x", own.get(..40).unwrap()] {
            let answer = app
                .post_form("/v1/token/revoke", &[("token", token), web])
                .await;
            assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{token}");
        }
        assert!(good(&login).await && good(&shop).await);

        let fields = [
            ("token", own.as_str()),
            web,
            ("token_type_hint", "nonsense"),
        ];
        for _ in 0..2 {
            let answer = app.post_form("/v1/token/revoke", &fields).await;
            assert_eq!((answer.status, answer.body.as_str()), (200, ""));
        }
        assert!(!good(&login).await);
    }
    let token = shop.text("refresh_token");
    let fields = [("token", token.as_str())];
    let unproven = app.post_form("/v1/token/revoke", &fields).await;
    assert_eq!(unproven.oauth_error(), (401, "invalid_client".to_owned()));
    assert!(good(&shop).await);
    world.clock.advance(1);
    let missing = app.post_form("/v1/token/revoke", &[web]).await;
    assert_eq!(missing.oauth_error(), (400, "invalid_request".to_owned()));
    assert_eq!(
        app.post_form_as("shop", "/v1/token/revoke", &fields)
            .await
            .status,
        200
    );
    assert!(!good(&shop).await);
    let events = app.events("action=session.end").await;
    assert_eq!(events.len(), 3);
    assert_eq!(events[0]["reason"], "client");
    assert_eq!(events[0]["actor"], "client:shop");
}

/// Whoever logs out with a token that was replaced a moment ago is logged out all the same.
#[sqlx::test]
async fn a_spent_token_revokes_its_session(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let spent = world.log_in(&app, PHONE).await.text("refresh_token");
    let next = app.refresh(&spent).await;

    let answer = app
        .post_form("/v1/token/revoke", &[("token", &spent)])
        .await;

    assert_eq!(answer.status, 200);
    assert!(!app.lets_in(&next.text("access_token")).await);
}

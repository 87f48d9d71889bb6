//! Refresh tokens: one after the other, each for once, as long as the session lives.

use chrono::TimeDelta;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, CLIENTS, Instance, PHONE, World};

const INVALID: (u16, &str) = (400, "invalid_grant");

fn error(answer: &Answer) -> (u16, String) {
    answer.oauth_error()
}

fn invalid() -> (u16, String) {
    (INVALID.0, INVALID.1.to_owned())
}

/// security.md 33 and 44.
#[sqlx::test]
async fn a_refresh_token_becomes_the_next_one_and_an_access_token(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let login = world.log_in(&app, PHONE).await;
    assert_eq!(login.json()["refresh_expires_in"], 2_592_000);
    world.clock.advance(600);

    let first = app.refresh(&login.text("refresh_token")).await;
    let second = app.refresh(&first.text("refresh_token")).await;

    for answer in [&first, &second] {
        assert_eq!(answer.status, 200, "{}", answer.body);
        let body = answer.json();
        let names: Vec<&String> = body.as_object().unwrap().keys().collect();
        let expected = [
            "access_token",
            "expires_in",
            "refresh_expires_in",
            "refresh_token",
            "token_type",
        ];
        assert_eq!(names, expected);
        assert_eq!(body["token_type"], "Bearer");
        assert_eq!(body["expires_in"], 900);
        assert_eq!(body["refresh_expires_in"], 2_592_000);
        assert_eq!(answer.header("cache-control"), "no-store");
        let claims = app.checked(&answer.text("access_token"), "api").await;
        assert_eq!(claims["sub"], login.text("subject"));
        assert_eq!(claims["sid"], login.text("session_id"));
        assert_eq!(claims["iat"], world.seconds());
        assert_eq!(claims["auth_time"], world.seconds() - 600);
        assert_eq!(claims["amr"], json!(["otp", "sms"]));
    }
    let tokens = [&login, &first, &second].map(|answer| answer.text("refresh_token"));
    assert!(tokens[0] != tokens[1] && tokens[1] != tokens[2]);
    assert!(tokens.iter().all(|token| token.starts_with("rt_")));
}

/// security.md 33: a rotated token used after the grace ends the whole session, and is told.
#[sqlx::test]
async fn a_used_token_gets_its_successor_within_the_grace_and_ends_the_session_after_it(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    for (millis, still) in [(9_999, true), (10_000, false), (10_001, false)] {
        let world = World::new(connect.clone()).await;
        let app = world.instance().await;
        let phone = format!("+9198765{millis:05}");
        let login = world.log_in(&app, &phone).await;
        let old = login.text("refresh_token");
        let next = app.refresh(&old).await;
        let next_token = next.text("refresh_token");
        world.clock.advance_by(TimeDelta::milliseconds(millis));

        let again = app.refresh(&old).await;

        let user = login.text("subject");
        let events = app
            .events(&format!("action=session.end&user_id={user}"))
            .await;
        if still {
            assert_eq!(again.text("refresh_token"), next_token);
            assert!(app.lets_in(&again.text("access_token")).await);
            assert_eq!(app.refresh(&next_token).await.status, 200);
            assert!(events.is_empty(), "{events:?}");
        } else {
            assert_eq!(error(&again), invalid());
            assert_eq!(error(&app.refresh(&next_token).await), invalid());
            assert!(!app.lets_in(&next.text("access_token")).await);
            assert_eq!(events.len(), 1);
            assert_eq!(events[0]["reason"], "refresh_token_reuse");
            assert_eq!(events[0]["actor"], "client:web");
            assert_eq!(events[0]["session_id"], login.text("session_id"));
        }
    }
}

#[sqlx::test]
async fn without_a_grace_a_used_token_is_a_stolen_one(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let settings = [("TOKENS__REUSE_GRACE_SECONDS", "0")];
    let app = world.instance_with(&settings, "").await;
    let old = world.log_in(&app, PHONE).await.text("refresh_token");
    let next = app.refresh(&old).await.text("refresh_token");

    assert_eq!(error(&app.refresh(&old).await), invalid());
    assert_eq!(error(&app.refresh(&next).await), invalid());
}

/// A tab that is slow must not put an old token into the storage that all tabs share.
#[sqlx::test]
async fn within_the_grace_an_older_token_gets_the_one_that_is_current_by_then(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let first = world.log_in(&app, PHONE).await.text("refresh_token");
    let second = app.refresh(&first).await.text("refresh_token");
    world.clock.advance(4);
    let third = app.refresh(&second).await.text("refresh_token");
    world.clock.advance(4);

    assert_eq!(app.refresh(&first).await.text("refresh_token"), third);
    assert_eq!(app.refresh(&second).await.text("refresh_token"), third);
    world.clock.advance(5);
    assert_eq!(app.refresh(&second).await.text("refresh_token"), third);
    assert_eq!(error(&app.refresh(&first).await), invalid());
    assert_eq!(error(&app.refresh(&third).await), invalid());
}

/// security.md 35.
#[sqlx::test]
async fn a_token_that_is_not_used_ends(_: PgPoolOptions, connect: PgConnectOptions) {
    for (millis, good) in [(-1, true), (0, false), (1, false)] {
        let world = World::new(connect.clone()).await;
        let settings = [("TOKENS__REFRESH_IDLE_SECONDS", "3600")];
        let app = world.instance_with(&settings, "").await;
        let phone = format!("+919876543{:03}", millis + 100);
        let token = world.log_in(&app, &phone).await.text("refresh_token");
        let token = app.refresh(&token).await.text("refresh_token");
        world
            .clock
            .advance_by(TimeDelta::milliseconds(3_600_000 + millis));

        let answer = app.refresh(&token).await;

        assert_eq!(answer.status == 200, good, "{millis}");
        if !good {
            assert_eq!(error(&answer), invalid());
        }
    }
}

/// security.md 35: sliding cannot pass the absolute end.
#[sqlx::test]
async fn a_session_ends_however_much_it_is_used(_: PgPoolOptions, connect: PgConnectOptions) {
    for (millis, good) in [(-1_000, true), (0, false), (1, false)] {
        let world = World::new(connect.clone()).await;
        let settings = [
            ("TOKENS__REFRESH_IDLE_SECONDS", "3600"),
            ("TOKENS__REFRESH_ABSOLUTE_SECONDS", "7200"),
        ];
        let app = world.instance_with(&settings, "").await;
        let phone = format!("+91987654{:04}", millis + 2_000);
        let login = world.log_in(&app, &phone).await;
        let mut token = login.text("refresh_token");
        for (after, idle, access) in [(3000, 3600, 900), (3000, 1200, 900), (600, 600, 600)] {
            world.clock.advance(after);
            let answer = app.refresh(&token).await;
            assert_eq!(answer.json()["refresh_expires_in"], idle, "{after}");
            assert_eq!(answer.json()["expires_in"], access, "{after}");
            token = answer.text("refresh_token");
        }
        let access = app.refresh(&token).await;
        token = access.text("refresh_token");
        world
            .clock
            .advance_by(TimeDelta::milliseconds(600_000 + millis));

        let answer = app.refresh(&token).await;

        assert_eq!(answer.status == 200, good, "{millis}: {}", answer.body);
        assert_eq!(app.lets_in(&access.text("access_token")).await, good);
        if good {
            assert_eq!(answer.json()["expires_in"], 1);
        } else {
            assert_eq!(error(&answer), invalid());
            let events = app.events("action=session.end").await;
            assert!(events.is_empty(), "an end by time is no theft: {events:?}");
        }
    }
}

/// security.md 36: bound to the client, and whoever tries another's token harms nobody.
#[sqlx::test]
async fn a_token_is_worth_nothing_to_another_client(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], CLIENTS).await;
    let token = world.log_in_as(&app, "shop", PHONE).await;
    let token = token.text("refresh_token");
    let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", &token)];

    let by_nobody = app.post_form("/v1/token", &fields).await;
    assert_eq!(error(&by_nobody), (401, "invalid_client".to_owned()));
    fields.push(("client_id", "web"));
    assert_eq!(error(&app.post_form("/v1/token", &fields).await), invalid());
    fields.pop();
    fields.push(("client_id", "shop"));
    let unproven = app.post_form("/v1/token", &fields).await;
    assert_eq!(error(&unproven), (401, "invalid_client".to_owned()));
    fields.pop();
    let own = app.post_form_as("shop", "/v1/token", &fields).await;
    assert_eq!(own.status, 200, "{}", own.body);
    world.clock.advance(60);
    fields.push(("client_id", "web"));
    assert_eq!(error(&app.post_form("/v1/token", &fields).await), invalid());
    let next = own.text("refresh_token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", &next)];
    let own = app.post_form_as("shop", "/v1/token", &fields).await;
    assert_eq!(own.status, 200, "another client's try ended the session");
}

/// security.md 36: only a hash is stored, and nobody can tell a token from it.
#[sqlx::test]
async fn the_database_holds_no_refresh_token(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let first = world.log_in(&app, PHONE).await.text("refresh_token");
    let second = app.refresh(&first).await.text("refresh_token");

    for token in [first, second] {
        let encoded = token.strip_prefix("rt_").unwrap();
        let bytes =
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, encoded)
                .unwrap();
        assert_eq!(bytes.len(), 64);
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for text in [encoded.to_owned(), hex.concat(), hex[16..48].concat()] {
            assert_eq!(world.tables_with(&text).await, Vec::<String>::new());
        }
    }
}

/// A made-up token costs no statement: with the table gone it is still told apart from a good one.
#[sqlx::test]
async fn a_made_up_token_never_reaches_the_database(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let good = world.log_in(&app, PHONE).await.text("refresh_token");
    let mut bent = good.clone().into_bytes();
    bent[40] = if bent[40] == b'A' { b'B' } else { b'A' };
    let bent = String::from_utf8(bent).unwrap();
    sqlx::raw_sql("DROP TABLE sessions CASCADE")
        .execute(&world.pool)
        .await
        .unwrap();

    for token in ["x", "rt_", "rt_AAAA", &bent, good.get(..80).unwrap()] {
        assert_eq!(error(&app.refresh(token).await), invalid(), "{token}");
    }
    let broken = app.refresh(&good).await;
    assert_eq!(error(&broken), (500, "server_error".to_owned()));
}

/// Refreshes by JSON, as a page does that has never heard of forms.
#[sqlx::test]
async fn the_call_for_json_is_the_same_in_other_words(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let token = world.log_in(&app, PHONE).await.text("refresh_token");
    let refresh = async |app: &Instance, body| app.post("/v1/token/refresh", &body).await;

    let good = refresh(&app, json!({"refresh_token": token})).await;
    let replayed = refresh(&app, json!({"refresh_token": token, "client_id": "web"})).await;

    assert_eq!(good.status, 200, "{}", good.body);
    assert_eq!(replayed.text("refresh_token"), good.text("refresh_token"));
    assert!(app.lets_in(&good.text("access_token")).await);
    let bad = refresh(&app, json!({"refresh_token": "rt_x"})).await;
    assert_eq!(bad.problem(), (401, "invalid_token".to_owned()));
    let missing = refresh(&app, json!({})).await;
    assert_eq!(missing.problem(), (400, "invalid_request".to_owned()));
    assert_eq!(missing.pointers(), ["/refresh_token"]);
    let stranger = refresh(&app, json!({"refresh_token": token, "client_id": "no"})).await;
    assert_eq!(stranger.problem(), (401, "invalid_client".to_owned()));
}

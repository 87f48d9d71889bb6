//! Several operators, and what each may do.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use chrono::TimeDelta;
use otp_auth::clock::{Clock as _, rfc3339};
use otp_auth::http::admin::roles;
use otp_auth::operator::Role;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, OTHER_PHONE, PHONE, World};

/// Who has a token of each role: `ann`, `bob` and `eve`.
fn id(role: Role) -> &'static str {
    match role {
        Role::Viewer => "ann",
        Role::Support => "bob",
        Role::Owner => "eve",
    }
}

fn token(role: Role) -> String {
    format!("token-of-{}-0123456789abcdef", id(role))
}

/// The settings of all of them.
fn operators(more: &str) -> String {
    let tables = Role::ALL.map(|role| {
        let hash = digest(&SHA256, token(role).as_bytes());
        let hex = hash
            .as_ref()
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let (id, name) = (id(role), role.name());
        let table = format!("id = '{id}'\nrole = '{name}'\ntoken_hash = 'sha256:{hex}'\n{more}");
        format!("[[admin_tokens]]\n{table}\n")
    });
    tables.concat()
}

async fn call_as(app: &Instance, role: Role, method: &str, path: &str, body: &Value) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let request = app.http.request(method, format!("{}{path}", app.admin));
    Answer::of(request.bearer_auth(token(role)).json(body)).await
}

/// A path with something in place of its parameters.
fn filled(path: &str) -> String {
    let known = "01a20737-4d79-745c-a01a-0c9020452ce3";
    path.replace("{id}", known)
        .replace("{sub}", known)
        .replace("{kid}", "no-such-key")
        .replace("{name}", "no-such-switch")
}

#[sqlx::test]
async fn each_call_takes_the_role_of_the_table_or_one_above(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], &operators("")).await;
    for (method, path, least) in roles::all() {
        for role in Role::ALL {
            let answer = call_as(&app, role, method, &filled(path), &json!({})).await;

            let called = format!("{method} {path} by a {}", role.name());
            if role >= least {
                assert!(
                    ![401, 403].contains(&answer.status),
                    "{called}: {}",
                    answer.body
                );
            } else {
                let refused = (403, "insufficient_scope".to_owned());
                assert_eq!(answer.problem(), refused, "{called}");
                let challenge = answer.header("www-authenticate");
                assert_eq!(
                    challenge,
                    r#"Bearer realm="otp-auth", error="insufficient_scope""#
                );
            }
        }
    }
}

/// The router reads `%75` as `u`, and so must who guards it.
#[sqlx::test]
async fn an_odd_spelling_of_a_path_opens_nothing(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], &operators("")).await;
    world.log_in(&app, PHONE).await;
    let sub = world.text("SELECT id FROM users").await.unwrap();
    for path in [
        format!("/admin/v1/%75sers/{sub}"),
        format!("/admin/v1/users/{}", sub.replace('-', "%2d")),
        format!("//admin/v1/users/{sub}"),
        format!("/admin/v1//users/{sub}"),
        format!("/admin/v1/rules/../users/{sub}"),
        format!("/admin/v1/users/{sub}/"),
        format!("/ADMIN/v1/users/{sub}"),
    ] {
        for role in [Role::Viewer, Role::Support] {
            let answer = call_as(&app, role, "DELETE", &path, &Value::Null).await;
            assert!(
                [403, 404].contains(&answer.status),
                "{path}: {}",
                answer.status
            );
        }
    }
    assert_eq!(
        world.text("SELECT count(*) FROM users").await.as_deref(),
        Some("1")
    );
    let spelt = format!("/admin/v1/%75sers/{sub}");
    let answer = call_as(&app, Role::Owner, "DELETE", &spelt, &Value::Null).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
}

#[sqlx::test]
async fn what_is_no_call_is_nobodys_but_an_owners(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], &operators("")).await;
    for (method, path, answered) in [
        ("GET", "/admin/v1/no-such-path", 404),
        ("PATCH", "/admin/v1/rules", 405),
    ] {
        for (role, status) in [
            (Role::Viewer, 403),
            (Role::Support, 403),
            (Role::Owner, answered),
        ] {
            let answer = call_as(&app, role, method, path, &Value::Null).await;
            assert_eq!(answer.status, status, "{path} by a {}", role.name());
        }
    }
}

#[sqlx::test]
async fn a_token_opens_nothing_from_its_last_moment_on(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let end = rfc3339(world.clock.now() + TimeDelta::seconds(60));
    let settings = operators(&format!("expires_at = '{end}'"));
    let app = world.instance_with(&[], &settings).await;
    let path = "/admin/v1/rules";
    world.clock.advance(59);
    let answer = call_as(&app, Role::Viewer, "GET", path, &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.body);

    world.clock.advance(1);

    let answer = call_as(&app, Role::Viewer, "GET", path, &Value::Null).await;
    assert_eq!(answer.problem(), (401, "invalid_token".to_owned()));
    let told = app.events("action=admin.denied").await;
    assert_eq!(told[0]["reason"], "token_expired");
}

/// What an event says of a call: all but its ids and time.
fn said(event: &Value) -> String {
    let detail = &event["detail"];
    let part = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let parts = [
        &event["action"],
        &event["outcome"],
        &event["reason"],
        &event["actor"],
        &detail["role"],
        &detail["method"],
        &detail["route"],
    ];
    parts.map(part).join(" ")
}

#[sqlx::test]
async fn every_call_is_in_the_audit_log_under_its_callers_name(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], &operators("")).await;
    world.log_in(&app, PHONE).await;
    let sub = world.text("SELECT id FROM users").await.unwrap();
    let phone = json!({"phone_number": PHONE});
    let sessions = format!("/admin/v1/users/{sub}/sessions");
    let why = json!({"phone_number": PHONE, "reason": "Ticket 4711"});
    let on = json!({"on": true, "reason": "Drill"});
    let block =
        json!({"kind": "phone", "value": OTHER_PHONE, "verdict": "block", "reason": "Drill"});
    for (role, method, path, body, expected) in [
        (
            Role::Viewer,
            "GET",
            "/admin/v1/rules",
            &Value::Null,
            vec!["admin.call success - admin:ann viewer GET /admin/v1/rules"],
        ),
        (
            Role::Viewer,
            "POST",
            "/admin/v1/phones/lookup",
            &phone,
            vec!["admin.denied refused role admin:ann viewer POST /admin/v1/phones/lookup"],
        ),
        (
            Role::Support,
            "POST",
            "/admin/v1/phones/lookup",
            &phone,
            vec![
                "admin.call success - admin:bob support POST /admin/v1/phones/lookup",
                "phone.lookup success - admin:bob - - -",
            ],
        ),
        (
            Role::Support,
            "POST",
            "/admin/v1/phones/unlock",
            &why,
            vec![
                "admin.call success - admin:bob support POST /admin/v1/phones/unlock",
                "phone.unlock success - admin:bob - - -",
            ],
        ),
        (
            Role::Support,
            "POST",
            "/admin/v1/rules",
            &block,
            vec![
                "admin.call success - admin:bob support POST /admin/v1/rules",
                "rule.set success - admin:bob - - -",
            ],
        ),
        (
            Role::Support,
            "DELETE",
            &sessions,
            &Value::Null,
            vec![
                "admin.call success - admin:bob support DELETE /admin/v1/users/{sub}/sessions",
                "session.end success admin admin:bob - - -",
            ],
        ),
        (
            Role::Owner,
            "PUT",
            "/admin/v1/switches/kill",
            &on,
            vec![
                "admin.call success - admin:eve owner PUT /admin/v1/switches/kill"
                    .trim_end_matches("kill"),
                "switch.set success - admin:eve - - -",
            ],
        ),
        (
            Role::Owner,
            "POST",
            "/admin/v1/keys/rotate",
            &json!({"reason": "Drill"}),
            vec!["admin.call success - admin:eve owner POST /admin/v1/keys/rotate"],
        ),
        (
            Role::Owner,
            "GET",
            "/admin/v1/no-such-path",
            &Value::Null,
            vec!["admin.call success - admin:eve owner GET -"],
        ),
    ] {
        let answer = call_as(&app, role, method, path, body).await;
        let trace = answer.header("x-request-id");

        let all = app.events("limit=1000").await;
        let of_call = all
            .iter()
            .filter(|event| event["trace_id"] == trace.as_str());
        let found: BTreeSet<String> = of_call.map(said).collect();
        for expected in expected {
            let is_there = found.iter().any(|found| found.starts_with(expected));
            assert!(is_there, "{expected} of {method} {path}: {found:?}");
        }
    }
    let of_user = app
        .events(&format!("action=admin.call&user_id={sub}"))
        .await;
    assert_eq!(of_user.len(), 1, "the call that named him");
    let of_bob = app.events("actor=admin:bob&action=admin.call").await;
    assert_eq!(of_bob.len(), 4);
}

/// A look that leaves no trace is none that may be had.
#[sqlx::test]
async fn where_the_audit_log_cannot_be_written_nobody_gets_in(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], &operators("")).await;
    let trigger = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'no space left'; END $$;
        CREATE TRIGGER full_disk BEFORE INSERT ON audit_events
            FOR EACH ROW EXECUTE FUNCTION full_disk()";
    sqlx::Executor::execute(&world.pool, sqlx::raw_sql(trigger))
        .await
        .unwrap();

    let answer = call_as(&app, Role::Owner, "GET", "/admin/v1/rules", &Value::Null).await;

    assert_ne!(answer.status, 200, "{}", answer.body);
    assert!(answer.status >= 500);
}

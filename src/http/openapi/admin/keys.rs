//! `/admin/v1/keys`

use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::operation::{Answer, Operation};
use super::super::schemas::Schemas;
use super::{KID, OF_BODY, REASON, SESSION_ID, USER_ID, call, in_pages};
use crate::http::admin::keys::{KeysBody, LostSessionsBody, RevokedBody, RotationBody};
use crate::http::codes::Code;

const TAG: &str = "Keys";
const NEXT_KID: &str = "rJYq0kqTn4pG7b1bXw4b0Jk3bF3b8n5w5yV1m2c9s0A";

/// Why the next key is to sign, and whether at once.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the handler reads the members one by one")]
struct KeyRotation {
    /// 1 to 200 characters without a phone number.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
    /// Whether it does not wait until it has been published for a day.
    now: Option<bool>,
}

/// Why a key is out of use.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the handler reads the members one by one")]
struct KeyRevocation {
    /// 1 to 200 characters without a phone number.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
    /// Whether to tell only what it would end.
    dry_run: Option<bool>,
}

pub(super) fn schemas(all: Schemas) -> Schemas {
    all.with::<KeyRotation>()
        .with::<KeyRevocation>()
        .with::<KeysBody>()
        .with::<RotationBody>()
        .with::<RevokedBody>()
        .with::<LostSessionsBody>()
}

pub(super) fn operations() -> Vec<Operation> {
    vec![list(), rotate(), revoke(), sessions()]
}

fn of_key(call: Operation) -> Operation {
    call.in_path(
        "kid",
        "The key's name in tokens and the JWKS.",
        &json!({"type": "string"}),
        KID,
    )
}

fn list() -> Operation {
    let seen = json!({
        "verifier": "orders",
        "first_seen_at": "2026-11-23T07:03:24.120Z",
        "last_seen_at": "2026-11-23T09:03:24.120Z",
    });
    let key = json!({
        "kid": KID,
        "alg": "ES256",
        "state": "active",
        "created_at": "2026-11-22T07:03:24.120Z",
        "promote_at": null,
        "active_at": "2026-11-23T07:03:24.120Z",
        "retired_at": null,
        "gone_at": null,
        "seen_by": [seen],
        "not_seen_by": [],
    });
    call(
        ("get", "/admin/v1/keys"),
        (TAG, "listSigningKeys"),
        (
            "Lists the signing keys",
            "Where each stands, and who has seen it.",
        ),
        &[],
    )
    .answer(
        200,
        Answer::new("The keys.").json::<KeysBody>(&[("one", json!({"keys": [key]}))]),
    )
}

fn rotate() -> Operation {
    let due = json!({
        "kid": NEXT_KID,
        "alg": "ES256",
        "promote_at": "2026-11-24T07:03:24.120Z",
        "warning": null,
    });
    call(
        ("post", "/admin/v1/keys/rotate"),
        (TAG, "rotateKeys"),
        (
            "Lets the next key sign",
            "Once it has been published for a day, or at once: then verifiers with a cached JWKS refuse its tokens for \
             some minutes.",
        ),
        &OF_BODY,
    )
    .body::<KeyRotation>("application/json", &[("usual", json!({"reason": REASON}))])
    .answer(200, Answer::new("What was brought forward.").json::<RotationBody>(&[("due", due)]))
}

fn revoke() -> Operation {
    let losses = json!({
        "client_id": "web",
        "sessions": 120,
        "users": 100,
        "latest_expiry": "2026-11-23T07:18:24.120Z",
    });
    let told = json!({
        "kid": KID,
        "state": "active",
        "revoked": false,
        "successor": NEXT_KID,
        "warning": null,
        "losses": [losses],
    });
    let done = call(
        ("post", "/admin/v1/keys/{kid}/revoke"),
        (TAG, "revokeKey"),
        (
            "Takes a key out of use at once",
            "Its tokens are refused by whoever fetches the JWKS anew. The sessions live on.",
        ),
        &[&OF_BODY[..], &[Code::NotFound]].concat(),
    );
    of_key(done)
        .body::<KeyRevocation>(
            "application/json",
            &[("dry_run", json!({"reason": REASON, "dry_run": true}))],
        )
        .answer(
            200,
            Answer::new("What it ends.").json::<RevokedBody>(&[("dry_run", told)]),
        )
}

fn sessions() -> Operation {
    let lost: Value = json!({
        "sub": USER_ID,
        "sid": SESSION_ID,
        "client_id": "web",
        "expires_at": "2026-11-23T07:18:24.120Z",
    });
    let found = call(
        ("get", "/admin/v1/keys/{kid}/sessions"),
        (TAG, "listSessionsOfKey"),
        (
            "Lists the sessions with tokens of a key",
            "Also those of a key that is revoked.",
        ),
        &[Code::InvalidRequest, Code::NotFound],
    );
    in_pages(of_key(found), 50, 1000, &SESSION_ID.to_string()).answer(
        200,
        Answer::new("The sessions.")
            .json::<LostSessionsBody>(&[("one", json!({"sessions": [lost], "next": null}))]),
    )
}

//! What `otp-auth doctor` says of how soon a gateway refuses the tokens of a session that ended.

use otp_auth::doctor::Level::{Fail, Ok as Good, Skip};
use otp_auth::doctor::gateway::Way;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::World;
use crate::support::doorman::{Doorman, bearer};

#[sqlx::test]
async fn a_gateway_that_asks_the_hook_refuses_at_once(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let doorman = Doorman::asking(format!("{}/v1/authorize", app.base)).await;
    let patient = world.patient(&[]).behind(&doorman.url, Way::ForwardAuth);

    let found = patient.examine().await;

    found.says("gateway.revoked", Good, "/orders: refused ");
    // Its user is no user, and the feed forgets him when the last token has ended.
    let revoked =
        world.text("SELECT count(*) || ' ' || max(expires_at - revoked_at) FROM revocations");
    assert_eq!(revoked.await.as_deref(), Some("1 00:02:00"));
    let sessions = world.text("SELECT count(*) FROM sessions");
    assert_eq!(sessions.await.as_deref(), Some("0"));
}

/// One that checks tokens by itself, or remembers what the hook said, does not learn of it.
#[sqlx::test]
async fn a_gateway_that_does_not_ask_fails(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    world.keys(&[]).await;
    let doorman = Doorman::start(|call| bearer(call).is_some()).await;
    let patient = world.patient(&[]).behind(&doorman.url, Way::ForwardAuth);

    let found = patient.examine().await;

    found.says(
        "gateway.revoked",
        Fail,
        "/orders: still let in 2000 ms after",
    );
    found.says("gateway.good", Good, "");
}

#[sqlx::test]
async fn a_gateway_that_lets_nobody_in_says_nothing_of_it(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    world.keys(&[]).await;
    let doorman = Doorman::start(|_| false).await;
    let patient = world.patient(&[]).behind(&doorman.url, Way::ForwardAuth);

    let found = patient.examine().await;

    found.says("gateway.revoked", Skip, "not let in before either");
}

//! A provider that answers in the order the test likes: what the sandbox cannot be made to do.

use std::sync::Arc;

use futures_util::future::join;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::Notify;

use crate::support::bench::PATIENT;
use crate::support::raw::{RawVendor, Script};
use crate::support::{PHONE, World};

/// What a late refusal gives back is its own, not what a newer send took.
#[sqlx::test]
async fn a_refused_send_gives_back_nothing_of_a_newer_one(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let provider = RawVendor::start();
    let url = provider.url();
    let settings = [("STARTMESSAGING__BASE_URL", url.as_str()), PATIENT];
    let app = world.instance_with(&settings, "").await;
    let time = Arc::new(Notify::new());
    let refusal = Script::refusal("429 X\r\nretry-after: 10", "INTERNAL_ERROR");
    let late = Script::When(Arc::clone(&time), Box::new(refusal));
    provider.script([late, Script::sent()]);

    let while_the_first_waits = async {
        provider.called(1).await;
        world.clock.advance(30);
        let second = app.send(PHONE).await;
        time.notify_one();
        second
    };
    let (first, second) = join(app.send(PHONE), while_the_first_waits).await;

    assert_eq!(first.problem(), (503, "provider_unavailable".to_owned()));
    assert_eq!(second.status, 201, "{}", second.body);
    let report = app.report(&second.text("request_id")).await;
    assert_eq!(report.text("status"), "pending");
    assert_eq!(report.json()["sends_remaining"], 2);
    let third = app.send(PHONE).await;
    assert_eq!(third.text("limit"), "cooldown");
    assert_eq!(third.retry_after(), 60);
    assert!(
        third.header("ratelimit").contains("\"phone-300s\";r=2;"),
        "the first one's place is free again: {}",
        third.header("ratelimit")
    );
}

//! A verify whose process dies: one session for a right code, and no wrong one for free.

use otp_auth::sandbox::Mode;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::Fate::{Done, Lost};
use crate::support::Point::{self, At, Unanswered};
use crate::support::Statement::{Keep, Release, Reserve, Settle};
use crate::support::{World, phone, refresh, send, verify};

/// A code and where its verify crashes. For a wrong one, the tries that are left once the call was
/// repeated: it costs one, and where nobody could know that it was counted, two.
type Row = (Point, Option<i64>);

const RIGHT: Option<i64> = None;

/// Crashes a verify for each row, restarts the program once for all, and repeats the calls.
async fn each_crash_is_survived(connect: PgConnectOptions, mode: Mode, rows: &[Row]) {
    let world = World::new(connect, mode).await;
    let calm = world.program().await;
    let mut posts = Vec::new();
    for (row, (_, left)) in rows.iter().enumerate() {
        let sent = calm.post(&send(&phone(row), &format!("send-{row}"))).await;
        let code = world.code(&phone(row));
        let code = if left.is_some() { wrong(&code) } else { code };
        posts.push(verify(
            &sent.text("request_id"),
            &code,
            &format!("key-{row}"),
        ));
    }
    drop(calm);
    for (post, (point, _)) in posts.iter().zip(rows) {
        world.crash(post, *point).await;
    }
    let program = world.program().await;
    for (post, (point, left)) in posts.iter().zip(rows) {
        let done = if left.is_some() { 401 } else { 200 };
        let expected = if *point == At(Keep, Done) { done } else { 409 };
        let early = program.post(post).await;
        assert_eq!(
            early.status, expected,
            "before the lease ends, {point:?}: {early:?}"
        );
    }
    world.end_leases().await;
    for (row, (post, (point, left))) in posts.iter().zip(rows).enumerate() {
        let answer = world.repeat(&program, post).await;

        let why = format!("{point:?}: {answer:?}");
        assert_eq!(
            program.post(post).await,
            answer,
            "repeated once more, {why}"
        );
        let id = post.body["request_id"].as_str().unwrap();
        let report = program.get(&format!("/v1/otp/{id}")).await;
        if let Some(left) = left {
            assert_eq!(answer.status, 401, "{why}");
            assert_eq!(answer.get("attempts_remaining"), *left, "{why}");
            assert_eq!(report.get("attempts_remaining"), *left, "{why}");
            let right = verify(id, &world.code(&phone(row)), &format!("right-{row}"));
            let right = program.post(&right).await;
            assert_eq!(right.status, 200, "the right one then, {why}: {right:?}");
        } else {
            assert_eq!(answer.status, 200, "{why}");
            assert_eq!(answer.get("new_user"), true, "{why}");
            assert_eq!(report.text("status"), "verified", "{why}");
            assert_eq!(
                sessions(&world, &answer.text("subject")).await,
                answer.text("session_id")
            );
            let refreshed = refresh(&answer.text("refresh_token"));
            let refreshed = program.post(&refreshed).await;
            assert_eq!(refreshed.status, 200, "{why}: {refreshed:?}");
        }
        assert_eq!(world.sms_count(&phone(row)), 1, "{why}");
    }
    world.nothing_is_left_open().await;
}

/// The ids of all sessions of a user.
async fn sessions(world: &World, user: &str) -> String {
    let ids = "SELECT string_agg(id::text, ' and ') FROM sessions WHERE user_id =";
    world.ask(&format!("{ids} '{user}'")).await
}

/// A code of six digits that is not this one.
fn wrong(code: &str) -> String {
    let other = if code.ends_with('0') { "1" } else { "0" };
    format!("{}{other}", code.get(..5).unwrap())
}

#[sqlx::test]
async fn a_verify_that_crashed_anywhere_signs_in_once(_: PgPoolOptions, connect: PgConnectOptions) {
    let rows = [
        (At(Settle, Lost), RIGHT),
        (At(Settle, Done), RIGHT),
        (At(Keep, Lost), RIGHT),
        (At(Keep, Done), RIGHT),
    ];
    each_crash_is_survived(connect, Mode::Service, &rows).await;
}

#[sqlx::test]
async fn a_wrong_code_whose_verify_crashed_anywhere_is_counted(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let rows = [
        (At(Settle, Lost), Some(4)),
        // Only a right code leaves something to know it by.
        (At(Settle, Done), Some(3)),
        (At(Keep, Lost), Some(3)),
        (At(Keep, Done), Some(4)),
    ];
    each_crash_is_survived(connect, Mode::Service, &rows).await;
}

#[sqlx::test]
async fn a_verify_at_the_provider_that_crashed_anywhere_signs_in_once(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let rows = [
        (At(Reserve, Lost), RIGHT),
        // The try is counted, and the provider was not asked.
        (At(Reserve, Done), RIGHT),
        (Point::Asked, RIGHT),
        // The provider has used the code up.
        (Unanswered, RIGHT),
        (At(Settle, Lost), RIGHT),
        (At(Settle, Done), RIGHT),
        (At(Keep, Lost), RIGHT),
        (At(Keep, Done), RIGHT),
    ];
    each_crash_is_survived(connect, Mode::Vendor, &rows).await;
}

#[sqlx::test]
async fn a_wrong_code_whose_verify_at_the_provider_crashed_anywhere_is_counted(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let rows = [
        (At(Reserve, Lost), Some(4)),
        (At(Reserve, Done), Some(4)),
        (Point::Asked, Some(4)),
        (Unanswered, Some(4)),
        (At(Release, Lost), Some(4)),
        (At(Release, Done), Some(3)),
        (At(Keep, Lost), Some(3)),
        (At(Keep, Done), Some(4)),
    ];
    each_crash_is_survived(connect, Mode::Vendor, &rows).await;
}

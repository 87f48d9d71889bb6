//! What every vendor must do the same, seen from outside: one suite, run over all of them. A new
//! vendor is one more name in the list at the end, and a constructor of [`Line`].
//!
//! Two things differ by who makes the codes, and the cases say where: a vendor that makes them texts
//! new digits in each SMS, and it stops at three wrong codes by itself.

use futures_util::future::join_all;
use otp_auth::provider::CodeOwner;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Line, OTHER_PHONE, PHONE, by_outcome, wrong};

/// Wrong codes that are looked at: this service allows five, the vendor's own limit is three.
fn looked_at(line: &Line) -> usize {
    match line.owner {
        CodeOwner::Service => 5,
        CodeOwner::Vendor => 3,
    }
}

fn gone() -> (u16, String) {
    (400, "otp_request_expired".to_owned())
}

fn too_many() -> (u16, String) {
    (429, "too_many_attempts".to_owned())
}

async fn a_code_becomes_a_token_once(line: Line) {
    let app = line.instance().await;
    let id = app.sent(PHONE).await;
    let code = line.code(PHONE);

    let first = app.verify(&id, &code).await;
    let again = app.verify(&id, &code).await;

    assert_eq!(first.status, 200, "{}", first.body);
    assert_eq!(first.text("access_token").split('.').count(), 3);
    assert_eq!(first.json()["new_user"], true);
    assert_eq!(again.problem(), gone());
    assert_eq!(app.report(&id).await.text("status"), "verified");
    assert_eq!(line.codes(PHONE).len(), 1);
}

/// What is the same: each wrong code costs one try, and in the end the right one is refused too. What
/// differs is after how many.
async fn wrong_codes_end_a_request_even_for_the_right_one(line: Line) {
    let app = line.instance().await;
    let id = app.sent(PHONE).await;
    let code = line.code(PHONE);

    for tries in 1..=looked_at(&line) {
        let answer = app.verify(&id, &wrong(&code)).await;
        assert_eq!(answer.problem(), (401, "otp_incorrect".to_owned()));
        assert_eq!(answer.json()["attempts_remaining"], 5 - tries);
    }

    let right = app.verify(&id, &code).await;
    assert_eq!(right.problem(), too_many());
    line.world.clock.advance(right.retry_after());
    let next = app.sent(PHONE).await;
    assert_eq!(app.verify(&next, &line.code(PHONE)).await.status, 200);
}

async fn of_fifty_parallel_right_codes_one_signs_in(line: Line) {
    let (one, two) = (line.instance().await, line.instance().await);
    let id = one.sent(PHONE).await;
    let code = line.code(PHONE);

    let calls = (0..50).map(|n| if n % 2 == 0 { &one } else { &two }.verify(&id, &code));
    let counts = by_outcome(&join_all(calls).await);

    assert_eq!(counts.get("200 ok"), Some(&1), "{counts:?}");
    assert_eq!(
        counts.get("400 otp_request_expired"),
        Some(&49),
        "{counts:?}"
    );
}

async fn of_two_hundred_parallel_wrong_codes_five_are_looked_at_at_most(line: Line) {
    let (one, two) = (line.instance().await, line.instance().await);
    let id = one.sent(PHONE).await;
    let bad = wrong(&line.code(PHONE));
    let before = line.calls();

    let calls = (0..200).map(|n| if n % 2 == 0 { &one } else { &two }.verify(&id, &bad));
    let counts = by_outcome(&join_all(calls).await);

    let most = looked_at(&line);
    assert_eq!(counts.get("401 otp_incorrect"), Some(&most), "{counts:?}");
    let refused = Some(200 - most);
    assert_eq!(
        counts.get("429 too_many_attempts").copied(),
        refused,
        "{counts:?}"
    );
    assert!(
        line.calls() - before <= 5,
        "{} calls",
        line.calls() - before
    );
}

async fn a_resend_waits_and_every_code_it_brought_signs_in(line: Line) {
    let app = line.instance().await;
    for (phone, newest) in [(PHONE, true), (OTHER_PHONE, false)] {
        let id = app.sent(phone).await;
        line.world.clock.advance(29);
        let early = app.resend(&id).await;
        assert_eq!(early.text("limit"), "cooldown");
        assert_eq!(early.retry_after(), 1);
        line.world.clock.advance(1);

        assert_eq!(app.resend(&id).await.status, 200);

        let codes = line.codes(phone);
        assert_eq!(codes.len(), 2);
        let same = line.owner == CodeOwner::Service;
        assert_eq!(codes[0] == codes[1], same, "one in a million: run again");
        let code = if newest { &codes[0] } else { &codes[1] };
        let answer = app.verify(&id, code).await;
        assert_eq!(answer.status, 200, "newest: {newest}, {}", answer.body);
    }
}

async fn a_newer_send_supersedes(line: Line) {
    let app = line.instance().await;
    let first = app.sent(PHONE).await;
    let old = line.code(PHONE);
    line.world.clock.advance(30);

    let second = app.sent(PHONE).await;

    assert_eq!(app.verify(&first, &old).await.problem(), gone());
    let crossed = app.verify(&second, &old).await;
    assert_eq!(crossed.problem(), (401, "otp_incorrect".to_owned()));
    assert_eq!(app.verify(&second, &line.code(PHONE)).await.status, 200);
}

async fn a_phone_has_its_cooldown_and_its_sends(line: Line) {
    let app = line.instance().await;
    for wait in [30, 60, 180] {
        app.sent(PHONE).await;
        let refused = app.send(PHONE).await;
        assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
        line.world.clock.advance(wait);
    }

    let fourth = app.send(PHONE).await;

    assert_eq!(fourth.text("limit"), "phone");
    assert_eq!(fourth.retry_after(), 30);
    assert_eq!(line.codes(PHONE).len(), 3);
}

async fn too_many_wrong_codes_lock_the_phone(line: Line) {
    let settings = [("LIMITS__PHONE__FAILURES_PER_DAY", "3")];
    let app = line.instance_with(&settings, "").await;
    let id = app.sent(PHONE).await;
    let code = line.code(PHONE);
    for left in [4, 3, 0] {
        let answer = app.verify(&id, &wrong(&code)).await;
        assert_eq!(answer.json()["attempts_remaining"], left);
        line.world.clock.advance(1);
    }

    assert_eq!(app.verify(&id, &code).await.problem(), too_many());
    let send = app.send(PHONE).await;
    assert_eq!(send.problem(), too_many());
    assert_eq!(send.retry_after(), 1799);
    line.world.clock.advance(1799);
    let id = app.sent(PHONE).await;
    assert_eq!(app.verify(&id, &line.code(PHONE)).await.status, 200);
    let locks = app.events("action=phone.lock").await;
    assert_eq!(locks.len(), 1, "{locks:?}");
    assert_eq!(locks[0]["reason"], "wrong_codes");
}

async fn a_code_works_until_its_last_second(line: Line) {
    let app = line.instance().await;
    for (age, status) in [(299, 200), (300, 400), (301, 400)] {
        let id = app.sent(PHONE).await;
        let code = line.code(PHONE);
        line.world.clock.advance(age);
        assert_eq!(app.verify(&id, &code).await.status, status, "after {age} s");
        line.world.clock.advance(3600);
    }
}

async fn a_repeat_gets_the_same_bytes_and_does_nothing(line: Line) {
    let app = line.instance().await;
    let same = |first: &Answer, again: &Answer| {
        assert!(first.status < 300, "{}", first.body);
        assert_eq!((first.status, &first.body), (again.status, &again.body));
    };

    let send = json!({"phone_number": PHONE});
    let first = app.post_once("/v1/otp/send", "k", &send).await;
    same(&first, &app.post_once("/v1/otp/send", "k", &send).await);
    line.world.clock.advance(30);
    let id = first.text("request_id");
    let resend = json!({"request_id": id});
    let first = app.post_once("/v1/otp/resend", "k", &resend).await;
    same(&first, &app.post_once("/v1/otp/resend", "k", &resend).await);
    let verify = json!({"request_id": id, "code": line.code(PHONE)});
    let first = app.post_once("/v1/otp/verify", "k", &verify).await;
    same(&first, &app.post_once("/v1/otp/verify", "k", &verify).await);

    assert_eq!(line.codes(PHONE).len(), 2, "one a send, one a resend");
    let sessions = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM sessions"#);
    assert_eq!(sessions.fetch_one(&line.world.pool).await.unwrap(), 1);
}

async fn a_test_number_costs_no_call(line: Line) {
    let numbers = format!("[[test_numbers]]\nphone_number = \"{PHONE}\"\ncode = \"424242\"\n");
    let app = line.instance_with(&[], &numbers).await;
    let id = app.sent(PHONE).await;
    line.world.clock.advance(30);

    assert_eq!(app.resend(&id).await.status, 200);
    assert_eq!(app.verify(&id, "424243").await.status, 401);
    assert_eq!(app.verify(&id, "424242").await.status, 200);
    assert_eq!(line.calls(), 0);
}

/// Every case for one vendor.
macro_rules! suite {
    ($vendor:ident [$($case:ident)*]) => {
        mod $vendor {
            use super::*;
            $(
                #[sqlx::test]
                async fn $case(_: PgPoolOptions, connect: PgConnectOptions) {
                    super::$case(Line::$vendor(connect).await).await;
                }
            )*
        }
    };
}

/// Every case for every vendor.
macro_rules! suites {
    ([$($vendor:ident)*] $cases:tt) => {
        $(suite!($vendor $cases);)*
    };
}

suites! {
    [startmessaging_service startmessaging_vendor webhook]
    [
        a_code_becomes_a_token_once
        wrong_codes_end_a_request_even_for_the_right_one
        of_fifty_parallel_right_codes_one_signs_in
        of_two_hundred_parallel_wrong_codes_five_are_looked_at_at_most
        a_resend_waits_and_every_code_it_brought_signs_in
        a_newer_send_supersedes
        a_phone_has_its_cooldown_and_its_sends
        too_many_wrong_codes_lock_the_phone
        a_code_works_until_its_last_second
        a_repeat_gets_the_same_bytes_and_does_nothing
        a_test_number_costs_no_call
    ]
}

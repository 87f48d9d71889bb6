//! When the keys are fetched, and who waits for it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use otp_auth::verifier::{CheckError, Refused};
use tokio::runtime::Handle;

use crate::support::{Asked, Issuer, Signer};

fn unknown(kid: &str) -> CheckError {
    CheckError::Refused(Refused::UnknownKey {
        kid: kid.to_owned(),
    })
}

#[actix_web::test]
async fn the_set_is_fetched_once_for_all_that_come_first() {
    let signer = Signer::new("one");
    let issuer = Issuer::start(&[&signer]);
    let verifier = issuer
        .builder()
        .verifier_name("orders & co")
        .build()
        .unwrap();
    let token = signer.token(&issuer.clock);
    assert_eq!(issuer.asked(), []);

    for checked in join_all((0..100).map(|_| verifier.check(&token))).await {
        assert_eq!(checked.unwrap().subject(), "user-1");
    }
    verifier.ready().await.unwrap();

    let asked = Asked {
        query: "verifier=orders+%26+co".to_owned(),
        if_none_match: None,
    };
    assert_eq!(issuer.asked(), [asked]);
}

/// security.md 23: tokens with an unknown kid make no more than one fetch in 30 s.
#[actix_web::test]
async fn a_hundred_tokens_with_an_unknown_kid_wait_for_one_fetch_every_thirty_seconds() {
    let (old, new, other) = (Signer::new("old"), Signer::new("new"), Signer::new("other"));
    let issuer = Issuer::start(&[&old]);
    let verifier = issuer.verifier();
    verifier.ready().await.unwrap();
    issuer.publish(&[&old, &new]);
    let token = new.token(&issuer.clock);
    let stranger = other.token(&issuer.clock);

    for (after, asked) in [(0, 1), (29, 1)] {
        issuer.clock.advance(after);
        assert_eq!(verifier.check(&token).await, Err(unknown("new")));
        assert_eq!(issuer.asked().len(), asked);
    }
    issuer.clock.advance(1);
    issuer.hold();
    let checks = join_all((0..100).map(|_| verifier.check(&token)));
    let answer = async {
        issuer.was_asked(2).await;
        issuer.let_go(1000);
    };
    for checked in join(checks, answer).await.0 {
        checked.unwrap();
    }
    assert_eq!(issuer.asked().len(), 2);

    for (after, asked) in [(0, 2), (29, 2), (1, 3), (1, 3)] {
        issuer.clock.advance(after);
        for checked in join_all((0..100).map(|_| verifier.check(&stranger))).await {
            assert_eq!(checked, Err(unknown("other")));
        }
        assert_eq!(issuer.asked().len(), asked);
    }
}

#[actix_web::test]
async fn whoever_hangs_up_does_not_end_the_fetch_of_the_others() {
    let signer = Signer::new("one");
    let issuer = Issuer::start(&[&signer]);
    let verifier = issuer.verifier();
    let token = signer.token(&issuer.clock);
    issuer.hold();

    let impatient = {
        let verifier = verifier.clone();
        let token = token.clone();
        actix_web::rt::spawn(async move { verifier.check(&token).await })
    };
    issuer.was_asked(1).await;
    impatient.abort();
    assert!(impatient.await.is_err());
    issuer.let_go(1);

    verifier.check(&token).await.unwrap();
    assert_eq!(issuer.asked().len(), 1);
}

#[actix_web::test]
async fn a_rotation_is_seen_when_the_sets_time_is_over() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let issuer = Issuer::start(&[&old]);
    let verifier = issuer.verifier();
    let token = old.token(&issuer.clock);
    verifier.check(&token).await.unwrap();
    issuer.publish(&[&new]);

    issuer.clock.advance(299);
    verifier.check(&token).await.unwrap();
    assert_eq!(issuer.asked().len(), 1);
    issuer.clock.advance(1);
    issuer.hold();
    // Nobody waits for it.
    verifier.check(&token).await.unwrap();
    issuer.was_asked(2).await;
    issuer.let_go(1);

    // It waits for the fetch that is under way, and makes none.
    verifier.check(&new.token(&issuer.clock)).await.unwrap();
    assert_eq!(verifier.check(&token).await, Err(unknown("old")));
    assert_eq!(issuer.asked().len(), 2);
}

#[actix_web::test]
async fn keys_are_renewed_also_while_nobody_asks() {
    let signer = Signer::new("one");
    let issuer = Issuer::start(&[&signer]);
    let verifier = issuer.verifier();
    verifier.ready().await.unwrap();

    issuer.clock.advance(300);
    // The task's own timer is the runtime's, which this moves.
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(1)).await;
    tokio::time::resume();

    issuer.was_asked(2).await;
}

#[actix_web::test]
async fn a_set_that_has_not_changed_is_not_sent_again() {
    let (signer, other) = (Signer::new("one"), Signer::new("other"));
    let issuer = Issuer::start(&[&signer]);
    issuer.answer(|answers| answers.etag = Some("\"v1\""));
    let verifier = issuer.verifier();
    let token = signer.token(&issuer.clock);
    let stranger = other.token(&issuer.clock);
    verifier.check(&token).await.unwrap();

    for round in 1..3 {
        issuer.clock.advance(300);
        assert_eq!(verifier.check(&stranger).await, Err(unknown("other")));
        verifier.check(&token).await.unwrap();
        let asked = issuer.asked();
        assert_eq!(asked.len(), round + 1);
        assert_eq!(asked[round].if_none_match.as_deref(), Some("\"v1\""));
    }
    issuer.answer(|answers| answers.etag = Some("\"v2\""));
    issuer.publish(&[&signer, &other]);
    issuer.clock.advance(300);
    verifier.check(&stranger).await.unwrap();
}

#[actix_web::test]
async fn the_background_task_ends_with_the_last_clone() {
    let issuer = Issuer::start(&[]);
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let verifier = issuer.verifier();
    let clone = verifier.clone();
    assert_eq!(tasks(), before + 1);

    drop(verifier);
    tokio::task::yield_now().await;
    assert_eq!(tasks(), before + 1);
    drop(clone);
    // The runtime takes a turn to drop what was ended.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }

    assert_eq!(tasks(), before);
    // Only the test has the clock still.
    assert_eq!(Arc::strong_count(&issuer.clock), 1);
}

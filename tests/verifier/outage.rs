//! What holds while the issuer does not answer, or answers nonsense.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use actix_web::http::StatusCode;
use otp_auth::verifier::{CheckError, MAX_SET_BYTES};
use tokio::net::TcpListener;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Issuer, Signer};

/// The log of all tests of this program. A subscriber for one thread would miss events: whether anybody
/// listens to one is remembered when it first happens, on any thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        let start = || {
            let log = Self::default();
            tracing_subscriber::fmt().with_writer(log.clone()).init();
            log
        };
        LOG.get_or_init(start).clone()
    }

    /// How many lines about the keys of this verifier have this text.
    fn count(&self, name: &str, text: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock().unwrap())
            .lines()
            .filter(|line| line.contains(name) && line.contains(text))
            .count()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[actix_web::test]
async fn without_keys_it_says_so_and_asks_again_after_a_second() {
    let signer = Signer::new("one");
    let issuer = Issuer::start(&[&signer]);
    issuer.answer(|answers| answers.status = StatusCode::INTERNAL_SERVER_ERROR);
    let verifier = issuer.verifier();
    let token = signer.token(&issuer.clock);

    for _ in 0..3 {
        assert_eq!(
            verifier.check(&token).await,
            Err(CheckError::KeysUnavailable)
        );
    }
    assert_eq!(verifier.ready().await, Err(CheckError::KeysUnavailable));
    assert_eq!(issuer.asked().len(), 1);
    issuer.answer(|answers| answers.status = StatusCode::OK);
    issuer.clock.advance(1);

    verifier.check(&token).await.unwrap();
    assert_eq!(issuer.asked().len(), 2);
}

#[actix_web::test]
async fn old_keys_stay_in_use_and_an_outage_is_told_once() {
    let log = Log::start();
    let (signer, other) = (Signer::new("one"), Signer::new("other"));
    let issuer = Issuer::start(&[&signer]);
    let verifier = issuer.builder().verifier_name("told-once").build().unwrap();
    let token = signer.token(&issuer.clock);
    let stranger = other.token(&issuer.clock);
    verifier.check(&token).await.unwrap();
    issuer.answer(|answers| answers.status = StatusCode::SERVICE_UNAVAILABLE);

    for round in 1..4 {
        issuer.clock.advance(3600);
        // Waits for the fetch.
        assert!(verifier.check(&stranger).await.is_err());
        verifier.check(&token).await.unwrap();
        assert_eq!(issuer.asked().len(), 1 + round);
    }
    assert_eq!(log.count("told-once", "cannot be fetched"), 1);
    issuer.answer(|answers| answers.status = StatusCode::OK);
    issuer.clock.advance(30);
    assert!(verifier.check(&stranger).await.is_err());
    assert_eq!(log.count("told-once", "can be had again"), 1);

    issuer.answer(|answers| answers.status = StatusCode::SERVICE_UNAVAILABLE);
    issuer.clock.advance(300);
    assert!(verifier.check(&stranger).await.is_err());
    verifier.check(&token).await.unwrap();
    assert_eq!(log.count("told-once", "cannot be fetched"), 2);
}

#[actix_web::test]
async fn a_connection_that_is_cut_is_no_answer() {
    let signer = Signer::new("one");
    let issuer = Issuer::start(&[&signer]);
    let cutting = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = cutting.local_addr().unwrap();
    actix_web::rt::spawn(async move { while cutting.accept().await.is_ok() {} });
    let builder = issuer.builder().jwks_url(format!("http://{address}"));
    let verifier = builder.build().unwrap();

    let checked = verifier.check(&signer.token(&issuer.clock)).await;

    assert_eq!(checked, Err(CheckError::KeysUnavailable));
}

#[actix_web::test]
async fn old_keys_are_used_no_longer_than_the_limit() {
    let signer = Signer::new("one");
    let issuer = Issuer::start(&[&signer]);
    let limit = Duration::from_mins(10);
    let verifier = issuer.builder().max_stale(limit).build().unwrap();
    let token = signer.token(&issuer.clock);
    verifier.check(&token).await.unwrap();
    issuer.answer(|answers| answers.status = StatusCode::SERVICE_UNAVAILABLE);

    issuer.clock.advance(300 + 599);
    verifier.check(&token).await.unwrap();
    for _ in 0..2 {
        issuer.clock.advance(1);
        assert_eq!(
            verifier.check(&token).await,
            Err(CheckError::KeysUnavailable)
        );
    }
    issuer.answer(|answers| answers.status = StatusCode::OK);
    issuer.clock.advance(1);
    verifier.check(&token).await.unwrap();
}

#[actix_web::test]
async fn an_answer_that_is_no_set_of_keys_does_not_replace_one() {
    let (signer, other) = (Signer::new("one"), Signer::new("other"));
    let issuer = Issuer::start(&[&signer]);
    let elsewhere = Issuer::start(&[&other]);
    let verifier = issuer.verifier();
    let token = signer.token(&issuer.clock);
    let stranger = other.token(&issuer.clock);
    verifier.check(&token).await.unwrap();
    let long = format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(MAX_SET_BYTES));

    for (status, body) in [
        (StatusCode::OK, "<html>"),
        (StatusCode::OK, r#"{"keys":[]}"#),
        (
            StatusCode::OK,
            r#"{"keys":[{"kty":"oct","kid":"one","k":"AAAA"}]}"#,
        ),
        (StatusCode::OK, &long),
        (StatusCode::FOUND, ""),
        (StatusCode::NOT_MODIFIED, ""),
        (StatusCode::NO_CONTENT, ""),
    ] {
        issuer.answer(|answers| {
            answers.status = status;
            body.clone_into(&mut answers.body);
            let to = format!("{}/.well-known/jwks.json", elsewhere.address);
            answers.headers.push(("Location", to));
        });
        issuer.clock.advance(300);
        assert!(verifier.check(&stranger).await.is_err(), "{status} {body}");
        verifier.check(&token).await.unwrap();
    }
    assert_eq!(issuer.asked().len(), 8);
    assert_eq!(elsewhere.asked(), []);
}

//! An issuer's JWK set on a real socket, and a clock that is moved by hand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use otp_auth::clock::Clock;
use otp_auth::verifier::{Builder, Verifier};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

pub(crate) const ISSUER: &str = "https://id.example";

/// A clock that stands still until the test moves it.
pub(crate) struct TestClock(Mutex<DateTime<Utc>>);

impl TestClock {
    pub(crate) fn advance(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

/// A key pair, which signs tokens that live for a day.
pub(crate) struct Signer {
    kid: &'static str,
    pair: EcdsaKeyPair,
}

impl Signer {
    pub(crate) fn new(kid: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { kid, pair }
    }

    fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let encode = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "kid": self.kid, "x": encode(x), "y": encode(y)})
    }

    pub(crate) fn token(&self, clock: &TestClock) -> String {
        let now = clock.now().timestamp();
        let header = json!({"typ": "at+jwt", "alg": "ES256", "kid": self.kid});
        let claims = json!({
            "iss": ISSUER, "sub": "user-1", "aud": "api", "client_id": "web", "iat": now,
            "exp": now + 86400, "jti": "t", "sid": "s", "scope": "orders.read",
        });
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(claims.to_string().as_bytes())
        );
        let random = SystemRandom::new();
        let signature = self.pair.sign(&random, signed.as_bytes()).unwrap();
        format!("{signed}.{}", encode(signature.as_ref()))
    }
}

/// What the issuer was asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) query: String,
    pub(crate) if_none_match: Option<String>,
}

/// What the issuer answers. A test may change all of it at any time.
pub(crate) struct Answers {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
    pub(crate) etag: Option<&'static str>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) asked: Vec<Asked>,
}

pub(crate) struct Issuer {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) address: String,
    answers: web::Data<Mutex<Answers>>,
    /// One permit for each answer, where the test holds them back.
    gate: web::Data<Semaphore>,
    count: watch::Receiver<usize>,
}

impl Issuer {
    pub(crate) fn start(keys: &[&Signer]) -> Self {
        let answers = web::Data::new(Mutex::new(Answers {
            status: StatusCode::OK,
            body: String::new(),
            etag: None,
            headers: vec![("Cache-Control", "public, max-age=300".to_owned())],
            asked: Vec::new(),
        }));
        let gate = web::Data::new(Semaphore::new(Semaphore::MAX_PERMITS));
        let (counter, count) = watch::channel(0);
        let counter = web::Data::new(counter);
        let shared = (answers.clone(), gate.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.0.clone())
                .app_data(shared.1.clone())
                .app_data(counter.clone())
                .route("/.well-known/jwks.json", web::get().to(jwks))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
        let address = format!("http://{}", server.addrs()[0]);
        actix_web::rt::spawn(server.run());
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let issuer = Self {
            clock: Arc::new(TestClock(Mutex::new(start))),
            address,
            answers,
            gate,
            count,
        };
        issuer.publish(keys);
        issuer
    }

    pub(crate) fn publish(&self, keys: &[&Signer]) {
        let keys: Vec<_> = keys.iter().map(|signer| signer.jwk()).collect();
        self.answer(|answers| answers.body = json!({ "keys": keys }).to_string());
    }

    pub(crate) fn answer<T>(&self, change: impl FnOnce(&mut Answers) -> T) -> T {
        change(&mut self.answers.lock().unwrap())
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.answer(|answers| answers.asked.clone())
    }

    /// From now on, answers wait until they are let go.
    pub(crate) fn hold(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn let_go(&self, answers: usize) {
        self.gate.add_permits(answers);
    }

    /// Waits until it was asked so often.
    pub(crate) async fn was_asked(&self, times: usize) {
        let mut count = self.count.clone();
        count.wait_for(|count| *count >= times).await.unwrap();
    }

    pub(crate) fn builder(&self) -> Builder {
        let clock: Arc<dyn Clock> = self.clock.clone();
        Verifier::builder(ISSUER)
            .audience("api")
            .jwks_url(format!("{}/.well-known/jwks.json", self.address))
            .clock(clock)
    }

    pub(crate) fn verifier(&self) -> Verifier {
        self.builder().build().unwrap()
    }
}

async fn jwks(
    request: HttpRequest,
    answers: web::Data<Mutex<Answers>>,
    gate: web::Data<Semaphore>,
    counter: web::Data<watch::Sender<usize>>,
) -> HttpResponse {
    let if_none_match = request.headers().get("If-None-Match");
    let if_none_match = if_none_match.map(|value| value.to_str().unwrap().to_owned());
    answers.lock().unwrap().asked.push(Asked {
        query: request.query_string().to_owned(),
        if_none_match: if_none_match.clone(),
    });
    counter.send_modify(|count| *count += 1);
    gate.acquire().await.unwrap().forget();
    let answers = answers.lock().unwrap();
    let unchanged = answers.etag.is_some() && if_none_match.as_deref() == answers.etag;
    let status = if unchanged && answers.status == StatusCode::OK {
        StatusCode::NOT_MODIFIED
    } else {
        answers.status
    };
    let mut response = HttpResponse::build(status);
    for (name, value) in &answers.headers {
        response.insert_header((*name, value.as_str()));
    }
    if let Some(etag) = answers.etag {
        response.insert_header(("ETag", etag));
    }
    if status == StatusCode::NOT_MODIFIED {
        response.finish()
    } else {
        response.body(answers.body.clone())
    }
}

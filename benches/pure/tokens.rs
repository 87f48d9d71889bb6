//! Access tokens, signed and checked, and what is the least that they can cost; refresh tokens.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom as AwsRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    ParsedPublicKey, UnparsedPublicKey,
};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use otp_auth::client::{Client, Clients, RefreshLife};
use otp_auth::clock::{Clock as _, SystemClock};
use otp_auth::gateway::Remembered;
use otp_auth::limit::spend::Ceilings;
use otp_auth::random::SystemRandom;
use otp_auth::session::LiveSession;
use otp_auth::token::grant::Granted;
use otp_auth::token::issuer::{AccessToken, Issuer};
use otp_auth::token::keys::{Keeper, KeyPolicy, SigningAlgorithm, SigningKeys};
use otp_auth::token::own::OwnTokens;
use otp_auth::token::refresh::RefreshToken;
use otp_auth::verifier::Claims;
use secrecy::SecretBox;
use serde_json::{Map, Value};
use sqlx::PgPool;
use uuid::Uuid;

use super::{Group, forever, keyring};

/// With what everything is compared.
pub(crate) const FLOOR: &str = "The floor";
pub(crate) const FLOOR_CHECK: &str = "check an ES256 token, jsonwebtoken alone";

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "api";

pub(crate) fn groups() -> Vec<Group> {
    let [es256, eddsa, rs256] =
        SigningAlgorithm::ALL.map(|algorithm| forever(Signing::new(algorithm)));
    vec![
        floor(es256),
        Group::new("Access token")
            .with("sign, ES256", || es256.sign())
            .with("sign, EdDSA", || eddsa.sign())
            .with("sign, RS256", || rs256.sign())
            .with("check, ES256", es256.checks())
            .with("check, EdDSA", eddsa.checks())
            .with("check, RS256", rs256.checks()),
        gateway(es256),
        refresh(),
    ]
}

/// One issuer with one key, a client and its session.
struct Signing {
    issuer: Issuer,
    keys: Arc<SigningKeys>,
    own: Arc<OwnTokens>,
    client: Client,
    granted: Granted,
    session: LiveSession,
    now: DateTime<Utc>,
}

impl Signing {
    fn new(algorithm: SigningAlgorithm) -> Self {
        let now = SystemClock::default().now();
        let client = client();
        let keys = Arc::new(SigningKeys::made_up(keeper(algorithm)).unwrap());
        let clients = Clients::from_iter([client.clone()]);
        Self {
            issuer: Issuer::new(ISSUER.to_owned(), Arc::clone(&keys)),
            own: Arc::new(OwnTokens::new(ISSUER, &clients, Arc::clone(&keys)).unwrap()),
            keys,
            granted: Granted::all(&client),
            client,
            session: LiveSession::made_up(now, now + TimeDelta::days(30)),
            now,
        }
    }

    fn sign(&self) -> AccessToken {
        let draft = self.issuer.draft(&self.client, self.now);
        let whom = (&self.client, &self.granted);
        self.issuer
            .issue(&draft, &self.session, whom, &SystemRandom)
            .unwrap()
    }

    /// Checks the same token again and again.
    fn checks(&'static self) -> impl Fn() -> Claims {
        let token = self.sign();
        move || self.own.check(black_box(token.expose()), self.now).unwrap()
    }
}

fn client() -> Client {
    Client {
        id: "web".parse().unwrap(),
        secret_hash: None,
        audience: vec![AUDIENCE.to_owned()],
        allowed_origins: Vec::new(),
        // Longer than all that is measured takes: jsonwebtoken looks at the clock.
        access_token_ttl: Duration::from_hours(24),
        refresh: RefreshLife {
            idle: Duration::from_hours(24),
            absolute: Duration::from_hours(48),
        },
        scopes: vec!["orders.read".to_owned()],
        claims: Map::new(),
        may_introspect: false,
        countries: None,
        ceilings: Ceilings::default(),
    }
}

fn keeper(algorithm: SigningAlgorithm) -> Keeper {
    Keeper {
        // Nobody connects.
        pool: PgPool::connect_lazy("postgres://127.0.0.1/none").unwrap(),
        keyring: Arc::new(
            otp_auth::secrets::Keyring::derive(&SecretBox::new(Box::new([1; 32]))).unwrap(),
        ),
        random: Arc::new(SystemRandom),
        clock: Arc::new(SystemClock::default()),
        policy: Arc::new(KeyPolicy {
            algorithm,
            rotate_every: TimeDelta::days(90),
            publish_ahead: TimeDelta::days(1),
            keep_after: TimeDelta::days(1),
            longest_token: TimeDelta::days(1),
            verifiers: [].into(),
            verifier_deadline: TimeDelta::days(1),
        }),
    }
}

/// What others' libraries take for the same token and signature.
fn floor(es256: &'static Signing) -> Group {
    let token = es256.sign();
    let (signed, _) = token.expose().rsplit_once('.').unwrap();
    let signed: &str = forever(signed.to_owned());
    let keys: JwkSet = serde_json::from_slice(es256.keys.published().jwks()).unwrap();
    let key = DecodingKey::from_jwk(keys.keys.first().unwrap()).unwrap();
    let mut wanted = Validation::new(Algorithm::ES256);
    wanted.set_issuer(&[ISSUER]);
    wanted.set_audience(&[AUDIENCE]);

    let pair = forever(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
    let der = pair.to_pkcs8v1().unwrap();
    let unread = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
    let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
    let public = public.unwrap();
    let sign = move |pair: &EcdsaKeyPair| {
        let message = black_box(signed).as_bytes();
        pair.sign(&AwsRandom::new(), message).unwrap()
    };
    let signature = sign(pair);
    Group::new(FLOOR)
        .with(FLOOR_CHECK, move || {
            decode::<Value>(black_box(token.expose()), &key, &wanted).unwrap()
        })
        .with("check an ES256 signature, aws-lc alone", move || {
            let message = black_box(signed).as_bytes();
            public.verify_sig(message, signature.as_ref()).unwrap();
        })
        .with("check it, its key read first", move || {
            let message = black_box(signed).as_bytes();
            unread.verify(message, signature.as_ref()).unwrap();
        })
        .with("make an ES256 signature, aws-lc alone", move || sign(pair))
        .with("make it, its key read first", move || {
            let read = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref());
            sign(&read.unwrap())
        })
}

fn gateway(es256: &'static Signing) -> Group {
    let remembered = || Remembered::new(Arc::clone(&es256.own), 10_000);
    let (new, known) = (remembered(), remembered());
    let token = es256.sign();
    Group::new("Gateway, ES256")
        .with_each(
            "check a new token",
            || es256.sign(),
            move |token| new.check(token.expose(), es256.now).unwrap(),
        )
        .with("check a remembered one", move || {
            known.check(black_box(token.expose()), es256.now).unwrap()
        })
}

fn refresh() -> Group {
    let keyring = keyring();
    let made = move || RefreshToken::generate(Uuid::from_u128(1), keyring, &SystemRandom).unwrap();
    let token = made().expose();
    // As long as one, with a tag that is not ours.
    let forged = format!("rt_{}", "A".repeat(86));
    Group::new("Refresh token")
        .with("make", move || made().expose())
        .with("read ours, and hash it", move || {
            let read = RefreshToken::parse(black_box(&token), keyring);
            read.unwrap().hash()
        })
        .with("read a forged one", move || {
            RefreshToken::parse(black_box(&forged), keyring).is_none()
        })
}

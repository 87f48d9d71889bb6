//! The signing keys as one process has them, without a process, and what instances publish.

use std::sync::Arc;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use otp_auth::app::{self, Deps};
use otp_auth::random::SystemRandom;
use otp_auth::token::keys::{By, Keeper, SigningKeys, State};
use serde_json::Value;

use super::{Instance, World};

/// Who does what no test asks about.
pub(crate) const SOMEBODY: By<'static> = By::Operator {
    id: None,
    reason: None,
    trace_id: None,
};

impl World {
    /// What changes the keys, with further settings.
    pub(crate) async fn keeper(&self, settings: &[(&str, &str)]) -> Keeper {
        let deps = Deps {
            clock: self.clock.clone(),
            random: Arc::new(SystemRandom),
        };
        app::keeper(&self.settings(settings, ""), &deps)
            .await
            .unwrap()
    }

    /// The keys of a process that looks only when it is told to.
    pub(crate) async fn keys(&self, settings: &[(&str, &str)]) -> SigningKeys {
        let keeper = self.keeper(settings).await;
        SigningKeys::load(&keeper.pool.clone(), keeper)
            .await
            .unwrap()
    }
}

/// Where the keys stand, in the order of the JWKS.
pub(crate) fn states(keys: &SigningKeys) -> Vec<State> {
    keys.published().records().map(|key| key.state).collect()
}

/// The names of the keys in a JWKS.
pub(crate) fn kids_of(jwks: &str) -> Vec<String> {
    let set: Value = serde_json::from_str(jwks).unwrap();
    let keys = set["keys"].as_array().unwrap();
    keys.iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

/// The name of the key that signed a token.
pub(crate) fn kid_of(token: &str) -> String {
    jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
}

/// Whether a verifier that has this JWKS accepts a token.
pub(crate) fn accepts(jwks: &str, token: &str) -> bool {
    let keys: JwkSet = serde_json::from_str(jwks).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    let Some(key) = keys.find(&header.kid.unwrap()) else {
        return false;
    };
    // The one algorithm that the key says it is for, whatever the token says.
    let algorithm = key.common.key_algorithm.unwrap().to_string();
    let mut validation = Validation::new(algorithm.parse().unwrap());
    validation.set_issuer(&["http://127.0.0.1:8080"]);
    validation.set_audience(&["api"]);
    let key = DecodingKey::from_jwk(key).unwrap();
    jsonwebtoken::decode::<Value>(token, &key, &validation).is_ok()
}

impl Instance {
    pub(crate) async fn jwks(&self) -> String {
        self.get("/.well-known/jwks.json").await.body
    }

    pub(crate) async fn kids(&self) -> Vec<String> {
        kids_of(&self.jwks().await)
    }

    /// Asks until it publishes these keys in this order.
    pub(crate) async fn publishes(&self, kids: &[String]) {
        let poll = async { while self.kids().await != kids {} };
        let in_time = tokio::time::timeout(std::time::Duration::from_mins(1), poll).await;
        assert!(in_time.is_ok(), "not {kids:?}");
    }

    /// Logs a number in, and returns the access token.
    pub(crate) async fn token(&self, world: &World, phone: &str) -> String {
        let id = self.sent(phone).await;
        let answer = self.verify(&id, &world.code(phone)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.text("access_token")
    }
}

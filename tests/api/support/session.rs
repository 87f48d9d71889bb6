//! Logins, and what is done with their tokens.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use otp_auth::clock::Clock as _;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Answer, Instance, SECRET, World};

/// Lets one phone log in as often as a test wants.
pub(crate) const OFTEN: [(&str, &str); 4] = [
    ("LIMITS__PHONE__SENDS_PER_5_MINUTES", "0"),
    ("LIMITS__PHONE__SENDS_PER_HOUR", "0"),
    ("LIMITS__PHONE__SENDS_PER_DAY", "0"),
    ("OTP__RESEND_COOLDOWNS_SECONDS", "0"),
];

impl World {
    /// Logs a phone in.
    pub(crate) async fn log_in(&self, app: &Instance, phone: &str) -> Answer {
        self.log_in_with(app, phone, json!({})).await
    }

    /// Logs a phone in, with further members in the body of the verify.
    pub(crate) async fn log_in_with(&self, app: &Instance, phone: &str, more: Value) -> Answer {
        let id = app.sent(phone).await;
        let mut body = json!({"request_id": id, "code": self.code(phone)});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let answer = app.post("/v1/otp/verify", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer
    }

    /// Logs a phone in with a client of [`super::CLIENTS`]: `shop` proves its secret, others are public.
    pub(crate) async fn log_in_as(&self, app: &Instance, client: &str, phone: &str) -> Answer {
        let post = async |path: &str, mut body: Value| {
            let request = app.request(Method::POST, path);
            let request = if client == "shop" {
                request.basic_auth(client, Some(SECRET))
            } else {
                body["client_id"] = json!(client);
                request
            };
            Answer::of(request.json(&body)).await
        };
        let sent = post("/v1/otp/send", json!({"phone_number": phone})).await;
        let body = json!({"request_id": sent.text("request_id"), "code": self.code(phone)});
        let answer = post("/v1/otp/verify", body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer
    }

    /// Seconds since 1970.
    pub(crate) fn seconds(&self) -> i64 {
        self.clock.now().timestamp()
    }
}

impl Instance {
    /// A form call.
    pub(crate) fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        self.request(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.finish())
    }

    /// A form call by no client in particular.
    pub(crate) async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        Answer::of(self.form(path, fields)).await
    }

    /// A form call by the confidential client.
    pub(crate) async fn post_form_as(
        &self,
        client: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        Answer::of(self.form(path, fields).basic_auth(client, Some(SECRET))).await
    }

    /// Shows a refresh token.
    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.post_form("/v1/token", &fields).await
    }

    /// Checks a token with the published keys, and returns its claims. Its end is compared with the
    /// machine's clock there, so it is left to the tests that move theirs.
    pub(crate) async fn checked(&self, token: &str, audience: &str) -> Value {
        let keys = self.get("/.well-known/jwks.json").await.body;
        let keys: JwkSet = serde_json::from_str(&keys).unwrap();
        let header = jsonwebtoken::decode_header(token).unwrap();
        let key = keys.find(&header.kid.unwrap()).unwrap();
        let mut validation = Validation::new(header.alg);
        validation.validate_exp = false;
        validation.set_issuer(&["http://127.0.0.1:8080"]);
        validation.set_audience(&[audience]);
        let key = DecodingKey::from_jwk(key).unwrap();
        jsonwebtoken::decode::<Value>(token, &key, &validation)
            .unwrap()
            .claims
    }

    /// A call with an access token.
    pub(crate) async fn bearer(&self, method: Method, path: &str, token: &str) -> Answer {
        Answer::of(self.request(method, path).bearer_auth(token)).await
    }

    /// Whether a call with this access token is let in.
    pub(crate) async fn lets_in(&self, token: &str) -> bool {
        let answer = self.bearer(Method::GET, "/v1/userinfo", token).await;
        if answer.status != 200 {
            assert_eq!(answer.problem(), (401, "invalid_token".to_owned()));
            assert_eq!(
                answer.header("www-authenticate"),
                r#"Bearer realm="otp-auth", error="invalid_token""#
            );
        }
        answer.status == 200
    }
}

impl Answer {
    /// The error of a form call, after checking that the body is one.
    pub(crate) fn oauth_error(&self) -> (u16, String) {
        let body = self.json();
        let names: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(names, ["error", "error_description"], "{}", self.body);
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.header("cache-control"), "no-store");
        (self.status, self.text("error"))
    }
}

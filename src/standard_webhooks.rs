//! Signing what is posted to others, as Standard Webhooks says (standardwebhooks.com, version 1.0.0), for
//! which every language has a library that checks it.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use reqwest::RequestBuilder;
use reqwest::header::CONTENT_TYPE;

/// The shared secret.
pub struct Signer(hmac::Key);

impl Signer {
    /// Signs with these bytes, 24 to 64 of them (section "Signature scheme").
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Puts a JSON body into a request, with `webhook-id`, `webhook-timestamp` and `webhook-signature`.
    pub fn sign(
        &self,
        request: RequestBuilder,
        id: &str,
        now: DateTime<Utc>,
        body: String,
    ) -> RequestBuilder {
        let timestamp = now.timestamp().to_string();
        let signature = self.signature(id, &timestamp, &body);
        request
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(body)
    }

    fn signature(&self, id: &str, timestamp: &str, body: &str) -> String {
        let tag = hmac::sign(&self.0, format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification, section "Signature scheme".
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let secret = STANDARD.decode("C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap();
        let body = r#"{"email":"test@example.com","username":"test_user"}"#;

        let signature =
            Signer::new(&secret).signature("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", "1649367553", body);

        assert_eq!(signature, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
    }
}

//! The stable problem codes, and the page each `type` address serves.

/// A problem's stable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Malformed or missing field.
    InvalidRequest,
    /// Not a valid phone number.
    InvalidPhoneNumber,
    /// A number this service does not send to.
    PhoneNumberNotAllowed,
    /// The request is unknown, expired, used or superseded.
    OtpRequestExpired,
    /// Wrong code.
    OtpIncorrect,
    /// The failure limit is spent.
    TooManyAttempts,
    /// A send or per-address limit is spent.
    RateLimited,
    /// The same `Idempotency-Key` is still being worked on.
    IdempotencyInProgress,
    /// The same `Idempotency-Key` came with another body.
    IdempotencyConflict,
    /// The SMS provider refused or answered nonsense.
    ProviderError,
    /// The SMS provider cannot be used now.
    ProviderUnavailable,
    /// The SMS provider did not answer in time.
    ProviderTimeout,
    /// This service cannot work now.
    ServiceUnavailable,
    /// Client authentication failed.
    InvalidClient,
    /// A cross-site call from an origin that is not registered.
    OriginNotAllowed,
    /// No such path.
    NotFound,
    /// The path does not take this method.
    MethodNotAllowed,
    /// The body is longer than 16 KiB.
    PayloadTooLarge,
    /// The body is not JSON by its `Content-Type`.
    UnsupportedMediaType,
    /// A defect of this service.
    InternalError,
}

impl Code {
    /// All codes, in the order of the table in README.
    pub const ALL: [Self; 20] = [
        Self::InvalidRequest,
        Self::InvalidPhoneNumber,
        Self::PhoneNumberNotAllowed,
        Self::OtpRequestExpired,
        Self::OtpIncorrect,
        Self::TooManyAttempts,
        Self::RateLimited,
        Self::IdempotencyInProgress,
        Self::IdempotencyConflict,
        Self::ProviderError,
        Self::ProviderUnavailable,
        Self::ProviderTimeout,
        Self::ServiceUnavailable,
        Self::InvalidClient,
        Self::OriginNotAllowed,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::InternalError,
    ];

    /// Name, status, title and meaning: everything that is fixed about a code.
    const fn facts(self) -> (&'static str, u16, &'static str, &'static str) {
        match self {
            Self::InvalidRequest => (
                "invalid_request",
                400,
                "The request is malformed",
                "A field is missing or malformed; `errors` points at each one.",
            ),
            Self::InvalidPhoneNumber => (
                "invalid_phone_number",
                400,
                "Not a valid phone number",
                "Give a full number, best in international form such as +919876543210.",
            ),
            Self::PhoneNumberNotAllowed => (
                "phone_number_not_allowed",
                403,
                "This phone number cannot be used here",
                "The service sends to mobile numbers of certain countries only.",
            ),
            Self::OtpRequestExpired => (
                "otp_request_expired",
                400,
                "The request for a code is over",
                "It is unknown, expired, used, or a newer code was sent. Send a new code.",
            ),
            Self::OtpIncorrect => (
                "otp_incorrect",
                401,
                "Wrong code",
                "The code is not the one that was sent; `attempts_remaining` tries are left.",
            ),
            Self::TooManyAttempts => (
                "too_many_attempts",
                429,
                "Too many wrong codes",
                "This code cannot be tried any more. Wait, then send a new one.",
            ),
            Self::RateLimited => (
                "rate_limited",
                429,
                "Too many calls",
                "Wait `retry_after` seconds, then call again; `limit` names the limit.",
            ),
            Self::IdempotencyInProgress => (
                "idempotency_in_progress",
                409,
                "The first call is still running",
                "A call with this Idempotency-Key has not ended yet. Call again in a moment.",
            ),
            Self::IdempotencyConflict => (
                "idempotency_conflict",
                422,
                "The Idempotency-Key was used for another body",
                "Use a new Idempotency-Key for each new call.",
            ),
            Self::ProviderError => (
                "provider_error",
                502,
                "The SMS provider failed",
                "The SMS provider refused the message or gave no sensible answer.",
            ),
            Self::ProviderUnavailable => (
                "provider_unavailable",
                503,
                "The SMS provider cannot be used now",
                "No SMS was sent. Call again after `Retry-After` seconds.",
            ),
            Self::ProviderTimeout => (
                "provider_timeout",
                504,
                "The SMS provider did not answer in time",
                "The SMS may still arrive: its code can be verified with `request_id`.",
            ),
            Self::ServiceUnavailable => (
                "service_unavailable",
                503,
                "The service cannot work now",
                "Call again after `Retry-After` seconds.",
            ),
            Self::InvalidClient => (
                "invalid_client",
                401,
                "Client authentication failed",
                "The client is unknown, or its secret is missing or wrong.",
            ),
            Self::OriginNotAllowed => (
                "origin_not_allowed",
                403,
                "Calls from this origin are not allowed",
                "Add the origin to the client's allowed_origins.",
            ),
            Self::NotFound => (
                "not_found",
                404,
                "No such path",
                "There is nothing at this path.",
            ),
            Self::MethodNotAllowed => (
                "method_not_allowed",
                405,
                "Method not allowed",
                "The `Allow` header names the methods of this path.",
            ),
            Self::PayloadTooLarge => (
                "payload_too_large",
                413,
                "The body is too large",
                "Send at most 16 KiB.",
            ),
            Self::UnsupportedMediaType => (
                "unsupported_media_type",
                415,
                "Not a media type this path takes",
                "Send the body as Content-Type: application/json.",
            ),
            Self::InternalError => (
                "internal_error",
                500,
                "The service failed",
                "This is a defect of the service. Quote `request_trace_id` when you report it.",
            ),
        }
    }

    /// The stable name.
    pub const fn name(self) -> &'static str {
        self.facts().0
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        self.facts().1
    }

    /// One line for people.
    pub const fn title(self) -> &'static str {
        self.facts().2
    }

    /// What to do about it.
    pub const fn meaning(self) -> &'static str {
        self.facts().3
    }

    /// The `WWW-Authenticate` value of a 401 that asks for credentials (RFC 9110 section 11.6.1).
    pub fn challenge(self) -> Option<&'static str> {
        (self == Self::InvalidClient).then_some(r#"Basic realm="otp-auth", charset="UTF-8""#)
    }

    /// The code of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }

    /// The code for an answer that the framework made by itself.
    pub fn of_status(status: u16) -> Self {
        match status {
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            413 => Self::PayloadTooLarge,
            415 => Self::UnsupportedMediaType,
            400..=499 => Self::InvalidRequest,
            _ => Self::InternalError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_code_has_a_name_of_its_own_that_reads_back() {
        let names: HashSet<&str> = Code::ALL.into_iter().map(Code::name).collect();

        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(Code::parse(code.name()), Some(code));
            assert!(
                code.name()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'_')
            );
            assert!((400..600).contains(&code.status()));
        }
    }
}

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
    /// The bearer token is missing or not good.
    InvalidToken,
    /// The bearer token does not open this.
    InsufficientScope,
    /// A cross-site call from an origin that is not registered.
    OriginNotAllowed,
    /// No such path.
    NotFound,
    /// The path does not take this method.
    MethodNotAllowed,
    /// The request did not come whole in time.
    RequestTimeout,
    /// The body is longer than 16 KiB.
    PayloadTooLarge,
    /// The body is not JSON by its `Content-Type`.
    UnsupportedMediaType,
    /// A defect of this service.
    InternalError,
}

impl Code {
    /// All codes, in the order of the table in README.
    pub const ALL: [Self; 23] = [
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
        Self::InvalidToken,
        Self::InsufficientScope,
        Self::OriginNotAllowed,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::InternalError,
    ];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidPhoneNumber => "invalid_phone_number",
            Self::PhoneNumberNotAllowed => "phone_number_not_allowed",
            Self::OtpRequestExpired => "otp_request_expired",
            Self::OtpIncorrect => "otp_incorrect",
            Self::TooManyAttempts => "too_many_attempts",
            Self::RateLimited => "rate_limited",
            Self::IdempotencyInProgress => "idempotency_in_progress",
            Self::IdempotencyConflict => "idempotency_conflict",
            Self::ProviderError => "provider_error",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::ProviderTimeout => "provider_timeout",
            Self::ServiceUnavailable => "service_unavailable",
            Self::InvalidClient => "invalid_client",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::PayloadTooLarge => "payload_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::InternalError => "internal_error",
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::InvalidPhoneNumber | Self::OtpRequestExpired => 400,
            Self::PhoneNumberNotAllowed | Self::InsufficientScope | Self::OriginNotAllowed => 403,
            Self::OtpIncorrect | Self::InvalidClient | Self::InvalidToken => 401,
            Self::TooManyAttempts | Self::RateLimited => 429,
            Self::IdempotencyInProgress => 409,
            Self::IdempotencyConflict => 422,
            Self::ProviderError => 502,
            Self::ProviderUnavailable | Self::ServiceUnavailable => 503,
            Self::ProviderTimeout => 504,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::PayloadTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::InternalError => 500,
        }
    }

    /// One line for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is malformed",
            Self::InvalidPhoneNumber => "Not a valid phone number",
            Self::PhoneNumberNotAllowed => "This phone number cannot be used here",
            Self::OtpRequestExpired => "The request for a code is over",
            Self::OtpIncorrect => "Wrong code",
            Self::TooManyAttempts => "Too many wrong codes",
            Self::RateLimited => "Too many calls",
            Self::IdempotencyInProgress => "The first call is still running",
            Self::IdempotencyConflict => "The Idempotency-Key was used for another body",
            Self::ProviderError => "The SMS provider failed",
            Self::ProviderUnavailable => "The SMS provider cannot be used now",
            Self::ProviderTimeout => "The SMS provider did not answer in time",
            Self::ServiceUnavailable => "The service cannot work now",
            Self::InvalidClient => "Client authentication failed",
            Self::InvalidToken => "The bearer token is not good",
            Self::InsufficientScope => "The bearer token does not open this",
            Self::OriginNotAllowed => "Calls from this origin are not allowed",
            Self::NotFound => "No such path",
            Self::MethodNotAllowed => "Method not allowed",
            Self::RequestTimeout => "The request came too slowly",
            Self::PayloadTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "Not a media type this path takes",
            Self::InternalError => "The service failed",
        }
    }

    /// What to do about it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::InvalidRequest => "A field is missing or malformed; `errors` points at each one.",
            Self::InvalidPhoneNumber => {
                "Give a full number, best in international form such as +919876543210."
            }
            Self::PhoneNumberNotAllowed => {
                "The service sends to mobile numbers of certain countries only."
            }
            Self::OtpRequestExpired => {
                "It is unknown, expired, used, or a newer code was sent. Send a new code."
            }
            Self::OtpIncorrect => {
                "The code is not the one that was sent; `attempts_remaining` tries are left."
            }
            Self::TooManyAttempts => {
                "This code cannot be tried any more. Wait, then send a new one."
            }
            Self::RateLimited => {
                "Wait `retry_after` seconds, then call again; `limit` names the limit."
            }
            Self::IdempotencyInProgress => {
                "A call with this Idempotency-Key has not ended yet. Call again in a moment."
            }
            Self::IdempotencyConflict => "Use a new Idempotency-Key for each new call.",
            Self::ProviderError => {
                "The SMS provider refused the message or gave no sensible answer."
            }
            Self::ProviderUnavailable => "No SMS was sent. Call again after `Retry-After` seconds.",
            Self::ProviderTimeout => {
                "The SMS may still arrive: its code can be verified with `request_id`."
            }
            Self::ServiceUnavailable => "Call again after `Retry-After` seconds.",
            Self::InvalidClient => "The client is unknown, or its secret is missing or wrong.",
            Self::InvalidToken => "Send a good one as Authorization: Bearer.",
            Self::InsufficientScope => "Use the token of somebody who may do this.",
            Self::OriginNotAllowed => "Add the origin to the client's allowed_origins.",
            Self::NotFound => "There is nothing at this path.",
            Self::MethodNotAllowed => "The `Allow` header names the methods of this path.",
            Self::RequestTimeout => "Send the whole body at once, on a new connection.",
            Self::PayloadTooLarge => "Send at most 16 KiB.",
            Self::UnsupportedMediaType => "Send the body as Content-Type: application/json.",
            Self::InternalError => {
                "This is a defect of the service. Quote `request_trace_id` when you report it."
            }
        }
    }

    /// The `WWW-Authenticate` value of a 401 that asks for credentials (RFC 9110 section 11.6.1), and of a 403
    /// that asks for better ones (RFC 6750 section 3.1).
    pub fn challenge(self) -> Option<&'static str> {
        if self == Self::InvalidClient {
            Some(r#"Basic realm="otp-auth", charset="UTF-8""#)
        } else if self == Self::InvalidToken {
            Some(r#"Bearer realm="otp-auth", error="invalid_token""#)
        } else if self == Self::InsufficientScope {
            Some(r#"Bearer realm="otp-auth", error="insufficient_scope""#)
        } else {
            None
        }
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
            408 => Self::RequestTimeout,
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

//! Every way `StartMessaging` says no, with the exact status, code and sentence of each.
//!
//! The sentences are wire format: clients have been seen to match on them, so a test compares each
//! with the provider's published or observed text.

use std::fmt;

use actix_web::http::StatusCode;

/// A JSON parser's complaint. It quotes the body, so `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ParserText(pub(super) String);

impl fmt::Debug for ParserText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ParserText(***)")
    }
}

/// A request that is not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The body breaks these rules; the first one is also the message.
    #[error("the body breaks {} rules", .0.len())]
    Invalid(Vec<String>),
    /// The body is not JSON; the text is the JSON parser's.
    #[error("the body is not JSON")]
    NotJson(ParserText),
    /// More than three sends to one number within 300 seconds.
    #[error("too many sends to one number")]
    NumberCooling,
    /// The wallet holds less than one message costs.
    #[error("the wallet is empty")]
    InsufficientBalance,
    /// The carrier refused, or the database failed after the carrier had accepted.
    #[error("the message could not be sent")]
    SendFailed,
    /// The rendered text holds no run of four to six digits.
    #[error("the text holds no code")]
    NoCodeInText,
    /// There is no API key.
    #[error("there is no API key")]
    AuthenticationRequired,
    /// The API key is unknown or revoked.
    #[error("the API key is unknown")]
    InvalidApiKey,
    /// The account is not active.
    #[error("the account is suspended")]
    Suspended,
    /// The account may not send yet.
    #[error("the account is not approved")]
    KycPending,
    /// No such route; holds the method and the path with its query.
    #[error("there is no such route")]
    NotFound(String),
    /// The caller's address sends too fast; holds the seconds until it may go on.
    #[error("the caller's address sends too fast")]
    Throttled(u32),
    /// The server failed.
    #[error("internal server error")]
    Internal,
    /// Dialect A: the idempotency key was used with another phone number.
    #[error("the idempotency key belongs to another number")]
    IdempotencyConflict,
    /// Dialect A: the code is not the one that was sent.
    #[error("wrong code")]
    WrongCode,
    /// Dialect A: the code is older than its lifetime.
    #[error("expired code")]
    Expired,
    /// Dialect A: the code was used before.
    #[error("used code")]
    AlreadyVerified,
    /// Dialect A: no such verification.
    #[error("unknown verification")]
    UnknownRequest,
    /// Dialect A: three wrong codes were tried.
    #[error("attempts spent")]
    AttemptsSpent,
}

impl Refusal {
    /// The HTTP status.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_)
            | Self::NotJson(_)
            | Self::NumberCooling
            | Self::InsufficientBalance
            | Self::SendFailed
            | Self::NoCodeInText
            | Self::WrongCode
            | Self::AlreadyVerified
            | Self::UnknownRequest
            | Self::AttemptsSpent => StatusCode::BAD_REQUEST,
            Self::AuthenticationRequired | Self::InvalidApiKey | Self::Suspended => {
                StatusCode::UNAUTHORIZED
            }
            Self::KycPending => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::IdempotencyConflict => StatusCode::CONFLICT,
            Self::Expired => StatusCode::GONE,
            Self::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The member `error.code`. The real server calls its own throttle an internal error.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "VALIDATION_ERROR",
            Self::NotJson(_) => "INVALID_INPUT",
            Self::NumberCooling => "RATE_LIMIT_EXCEEDED",
            Self::InsufficientBalance => "INSUFFICIENT_BALANCE",
            Self::SendFailed | Self::NoCodeInText => "OTP_SEND_FAILED",
            Self::AuthenticationRequired | Self::InvalidApiKey | Self::Suspended => "UNAUTHORIZED",
            Self::KycPending => "FORBIDDEN",
            Self::NotFound(_) => "NOT_FOUND",
            Self::Throttled(_) | Self::Internal => "INTERNAL_ERROR",
            Self::IdempotencyConflict => "CONFLICT",
            Self::WrongCode => "OTP_INVALID",
            Self::Expired => "OTP_EXPIRED",
            Self::AlreadyVerified => "ALREADY_VERIFIED",
            Self::UnknownRequest => "INVALID_REQUEST_ID",
            Self::AttemptsSpent => "MAX_ATTEMPTS_EXCEEDED",
        }
    }

    /// The member `error.message`.
    pub(super) fn message(&self) -> String {
        match self {
            Self::Invalid(rules) => rules.first().cloned().unwrap_or_default(),
            Self::NotJson(ParserText(text)) => text.clone(),
            Self::NotFound(target) => format!("Cannot {target}"),
            Self::NumberCooling => {
                "Too many OTP requests for this mobile number. Please try again after 5 minutes."
                    .to_owned()
            }
            Self::InsufficientBalance => "Insufficient balance".to_owned(),
            Self::SendFailed => "The message could not be delivered to this number. Please check \
                the number and try again, or contact support if it continues."
                .to_owned(),
            Self::NoCodeInText => "Could not extract numeric OTP from content".to_owned(),
            Self::AuthenticationRequired => "Authentication required".to_owned(),
            Self::InvalidApiKey => "Invalid API key".to_owned(),
            Self::Suspended => "Account is suspended".to_owned(),
            Self::KycPending => "KYC approval pending".to_owned(),
            Self::Throttled(_) => "ThrottlerException: Too Many Requests".to_owned(),
            Self::Internal => "Internal server error".to_owned(),
            Self::IdempotencyConflict => {
                "This idempotencyKey was used for another phone number".to_owned()
            }
            Self::WrongCode => "Invalid OTP code".to_owned(),
            Self::Expired => "OTP has expired".to_owned(),
            Self::AlreadyVerified => "OTP has already been verified".to_owned(),
            Self::UnknownRequest => "Unknown requestId".to_owned(),
            Self::AttemptsSpent => "Maximum verification attempts exceeded".to_owned(),
        }
    }

    /// The member `error.details`: only a broken rule has them.
    pub(super) fn details(&self) -> &[String] {
        if let Self::Invalid(rules) = self {
            rules
        } else {
            &[]
        }
    }
}

//! SMS providers: what one must do, and what its failures mean.

pub mod breaker;
pub mod resolver;
pub mod startmessaging;

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::BoxFuture;

use crate::otp::code::OtpCode;
use crate::phone::PhoneNumber;

/// Texts codes to phones. One call is at most one SMS: an implementation never tries again once a
/// request may have reached the provider.
pub trait Provider: Send + Sync {
    /// Sends one SMS and waits for the provider's word on it.
    fn send<'a>(&'a self, message: Message<'a>) -> BoxFuture<'a, Result<Accepted, ProviderError>>;
}

/// An SMS to send.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Where to.
    pub phone: &'a PhoneNumber,
    /// The code in it.
    pub code: &'a OtpCode,
    /// How long the code can still be used; the text tells it in minutes.
    pub valid_for: TimeDelta,
}

/// The provider took the SMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The provider's id for it, if it gave one.
    pub message_id: Option<String>,
}

/// The provider did not say that it took the SMS.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// Our own budget with the provider is spent; it was not called.
    #[error("our own budget with the provider is spent")]
    Busy {
        /// Time until the budget has room.
        retry_after: Duration,
    },
    /// No connection: the request never started.
    #[error("the provider cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The provider refuses this number for a while.
    #[error("the provider's limit for this number is spent")]
    NumberCooling {
        /// Longest time it can last.
        retry_after: Duration,
    },
    /// The provider throttles us.
    #[error("the provider throttles us")]
    Throttled {
        /// Time it asks us to wait.
        retry_after: Duration,
    },
    /// Key, account or balance: a person must act.
    #[error("the provider refuses our account: status {status}")]
    AccountFault {
        /// HTTP status of the refusal.
        status: u16,
    },
    /// It refuses the request as such: a defect of ours, or the wrong mode.
    #[error("the provider refuses the request: status {status}")]
    Rejected {
        /// HTTP status of the refusal.
        status: u16,
    },
    /// It failed, or its answer makes no sense: the SMS may have left.
    #[error("the provider failed: status {status}")]
    Failed {
        /// HTTP status of the answer.
        status: u16,
    },
    /// It did not answer in time, or the connection broke: the SMS may have left.
    #[error("the provider did not answer")]
    NoAnswer(#[source] reqwest::Error),
}

impl ProviderError {
    /// Whether no SMS can have left, so that what the send took can be given back.
    pub fn surely_not_sent(&self) -> bool {
        match self {
            Self::Busy { .. }
            | Self::Unreachable(_)
            | Self::NumberCooling { .. }
            | Self::Throttled { .. }
            | Self::AccountFault { .. }
            | Self::Rejected { .. } => true,
            Self::Failed { .. } | Self::NoAnswer(_) => false,
        }
    }
}

//! What a vendor's failure means, as data.

use std::time::Duration;

/// The vendor did not do what it was asked, or did not say so.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// Our own limit of calls is reached; the vendor was not called.
    #[error("our own limit of calls to the provider is reached")]
    Busy {
        /// Time until there is room.
        retry_after: Duration,
    },
    /// The circuit breaker is open; the vendor was not called.
    #[error("the provider has failed too often and is left alone")]
    BreakerOpen {
        /// Time until it is tried again.
        retry_after: Duration,
    },
    /// No connection (name, TCP or TLS): the call never started.
    #[error("the provider cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The vendor throttles us.
    #[error("the provider throttles us")]
    Throttled {
        /// Time it asks us to wait.
        retry_after: Duration,
    },
    /// The vendor refuses this number for a while.
    #[error("the provider's limit for this number is spent")]
    NumberCooling {
        /// Longest time it can last.
        retry_after: Duration,
    },
    /// A person must act.
    #[error("the provider refuses our account: {fault}, status {status}")]
    AccountFault {
        /// What about it.
        fault: AccountFault,
        /// HTTP status of the refusal.
        status: u16,
    },
    /// It refuses the call as such: a defect of ours.
    #[error("the provider refuses the call: status {status}")]
    Rejected {
        /// HTTP status of the refusal.
        status: u16,
    },
    /// It does not know the call: `startmessaging.code_owner` or the address is wrong.
    #[error(
        "the provider does not know this call, is the mode or the address wrong? status {status}"
    )]
    WrongMode {
        /// HTTP status of the refusal.
        status: u16,
    },
    /// It says that the SMS could not be sent; its carrier call and its own bookkeeping fail alike,
    /// so it may be out all the same.
    #[error("the provider could not send: status {status}")]
    SendFailed {
        /// HTTP status of the answer.
        status: u16,
    },
    /// It failed by itself or on the way: a 5xx, a redirect.
    #[error("the provider failed: status {status}")]
    Failed {
        /// HTTP status of the answer.
        status: u16,
    },
    /// Its answer cannot be read, or lacks what it must have.
    #[error("the provider's answer makes no sense: status {status}")]
    Nonsense {
        /// HTTP status of the answer.
        status: u16,
    },
    /// It did not answer in time.
    #[error("the provider did not answer in time")]
    TimedOut,
    /// The connection broke before the answer was whole.
    #[error("the connection to the provider broke")]
    Broken(#[source] reqwest::Error),
}

/// Why a vendor refuses an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountFault {
    /// The key is unknown, revoked, or used from an address that is not on its list.
    #[error("key")]
    Key,
    /// The balance is below the price of a message.
    #[error("balance")]
    Balance,
    /// The account is not allowed to send yet, or not any more.
    #[error("onboarding")]
    Onboarding,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Our call or our settings: raise an alarm, trying again does not help.
    Caller,
    /// Our account with the vendor: a person must act, and the vendor is left alone at once.
    Account,
    /// This one number: the vendor is well.
    Number,
    /// The vendor, or the way to it.
    Provider,
    /// Our own guard: the vendor was not asked.
    Guard,
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nature {
    /// Whose fault it is.
    pub fault: Fault,
    /// Whether the SMS may be out, or the code may have been checked, all the same. What was taken
    /// from a limit is given back only where this is false.
    pub ambiguous: bool,
    /// Whether the very same call may be made again at once, or after the wait it names: it
    /// certainly did nothing.
    pub retryable: bool,
}

impl ProviderError {
    /// What to do about it.
    pub fn nature(&self) -> Nature {
        let (fault, ambiguous, retryable) = match self {
            Self::Busy { .. } | Self::BreakerOpen { .. } => (Fault::Guard, false, false),
            Self::Unreachable(_) | Self::Throttled { .. } => (Fault::Provider, false, true),
            Self::NumberCooling { .. } => (Fault::Number, false, false),
            Self::AccountFault { .. } => (Fault::Account, false, false),
            Self::Rejected { .. } | Self::WrongMode { .. } => (Fault::Caller, false, false),
            Self::SendFailed { .. }
            | Self::Failed { .. }
            | Self::Nonsense { .. }
            | Self::TimedOut
            | Self::Broken(_) => (Fault::Provider, true, false),
        };
        Nature {
            fault,
            ambiguous,
            retryable,
        }
    }

    /// Whether nothing was done, so that what the call took can be given back.
    pub fn surely_not_done(&self) -> bool {
        !self.nature().ambiguous
    }

    /// The name of its kind in metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "busy",
            Self::BreakerOpen { .. } => "breaker_open",
            Self::Unreachable(_) => "unreachable",
            Self::Throttled { .. } => "throttled",
            Self::NumberCooling { .. } => "number_cooling",
            Self::AccountFault { .. } => "account_fault",
            Self::Rejected { .. } => "rejected",
            Self::WrongMode { .. } => "wrong_mode",
            Self::SendFailed { .. } => "send_failed",
            Self::Failed { .. } => "failed",
            Self::Nonsense { .. } => "nonsense",
            Self::TimedOut => "timed_out",
            Self::Broken(_) => "broken",
        }
    }
}

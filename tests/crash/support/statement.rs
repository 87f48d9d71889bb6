//! The statements between which a call can be interrupted.

/// A statement of the program that can be made to wait, by a row that it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statement {
    /// Claims the `Idempotency-Key`.
    Claim,
    /// Takes the limits and stores a request.
    Begin,
    /// The same for one more SMS.
    BeginResend,
    /// Records that the provider took an SMS.
    Accept,
    /// Gives back what an SMS took that never left.
    Refund,
    /// Counts a try that the provider will be asked about.
    Reserve,
    /// Ends such a try whose code was wrong.
    Release,
    /// Counts a try, and makes the session of a right code.
    Settle,
    /// Replaces a refresh token.
    Rotate,
    /// Keeps the reply for the `Idempotency-Key`.
    Keep,
}

impl Statement {
    /// Locks the rows that it changes.
    pub(super) fn lock(self) -> &'static str {
        match self {
            // Its row is not there yet.
            Self::Claim => "LOCK TABLE idempotency_keys IN SHARE MODE",
            Self::Begin
            | Self::BeginResend
            | Self::Refund
            | Self::Reserve
            | Self::Release
            | Self::Settle => "SELECT FROM phone_throttles FOR UPDATE",
            Self::Accept => "SELECT FROM otp_requests FOR UPDATE",
            Self::Rotate => "SELECT FROM sessions FOR UPDATE",
            Self::Keep => "SELECT FROM idempotency_keys FOR UPDATE",
        }
    }

    /// What no other statement has; within what `pg_stat_activity` shows, its first 1024 bytes.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Claim => "INSERT INTO idempotency_keys",
            Self::Begin => "INSERT INTO phone_throttles",
            Self::BeginResend => "known_send_log = CASE WHEN $15",
            Self::Accept => "(delivery, provider_message_id, due_at, polls) =",
            Self::Refund => "WITH refunded AS",
            Self::Reserve => "(check_tag, check_sealed, live_attempts,",
            Self::Release => "SET check_until = NULL",
            Self::Settle => "WITH tried AS",
            Self::Rotate => "WITH rotated AS",
            Self::Keep => "UPDATE idempotency_keys SET reply",
        }
    }
}

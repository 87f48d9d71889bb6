//! SMS providers: what one must do, what its failures mean, and what guards them all.
//!
//! A [`Vendor`] speaks one company's protocol: it makes one call, reads the answer and says in our
//! words what it means. It neither waits nor tries again nor remembers anything. All of that is
//! [`guard`]'s: a [`guard::Provider`] wraps any vendor in the time budget of the caller, the
//! retries that are safe, the provider's own rate limit, a bound on calls in flight and a circuit
//! [`breaker`].
//!
//! How to add a vendor: one file beside [`webhook`] that implements [`Vendor`], one section in
//! `config/default.toml`, one `match` arm in `app/parts.rs`, one line in the list of
//! `tests/api/vendors.rs`, whose suite every vendor must pass.

pub mod breaker;
pub mod error;
pub mod guard;
mod http;
pub mod probe;
pub mod resolver;
pub mod startmessaging;
pub mod webhook;

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::{self, BoxFuture};
use uuid::Uuid;

use crate::otp::code::{Guess, OtpCode};
use crate::phone::PhoneNumber;

pub use error::{AccountFault, Fault, Nature, ProviderError};
pub use http::BuildError;

/// One call to a vendor.
pub type Call<'a, T> = BoxFuture<'a, Result<T, ProviderError>>;

/// Speaks one company's protocol. One call is at most one HTTP request.
pub trait Vendor: Send + Sync {
    /// Its name in metrics and logs.
    fn name(&self) -> &'static str;

    /// Who makes and checks the codes.
    fn code_owner(&self) -> CodeOwner;

    /// Has one SMS sent and waits for the vendor's word on it.
    fn send<'a>(&'a self, message: Message<'a>) -> Call<'a, Accepted>;

    /// Asks the vendor whether a code is right. Only called where the vendor makes the codes.
    fn check<'a>(&'a self, reference: &'a str, guess: &'a Guess) -> Call<'a, Verdict> {
        let _ = (reference, guess);
        Box::pin(future::ready(Err(ProviderError::WrongMode { status: 0 })))
    }

    /// Whether it can be asked how far an SMS has come.
    fn tells_deliveries(&self) -> bool {
        false
    }

    /// Asks how far an SMS has come; `None` where the vendor knows nothing of it.
    fn delivery<'a>(&'a self, message_id: &'a str) -> Call<'a, Option<Progress>> {
        let _ = message_id;
        Box::pin(future::ready(Ok(None)))
    }
}

/// Who makes the code and checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeOwner {
    /// This service; the vendor only delivers it.
    Service,
    /// The vendor; this service asks it about each code.
    Vendor,
}

/// An SMS to send.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Where to.
    pub phone: &'a PhoneNumber,
    /// The code in it; a vendor that makes its own codes does not look at it.
    pub code: &'a OtpCode,
    /// How long the code can still be used; the text tells it in minutes.
    pub valid_for: TimeDelta,
    /// Names this SMS to the vendor: the same in every try to send it, and stored before the first.
    pub key: Uuid,
}

/// The vendor took the SMS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The vendor's id of the SMS, to ask [`Vendor::delivery`] by.
    pub message_id: Option<String>,
    /// The vendor's handle of the code it made, to [`Vendor::check`] by.
    pub reference: Option<String>,
}

/// What a vendor says of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is right, and used up by this call.
    Right,
    /// It is wrong.
    Wrong,
    /// The right code was used before, by whomever; this one was not looked at.
    AlreadyUsed,
    /// Too many wrong codes were tried; this one was not looked at.
    Spent,
    /// The code's life is over, or the vendor does not know the reference.
    Gone,
}

/// How far an SMS has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// On its way.
    Pending,
    /// On the phone.
    Delivered,
    /// Given up.
    Failed,
}

/// How long a vendor may be waited for.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Longest time to connect: name, TCP and TLS.
    pub connect: Duration,
    /// Longest time for one call, connecting included; also the budget of one caller, retries and
    /// pauses included.
    pub total: Duration,
}

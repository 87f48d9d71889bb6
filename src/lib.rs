//! Phone login: a one-time code by SMS becomes a signed JWT.
//!
//! # Where to start
//!
//! How a code is sent and checked is [`otp`]; what a right one is worth is [`sign_in`]; what
//! callers see is [`http`], whose route table is in its `mod.rs`. Everything else serves these.
//!
//! ```text
//! cli ── app ──┬── http ──┬── sign_in ──┬── otp ── provider::guard ── Vendor (trait)
//!              │          │             └── session ── token ── verifier
//!              │          ├── gateway ──┬── token::own
//!              │          │             └── revocation
//!              │          ├── people
//!              │          └── idempotency, limit::per_ip
//!              ├── provider::startmessaging, provider::webhook
//!              └── config, database
//! below all of them: telemetry, audit, rules, client, phone, secrets, operation, limit, seats, metrics, clock, random
//! beside them, in the background: retention, which removes what is over from the database; vitals, which
//!     looks at what only the metrics tell; and master_key, which seals anew what another master key sealed
//! beside the service, for development: dev, sandbox
//! beside it, for operators: doctor, which looks at a deployment from outside and in
//! above what reads bytes from outside, for tests only: fuzzing
//! knowing nothing of this service, and for others too: verifier
//! ```
//!
//! An arrow's tail calls its head, never the other way round; the head knows of the tail at most the
//! value it is handed ([`provider`] an [`otp::code::OtpCode`], [`token`] a [`session::LiveSession`]).
//! `tests/architecture.rs` holds that. [`app`] is the one module that knows every concrete type.
//!
//! # A send, step by step
//!
//! 1. [`http::otp::send`] reads the body, finds out who calls, takes the address's limit
//!    ([`limit::per_ip`], in memory), parses the phone ([`phone`]) and looks up what operators decided
//!    about both ([`rules`], in memory), or refuses.
//! 2. It takes a seat at the database ([`seats`]), or the caller is told to come back. [`idempotency`] claims
//!    the caller's key, if there is one, and gives the [`operation`] its id: the id of the request that is
//!    about to be.
//! 3. [`otp::send`] draws a nonce, seals the number, and asks [`otp::store`] to admit it. One transaction
//!    locks the phone's row, checks its cooldown, windows and lock, supersedes its older request and
//!    stores the new one; then it counts the SMS for its address, client, prefix and country, which
//!    [`otp::weigh`] judges; then it tells the [`audit`] log. Too much of anything, and all of it is
//!    undone. It is committed before anything leaves. Who comes while one is under way waits, and the next one is
//!    for all who do ([`seats::shared`]): the counters that all change are locked until the disk has the commit.
//! 4. The code is derived from the nonce ([`otp::code`]) and handed to the [`provider`]. No
//!    connection to the database is held meanwhile, nor the seat.
//! 5. A second statement records what the provider said, together with others too. If the SMS surely never left, it
//!    gives the limits back; if that is not sure, the request stays verifiable.
//! 6. The reply is kept under the caller's key, and then given.
//!
//! # A verify, step by step
//!
//! 1. [`http::otp::verify`] reads the body, takes a seat before all who send, and claims the key; [`sign_in`]
//!    takes over. The operation's id is that of the session that may be.
//! 2. [`otp::verify`] reads the request's row: nonce, client, expiry, none of which can change. The
//!    code is compared in constant time, but nobody is told yet.
//! 3. One SQL statement (`sign_in/store/`) locks the phone's row and counts a wrong code, or uses
//!    up a right one and makes the user and the session. Of any number of parallel calls one wins. Right codes
//!    that come at the same time are used up by one statement.
//! 4. [`token::issuer`] signs the JWT of a [`session::LiveSession`], which only a right code can make.
//!
//! Where the provider makes the codes, step 2 is `otp/ask.rs` instead: the try is counted, under a
//! lease, before the provider is asked.
//!
//! # A refresh, step by step
//!
//! 1. [`http::token`] reads the form and finds out which client calls; [`token::refresh`] knows by its tag
//!    whether this service made the token, without a statement.
//! 2. [`session`] replaces its hash in one UPDATE, if it is the current one of a session that lives, and
//!    keeps the old one for the grace.
//! 3. If it is not, it gets the current one while the grace lasts; else the session ends.
//! 4. [`token::issuer`] signs, with the key that [`token::keys`] says is active.
//!
//! An access token that comes back is checked by [`verifier`] ([`token::own`]), and then its session is
//! looked up.
//!
//! # A request at a gateway, step by step
//!
//! 1. [`http::hook_first`] takes the plain call before the router does. [`http::authorize`] looks for a token and for
//!    what the gateway requires; it reads no body.
//! 2. [`gateway`] knows the token by its hash, or has its signature checked and remembers it until it ends.
//! 3. [`revocation`] says whether its session ended early. Whoever ends a session writes that in the same
//!    statement (a trigger), and every replica reads it within a second, told by NOTIFY or not.
//! 4. The answer is 200 with who it is, 401, or 403. No database was asked.
//!
//! # What operators see and do
//!
//! What one request did is told by [`telemetry`]: its line in the log, its security events, its trace.
//!
//! [`http::admin`] is their door, [`operator`] who they are and what each may do. [`audit`] keeps who did what; [`people`] is what they do about one
//! person: look a phone up, unlock it, erase a user.
//!
//! # If the process dies
//!
//! | between | then |
//! |---|---|
//! | key claimed, request stored | the lease of the key ends, and a repeat does all of it |
//! | request stored, outcome recorded | the code may have arrived, and verifies; a repeat sends nothing and says `provider_timeout`; the background closes the SMS when its lease ends ([`otp::deliveries`]) |
//! | reply given to a caller without a key, outcome recorded | the code verifies; the background closes the SMS when its lease ends ([`otp::outcomes`](crate::otp)) |
//! | outcome recorded, PostgreSQL crashes within a second | as before: that one commit does not wait for the disk |
//! | outcome recorded, reply kept | a repeat finds the request by its id, and answers from it |
//! | try counted, provider asked | the same code costs no further try |
//! | provider said yes, session made | "used before" is known to be that code's own yes (`otp/store/check.rs`) |
//! | session made, reply kept | a repeat finds the session by its id, and gives it new tokens |
//! | refresh token replaced, answer given | the old one gets its successor for the grace |
//! | session ended, other replicas told | they look twice a second, and know by the cursor what they have not seen |
//!
//! `tests/crash/` kills the program at each of these, `tests/drill/` at random.
//!
//! # What is where at rest
//!
//! A copy of the database holds no number, code, token or key: phones are keyed hashes and sealed
//! values, codes are derived, refresh tokens are hashes, replies kept for an `Idempotency-Key` and signing
//! keys are sealed. All keys come from a master key that is not in the database ([`secrets`]), and can be replaced
//! ([`master_key`]).

#[cfg(feature = "server")]
pub mod alerts;
#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
pub mod audit;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod client;
pub mod clock;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod database;
#[cfg(feature = "server")]
pub mod dev;
#[cfg(feature = "server")]
pub mod device_receipt;
#[cfg(feature = "server")]
pub mod doctor;
#[cfg(all(feature = "server", any(test, feature = "fuzzing")))]
pub mod fuzzing;
#[cfg(feature = "server")]
pub mod gateway;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod idempotency;
#[cfg(feature = "server")]
pub mod limit;
#[cfg(feature = "server")]
pub mod master_key;
#[cfg(feature = "server")]
pub mod metrics;
#[cfg(feature = "server")]
pub mod operation;
#[cfg(feature = "server")]
pub mod operator;
#[cfg(feature = "server")]
pub mod origin;
#[cfg(feature = "server")]
pub mod otp;
#[cfg(feature = "server")]
pub mod people;
#[cfg(feature = "server")]
pub mod phone;
#[cfg(feature = "server")]
pub mod provider;
#[cfg(feature = "server")]
pub mod random;
#[cfg(feature = "server")]
pub mod retention;
#[cfg(feature = "server")]
pub mod revocation;
#[cfg(feature = "server")]
pub mod rules;
#[cfg(feature = "server")]
pub mod sandbox;
#[cfg(feature = "server")]
pub mod seats;
#[cfg(feature = "server")]
pub mod secrets;
#[cfg(feature = "server")]
pub mod session;
#[cfg(feature = "server")]
pub mod sign_in;
#[cfg(feature = "server")]
pub mod standard_webhooks;
#[cfg(feature = "server")]
pub mod telemetry;
#[cfg(feature = "server")]
pub mod token;
#[cfg(feature = "verifier-core")]
pub mod verifier;
#[cfg(feature = "server")]
pub mod vitals;

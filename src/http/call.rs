//! One call: who makes it, from where, and how it is answered.

use std::future::{Future, Ready, ready};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName, USER_AGENT};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use futures_util::TryFutureExt as _;
use tokio::runtime::Handle;
use tokio_util::context::TokioContext;

use super::client_ip::Told;
use super::codes::Code;
use super::problem::Problem;
use super::reply::Reply;
use super::{LimitedBy, State};
use crate::audit::{Action, Outcome};
use crate::client::Caller;
use crate::idempotency::Claim;
use crate::limit::Quota;
use crate::limit::per_address::AddressKey;
use crate::limit::per_ip::Network;
use crate::operation::Operation;
use crate::operator::{Change, Operator};
use crate::origin::Origin;
use crate::phone::{PhoneError, PhoneNumber};
use crate::rules::Verdict;
use crate::seats::{Class, Seat};
use crate::session::Seen;
use crate::telemetry::events::{self, ADDRESS_REFUSED, CLIENT_DENIED, Line};
use crate::telemetry::{Chain, traces};

/// Longest `Idempotency-Key`, in characters.
const LONGEST_KEY: usize = 128;

/// What is known of a request before it is handled; put there by [`super::observe`].
#[derive(Clone)]
pub(super) struct Observed {
    /// Its id in answers and logs.
    pub(super) trace_id: Rc<str>,
    /// The runtime of the thread that reads it.
    pub(super) worker: Handle,
}

/// A call being handled.
#[derive(Clone)]
pub struct Call {
    /// What handlers need.
    pub state: Data<State>,
    request: HttpRequest,
    observed: Observed,
    operator: Option<Rc<Operator>>,
}

impl FromRequest for Call {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let found = request
            .app_data::<Data<State>>()
            .cloned()
            .zip(observed(request));
        ready(found.map_or_else(
            || {
                Err(actix_web::error::ErrorInternalServerError(
                    "application is not configured",
                ))
            },
            |(state, observed)| {
                Ok(Self {
                    state,
                    request: request.clone(),
                    observed,
                    operator: request.extensions().get().cloned(),
                })
            },
        ))
    }
}

fn observed(request: &HttpRequest) -> Option<Observed> {
    request.extensions().get().cloned()
}

impl Call {
    /// The time of the call.
    pub fn now(&self) -> DateTime<Utc> {
        self.state.clock.now()
    }

    /// The request's headers.
    pub fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// The request itself.
    pub fn request(&self) -> &HttpRequest {
        &self.request
    }

    /// A header that is text, if it is there.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.request.headers().get(name)?.to_str().ok()
    }

    /// The id of the request in answers and logs.
    pub fn trace_id(&self) -> &str {
        &self.observed.trace_id
    }

    /// Who calls the admin API; none where nobody was asked.
    pub fn operator(&self) -> Result<&Operator, Problem> {
        self.operator.as_deref().ok_or_else(|| {
            tracing::error!("a call that nobody was let in to make");
            Problem::new(Code::InternalError)
        })
    }

    /// This call as one of an operator that changes something.
    pub fn change(&self) -> Result<Change<'_>, Problem> {
        Ok(Change {
            by: self.operator()?,
            trace_id: self.trace_id(),
            now: self.now(),
        })
    }

    /// What the headers tell of the user's address. A confidential client that proved its secret is
    /// taken at its word on whose that is.
    fn told(&self, caller: &Caller) -> Told {
        // A connection without a peer address does not exist on a TCP listener.
        let peer = self
            .request
            .peer_addr()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |a| a.ip());
        let trusted = &self.state.trusted_proxies;
        let by_backend = matches!(caller, Caller::Authenticated(_));
        Told::by(peer, self.headers(), trusted, by_backend)
    }

    /// Where the call comes from.
    pub fn origin(&self, caller: &Caller) -> Origin {
        let told = self.told(caller);
        Origin {
            address: told.undisputed(),
            key: AddressKey::of(Network::from(told.address()), &self.state.keyring),
            seen: Seen::new(self.header(&USER_AGENT), told.address()),
            trace_id: self.trace_id().to_owned(),
        }
    }

    /// Takes one call of the user's address and its network from the route's limits, and refuses an
    /// address that an operator blocked: in the words for a foreign number, and after the limits, so that
    /// nobody learns of it.
    pub fn limit(&self, caller: &Caller) -> Result<Vec<Quota>, Problem> {
        let by = self.request.app_data::<LimitedBy>();
        let limit = match by {
            Some(LimitedBy::Sends) => &self.state.send_limit,
            Some(LimitedBy::Verifies) => &self.state.verify_limit,
            None => {
                tracing::error!("a route without limits takes one");
                return Err(Problem::new(Code::InternalError));
            }
        };
        let told = self.told(caller);
        let checked = limit.check(Network::from(told.address()));
        let (rules, now) = (&self.state.rules, self.now());
        let is_blocked = |address| rules.network(address, now) == Some(Verdict::Block);
        let count = |reason| {
            match by {
                Some(LimitedBy::Sends) => self.state.metrics.send_turned_away(reason),
                Some(LimitedBy::Verifies) => self.state.metrics.verify_turned_away(reason),
                None => {}
            }
            self.tell(ADDRESS_REFUSED, reason);
        };
        match checked.refusal {
            None if told.any(is_blocked) => {
                count("blocked");
                Err(Problem::from(PhoneError::NotAllowed).quotas(checked.quotas))
            }
            None => Ok(checked.quotas),
            Some(refusal) => {
                count(refusal.limit.name());
                Err(Problem::from(refusal).quotas(checked.quotas))
            }
        }
    }

    /// A seat at the database, as one of those that the route is for.
    pub async fn seat(&self) -> Result<Seat, Problem> {
        let Some(class) = self.request.app_data::<Class>() else {
            tracing::error!("a route that needs no database takes a seat");
            return Err(Problem::new(Code::InternalError));
        };
        Ok(self.state.seats.take(*class).await?)
    }

    /// Tells the log of a problem, if it is a refusal that the audit log does not have.
    pub(super) fn tell_of(&self, problem: &Problem) {
        let is_try = self.request.app_data() == Some(&LimitedBy::Verifies);
        if problem.code == Code::InvalidClient {
            self.tell(CLIENT_DENIED, Code::InvalidClient.name());
        } else if problem.code == Code::TooManyAttempts && is_try {
            self.tell(Action::OtpVerify.name(), "attempts");
        }
    }

    /// Tells the log of a refusal.
    pub(super) fn tell(&self, event: &'static str, reason: &'static str) {
        let line = Line {
            event,
            outcome: Outcome::Refused.name(),
            reason: Some(reason),
            trace_id: Some(self.trace_id()),
            ..Line::default()
        };
        events::tell(line, self.now());
    }

    /// A number that codes are sent to, as far as its plan says.
    pub fn phone(&self, typed: &str) -> Result<PhoneNumber, PhoneError> {
        PhoneNumber::parse(typed, &self.state.phone_rules)
    }

    /// Renders a problem for this call.
    pub fn render(&self, problem: Problem) -> Reply {
        self.tell_of(&problem);
        problem.render(&self.state.issuer, self.trace_id())
    }

    /// The answer that an outcome is.
    pub fn answer(&self, outcome: Result<Reply, Problem>) -> HttpResponse {
        let reply = outcome.unwrap_or_else(|problem| self.render(problem));
        reply.into_response()
    }

    /// Runs the work of a POST to its end even if the caller hangs up: a sent SMS must be
    /// recorded, and a claimed key must not stay claimed.
    pub async fn to_the_end<F>(self, work: impl FnOnce(Self) -> F) -> HttpResponse
    where
        F: Future<Output = Result<Reply, Problem>> + 'static,
    {
        let call = self.clone();
        // In a box for the same reason as in `apart`.
        let work = Box::pin(work(self));
        let in_flight = call.state.serving.enter();
        let work = async move {
            let outcome = work.await;
            drop(in_flight);
            outcome
        };
        let work = connecting_at(&call.state.runtime, work);
        let work = traces::within(traces::current(), work);
        let task = {
            // It is not one that another thread may do.
            let _own = call.observed.worker.enter();
            actix_web::rt::spawn(work)
        };
        let outcome = task
            .await
            .unwrap_or_else(|error| Err(Problem::internal(&error)));
        call.answer(outcome)
    }

    /// Does work where the connections that it waits for are served. To wake a thread that reads requests is a system
    /// call, and this is one of them for all that the work waits for.
    pub fn apart<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Problem>> {
        // In a box, or the caller and the runtime would move all that the work remembers, several times.
        let work = traces::within(traces::current(), Box::pin(work));
        let done = self.state.runtime.spawn(work);
        done.map_err(|error| Problem::internal(&error))
    }

    /// Takes a seat, and does the work once for each `Idempotency-Key` of a client; repeats are given the
    /// first answer again. Without the header the work is simply done.
    pub async fn once(
        &self,
        client: &str,
        what: &str,
        body: &[u8],
        work: impl AsyncFnOnce(Operation, Seat) -> Result<Reply, Problem>,
    ) -> Result<Reply, Problem> {
        let key = self.idempotency_key()?;
        let seat = self.seat().await?;
        let Some(key) = key else {
            return work(self.operation()?, seat).await;
        };
        let store = &self.state.idempotency;
        let key = store.fingerprint(client, what, key);
        let operation = match store.claim(key, body, self.now()).await? {
            Claim::Conflict => return Err(Problem::new(Code::IdempotencyConflict)),
            Claim::InProgress => return Err(Problem::new(Code::IdempotencyInProgress)),
            Claim::Done(kept) => return kept_reply(&kept),
            Claim::Ours(operation) => operation,
        };
        let reply = work(operation, seat)
            .await
            .unwrap_or_else(|problem| self.render(problem));
        if reply.is_final() {
            let kept = serde_json::to_vec(&reply).map_err(|error| Problem::internal(&error))?;
            let first = store.keep(key, operation, &kept).await?;
            // Where our lease ended meanwhile, another's reply is the one that is repeated.
            return if first == kept {
                Ok(reply)
            } else {
                kept_reply(&first)
            };
        }
        if let Err(error) = store.give_up(key, operation, self.now()).await {
            // A repeat has to wait until the lease ends by itself.
            tracing::error!(error = %Chain(&error), "Idempotency-Key not given up");
        }
        Ok(reply)
    }

    /// Something that nobody began before.
    pub fn operation(&self) -> Result<Operation, Problem> {
        Ok(Operation::new(self.state.random.as_ref(), self.now())?)
    }

    fn idempotency_key(&self) -> Result<Option<&[u8]>, Problem> {
        let mut values = self.request.headers().get_all("idempotency-key");
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let key = value.as_bytes();
        let fits = (1..=LONGEST_KEY).contains(&key.len()) && values.next().is_none();
        if fits && key.iter().all(u8::is_ascii_graphic) {
            Ok(Some(key))
        } else {
            Err(Problem::new(Code::InvalidRequest)
                .detail("Idempotency-Key must be one value of 1 to 128 visible ASCII characters."))
        }
    }
}

/// Work whose new connections to the database are served at this runtime, whoever does it. One that a thread made for
/// itself would wake that thread for every other user of it, and would end with it.
pub(super) fn connecting_at<F: Future>(runtime: &Handle, work: F) -> TokioContext<F> {
    TokioContext::new(work, runtime.clone())
}

fn kept_reply(kept: &[u8]) -> Result<Reply, Problem> {
    serde_json::from_slice(kept).map_err(|error| Problem::internal(&error))
}

/// The answer for a path that does not exist.
pub async fn not_found(call: Call) -> HttpResponse {
    call.render(Problem::new(Code::NotFound)).into_response()
}

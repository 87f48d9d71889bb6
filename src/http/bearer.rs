//! Calls that a user makes with an access token.

use actix_web::http::header::AUTHORIZATION;

use super::body::uuid;
use super::call::Call;
use super::codes::Code;
use super::problem::Problem;
use crate::seats::Seat;
use crate::session::{LiveSession, SessionError};
use crate::verifier::{Claims, Refused};

/// A user who calls: his token, and the session that it is of.
pub struct Bearer {
    /// What the token says.
    pub claims: Claims,
    /// The session, which lives.
    pub session: LiveSession,
    /// For what is done with it.
    _seat: Seat,
}

impl Call {
    /// Checks an access token of ours, as far as that needs no database.
    pub fn claims(&self, token: &str) -> Result<Claims, Refused> {
        self.state.own_tokens.check(token, self.now())
    }

    /// The session of a token, if it lives.
    pub async fn session_of(&self, claims: &Claims) -> Result<Option<LiveSession>, SessionError> {
        let ids = uuid(claims.session_id()).zip(uuid(claims.subject()));
        match ids {
            Some((session, user)) => self.state.sessions.find(session, user, self.now()).await,
            None => Ok(None),
        }
    }

    /// The user who calls, by `Authorization: Bearer` (RFC 6750 section 2.1).
    pub async fn bearer(&self) -> Result<Bearer, Problem> {
        let refused = || Problem::new(Code::InvalidToken);
        let mut headers = self.headers().get_all(AUTHORIZATION);
        let header = headers.next().ok_or_else(Problem::no_token)?;
        if headers.next().is_some() {
            return Err(refused());
        }
        let header = header.to_str().ok().and_then(|text| text.split_once(' '));
        let (scheme, token) = header.ok_or_else(refused)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Problem::no_token());
        }
        let claims = self.claims(token.trim()).ok().ok_or_else(refused)?;
        let seat = self.seat().await?;
        let session = self.session_of(&claims).await?.ok_or_else(refused)?;
        Ok(Bearer {
            claims,
            session,
            _seat: seat,
        })
    }
}

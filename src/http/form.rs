//! Form calls as OAuth makes them: parameters, client authentication and errors of RFC 6749.

use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE};
use secrecy::SecretString;
use serde::Serialize;
use url::form_urlencoded;
use utoipa::ToSchema;

use super::call::Call;
use super::codes::Code;
use super::openapi::schemas;
use super::problem::{Problem, whole_seconds};
use super::reply::Reply;
use crate::client::{Caller, Client};
use crate::session::SessionError;
use crate::telemetry::events::CLIENT_DENIED;
use crate::token::grant::{NotGiven, Wanted};

/// The parameters of a form. It holds secrets, so it cannot be printed.
pub struct Form(Vec<(String, String)>);

/// An error as RFC 6749 section 5.2 names it.
#[derive(Debug)]
pub enum OauthError {
    /// `invalid_request`, and what is wrong.
    Request(&'static str),
    /// `invalid_client`.
    Client,
    /// `invalid_grant`.
    Grant,
    /// `unauthorized_client`.
    Unauthorized,
    /// `unsupported_grant_type`.
    GrantType,
    /// `invalid_scope`.
    Scope,
    /// `invalid_target` (RFC 8707 section 2).
    Target,
    /// Something that OAuth has no word for.
    Other(Box<Problem>),
}

/// An error as it is answered (RFC 6749 section 5.2).
#[derive(Serialize, ToSchema)]
#[schema(as = OauthError)]
pub(super) struct OauthBody<'a> {
    /// What is wrong, for programs.
    #[schema(schema_with = schemas::oauth_error)]
    error: &'static str,
    /// What is wrong, for people.
    error_description: &'a str,
}

impl OauthBody<'_> {
    /// All that `error` can be.
    pub(super) const ERRORS: [&'static str; 9] = [
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_target",
        "server_error",
        "temporarily_unavailable",
    ];
}

impl Form {
    /// Reads the form of a call.
    pub fn parse(call: &Call, body: &[u8]) -> Result<Self, OauthError> {
        Self::read(call.header(&CONTENT_TYPE), body)
    }

    /// Reads a form. As RFC 6749 section 3.2 says, a parameter without a value counts as left out, one that
    /// comes twice is refused, and those that nobody knows are ignored.
    pub(super) fn read(content_type: Option<&str>, body: &[u8]) -> Result<Self, OauthError> {
        // There may be several `audience`.
        const ONCE: [&str; 7] = [
            "client_id",
            "client_secret",
            "grant_type",
            "refresh_token",
            "scope",
            "token",
            "token_type_hint",
        ];
        if !content_type.is_some_and(is_form) {
            let problem = Problem::new(Code::UnsupportedMediaType);
            let detail = "Send the body as Content-Type: application/x-www-form-urlencoded.";
            return Err(OauthError::Other(Box::new(problem.detail(detail))));
        }
        let given = form_urlencoded::parse(body).into_owned();
        let given: Vec<(String, String)> = given.filter(|(_, value)| !value.is_empty()).collect();
        for (at, (name, _)) in given.iter().enumerate() {
            let is_again = given.iter().take(at).any(|(before, _)| before == name);
            if is_again && ONCE.contains(&name.as_str()) {
                return Err(OauthError::Request("a parameter is given twice"));
            }
        }
        Ok(Self(given))
    }

    /// A parameter, if it is there.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }

    /// What is asked for: `scope`, and one or more `audience`.
    pub fn wanted(&self) -> Result<Wanted, OauthError> {
        let scopes = self.get("scope").map(Wanted::parse_scopes).transpose();
        let audience: Vec<String> = self
            .0
            .iter()
            .filter(|(name, _)| name == "audience")
            .map(|(_, value)| value.clone())
            .collect();
        Ok(Wanted {
            audience: (!audience.is_empty()).then_some(audience),
            scopes: scopes.or(Err(OauthError::Scope))?,
        })
    }
}

/// `application/x-www-form-urlencoded`, with any parameters.
fn is_form(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

impl Call {
    /// The client that makes a form call: by HTTP Basic, by `client_id` and `client_secret` (RFC 6749
    /// section 2.3.1), or by `client_id` alone if it is public.
    pub fn form_client(&self, form: &Form) -> Result<&Client, OauthError> {
        let (id, secret) = (form.get("client_id"), form.get("client_secret"));
        let clients = &self.state.clients;
        if self.headers().contains_key(AUTHORIZATION) {
            let client = self.basic_client().ok_or(OauthError::Client)?;
            if secret.is_some() || id.is_some_and(|id| id != client.id.as_str()) {
                return Err(OauthError::Request(
                    "the client authenticates in two ways at once",
                ));
            }
            return Ok(client);
        }
        let client = match (id, secret) {
            (Some(id), Some(secret)) => {
                let secret = SecretString::from(secret);
                clients.get(id).filter(|client| client.has_secret(&secret))
            }
            (Some(id), None) => clients.get(id).filter(|client| client.is_public()),
            (None, None) => clients.sole_public(),
            (None, Some(_)) => None,
        };
        client.ok_or(OauthError::Client)
    }

    /// Renders the outcome of a form call.
    pub fn form_reply(&self, outcome: Result<Reply, OauthError>) -> Reply {
        outcome.unwrap_or_else(|error| self.oauth(error))
    }

    fn oauth(&self, error: OauthError) -> Reply {
        let said = |status, error, error_description| {
            let body = OauthBody {
                error,
                error_description,
            };
            Reply::json(status, &body)
        };
        match error {
            OauthError::Request(what) => said(400, "invalid_request", what),
            OauthError::Client => {
                self.tell(CLIENT_DENIED, Code::InvalidClient.name());
                let mut reply = said(401, "invalid_client", Code::InvalidClient.meaning());
                reply.www_authenticate = Code::InvalidClient.challenge().map(str::to_owned);
                reply
            }
            OauthError::Grant => said(
                400,
                "invalid_grant",
                "The refresh token is unknown, used, over, or not this client's.",
            ),
            OauthError::Unauthorized => said(
                400,
                "unauthorized_client",
                "The client is not registered for this call.",
            ),
            OauthError::GrantType => said(
                400,
                "unsupported_grant_type",
                "The only grant_type is refresh_token.",
            ),
            OauthError::Scope => said(
                400,
                "invalid_scope",
                "A scope is malformed, or was not given.",
            ),
            OauthError::Target => said(400, "invalid_target", "An audience was not given."),
            OauthError::Other(problem) => self.oauth_problem(*problem),
        }
    }

    /// A problem in the words of OAuth, where it has some.
    fn oauth_problem(&self, problem: Problem) -> Reply {
        let error = match problem.code.status() {
            500 => "server_error",
            503 => "temporarily_unavailable",
            _ => return self.render(problem),
        };
        let body = OauthBody {
            error,
            error_description: problem.code.meaning(),
        };
        let mut reply = Reply::json(problem.code.status(), &body);
        reply.retry_after = problem.retry_after.map(whole_seconds);
        reply
    }
}

/// The caller behind a client that proved who it is, or is public.
pub fn caller_of(client: &Client) -> Caller {
    if client.is_public() {
        Caller::Named(client.id.clone())
    } else {
        Caller::Authenticated(client.id.clone())
    }
}

impl From<Problem> for OauthError {
    fn from(problem: Problem) -> Self {
        Self::Other(Box::new(problem))
    }
}

impl From<SessionError> for OauthError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Invalid => Self::Grant,
            SessionError::NotGiven(NotGiven::Scope) => Self::Scope,
            SessionError::NotGiven(NotGiven::Audience) => Self::Target,
            SessionError::Random(_)
            | SessionError::Seal(_)
            | SessionError::Open(_)
            | SessionError::Issue(_)
            | SessionError::Store(_) => Self::Other(Box::new(error.into())),
        }
    }
}

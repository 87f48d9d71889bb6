//! What a protected resource answers instead of what was asked for (RFC 6750 section 3).

use super::check::Refused;
use super::claims::Claims;
use super::remote::{CheckError, RETRY_WITHOUT_KEYS, Verifier};

/// Why a request is turned away. The same for every framework.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// 401: no token was sent in `Authorization: Bearer`.
    #[error("no access token was sent")]
    NoToken,
    /// 401: several tokens, or what is not even text.
    #[error("the Authorization header is malformed")]
    Header,
    /// 401: the token is not accepted.
    #[error(transparent)]
    Token(Refused),
    /// 403: the token is good, but not for this.
    #[error("the scope {0} is needed")]
    Scope(String),
    /// 503: there is nothing to check tokens with.
    #[error("tokens cannot be checked now")]
    KeysUnavailable,
}

impl From<CheckError> for Denied {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Refused(refused) => Self::Token(refused),
            CheckError::KeysUnavailable => Self::KeysUnavailable,
        }
    }
}

impl Denied {
    /// The status code of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::NoToken | Self::Header | Self::Token(_) => 401,
            Self::Scope(_) => 403,
            Self::KeysUnavailable => 503,
        }
    }

    /// The answer's `WWW-Authenticate`, if it has one. Who sent no token is told no error (RFC 6750
    /// section 3.1).
    pub fn www_authenticate(&self) -> Option<String> {
        match self {
            Self::NoToken => Some("Bearer".to_owned()),
            Self::Header | Self::Token(_) => Some(format!(
                r#"Bearer error="invalid_token", error_description="{self}""#
            )),
            Self::Scope(scope) => Some(format!(
                r#"Bearer error="insufficient_scope", scope="{}""#,
                // The characters that a scope has (RFC 6749 section 3.3) and a quoted string may.
                scope.replace(|c: char| !c.is_ascii_graphic() || c == '"' || c == '\\', "")
            )),
            Self::KeysUnavailable => None,
        }
    }

    /// The answer's `Retry-After` in seconds, if it has one.
    pub fn retry_after(&self) -> Option<u64> {
        (*self == Self::KeysUnavailable).then_some(RETRY_WITHOUT_KEYS.as_secs())
    }
}

impl Claims {
    /// Goes on only if the token has this scope.
    pub fn require_scope(&self, scope: &str) -> Result<(), Denied> {
        if self.has_scope(scope) {
            Ok(())
        } else {
            Err(Denied::Scope(scope.to_owned()))
        }
    }
}

/// Checks the token that [`bearer`] found.
pub(super) async fn authenticate(
    verifier: &Verifier,
    authorization: Result<String, Denied>,
) -> Result<Claims, Denied> {
    Ok(verifier.check(&authorization?).await?)
}

/// The token in the `Authorization` headers of a request, of which there may be one. Tokens in the
/// query or in a form are not looked for (RFC 9700 section 4.3.2: they leak).
pub(super) fn bearer<'a>(mut headers: impl Iterator<Item = &'a [u8]>) -> Result<String, Denied> {
    let header = headers.next().ok_or(Denied::NoToken)?;
    if headers.next().is_some() {
        return Err(Denied::Header);
    }
    let Ok(header) = std::str::from_utf8(header) else {
        return Err(Denied::Header);
    };
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    // Schemes are compared without case (RFC 9110 section 11.1).
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Denied::NoToken);
    }
    match token.trim_matches(' ') {
        "" => Err(Denied::NoToken),
        token => Ok(token.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_from_one_bearer_header() {
        let cases: [(&[&[u8]], _); 11] = [
            (&[b"Bearer abc"], Ok("abc".to_owned())),
            (&[b"bearer  abc "], Ok("abc".to_owned())),
            (&[b"BEARER abc"], Ok("abc".to_owned())),
            (&[b"Bearer a b"], Ok("a b".to_owned())),
            (&[], Err(Denied::NoToken)),
            (&[b""], Err(Denied::NoToken)),
            (&[b"Bearer"], Err(Denied::NoToken)),
            (&[b"Bearer "], Err(Denied::NoToken)),
            (&[b"Basic abc"], Err(Denied::NoToken)),
            (&[b"Bearer abc", b"Bearer abc"], Err(Denied::Header)),
            (&[b"Bearer \xff"], Err(Denied::Header)),
        ];
        for (headers, want) in cases {
            assert_eq!(bearer(headers.iter().copied()), want);
        }
    }

    #[test]
    fn every_answer_has_the_headers_that_belong_to_it() {
        for (denied, status, challenge, retry) in [
            (Denied::NoToken, 401, Some("Bearer"), None),
            (
                Denied::Token(Refused::MissingClaim("sid")),
                401,
                Some(
                    r#"Bearer error="invalid_token", error_description="the token has no usable claim sid""#,
                ),
                None,
            ),
            (
                Denied::Token(Refused::UnknownKey {
                    kid: "\"\r\nx".to_owned(),
                }),
                401,
                Some(
                    r#"Bearer error="invalid_token", error_description="the token is signed with an unknown key""#,
                ),
                None,
            ),
            (
                Denied::Scope("a\"\r\n b".to_owned()),
                403,
                Some(r#"Bearer error="insufficient_scope", scope="ab""#),
                None,
            ),
            (Denied::KeysUnavailable, 503, None, Some(1)),
        ] {
            assert_eq!(denied.status(), status);
            assert_eq!(denied.www_authenticate().as_deref(), challenge);
            assert_eq!(denied.retry_after(), retry);
        }
    }
}

//! A refresh token becomes the next one, and an access token.

use chrono::{DateTime, Utc};

use super::store::{self, Row, Turn};
use super::{EndReason, Ending, LiveSession, SessionError, Sessions, Tokens, Whose};
use crate::audit::Actor;
use crate::client::Client;
use crate::metrics::Refreshed;
use crate::origin::Origin;
use crate::token::grant::{Granted, Wanted};
use crate::token::issuer::Draft;
use crate::token::refresh::RefreshToken;

/// Somebody shows a refresh token.
#[derive(Clone, Copy, Debug)]
pub struct Refresh<'a> {
    /// The token.
    pub token: &'a RefreshToken,
    /// Who calls.
    pub client: &'a Client,
    /// What the access token shall be for.
    pub wanted: &'a Wanted,
    /// Where from.
    pub origin: &'a Origin,
}

impl Sessions {
    /// Replaces a refresh token, which must be the client's, and issues an access token.
    pub async fn refresh(
        &self,
        ask: Refresh<'_>,
        now: DateTime<Utc>,
    ) -> Result<Tokens, SessionError> {
        let (client, wanted) = (ask.client, ask.wanted);
        if !wanted.is_all() {
            // Looked at first, or a mistake in what is asked for would cost the token.
            self.may_ask(ask, now).await?;
        }
        let draft = self.issuer.draft(client, now);
        let turn = Turn {
            session: ask.token.session(),
            client,
            presented: ask.token.hash(),
            grace: self.grace,
            draft: &draft,
            now,
        };
        let random = self.random.as_ref();
        let next = RefreshToken::generate(turn.session, &self.keyring, random)?;
        let sealed = next.seal(turn.presented, &self.keyring, random)?;
        if let Some(row) = store::rotate(&self.pool, turn, next.hash(), &sealed).await? {
            self.metrics.refreshed(Refreshed::Rotated);
            return self.tokens(row, next, (client, wanted), &draft, now);
        }
        if let Some((row, current)) = self.replayed(turn).await? {
            self.metrics.refreshed(Refreshed::Replayed);
            return self.tokens(row, current, (client, wanted), &draft, now);
        }
        self.end_if_reused(ask, turn).await?;
        Err(SessionError::Invalid)
    }

    /// Whether the session may have what is asked for. What it was begun with never changes.
    async fn may_ask(&self, ask: Refresh<'_>, now: DateTime<Utc>) -> Result<(), SessionError> {
        let all = Granted::all(ask.client);
        all.clone().narrowed(ask.wanted)?;
        let row = store::find(&self.pool, ask.token.session(), now).await?;
        let row = row.filter(|row| row.client_id == ask.client.id.as_str());
        let begun_with = row.ok_or(SessionError::Invalid)?.wanted();
        all.left_of(&begun_with).narrowed(ask.wanted)?;
        Ok(())
    }

    /// What a token that was used a moment ago gets: the one that is current now. Where its successor was
    /// used too, within the same moment, that one's successor is followed.
    async fn replayed(
        &self,
        mut turn: Turn<'_>,
    ) -> Result<Option<(Row, RefreshToken)>, SessionError> {
        loop {
            let Some((row, sealed, current)) = store::replay(&self.pool, turn).await? else {
                return Ok(None);
            };
            let successor = RefreshToken::open(&sealed, turn.presented, &self.keyring)?;
            if successor.hash() == current {
                return Ok(Some((row, successor)));
            }
            turn.presented = successor.hash();
        }
    }

    /// Ends the session if the token is one that its owner would not show any more.
    async fn end_if_reused(&self, ask: Refresh<'_>, turn: Turn<'_>) -> Result<(), SessionError> {
        let ending = Ending {
            reason: EndReason::RefreshTokenReuse,
            actor: Actor::Client(ask.client.id.clone()),
            trace_id: &ask.origin.trace_id,
            address: Some(ask.origin.key),
            now: turn.now,
        };
        if self.end(Whose::Robbed(turn), ending).await? == 0 {
            self.metrics.refreshed(Refreshed::Refused);
        } else {
            self.metrics.refreshed(Refreshed::Reused);
            tracing::warn!(
                session = %turn.session,
                trace_id = ask.origin.trace_id,
                "refresh token used twice, session ended"
            );
        }
        Ok(())
    }

    pub(super) fn tokens(
        &self,
        row: Row,
        refresh: RefreshToken,
        (client, wanted): (&Client, &Wanted),
        draft: &Draft,
        now: DateTime<Utc>,
    ) -> Result<Tokens, SessionError> {
        let granted = Granted::all(client).left_of(&row.wanted());
        let granted = granted.narrowed(wanted)?;
        let refresh_expires_at = row.refresh_expires_at.unwrap_or(row.expires_at);
        let session = self.live(row)?;
        let random = self.random.as_ref();
        let access = self
            .issuer
            .issue(draft, &session, (client, &granted), random)?;
        Ok(Tokens {
            session,
            access,
            refresh,
            refresh_expires_at,
            at: now,
            granted,
        })
    }

    pub(super) fn live(&self, row: Row) -> Result<LiveSession, SessionError> {
        let phone = self
            .keyring
            .open_phone(&row.phone_index, &row.phone_sealed)?;
        Ok(LiveSession {
            id: row.id,
            user_id: row.user_id,
            created_at: row.created_at,
            expires_at: row.expires_at,
            amr: row.amr,
            phone: Some(phone),
        })
    }
}

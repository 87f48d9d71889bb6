//! All SQL on `revocations` and `revocation_feed`, beside the triggers that fill them.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgListener;
use sqlx::{PgPool, Postgres};
use uuid::Uuid;

use super::Revocation;
use crate::database::StoreError;

/// What the migration's triggers notify.
const CHANNEL: &str = "otp_auth_revocations";

/// What was read at one moment.
pub(super) struct Read {
    /// The last cursor there is.
    pub(super) cursor: i64,
    /// Those after the one that was asked for; all, if the feed is behind that.
    pub(super) revocations: Vec<Revocation>,
}

struct Row {
    last_cursor: i64,
    cursor: Option<i64>,
    session_id: Option<Uuid>,
    user_id: Option<Uuid>,
    revoked_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
}

impl Row {
    fn revocation(&self) -> Option<Revocation> {
        Some(Revocation {
            cursor: self.cursor?,
            session: self.session_id,
            user: self.user_id?,
            revoked_at: self.revoked_at?,
            expires_at: self.expires_at?,
        })
    }
}

/// A connection that is told of new ones.
pub(super) async fn listen(pool: &PgPool) -> Result<PgListener, StoreError> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

/// What came after a cursor and still says something. One statement, so it is of one moment.
pub(super) async fn after<'c>(
    database: impl sqlx::Executor<'c, Database = Postgres>,
    cursor: i64,
    now: DateTime<Utc>,
) -> Result<Read, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT f.last_cursor, r.cursor AS "cursor?", r.session_id, r.user_id AS "user_id?",
            r.revoked_at AS "revoked_at?", r.expires_at AS "expires_at?"
        FROM revocation_feed AS f LEFT JOIN revocations AS r
            ON r.cursor > CASE WHEN f.last_cursor < $1 THEN 0 ELSE $1 END AND r.expires_at > $2
        ORDER BY r.cursor
        "#,
        cursor,
        now,
    )
    .fetch_all(database)
    .await?;
    let last = rows
        .first()
        .ok_or(StoreError::Corrupt("feed of revocations"))?;
    Ok(Read {
        cursor: last.last_cursor,
        revocations: rows.iter().filter_map(Row::revocation).collect(),
    })
}

/// Makes the revocation of a session that need not exist; for who tries a gateway out.
pub(super) async fn revoke(
    pool: &PgPool,
    (session, user): (Uuid, Uuid),
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"SELECT revoke_tokens($1, $2, $3, $4) AS "done: ()""#,
        session,
        user,
        now,
        until,
    )
    .execute(pool)
    .await?;
    Ok(())
}

//! A refresh whose process dies: whoever shows the same token again is not logged out.

use otp_auth::sandbox::Mode;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::Fate::{Done, Lost};
use crate::support::Point::At;
use crate::support::Statement::Rotate;
use crate::support::{World, phone, refresh, send, verify};

/// The most that the settings allow: a loaded machine may take longer than the usual ten seconds to start
/// the program again.
const GRACE: (&str, &str) = ("TOKENS__REUSE_GRACE_SECONDS", "60");

#[sqlx::test]
async fn a_refresh_that_crashed_is_repeated_with_the_same_token(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    for (row, fate) in [Lost, Done].into_iter().enumerate() {
        let world = World::new(connect.clone(), Mode::Service).await;
        let calm = world.program_with(&[GRACE]).await;
        let key = |what: &str| format!("{what}-{row}");
        let sent = calm.post(&send(&phone(row), &key("send"))).await;
        let code = world.code(&phone(row));
        let login = verify(&sent.text("request_id"), &code, &key("verify"));
        let login = calm.post(&login).await;
        drop(calm);
        let first = refresh(&login.text("refresh_token"));
        world.crash_with(&[GRACE], &first, At(Rotate, fate)).await;
        let spent = "SELECT count(*) FROM spent_refresh_tokens AS p
            JOIN sessions AS s ON s.id = p.session_id WHERE s.id =";
        let spent = format!("{spent} '{}'", login.text("session_id"));
        let expected = i64::from(fate == Done);
        assert_eq!(world.ask::<i64>(&spent).await, expected, "{fate:?}");

        let program = world.program_with(&[GRACE]).await;
        let again = program.post(&first).await;
        let twice = program.post(&first).await;
        let next = program.post(&refresh(&again.text("refresh_token"))).await;

        assert_eq!(again.status, 200, "{fate:?}: {again:?}");
        assert_eq!(twice.text("refresh_token"), again.text("refresh_token"));
        assert_eq!(next.status, 200, "{fate:?}: {next:?}");
        let ended = "SELECT EXISTS (SELECT FROM sessions WHERE ended_at IS NOT NULL)";
        assert!(!world.ask::<bool>(ended).await, "{fate:?}");
    }
}

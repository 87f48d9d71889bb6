//! The exact points at which a program is ended or stood still.

use otp_auth::sandbox::{Fault, FaultKind, Mode};
use sqlx::{Postgres, Transaction};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::program::{Answer, Post, Program};
use super::statement::Statement;
use super::{PATIENCE, World};

/// What becomes of a statement whose client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is not carried out.
    Lost,
    /// It is carried out, and nobody learns of it.
    Done,
}

/// Where a call is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// A statement is under way.
    At(Statement, Fate),
    /// The provider has the call and has done nothing yet.
    Asked,
    /// The provider has done its work; its answer is on its way.
    Unanswered,
}

/// The program's connections to this database.
const OF_THE_PROGRAM: &str = "SELECT pid FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'otp-auth'";
/// Those whose statement waits for a lock.
const WAITING: &str = "wait_event_type = 'Lock'";
/// Those that work on a statement.
const BUSY: &str = "state = 'active'";

fn waiting(statement: Statement) -> String {
    format!(
        "{WAITING} AND position('{}' IN query) > 0",
        statement.words()
    )
}

/// What a statement waits for, locked until this is dropped or [`released`](Held::release).
pub(crate) struct Held(Transaction<'static, Postgres>);

impl Held {
    pub(crate) async fn release(self) {
        self.0.rollback().await.unwrap();
    }
}

impl World {
    /// Locks what a statement changes.
    pub(crate) async fn hold(&self, statement: Statement) -> Held {
        let mut transaction = self.pool.begin().await.unwrap();
        let lock = sqlx::raw_sql(statement.lock());
        lock.execute(&mut *transaction).await.unwrap();
        Held(transaction)
    }

    /// Returns when a statement waits for a lock.
    pub(crate) async fn until_waiting(&self, statement: Statement) {
        self.until_any(&waiting(statement)).await;
    }

    /// Returns when no statement of the program is under way.
    pub(crate) async fn until_idle(&self) {
        let none = format!("NOT EXISTS ({OF_THE_PROGRAM} AND {BUSY})");
        self.until(&none).await;
    }

    /// Begins a call and brings it to a statement, which waits until what is returned is released.
    pub(crate) async fn bring_to(
        &self,
        statement: Statement,
        program: &Program,
        post: &Post,
    ) -> (JoinHandle<Option<Answer>>, Held) {
        let in_the_middle = match statement {
            Statement::Accept | Statement::Refund | Statement::Release => true,
            Statement::Settle => self.mode == Mode::Vendor,
            Statement::Claim
            | Statement::Begin
            | Statement::BeginResend
            | Statement::Reserve
            | Statement::Rotate
            | Statement::Keep => false,
        };
        if in_the_middle {
            // The provider's answer comes late enough for the lock to be there before it.
            self.sandbox.arm(Fault::once(FaultKind::Slow));
            let call = program.begin(post);
            self.until_held().await;
            let held = self.hold(statement).await;
            assert_eq!(self.sandbox.held_replies(), 1, "the lock came too late");
            self.until_waiting(statement).await;
            return (call, held);
        }
        if statement == Statement::Keep {
            // The row of the key is there as soon as the statement after it waits.
            let first = self.hold(Statement::Begin).await;
            let call = program.begin(post);
            self.until_any(WAITING).await;
            let held = self.hold(statement).await;
            first.release().await;
            self.until_waiting(statement).await;
            return (call, held);
        }
        let held = self.hold(statement).await;
        let call = program.begin(post);
        self.until_waiting(statement).await;
        (call, held)
    }

    /// Kills a new program in the middle of a call.
    pub(crate) async fn crash(&self, post: &Post, point: Point) {
        self.crash_with(&[], post, point).await;
    }

    /// Kills a new program with these settings in the middle of a call.
    pub(crate) async fn crash_with(&self, settings: &[(&str, &str)], post: &Post, point: Point) {
        // A provider that takes the connection and does nothing with it.
        let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let deaf_url = format!("http://{}", deaf.local_addr().unwrap());
        let mut settings = settings.to_vec();
        if point == Point::Asked {
            settings.push(("STARTMESSAGING__BASE_URL", &deaf_url));
        }
        let mut program = self.program_with(&settings).await;
        let _connection;
        let (call, statement) = match point {
            Point::At(statement, fate) => {
                let (call, held) = self.bring_to(statement, &program, post).await;
                (call, Some((held, fate)))
            }
            Point::Asked => {
                let call = program.begin(post);
                let asked = tokio::time::timeout(PATIENCE, deaf.accept()).await;
                let (asked, _) = asked.expect("the provider is called").unwrap();
                asked.readable().await.unwrap();
                _connection = asked;
                (call, None)
            }
            Point::Unanswered => {
                self.sandbox.arm(Fault::once(FaultKind::Hang));
                let call = program.begin(post);
                self.until_held().await;
                (call, None)
            }
        };
        program.kill();
        assert_eq!(call.await.unwrap(), None, "{point:?}: it was answered");
        if let Some((held, fate)) = statement {
            if fate == Fate::Lost {
                self.end_backends("true").await;
            }
            held.release().await;
        }
        self.until(&format!("NOT EXISTS ({OF_THE_PROGRAM})")).await;
        self.until_held_replies(|held| held == 0).await;
    }

    /// Breaks the connection on which a statement waits.
    pub(crate) async fn break_connection(&self, statement: Statement) {
        self.end_backends(&waiting(statement)).await;
    }

    async fn until_any(&self, which: &str) {
        let any = format!("EXISTS ({OF_THE_PROGRAM} AND {which})");
        self.until(&any).await;
    }

    /// Breaks those of the program's connections.
    pub(crate) async fn end_backends(&self, which: &str) {
        let end = format!(
            "SELECT pg_terminate_backend(pid, 10000) FROM ({OF_THE_PROGRAM} AND {which}) AS it"
        );
        let end = sqlx::raw_sql(sqlx::AssertSqlSafe(end));
        sqlx::Executor::fetch_all(&self.pool, end).await.unwrap();
    }

    /// Returns when the provider has done its work and holds its answer back.
    pub(crate) async fn until_held(&self) {
        self.until_held_replies(|held| held > 0).await;
    }

    async fn until_held_replies(&self, are_right: impl Fn(usize) -> bool) {
        let poll = async {
            while !are_right(self.sandbox.held_replies()) {
                tokio::task::yield_now().await;
            }
        };
        let right = tokio::time::timeout(PATIENCE, poll).await;
        right.expect("the provider holds its answers back until their callers are gone");
    }
}

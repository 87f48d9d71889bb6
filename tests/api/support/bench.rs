//! Three services side by side that tell what a failed send comes to.

use std::cell::Cell;

use sqlx::postgres::PgConnectOptions;

use super::raw::{RawVendor, Script};
use super::{Answer, Instance, World};

/// Less than the 10 s that a 429 without a word asks for, more than the second that it may ask for.
pub(crate) const PATIENT: (&str, &str) = ("STARTMESSAGING__TIMEOUT_MS", "9000");
/// For what never ends.
pub(crate) const IMPATIENT: (&str, &str) = ("STARTMESSAGING__TIMEOUT_MS", "1000");

/// What a failed send comes to. The first four are the only ones there are: whether the SMS may be out
/// decides all but the status.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum End {
    /// It is out.
    Sent,
    /// It may be out: the request lives, the limits stay taken, the breaker counts it.
    Open(u16, &'static str),
    /// It is not out and the vendor is at fault: the breaker counts it.
    Failed(u16, &'static str, i64),
    /// It is not out and the vendor is well: the breaker does not look at it.
    Refused(u16, &'static str, i64),
    /// It is not out and our account is refused: the breaker opens at once.
    Account,
}

use End::{Account, Failed, Open, Refused, Sent};

pub(crate) const ERROR: &str = "provider_error";
pub(crate) const UNAVAILABLE: &str = "provider_unavailable";
pub(crate) const TIMEOUT: &str = "provider_timeout";

/// The instances that tell apart what one cannot.
pub(crate) struct Bench {
    pub(crate) world: World,
    /// With the usual breaker.
    pub(crate) app: Instance,
    /// Whose breaker opens at the first failure that counts.
    pub(crate) touchy: Instance,
    /// Which never meets a fault.
    pub(crate) calm: Instance,
    phones: std::ops::Range<u32>,
}

impl Bench {
    pub(crate) async fn new(connect: PgConnectOptions, settings: &[(&str, &str)]) -> Self {
        let world = World::new(connect).await;
        let calm = [settings, &[PATIENT]].concat();
        let touchy = [settings, &[("PROVIDER__BREAKER_MIN_CALLS", "1")]].concat();
        Self {
            app: world.instance_with(settings, "").await,
            touchy: world.instance_with(&touchy, "").await,
            calm: world.instance_with(&calm, "").await,
            phones: 0..1_000_000,
            world,
        }
    }

    pub(crate) fn phone(&mut self) -> String {
        format!("+91987{:07}", self.phones.next().unwrap())
    }

    /// Sends with the fault that `arm` arranges, and holds all of what follows against `end`.
    /// `good` calls the fault off.
    pub(crate) async fn holds(&mut self, why: &str, end: End, arm: impl Fn(), good: impl Fn()) {
        let phone = self.phone();
        arm();
        let answer = self.app.send(&phone).await;
        good();
        self.answers(why, end, &answer).await;

        let state = if end == Account { "open" } else { "closed" };
        assert_eq!(self.app.breaker().await, state, "{why}");
        let next = self.calm.send(&phone).await;
        if matches!(end, Sent | Open(..)) {
            assert_eq!(next.text("limit"), "cooldown", "{why}: the place is taken");
        } else {
            assert_eq!(next.status, 201, "{why}: the place is free: {}", next.body);
        }

        let other = self.phone();
        arm();
        self.touchy.send(&other).await;
        good();
        let counted = matches!(end, Open(..) | Failed(..) | Account);
        let state = if counted { "open" } else { "closed" };
        assert_eq!(
            self.touchy.breaker().await,
            state,
            "{why}: whether it counts"
        );

        // One good call each closes what is open.
        self.world.clock.advance(60);
        for (app, phone) in [(&self.app, &other), (&self.touchy, &phone)] {
            app.send(phone).await;
            assert_eq!(app.breaker().await, "closed", "{why}");
        }
        self.world.clock.advance(600);
    }

    pub(crate) async fn answers(&self, why: &str, end: End, answer: &Answer) {
        let why = format!("{why}: {}", answer.body);
        let problem = |status, code: &str| {
            assert_eq!(answer.problem(), (status, code.to_owned()), "{why}");
        };
        match end {
            Sent => assert_eq!(answer.status, 201, "{why}"),
            Open(status, code) => problem(status, code),
            Failed(status, code, wait) | Refused(status, code, wait) => {
                problem(status, code);
                let told = answer.header("retry-after");
                let expected = if wait == 0 {
                    String::new()
                } else {
                    wait.to_string()
                };
                assert_eq!(told, expected, "{why}");
            }
            Account => {
                problem(503, UNAVAILABLE);
                assert_eq!(answer.retry_after(), 60, "{why}");
            }
        }
        if matches!(end, Sent | Open(..)) {
            let report = self.app.report(&answer.text("request_id")).await;
            assert_eq!(report.text("status"), "pending", "{why}");
        } else {
            assert!(answer.json().get("request_id").is_none(), "{why}");
        }
        for word in ["html", "nginx", "secret words", "StartMessaging", "balance"] {
            assert!(!answer.body.contains(word), "{word}: {why}");
        }
    }
}

/// One row: what the vendor answers to the calls in turn, what comes of it, and how many calls.
pub(crate) type Row = (&'static str, fn() -> Vec<Script>, End, usize);

pub(crate) async fn each_row_holds(bench: &mut Bench, raw: &RawVendor, rows: &[Row]) {
    for (why, scripts, end, calls) in rows {
        let before = raw.calls().len();
        let seen = Cell::new(None);
        let good = || {
            raw.script([]);
            if seen.get().is_none() {
                seen.set(Some(raw.calls().len() - before));
            }
        };

        bench.holds(why, *end, || raw.script(scripts()), good).await;

        assert_eq!(seen.get(), Some(*calls), "{why}: calls");
    }
}

pub(crate) async fn raw_bench(
    connect: PgConnectOptions,
    timeout: (&str, &str),
) -> (Bench, RawVendor) {
    let raw = RawVendor::start();
    let url = raw.url();
    let settings = [("STARTMESSAGING__BASE_URL", url.as_str()), timeout];
    (Bench::new(connect, &settings).await, raw)
}

//! Has the doctor look at what a test runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use otp_auth::app::Deps;
use otp_auth::clock::{Clock, SystemClock};
use otp_auth::doctor::gateway::{Gateway, Way};
use otp_auth::doctor::{self, DoctorError, Finding, Level, Options, Report, Sources};
use otp_auth::random::SystemRandom;

use super::{Instance, World};

/// A deployment as the doctor is told of it.
pub(crate) struct Patient {
    environment: BTreeMap<String, String>,
    clock: Arc<Drifted>,
    options: Options,
}

impl World {
    /// A deployment in which nothing runs but the database and the sandbox.
    pub(crate) fn patient(&self, settings: &[(&str, &str)]) -> Patient {
        Patient {
            clock: Arc::new(Drifted(TimeDelta::zero())),
            environment: self.environment(settings),
            options: Options {
                issuer_url: None,
                gateway: None,
                replicas: 1,
                // A loaded machine is slow, and no check here is about how slow.
                deadline: Duration::from_secs(30),
            },
        }
    }
}

/// The doctor's clock runs, unlike the tests', or every check would find it drifting.
struct Drifted(TimeDelta);

impl Clock for Drifted {
    fn now(&self) -> DateTime<Utc> {
        SystemClock::default().now() + self.0
    }
}

impl Patient {
    /// On a machine whose clock is ahead.
    pub(crate) fn ahead(mut self, seconds: i64) -> Self {
        self.clock = Arc::new(Drifted(TimeDelta::seconds(seconds)));
        self
    }

    /// With this service for others to see.
    pub(crate) fn served_by(mut self, app: &Instance) -> Self {
        self.options.issuer_url = Some(app.base.parse().unwrap());
        let admin = app.admin.trim_start_matches("http://").to_owned();
        let bind = "OTP_AUTH__SERVER__ADMIN_BIND".to_owned();
        self.environment.insert(bind, admin);
        self
    }

    /// With this address for others to see.
    pub(crate) fn seen_at(mut self, url: &str) -> Self {
        self.options.issuer_url = Some(url.parse().unwrap());
        self
    }

    /// With another database.
    pub(crate) fn on(mut self, url: &str) -> Self {
        let name = "DATABASE_URL".to_owned();
        self.environment.insert(name, url.to_owned());
        self
    }

    /// With a gateway in front of others.
    pub(crate) fn behind(mut self, url: &str, way: Way) -> Self {
        self.options.gateway = Some(Gateway {
            urls: vec![url.parse().unwrap()],
            way,
            audience: None,
            client: None,
        });
        self
    }

    /// With an operator who names client and audience.
    pub(crate) fn for_client(mut self, client: Option<&str>, audience: Option<&str>) -> Self {
        let gateway = self.options.gateway.as_mut().unwrap();
        gateway.client = client.map(str::to_owned);
        gateway.audience = audience.map(str::to_owned);
        self
    }

    pub(crate) fn patience(mut self, deadline: Duration) -> Self {
        self.options.deadline = deadline;
        self
    }

    pub(crate) fn replicas(mut self, replicas: u32) -> Self {
        self.options.replicas = replicas;
        self
    }

    pub(crate) async fn try_examine(
        &self,
        file: Option<&Path>,
    ) -> Result<Examination, DoctorError> {
        let environment: Vec<_> = self.environment.clone().into_iter().collect();
        let sources = Sources {
            environment: &environment,
            file,
        };
        let deps = Deps {
            clock: self.clock.clone(),
            random: Arc::new(SystemRandom),
        };
        doctor::run(&self.options, sources, &deps)
            .await
            .map(Examination)
    }

    pub(crate) async fn examine(&self) -> Examination {
        self.try_examine(None).await.unwrap()
    }
}

/// What the doctor found.
pub(crate) struct Examination(pub(crate) Report);

impl Examination {
    /// The one finding of a check.
    pub(crate) fn finding(&self, name: &str) -> &Finding {
        let mut found = self.0.findings.iter().filter(|found| found.name == name);
        match (found.next(), found.next()) {
            (Some(one), None) => one,
            _ => panic!("{name} in\n{}", self.0.text()),
        }
    }

    /// Fails unless a check ended like this, and said this.
    #[track_caller]
    pub(crate) fn says(&self, name: &str, level: Level, part: &str) {
        let found = self.finding(name);
        let text = self.0.text();
        assert_eq!(found.level, level, "{name} in\n{text}");
        let advice = found.advice.as_deref().unwrap_or_default();
        let told = format!("{} -> {advice}", found.seen);
        assert!(told.contains(part), "{name}: {part}\n{text}");
        let needs_advice = matches!(level, Level::Warn | Level::Fail);
        assert_eq!(found.advice.is_some(), needs_advice, "{name} in\n{text}");
    }

    /// The checks that ended like this.
    pub(crate) fn names(&self, level: Level) -> Vec<&'static str> {
        let found = self.0.findings.iter().filter(|found| found.level == level);
        found.map(|found| found.name).collect()
    }
}

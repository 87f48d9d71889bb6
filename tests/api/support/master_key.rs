//! A master key that is replaced, and the instances of each step.

use std::time::Duration;

use otp_auth::app::{App, Deps, StartError};
use otp_auth::random::SystemRandom;
use otp_auth::secrets::{KeyId, Keyring, MasterKeys};
use std::sync::Arc;
use tokio::sync::watch;

use super::{Instance, MASTER_KEY, OFTEN, World};

/// The key that follows [`MASTER_KEY`].
pub(crate) const NEXT_KEY: &str = "ZLQ7vUS2Kj0cTzNq8yXhYbWf1oRa5sMg9dEiPuQwJtE=";

type Step = &'static [(&'static str, &'static str)];

/// The settings before a rotation and at each of its steps.
pub(crate) const STEPS: [Step; 4] = [
    &[("SECRETS__MASTER_KEY", MASTER_KEY)],
    &[
        ("SECRETS__MASTER_KEY", MASTER_KEY),
        ("SECRETS__OTHER_MASTER_KEYS", NEXT_KEY),
    ],
    &[
        ("SECRETS__MASTER_KEY", NEXT_KEY),
        ("SECRETS__OTHER_MASTER_KEYS", MASTER_KEY),
    ],
    &[("SECRETS__MASTER_KEY", NEXT_KEY)],
];

impl World {
    /// The same world for instances that end sooner than those of this one: when it is dropped.
    pub(crate) fn beside(&self) -> Self {
        Self {
            clock: Arc::clone(&self.clock),
            sandbox: self.sandbox.clone(),
            pool: self.pool.clone(),
            connect: self.connect.clone(),
            running: watch::Sender::new(()),
        }
    }

    /// An instance with the settings of a step.
    pub(crate) async fn at_step(&self, step: usize) -> Instance {
        let settings = [&OFTEN[..], STEPS[step]].concat();
        self.instance_with(&settings, "").await
    }

    /// Why no instance starts with these settings.
    pub(crate) async fn refusal(&self, settings: &[(&str, &str)]) -> StartError {
        let deps = Deps {
            clock: self.clock.clone(),
            random: Arc::new(SystemRandom),
        };
        let app = App::build(&self.settings(settings, ""), deps).await;
        app.err().expect("it does not start")
    }

    /// The id of the master key of a step.
    pub(crate) fn key_id(&self, step: usize) -> KeyId {
        let secrets = self.settings(STEPS[step], "").secrets;
        MasterKeys::derive(&secrets.master_key, &[])
            .unwrap()
            .current()
    }

    /// The keys of this database with the settings of a step.
    pub(crate) async fn keyring(&self, step: usize) -> Keyring {
        let secrets = self.settings(STEPS[step], "").secrets;
        let keys = MasterKeys::derive(&secrets.master_key, &secrets.other_master_keys).unwrap();
        otp_auth::master_key::read(&self.pool, keys).await.unwrap()
    }

    /// Lets time pass until nothing is left under another key than that of the instance.
    pub(crate) async fn resealed(&self, app: &Instance) {
        let done = async {
            while app.rows_left().await != Some(0) {
                self.clock.advance(61);
            }
        };
        let done = tokio::time::timeout(Duration::from_mins(1), done).await;
        assert!(done.is_ok(), "{:?} rows are left", app.rows_left().await);
    }
}

impl Instance {
    /// How many rows are left under another master key than its own; `None` if it does not count them.
    pub(crate) async fn rows_left(&self) -> Option<u64> {
        let metrics = self.admin_get("/metrics").await.body;
        let lines = metrics.lines();
        let values = lines.filter(|line| line.starts_with("otp_auth_master_key_rows_left{"));
        values
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().ok())
            .sum()
    }
}

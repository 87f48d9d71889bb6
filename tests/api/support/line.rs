//! A service with one vendor: what the tests that run over all of them start with.

use sqlx::postgres::PgConnectOptions;

use super::gateway::{GATEWAY_SECRET, Gateway};
use super::{Instance, World};
use otp_auth::provider::CodeOwner;
use otp_auth::sandbox::Mode;

/// A vendor, its world, and how an instance is told of it.
pub(crate) struct Line {
    pub(crate) owner: CodeOwner,
    pub(crate) world: World,
    gateway: Option<Gateway>,
    settings: Vec<(&'static str, String)>,
}

impl Line {
    /// StartMessaging, which texts the codes of this service.
    pub(crate) async fn startmessaging_service(connect: PgConnectOptions) -> Self {
        Self {
            owner: CodeOwner::Service,
            world: World::new(connect).await,
            gateway: None,
            settings: Vec::new(),
        }
    }

    /// StartMessaging, which makes and checks the codes.
    pub(crate) async fn startmessaging_vendor(connect: PgConnectOptions) -> Self {
        let vendor = World::with_sandbox(connect, |options| options.mode = Mode::Vendor);
        Self {
            owner: CodeOwner::Vendor,
            world: vendor.await,
            gateway: None,
            settings: vec![("STARTMESSAGING__CODE_OWNER", "vendor".to_owned())],
        }
    }

    /// A gateway of the company's own.
    pub(crate) async fn webhook(connect: PgConnectOptions) -> Self {
        let world = World::new(connect).await;
        let gateway = Gateway::start(world.clock.clone()).await;
        let settings = [
            ("PROVIDER__KIND", "webhook"),
            ("WEBHOOK__URL", gateway.url()),
            ("WEBHOOK__SECRET", GATEWAY_SECRET),
            ("WEBHOOK__TIMEOUT_MS", "60000"),
        ];
        Self {
            owner: CodeOwner::Service,
            settings: settings
                .map(|(name, value)| (name, value.to_owned()))
                .into(),
            world,
            gateway: Some(gateway),
        }
    }

    pub(crate) async fn instance(&self) -> Instance {
        self.instance_with(&[], "").await
    }

    pub(crate) async fn instance_with(&self, more: &[(&str, &str)], toml: &str) -> Instance {
        self.world.instance_with(&self.settings(more), toml).await
    }

    /// The settings that make this vendor the one, and more.
    pub(crate) fn settings<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let own = self.settings.iter();
        own.map(|(name, value)| (*name, value.as_str()))
            .chain(more.iter().copied())
            .collect()
    }

    /// The codes that a number got, newest first.
    pub(crate) fn codes(&self, phone: &str) -> Vec<String> {
        if let Some(gateway) = &self.gateway {
            return gateway.codes(phone);
        }
        let messages = self.world.sandbox.messages_to(phone);
        messages.into_iter().map(|message| message.code).collect()
    }

    /// The newest one.
    pub(crate) fn code(&self, phone: &str) -> String {
        self.codes(phone).first().expect("an SMS").clone()
    }

    /// How often the vendor was called, whatever for.
    pub(crate) fn calls(&self) -> usize {
        let asked = self.world.sandbox.requests();
        let sandbox = usize::try_from(asked.send + asked.verify + asked.message).unwrap();
        self.gateway.as_ref().map_or(sandbox, Gateway::calls)
    }
}
